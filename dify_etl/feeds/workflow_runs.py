"""Feed workflow_runs: lists of runs by app mode and server version, then the detail of due runs.

Workflow apps are listed by their log rows, which have a time filter and a total. Runs of chatflows,
debugging runs, and runs that no log shows (a workflow that another one uses as a tool) are listed
newest first, until older than the window.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial

import polars as pl

from dify_etl.dify.app_modes import CHATFLOW_MODES, WORKFLOW_MODES
from dify_etl.dify.errors import DifyError
from dify_etl.dify.workflow_records import WorkflowAppLog, WorkflowRun
from dify_etl.feeds.odd_runs import go_round_odd_runs
from dify_etl.feeds.run_details import GONE, read_run_details, run_doubts
from dify_etl.feeds.run_lists import (
    FEED,
    LISTED_RUNS_SINCE,
    Doubts,
    Part,
    Stretch,
    Task,
    deep_stretches,
    logs_frame,
    read_run_lists,
    runs_frame,
)
from dify_etl.feeds.vanished import mark_nodes_of_gone_runs
from dify_etl.raw.tables import raw_table
from dify_etl.sync.days import AppDay, days_to_read, is_over, rows_by_day
from dify_etl.sync.feed_loader import FeedLoader, First, nothing_first
from dify_etl.sync.fetching import FetchLimits, fetch
from dify_etl.sync.known_apps import KnownApp, asked_apps
from dify_etl.sync.report import FeedReport, Slice
from dify_etl.sync.run import Sync
from dify_etl.sync.walks import list_workers, upper_bound
from dify_etl.sync.windows import Window, window_scope
from dify_etl.warehouse.tables import quoted

LOGGED_AT_START_SINCE = (1, 9, 0)
FROM_MESSAGES = (
    "servers before 1.9.2 list no published chatflow runs; those behind messages were read"
)
# A workflow that another one uses as a tool writes no log row.
LOGGED_ONLY = (
    "servers before 1.9.2 list the runs of their log alone, none that another workflow called"
)
ENDED_ONLY = (
    "servers before 1.9 log a run when it has ended, and none that another workflow called; "
    "others are not listed"
)


def read_workflow_runs(sync: Sync, first: First = nothing_first) -> FeedReport:
    """Read the lists, then the detail of every run that is due; failed apps fail alone."""
    with FeedLoader(sync, FEED) as loader:
        first(loader)
        bound = upper_bound(sync.dify.earlier_time())
        apps = {app.app_id: app for app in asked_apps(sync, *WORKFLOW_MODES, *CHATFLOW_MODES)}
        tasks = [
            Task(apps[one.app_id], one, bound, deep_stretches(sync, apps[one.app_id], one))
            for one in days_to_read(sync, FEED, tuple(apps))
            if one.all
        ]
        loader.expect(len(tasks))
        read = partial(read_run_lists, sync)
        doubts: dict[Task, Doubts | DifyError] = {}
        for fetched in fetch(tasks, read, FetchLimits(list_workers(sync.rules.workers))):
            task, part = fetched.task, fetched.result
            if fetched.error is not None:
                doubts[task] = fetched.error
            elif part is not None:
                _take(loader, task, part)
                if part.doubts is not None:
                    doubts[task] = part.doubts
            if task in doubts:
                loader.step()
        go_round_odd_runs(loader, doubts, partial(_take, loader))
        read_run_details(loader)
        _close(loader, doubts)
        return loader.report()


def _take(loader: FeedLoader, task: Task, part: Part) -> None:
    """Load a part; with the last one, mark what Dify has no more."""
    with loader.commit():
        loader.note_unknown(part.unknown)
        for rows, repeated in part.frames:
            loader.load_frame(raw_table(FEED), rows, repeated=repeated)
        loader.quarantine(task.app.app_id, part.rejected)
        if part.evidence is None:
            return
        listed = part.evidence.listed
        is_odd = part.doubts is not None and part.doubts.lacks("app-run")
        for window, logged in () if is_odd else part.evidence.logged:
            _mark_unlogged(loader, task, window, logged | listed["app-run"])
        for stretch in part.evidence.whole:
            _mark_unlisted(loader, task, stretch, listed[stretch.kind])
        mark_nodes_of_gone_runs(loader)


def load_runs(loader: FeedLoader, runs: Sequence[WorkflowRun]) -> None:
    """Runs of one class, of a list that is not known any more."""
    loader.note_drift(runs)
    for record_class in {type(run) for run in runs}:
        loader.load_frame(raw_table(FEED), runs_frame(record_class, None, runs))


def load_logs(loader: FeedLoader, logs: Sequence[WorkflowAppLog]) -> None:
    """Log rows, as far as their run is there."""
    loader.note_drift(logs)
    loader.load_frame(raw_table(FEED), logs_frame(logs))


def _mark_unlogged(loader: FeedLoader, task: Task, window: Window, shown: set[str]) -> None:
    """A proven walk by log time shows which logged runs Dify has no more.

    A run that lost its log row alone is still listed (>= 1.9.2), hence `shown` and not gone.
    """
    scope = window_scope(task.app.app_id, window, task.bound, "log_created_at")
    loader.mark_absent(
        raw_table(FEED),
        scope=f"{scope} AND t.workflow_app_log_id IS NOT NULL",
        present=_of(shown),
    )


def _mark_unlisted(loader: FeedLoader, task: Task, stretch: Stretch, shown: set[str]) -> None:
    """A list that was shown to its last run tells which runs without a log row Dify has no more."""
    scope = window_scope(task.app.app_id, stretch.window, task.bound)
    loader.mark_absent(
        raw_table(FEED),
        scope=f"{scope} AND t.workflow_app_log_id IS NULL "
        f"AND t.triggered_from = {quoted(stretch.kind)}",
        present=_of(shown),
    )


def _of(run_ids: Collection[str]) -> pl.DataFrame:
    return pl.DataFrame({"workflow_run_id": list(run_ids)}, {"workflow_run_id": pl.String})


def _close(loader: FeedLoader, doubts: Mapping[Task, Doubts | DifyError]) -> None:
    details = run_doubts(loader.sync, "detail")
    hidden = run_doubts(loader.sync, "detail", is_shown=False)
    held = rows_by_day(loader.sync.database, FEED)
    for task, found in doubts.items():
        if isinstance(found, DifyError):
            loader.fail(task.app.app_id, task.days.all, found)
            continue
        with loader.commit():
            loader.close_slices(list(_slices(loader.sync, task, found, details, hidden, held)))


def _slices(
    sync: Sync,
    task: Task,
    lists: Doubts,
    details: Mapping[AppDay, str],
    hidden: Mapping[AppDay, str],
    held: Mapping[AppDay, int],
) -> Iterator[Slice]:
    unlisted = _unlisted(sync, task.app)
    for day in task.days.all:
        key = (task.app.app_id, day)
        doubt = lists.days.get(day) or details.get(key)
        weak = lists.beyond.get(day) or hidden.get(key) or unlisted
        yield Slice.judged(
            *key,
            held.get(key, 0),
            missing=doubt,
            doubt=weak,
            requests=lists.requests,
            is_settled=is_over(sync, day) and not (doubt or weak or "").endswith(GONE),
        )


def _unlisted(sync: Sync, app: KnownApp) -> str | None:
    """What no list of this server version shows; None when all runs are listed."""
    if app.mode in CHATFLOW_MODES:
        return FROM_MESSAGES if sync.dify.version < LISTED_RUNS_SINCE else None
    if sync.dify.version >= LISTED_RUNS_SINCE:
        return None
    return ENDED_ONLY if sync.dify.version < LOGGED_AT_START_SINCE else LOGGED_ONLY
