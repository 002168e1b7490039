"""/workflow-app-logs: every run of an app of mode workflow that was not a debug run.

Servers from 1.9 show the line from the start of the run, older ones from its end, at its end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from dify_simulated.server.calls import Call, Route
from dify_simulated.server.errors import ApiError, invalid_param
from dify_simulated.server.paging import LIMIT, PAGE, page_answer
from dify_simulated.server.parameters import BadValue, Choice, Flag, Parameter, Values
from dify_simulated.server.presentation import creators, epoch, known
from dify_simulated.versions import ErrorFamily
from dify_simulated.world.indexes import TimeIndex, page_of, sorted_by_time
from dify_simulated.world.rows import ArchivedRun, JsonObject, WorkflowAppLog, WorkflowRun

_STATUSES = (
    "scheduled",
    "running",
    "succeeded",
    "failed",
    "stopped",
    "partial-succeeded",
    "paused",
)
_OLD_STATUSES = ("succeeded", "failed", "stopped")


@dataclass(frozen=True)
class Instant(Parameter):
    """An instant in ISO 8601; without an offset it is UTC. "" means that none was given."""

    def read(self, raw: str) -> object:
        """The instant as ISO text in UTC, or None for ""."""
        if raw == "":
            return None
        try:
            at = datetime.fromisoformat(raw)
        except ValueError:
            text = "Unused components in ISO string"
            raise BadValue("value_error", f"Value error, {text}", text) from None
        return (at.replace(tzinfo=UTC) if at.tzinfo is None else at).astimezone(UTC).isoformat()


class _Epoch(Instant):
    """The same, refusing bare digits that Python would take for a date."""

    def read(self, raw: str) -> object:
        """The instant as ISO text in UTC, or None for ""."""
        if raw.isdigit() and len(raw) != 8:
            text = "ISO time too short"
            raise BadValue("value_error", f"Value error, {text}", text)
        return super().read(raw)


def list_logs(call: Call) -> object:
    """GET /apps/{id}/workflow-app-logs: newest first by seconds, ties in no promised order."""
    asked = _ask(call)
    index = _index(call)
    low, high = index.between(
        _instant(asked, "created_at__after"),
        _instant(asked, "created_at__before"),
        end_inclusive=True,
    )
    page, limit = asked.whole("page"), asked.whole("limit")
    offset = (page - 1) * limit
    wanted = _filter(asked, call)
    if wanted is None:
        ids = page_of(
            index.entries, low=low, high=high, offset=offset, limit=limit, descending=True
        )
        total = high - low
    else:
        entries = [entry for entry in index.entries[low:high] if wanted(_log(entry[1], call))]
        ids = sorted_by_time(entries, limit, descending=True)[offset : offset + limit]
        total = len(entries)
    with_details = asked.flag("detail") is True
    data = [_line(_log(log_id, call), with_details, call) for log_id in ids]
    return page_answer(data, page=page, limit=limit, total=total)


def _ask(call: Call) -> Values:
    statuses = _STATUSES if call.version.since(1, 11) else _OLD_STATUSES
    newer = (
        _Epoch("created_at__after"),
        _Epoch("created_at__before"),
        Parameter("created_by_end_user_session_id"),
        Parameter("created_by_account"),
    )
    try:
        return call.query(
            "WorkflowAppLogQuery",
            PAGE,
            LIMIT,
            Parameter("keyword"),
            Choice("status", choices=statuses, kind="enum"),
            *(newer if call.version.since(1, 6) else ()),
            *((Flag("detail"),) if call.version.since(1, 10) else ()),
        )
    except ApiError as error:
        raise _plainer(error, call) from None


def _plainer(error: ApiError, call: Call) -> ApiError:
    """Before 1.11 a bad instant fails in the handler, hence the usual shape."""
    problems = error.body.get("errors")
    if call.version.error_family is not ErrorFamily.PYDANTIC and isinstance(problems, dict):
        texts = [text for name, text in problems.items() if name.startswith("created_at__")]
        return invalid_param(str(texts[0])) if texts else error
    return error


def _instant(asked: Values, name: str) -> datetime | None:
    text = asked.text(name)
    return None if text is None else datetime.fromisoformat(text)


def _index(call: Call) -> TimeIndex:
    at_start = call.version.logs_runs_at_start
    indexes = call.world.logs_by_start if at_start else call.world.logs_by_end
    return indexes[call.app.id]


def _log(log_id: str, call: Call) -> WorkflowAppLog:
    return call.world.workflow_app_logs[log_id]


def _filter(asked: Values, call: Call) -> Callable[[WorkflowAppLog], bool] | None:
    """A test of one line, None when no filter was sent."""
    tests: list[Callable[[WorkflowAppLog], bool]] = []
    world = call.world
    status = asked.text("status")
    if status is not None:
        tests.append(lambda log: _status(call, log) == status)
    keyword = (asked.text("keyword") or "")[:36].lower()
    if keyword:
        tests.append(lambda log: _has_keyword(log, keyword, call))
    session = asked.text("created_by_end_user_session_id")
    if session:
        of_session = {row.id for row in world.end_users.values() if row.session_id == session}
        tests.append(lambda log: log.created_by in of_session)
    email = asked.text("created_by_account")
    if email:
        account_id = _account_id(email, call)
        tests.append(lambda log: log.created_by == account_id)
    return (lambda log: all(test(log) for test in tests)) if tests else None


def _status(call: Call, log: WorkflowAppLog) -> str | None:
    run = call.world.workflow_runs.get(log.workflow_run_id)
    return None if run is None else run.status


def _has_keyword(log: WorkflowAppLog, keyword: str, call: Call) -> bool:
    """In inputs, outputs, the session id, or as the whole id of the run."""
    run = call.world.workflow_runs.get(log.workflow_run_id)
    if run is None:
        return False
    user = call.world.end_users.get(log.created_by)
    texts = (str(run.inputs), str(run.outputs), user.session_id if user else "")
    return keyword == run.id or any(keyword in text.lower() for text in texts)


def _account_id(email: str, call: Call) -> str:
    accounts = call.world.accounts.values()
    found = next((row.id for row in accounts if row.email == email), None)
    if found is None and call.version.since(1, 11):
        raise invalid_param(f"Account not found: {email}")
    return found or ""


def _line(log: WorkflowAppLog, with_details: bool, call: Call) -> JsonObject:
    run = call.world.workflow_runs.get(log.workflow_run_id)
    created_at = log.created_at
    if not call.version.logs_runs_at_start:
        created_at = call.world.ends_of_logs.get(log.id, created_at)
    details = {"trigger_metadata": log.trigger_metadata} if with_details else None
    values: JsonObject = {
        "id": log.id,
        "workflow_run": None if run is None else _run(run, call),
        "details": details,
        "created_from": log.created_from,
        "created_by_role": log.created_by_role,
        **creators(call, log.created_by_role, log.created_by),
        "created_at": epoch(created_at),
    }
    return known(values, details=call.version.since(1, 10))


def _run(run: WorkflowRun, call: Call) -> JsonObject:
    values: JsonObject = {
        "id": run.id,
        "version": run.version,
        "status": run.status,
        "triggered_from": run.triggered_from,
        "error": run.error,
        "elapsed_time": run.elapsed_time,
        "total_tokens": run.total_tokens,
        "total_steps": run.total_steps,
        "created_at": epoch(run.created_at),
        "finished_at": epoch(run.finished_at),
        "exceptions_count": run.exceptions_count,
    }
    return known(values, triggered_from=call.version.since(1, 10))


def list_archived_logs(call: Call) -> object:
    """GET /apps/{id}/workflow-archived-logs (1.12 to August 2026): newest run first; filters are
    ignored.

    What was archived without a log line is left out.
    """
    asked = call.query("WorkflowAppLogQuery", PAGE, LIMIT)
    page, limit = asked.whole("page"), asked.whole("limit")
    archived = call.world.archived_runs.values()
    rows = [row for row in archived if row.app_id == call.app.id and row.log_id is not None]
    rows.sort(key=lambda row: row.run_created_at, reverse=True)
    shown = rows[(page - 1) * limit : page * limit]
    data = [_archived(row, call) for row in shown]
    return page_answer(data, page=page, limit=limit, total=len(rows))


def _archived(row: ArchivedRun, call: Call) -> JsonObject:
    return {
        "id": row.id,
        "workflow_run": {
            "id": row.workflow_run_id,
            "status": row.status,
            "triggered_from": row.triggered_from,
            "elapsed_time": row.elapsed_time,
            "total_tokens": row.total_tokens,
        },
        "trigger_metadata": row.trigger_metadata,
        **creators(call, row.created_by_role, row.created_by),
        "created_at": epoch(row.run_created_at),
    }


ROUTES = (
    Route("GET", "/apps/<uuid:app_id>/workflow-app-logs", list_logs, modes=("workflow",)),
    Route(
        "GET",
        "/apps/<uuid:app_id>/workflow-archived-logs",
        list_archived_logs,
        modes=("workflow",),
        since=(1, 12),
        until=(1, 17, 1),
    ),
)
