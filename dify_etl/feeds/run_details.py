"""Details and nodes of runs that are due: not read since they ended, or not ended yet.

Due is what ops.run_reads says, however old the run. A run that never ends is named a zombie.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any, TypeVar

from dify_etl.dify.app_modes import CHATFLOW_MODES, WORKFLOW_MODES
from dify_etl.dify.errors import DifyError
from dify_etl.dify.record import Batch, Record, check_identity, text_bytes
from dify_etl.dify.workflow_records import WorkflowRunDetail
from dify_etl.raw.frames import records_frame
from dify_etl.raw.tables import raw_table
from dify_etl.sync.days import is_due_again
from dify_etl.sync.due import take_due
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.fetching import Fetched, FetchLimits, fetch
from dify_etl.sync.known_apps import asked_apps
from dify_etl.sync.ledger import RUN_READS
from dify_etl.sync.rights import NOT_SHOWN, why_not_shown
from dify_etl.sync.run import Sync
from dify_etl.sync.unfinished_runs import MISSING_FOR, PATIENCE, is_zombie
from dify_etl.warehouse.tables import frame, quoted

T = TypeVar("T")
R = TypeVar("R")

COMMIT_RUNS = 500
# A run counts as one more for so many bytes of its texts: nodes that read whole documents have
# hundreds of kilobytes each.
RUN_BYTES = 40_000
# Runs that are fetched while others are being committed.
LOOKAHEAD = 200

# workflow_run_id, app_id, tries, when it began (of a run that a message names: when it was asked);
# None where Dify tells no time that can be read
DueRun = tuple[str, str, int, datetime | None]

# Of a run that a list still shows this may be a passing fault: it is asked again, and its day
# listed again, until one of them says otherwise. One that a message of the last day names may not
# be written yet: it is asked again as well.
GONE = "gone: Dify has no such run any more"

# The status of a run whose status is odd: its nodes are read all the same.
UNREADABLE = "unreadable"


def read_run_details(loader: FeedLoader) -> None:
    """GET workflow-runs/{id} of every due run: inputs, outputs, error."""
    sync = loader.sync
    count, due = due_details(sync)
    loader.expect(count)

    def read(run: DueRun) -> Batch[WorkflowRunDetail] | None:
        batch = sync.dify.workflows.run_detail(run[1], run[0])
        for detail in batch or ():
            check_identity(detail.workflow_run_id, run[0], endpoint="GET workflow-runs/{run_id}")
        return batch

    def size(found: Batch[WorkflowRunDetail] | None) -> int:
        return size_of_run(found or ())

    limits = FetchLimits(sync.rules.workers, LOOKAHEAD)
    for outcomes in in_commits(loader, fetch(due, read, limits, size=size), size):
        _commit(loader, outcomes)


def size_of_run(read: Iterable[Record]) -> int:
    """What was read of one run counts as one, and as more where its texts are long."""
    return 1 + text_bytes(read) // RUN_BYTES


def in_commits(
    loader: FeedLoader, fetched: Iterable[Fetched[T, R]], size: Callable[[R], int]
) -> Iterator[list[Fetched[T, R]]]:
    """What is committed together: COMMIT_RUNS runs, or fewer whose texts are long."""
    outcomes, waiting = list[Fetched[T, R]](), 0
    for one in fetched:
        outcomes.append(one)
        loader.step()
        waiting += 1 if one.result is None else size(one.result)
        if waiting >= COMMIT_RUNS:
            yield outcomes
            outcomes, waiting = [], 0
    if outcomes:
        yield outcomes


def due_details(sync: Sync) -> tuple[int, Iterator[DueRun]]:
    """How many runs' details are due, and these, newest first: listed ones, and those that messages
    name. One that was gone when only a message named it is due as soon as a list shows it.
    """
    apps = app_list(sync)
    again = "true" if sync.plan.is_full else "false"
    count, rows = take_due(
        sync.database,
        f"""WITH known AS (
            SELECT workflow_run_id, app_id, status, created_at, true AS is_listed
            FROM raw.workflow_runs WHERE absent_since IS NULL
            UNION ALL
            SELECT DISTINCT ON (workflow_run_id) workflow_run_id, app_id, NULL, created_at, false
            FROM raw.messages m WHERE workflow_run_id IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM raw.workflow_runs w WHERE w.workflow_run_id = m.workflow_run_id))
        SELECT k.workflow_run_id, k.app_id, coalesce(r.detail_tries, 0), k.created_at
        FROM known k LEFT JOIN ops.run_reads r USING (workflow_run_id)
        WHERE k.app_id IN ({apps}) AND ({again} OR r.workflow_run_id IS NULL
            OR (NOT r.is_detail_settled
                AND ({is_due_again("r.detail_tries", "r.detail_read_at", sync.now)}
                     OR k.app_id IN ({FAILED_LISTS})))
            OR (k.is_listed AND r.is_detail_settled AND r.status IS NULL)
            OR (k.status IS NOT NULL AND r.status IS NOT NULL AND k.status <> r.status))
        ORDER BY k.created_at DESC""",
        table="_due_details",
    )
    return count, ((run_id, app_id, tries, at) for run_id, app_id, tries, at in rows)


# Apps whose lists failed the last time: when one answers again, all of it is due at once.
FAILED_LISTS = "SELECT app_id FROM ops.slices WHERE feed = 'workflow_runs' AND state = 'failed'"


def app_list(sync: Sync) -> str:
    """The run's apps that have runs, as a SQL list."""
    apps = asked_apps(sync, *WORKFLOW_MODES, *CHATFLOW_MODES)
    return ", ".join(quoted(app.app_id) for app in apps) or "''"


