"""Feed workflow_runs: lists of runs by app mode and server version, then the detail of due runs.

Workflow apps are listed by their log rows, which have a time filter and a total. Runs of chatflows,
debugging runs, and runs that no log shows (a workflow that another one uses as a tool) are listed
newest first, until older than the window.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial

import polars as pl

from dify_etl.dify.errors import DifyError
from dify_etl.dify.workflow_records import WorkflowAppLog, WorkflowRun
from dify_etl.normalise.frames import records_frame
from dify_etl.normalise.raw_tables import raw_table
from dify_etl.sync.apps import CHATFLOW_MODES, WORKFLOW_MODES, KnownApp, known_apps
from dify_etl.sync.books import FeedBooks
from dify_etl.sync.days import days_to_read, is_over
from dify_etl.sync.fetching import Fetched, fetch_all
from dify_etl.sync.report import FeedReport, Slice
from dify_etl.sync.run import Sync
from dify_etl.sync.run_details import read_run_details, run_doubts
from dify_etl.sync.run_lists import (
    LISTED_RUNS_SINCE,
    RunsRead,
    Stretch,
    Task,
    deep_stretches,
    read_run_lists,
)
from dify_etl.sync.vanished import mark_nodes_of_gone_runs
from dify_etl.sync.walks import Rows, WindowRead, upper_bound
from dify_etl.sync.windows import local_date
from dify_etl.warehouse.tables import frame, quoted

FEED = "workflow_runs"
LOGGED_AT_START_SINCE = (1, 9, 0)
FROM_MESSAGES = (
    "servers before 1.9.2 list no published chatflow runs; those behind messages were read"
)
ENDED_ONLY = "servers before 1.9 log a run when it has ended; others are not listed"


def read_workflow_runs(sync: Sync) -> FeedReport:
    """Read the lists, then the detail of every run that is due; failed apps fail alone."""
    with FeedBooks(sync, FEED) as books:
        bound = upper_bound(sync.dify.server_time())
        apps = {app.app_id: app for app in known_apps(sync, *WORKFLOW_MODES, *CHATFLOW_MODES)}
        tasks = [
            Task(apps[one.app_id], one, bound, deep_stretches(sync, apps[one.app_id], one))
            for one in days_to_read(sync, FEED, tuple(apps))
            if one.all
        ]
        books.expect(len(tasks))
        fetch = partial(read_run_lists, sync)
        outcomes = []
        for fetched in fetch_all(tasks, fetch, workers=sync.rules.workers):
            _take(books, fetched)
            outcomes.append(fetched)
            books.step()
        read_run_details(books)
        _close(books, outcomes)
        return books.report()


def _take(books: FeedBooks, fetched: Fetched[Task, RunsRead]) -> None:
    task, read = fetched.task, fetched.result
    if read is None:
        return
    with books.commit():
        books.quarantine(task.app.app_id, read.rejected)
        for kind, runs in read.runs.items():
            load_runs(books, kind, runs)
        logs = {key: row for one in read.logs for key, row in one.rows.records.items()}
        load_logs(books, tuple(logs.values()))
        for one in read.logs:
            books.quarantine(task.app.app_id, one.rows.rejected.values())
            _mark_unlogged(books, task, one, listed=read.runs["app-run"])
        for stretch in read.whole:
            _mark_unlisted(books, task, stretch, read.runs[stretch.kind])
        mark_nodes_of_gone_runs(books)


def load_runs(books: FeedBooks, kind: str | None, runs: Sequence[WorkflowRun]) -> None:
    """Listed runs of one kind (triggered_from); None when the list is not known any more."""
    record_class = next((type(run) for run in runs), WorkflowRun)
    books.note_drift(runs)
    rows = records_frame(raw_table(FEED), record_class, runs)
    books.load_frame(raw_table(FEED), rows.with_columns(pl.col("triggered_from").fill_null(kind)))


def load_logs(books: FeedBooks, logs: Sequence[WorkflowAppLog]) -> None:
    """Log rows. Those whose run is gone tell of no run: they are absences, never rows."""
    books.note_drift(logs)
    known = [log for log in logs if log.workflow_run_id is not None]
    rows = records_frame(raw_table(FEED), WorkflowAppLog, known)
    books.load_frame(
        raw_table(FEED), rows.with_columns(pl.col("triggered_from").fill_null("app-run"))
    )


def _mark_unlogged(
    books: FeedBooks,
    task: Task,
    read: WindowRead[Rows[WorkflowAppLog]],
    *,
    listed: Sequence[WorkflowRun],
) -> None:
    """A proven walk by log time shows which logged runs Dify has no more.

    A run that lost its log row alone is still `listed` (>= 1.9.2), hence not gone.
    """
    if read.window is None or read.reason is not None or read.rows.rejected:
        return
    known = [log for log in read.rows.records.values() if log.workflow_run_id is not None]
    until = min(read.window.end, task.bound)
    ids = {log.workflow_run_id for log in known} | {run.workflow_run_id for run in listed}
    present = [{"workflow_run_id": run_id} for run_id in ids]
    books.mark_absent(
        raw_table(FEED),
        scope=f"t.app_id = {quoted(task.app.app_id)} AND t.workflow_app_log_id IS NOT NULL "
        f"AND t.log_created_at >= TIMESTAMPTZ '{read.window.start.isoformat()}' "
        f"AND t.log_created_at < TIMESTAMPTZ '{until.isoformat()}'",
        present=frame(raw_table(FEED), present, ["workflow_run_id"]),
    )


def _mark_unlisted(
    books: FeedBooks, task: Task, stretch: Stretch, listed: Sequence[WorkflowRun]
) -> None:
    """A list that was shown to its last run tells which runs without a log row Dify has no more."""
    until = min(stretch.window.end, task.bound)
    present = [{"workflow_run_id": run.workflow_run_id} for run in listed]
    books.mark_absent(
        raw_table(FEED),
        scope=f"t.app_id = {quoted(task.app.app_id)} AND t.workflow_app_log_id IS NULL "
        f"AND t.triggered_from = {quoted(stretch.kind)} "
        f"AND t.created_at >= TIMESTAMPTZ '{stretch.window.start.isoformat()}' "
        f"AND t.created_at < TIMESTAMPTZ '{until.isoformat()}'",
        present=frame(raw_table(FEED), present, ["workflow_run_id"]),
    )


def _close(books: FeedBooks, outcomes: Sequence[Fetched[Task, RunsRead]]) -> None:
    details = run_doubts(books.sync, "detail")
    for fetched in outcomes:
        app_id, days = fetched.task.app.app_id, fetched.task.days.all
        if fetched.result is None:
            assert isinstance(fetched.error, DifyError)
            books.fail(app_id, days, fetched.error)
            continue
        with books.commit():
            books.close_slices(list(_slices(books.sync, fetched.task, fetched.result, details)))


def _slices(
    sync: Sync, task: Task, read: RunsRead, details: dict[tuple[str, date], str]
) -> Iterator[Slice]:
    held = _held(sync, task.app.app_id)
    listed = dict(read.doubts)
    for one in read.logs:
        if one.window and one.reason:
            listed.update(dict.fromkeys(one.window.days, f"log rows: {one.reason}"))
    unlisted = _unlisted(sync, task.app)
    for day in task.days.all:
        doubt = listed.get(day) or details.get((task.app.app_id, day))
        reason = doubt or unlisted
        yield Slice(
            app_id=task.app.app_id,
            day=day,
            state="incomplete" if doubt else "unproven" if reason else "proven",
            rows=held.get(day, 0),
            expected=None if reason else held.get(day, 0),
            requests=read.requests + sum(one.rows.requests for one in read.logs),
            reason=reason,
            is_settled=is_over(sync, day),
        )


def _unlisted(sync: Sync, app: KnownApp) -> str | None:
    """What no list of this server version shows; None when all runs are listed."""
    if app.mode in CHATFLOW_MODES:
        return FROM_MESSAGES if sync.dify.version < LISTED_RUNS_SINCE else None
    return ENDED_ONLY if sync.dify.version < LOGGED_AT_START_SINCE else None


def _held(sync: Sync, app_id: str) -> dict[date, int]:
    rows = sync.database.rows(
        "SELECT created_at FROM raw.workflow_runs WHERE app_id = ? AND created_at IS NOT NULL",
        [app_id],
    )
    counted: dict[date, int] = defaultdict(int)
    for (created_at,) in rows:
        counted[local_date(created_at, sync.rules.zone)] += 1
    return counted
