"""Workflows: what was published, what ran, and what each node did."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, TypedDict, TypeVar, Unpack

from dify_etl.dify import routes
from dify_etl.dify.errors import AppGone, DifyError, NotFound, Refused
from dify_etl.dify.http.deny_list import without_secrets
from dify_etl.dify.http.session import Query, Session
from dify_etl.dify.http.writes import Written, record_written
from dify_etl.dify.lists import batch_of, page_of
from dify_etl.dify.paging import CursorWalk, PageWalk, iterate
from dify_etl.dify.record import (
    Batch,
    JsonRow,
    Page,
    parse_but_odd_fields,
    parse_one,
    unexpected,
)
from dify_etl.dify.time_parameters import utc_after, utc_before
from dify_etl.dify.version_list import VersionWalk
from dify_etl.dify.workflow_records import (
    AppTrigger,
    ArchivedRun,
    ChatflowRun,
    NodeExecution,
    PublishedWorkflow,
    RunCount,
    WaitingForm,
    WorkflowAppLog,
    WorkflowRun,
    WorkflowRunDetail,
    WorkflowVersion,
)

NO_DRAFT = "draft_workflow_not_exist"

RunT = TypeVar("RunT", bound=WorkflowRun)


class AppLogFilters(TypedDict, total=False):
    """Filters of workflow-app-logs. Before 1.6 Dify ignores all but keyword and status."""

    created_after: datetime | None
    created_before: datetime | None
    status: str | None
    keyword: str | None  # searched in inputs and outputs: very slow on the server
    created_by_end_user_session_id: str | None
    created_by_account: str | None  # e-mail
    detail: bool  # trigger metadata, since 1.10


class RunFilters(TypedDict, total=False):
    """Filters of the run lists. Before 1.9.2 Dify ignores them and lists debugging runs only."""

    triggered_from: str  # app-run unless told otherwise, or debugging
    status: str | None


class Workflows:
    """`dify.workflows`. Methods raise AppGone for an app of another mode."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def app_logs(self, app_id: str, **filters: Unpack[AppLogFilters]) -> Iterator[WorkflowAppLog]:
        """All log rows of a workflow app, each once."""
        return iterate(
            self.app_logs_walk(app_id, **filters), endpoint=f"GET {routes.WORKFLOW_APP_LOGS}"
        )

    def app_logs_walk(
        self, app_id: str, **filters: Unpack[AppLogFilters]
    ) -> PageWalk[WorkflowAppLog]:
        """The log rows as a walk that can prove itself."""
        return PageWalk(
            lambda page, limit: self.app_logs_page(app_id, page, limit, **filters),
            key=lambda row: row.workflow_app_log_id,
            most_pages=self._session.bounds.pages,
        )

    def app_logs_page(
        self, app_id: str, page: int = 1, limit: int = 100, **filters: Unpack[AppLogFilters]
    ) -> Page[WorkflowAppLog]:
        """GET workflow-app-logs (mode workflow): one page, newest first.

        The bounds are aware instants, both inclusive, on the time of the log row (log_created_at),
        which is the run's start since 1.9 and its end before.
        """
        query: Query = {
            "page": page,
            "limit": limit,
            "created_at__after": utc_after(filters.get("created_after")),
            "created_at__before": utc_before(filters.get("created_before")),
            "status": filters.get("status"),
            "keyword": filters.get("keyword"),
            "created_by_end_user_session_id": filters.get("created_by_end_user_session_id"),
            "created_by_account": filters.get("created_by_account"),
            "detail": filters.get("detail") or None,
        }
        answer = self._session.get(routes.WORKFLOW_APP_LOGS, query=query, app_id=app_id)
        return page_of(
            WorkflowAppLog,
            answer,
            endpoint=f"GET {routes.WORKFLOW_APP_LOGS}",
            context={"app_id": app_id},
        )

    def runs(self, app_id: str, **filters: Unpack[RunFilters]) -> Iterator[WorkflowRun]:
        """All runs of a workflow or advanced-chat app, newest first, each once."""
        return iterate(self.runs_walk(app_id, **filters), endpoint=f"GET {routes.WORKFLOW_RUNS}")

    def runs_walk(self, app_id: str, **filters: Unpack[RunFilters]) -> CursorWalk[WorkflowRun]:
        """The runs as a walk from the newest to the oldest that loses no tie."""
        return CursorWalk(
            lambda last_id, limit: self.runs_page(app_id, last_id, limit, **filters),
            key=lambda run: run.workflow_run_id,
            at=lambda run: run.created_at,
            most_pages=self._session.bounds.pages,
        )

    def runs_page(
        self,
        app_id: str,
        last_id: str | None = None,
        limit: int = 100,
        **filters: Unpack[RunFilters],
    ) -> Page[WorkflowRun]:
        """GET workflow-runs: runs before `last_id`, newest first.

        Dify's own default lists debugging runs only. Runs by schedule, webhook or plugin are in no
        list but the app logs.
        """
        return self._run_page(
            WorkflowRun, routes.WORKFLOW_RUNS, app_id, _run_query(last_id, limit, filters)
        )

    def chatflow_runs(self, app_id: str, **filters: Unpack[RunFilters]) -> Iterator[ChatflowRun]:
        """All runs of an advanced-chat app with their messages, newest first, each once."""
        walk = self.chatflow_runs_walk(app_id, **filters)
        return iterate(walk, endpoint=f"GET {routes.CHATFLOW_RUNS}")

    def chatflow_runs_walk(
        self, app_id: str, **filters: Unpack[RunFilters]
    ) -> CursorWalk[ChatflowRun]:
        """The runs of an advanced-chat app as a walk that loses no tie."""
        return CursorWalk(
            lambda last_id, limit: self.chatflow_runs_page(app_id, last_id, limit, **filters),
            key=lambda run: run.workflow_run_id,
            at=lambda run: run.created_at,
            most_pages=self._session.bounds.pages,
        )

    def chatflow_runs_page(
        self,
        app_id: str,
        last_id: str | None = None,
        limit: int = 100,
        **filters: Unpack[RunFilters],
    ) -> Page[ChatflowRun]:
        """GET advanced-chat/workflow-runs: as `runs_page`, with conversation and message."""
        query = _run_query(last_id, limit, filters)
        return self._run_page(ChatflowRun, routes.CHATFLOW_RUNS, app_id, query)

    def run_detail(self, app_id: str, run_id: str) -> Batch[WorkflowRunDetail] | None:
        """GET workflow-runs/{run_id}; None when the run is absent.

        Fields that are odd are left out and named beside it. An absent run is 200 with every
        field null up to 1.14, 404 later. Raises AppGone.
        """
        try:
            answer = self._session.get(routes.WORKFLOW_RUN, app_id=app_id, run_id=run_id)
        except AppGone:
            raise
        except NotFound:
            return None
        if _is_nothing(answer):
            return None
        return parse_but_odd_fields(
            WorkflowRunDetail,
            answer,
            endpoint=f"GET {routes.WORKFLOW_RUN}",
            context={"app_id": app_id},
        )

    def run(self, app_id: str, run_id: str) -> WorkflowRunDetail | None:
        """The same for reading by hand: an odd field raises UnexpectedAnswer."""
        batch = self.run_detail(app_id, run_id)
        for odd in batch.rejected if batch else ():
            raise unexpected(odd)
        return batch.records[0] if batch else None

    def run_count(
        self, app_id: str, *, time_range: str | None = None, **filters: Unpack[RunFilters]
    ) -> RunCount:
        """GET workflow-runs/count (since 1.9.2); `time_range` as 7d, 4h, 30m, 30s till now."""
        query: Query = {
            "triggered_from": filters.get("triggered_from", "app-run"),
            "status": filters.get("status"),
            "time_range": time_range,
        }
        answer = self._session.get(f"{routes.WORKFLOW_RUNS}/count", query=query, app_id=app_id)
        return parse_one(RunCount, answer, endpoint=f"GET {routes.WORKFLOW_RUNS}/count")

    def node_executions(self, app_id: str, run_id: str) -> Batch[NodeExecution]:
        """GET node-executions: all nodes of a run; the order differs by version.

        An absent run gives an empty list. A run with a tool node needs the plugin daemon.
        """
        answer = self._session.get(routes.NODE_EXECUTIONS, app_id=app_id, run_id=run_id)
        context = {"app_id": app_id, "workflow_run_id": run_id}
        return batch_of(
            NodeExecution, answer, endpoint=f"GET {routes.NODE_EXECUTIONS}", context=context
        )

    def waiting_forms(self, run_id: str) -> Batch[WaitingForm]:
        """GET pause-details (since 1.13): the forms that a run waits for, without their tokens.

        Empty for a run that waits for nothing. Raises NotFound for an unknown run, NoSuchEndpoint
        by servers without human input.
        """
        answer = self._session.get(routes.PAUSE_DETAILS, run_id=run_id)
        context = {"workflow_run_id": run_id}
        return batch_of(
            WaitingForm,
            answer,
            endpoint=f"GET {routes.PAUSE_DETAILS}",
            context=context,
            key="paused_nodes",
        )

    def triggers(self, app_id: str) -> Batch[AppTrigger]:
        """GET triggers (since 1.10): all triggers of a workflow app, newest first.

        Raises AppGone for another mode, NoSuchEndpoint by servers without triggers.
        """
        answer = self._session.get(routes.APP_TRIGGERS, app_id=app_id)
        return batch_of(
            AppTrigger, answer, endpoint=f"GET {routes.APP_TRIGGERS}", context={"app_id": app_id}
        )

    def archived_runs_walk(self, app_id: str) -> PageWalk[ArchivedRun]:
        """The archived runs of a workflow app (since 1.12) as a walk that can prove itself.

        Those that lost their log row are in no list. Raises as `triggers`.
        """
        return PageWalk(
            lambda page, limit: self.archived_runs_page(app_id, page, limit),
            key=lambda row: row.archived_run_id,
            most_pages=self._session.bounds.pages,
        )

    def archived_runs_page(self, app_id: str, page: int = 1, limit: int = 100) -> Page[ArchivedRun]:
        """GET workflow-archived-logs: one page, newest run first; Dify knows no filter here."""
        query: Query = {"page": page, "limit": limit}
        answer = self._session.get(routes.ARCHIVED_RUNS, query=query, app_id=app_id)
        return page_of(
            ArchivedRun, answer, endpoint=f"GET {routes.ARCHIVED_RUNS}", context={"app_id": app_id}
        )

    def published(self, app_id: str) -> WorkflowVersion | None:
        """GET workflows/publish: the published version, None when there is none."""
        answer = self._session.get(routes.PUBLISHED_WORKFLOW, app_id=app_id)
        if _is_nothing(answer):
            return None
        return parse_one(
            WorkflowVersion,
            answer,
            endpoint=f"GET {routes.PUBLISHED_WORKFLOW}",
            context={"app_id": app_id},
        )

    def draft(self, app_id: str) -> WorkflowVersion | None:
        """GET workflows/draft: what is being edited, None when nobody has saved anything.

        Before the first publication this alone shows it: the list of versions is empty then.
        """
        try:
            answer = self._session.get(routes.DRAFT_WORKFLOW, app_id=app_id)
        except (NotFound, Refused) as error:  # 404 since 1.9, 400 before
            if error.code != NO_DRAFT:
                raise
            return None
        return parse_one(
            WorkflowVersion,
            answer,
            endpoint=f"GET {routes.DRAFT_WORKFLOW}",
            context={"app_id": app_id},
        )

    def publish(self, app_id: str, name: str = "", comment: str = "") -> Written[PublishedWorkflow]:
        """POST workflows/publish: copies the draft into a new version, also when nothing changed.

        It takes an editor and a draft (else Refused). `name` has at most 20 characters, `comment`
        100; 1.0 knows neither. The answer tells the time only, so the version is read back: it is
        None when that fails, or when somebody published after us.
        """
        marks = {"marked_name": name, "marked_comment": comment}
        body = {key: text for key, text in marks.items() if text}
        written = self._session.write("POST", routes.PUBLISHED_WORKFLOW, body=body, app_id=app_id)
        context = {"app_id": app_id}
        answer = record_written(
            written,
            PublishedWorkflow,
            endpoint=f"POST {routes.PUBLISHED_WORKFLOW}",
            context=context,
        )
        return answer.holding(self._with_version(answer.value))

    def _with_version(self, done: PublishedWorkflow) -> PublishedWorkflow:
        try:
            found = self.published(done.app_id)
        except DifyError:
            return done
        if found is None or found.created_at != done.published_at:
            return done
        told = {"workflow_id": found.workflow_id, "version": found.version}
        return done.model_copy(update=told)

    def versions(self, app_id: str) -> Iterator[WorkflowVersion]:
        """GET workflows, page by page: all versions, newest first, the draft among them.

        Nothing before the first publication, also when there is a draft: `draft` shows it.
        """
        number, has_more = 1, True
        while has_more:
            page = self.versions_page(app_id, number)
            yield from page.records
            number, has_more = number + 1, bool(page.has_more)

    def published_walk(self, app_id: str) -> VersionWalk:
        """The published versions, without the draft, as a walk that can prove itself."""
        return VersionWalk(
            lambda page, limit: self.versions_page(app_id, page, limit, is_draft_shown=False),
            key=lambda version: version.workflow_id,
            most_pages=self._session.bounds.pages,
        )

    def versions_page(
        self, app_id: str, page: int = 1, limit: int = 100, *, is_draft_shown: bool = True
    ) -> Page[WorkflowVersion]:
        """GET workflows: one page by version text, newest first; Dify tells no total here.

        The draft counts as a row of the first page, also when it is left out.
        """
        answer = self._session.get(
            routes.WORKFLOW_VERSIONS, query={"page": page, "limit": limit}, app_id=app_id
        )
        return page_of(
            WorkflowVersion,
            answer if is_draft_shown else _without_draft(answer),
            endpoint=f"GET {routes.WORKFLOW_VERSIONS}",
            context={"app_id": app_id},
            key="items",
        )

    def _run_page(
        self, record_class: type[RunT], route: str, app_id: str, query: Query
    ) -> Page[RunT]:
        answer = self._session.get(route, query=query, app_id=app_id)
        context = {"app_id": app_id}
        return page_of(record_class, answer, endpoint=f"GET {route}", context=context)