def _commit(
    loader: FeedLoader, outcomes: Sequence[Fetched[DueRun, Batch[WorkflowRunDetail] | None]]
) -> None:
    details = [run for one in outcomes if one.result is not None for run in one.result]
    with loader.commit():
        load_details(loader, details)
        for one in outcomes:
            loader.quarantine(one.task[1], one.result.rejected if one.result else ())
        read = [_ledger_row(loader.sync, one) for one in outcomes]
        names = [name for name in read[0] if name] if read else []
        if read:
            loader.load_frame(RUN_READS, frame(RUN_READS, read, names))


def load_details(loader: FeedLoader, details: Sequence[WorkflowRunDetail]) -> None:
    """Details of runs that a list or a message told of; call it inside a transaction."""
    table = raw_table("workflow_runs")
    loader.note_drift(details)
    rows = records_frame(table, WorkflowRunDetail, details)
    loader.load_frame(table, rows.rename({"extra": "detail_extra"}), repeated=rows.height)


def _ledger_row(
    sync: Sync, one: Fetched[DueRun, Batch[WorkflowRunDetail] | None]
) -> dict[str, Any]:
    run_id, app_id, tries, began_at = one.task
    detail = one.result.records[0] if one.result else None
    is_odd = detail is not None and bool(detail.odd_fields)
    is_listed = one.error is None and detail is None and _is_listed(sync, run_id)
    is_new = detail is None and began_at is not None and sync.now - began_at < MISSING_FOR
    hidden = why_not_shown(sync, one.error)
    reason = hidden or _reason(detail, one.error, sync.now)
    return {
        "workflow_run_id": run_id,
        "app_id": app_id,
        "status": (detail.status or UNREADABLE) if detail else None,
        "is_detail_settled": one.error is None
        and not is_odd
        and not is_listed
        and not is_new
        and (detail is None or _is_over(detail, sync.now)),
        "detail_reason": reason,
        "detail_tries": 0 if hidden or (one.error is None and not is_listed) else tries + 1,
        "detail_read_at": sync.dify.earlier_time(),
    }


def detail_read(sync: Sync, detail: WorkflowRunDetail) -> dict[str, Any]:
    """The row of ops.run_reads of a detail that came."""
    return {
        "workflow_run_id": detail.workflow_run_id,
        "app_id": detail.app_id,
        "status": detail.status or UNREADABLE,
        "is_detail_settled": not detail.odd_fields and _is_over(detail, sync.now),
        "detail_reason": _reason(detail, None, sync.now),
        "detail_tries": 0,
        "detail_read_at": sync.dify.earlier_time(),
    }


def _is_listed(sync: Sync, run_id: str) -> bool:
    """Whether a list showed the run, and none since then that it is gone."""
    return bool(
        sync.database.rows(
            "SELECT 1 FROM raw.workflow_runs WHERE workflow_run_id = ? AND absent_since IS NULL",
            [run_id],
        )
    )


def _is_over(detail: WorkflowRunDetail, now: datetime) -> bool:
    return detail.status not in PATIENCE or is_zombie(detail.status, detail.created_at, now)


def _reason(detail: WorkflowRunDetail | None, error: DifyError | None, now: datetime) -> str | None:
    if error is not None:
        return f"failed: {error}"
    if detail is None:
        return GONE
    if is_zombie(detail.status, detail.created_at, now):
        return f"zombie: {detail.status} since {detail.created_at:%Y-%m-%d %H:%M} UTC"
    return None


def run_doubts(sync: Sync, part: str, *, is_shown: bool = True) -> dict[tuple[str, date], str]:
    """Per app and local day: a run whose `part` (detail or nodes) could not be read; apart those
    that the account is not shown, and those of which a list tells and no detail.
    """
    reasons = f"r.{part}_reason LIKE '{NOT_SHOWN}%' OR r.detail_reason = {quoted(GONE)}"
    unshown = f"coalesce({reasons}, false)"
    failed = f"r.{part}_tries > 0 AND NOT {unshown}" if is_shown else unshown
    rows = sync.database.rows(
        f"""SELECT w.app_id, w.created_date, w.workflow_run_id,
            r.{part}_reason
        FROM ops.run_reads r JOIN raw.workflow_runs w USING (workflow_run_id)
        WHERE {failed} AND NOT r.is_{part}_settled AND w.absent_since IS NULL"""
    )
    return {
        (app_id, day): f"run {run_id}: {reason}" if is_shown or reason == GONE else reason
        for app_id, day, run_id, reason in rows
    }