def _run_query(last_id: str | None, limit: int, filters: RunFilters) -> Query:
    return {
        "last_id": last_id,
        "limit": limit,
        "triggered_from": filters.get("triggered_from", "app-run"),
        "status": filters.get("status"),
    }


def _without_draft(answer: Any) -> Any:
    """The answer without the row that is being edited, and without what may be secret in a version
    (what is no record is kept as it came); of another form it is as it was.
    """
    items = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(items, list):
        return answer
    published = [
        _without_secrets(row) if isinstance(row, dict) else row
        for row in items
        if not (isinstance(row, dict) and row.get("version") == "draft")
    ]
    return {**answer, "items": published}


def _without_secrets(row: JsonRow) -> JsonRow:
    kept = WorkflowVersion.prepare(row, {})
    return {**kept, "graph": without_secrets(row["graph"])} if "graph" in row else kept


def _is_nothing(answer: Any) -> bool:
    """Up to 1.14 Dify answers an object of nulls where there is no row, later null. An object
    that lacks its id alone is a row, and odd.
    """
    if not isinstance(answer, dict):
        return answer is None
    return "id" in answer and not any(map(_tells, answer.values()))


def _tells(value: Any) -> bool:
    return any(map(_tells, value.values())) if isinstance(value, dict) else bool(value)
