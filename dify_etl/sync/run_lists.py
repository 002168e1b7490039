"""The lists that show workflow runs: log rows by time, and cursor lists from the newest run on.

A cursor list knows no time: the deep read enters it beside a run that is held, just newer than
the days that it reads.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial

from dify_etl.dify.errors import NotFound, Refused
from dify_etl.dify.paging import CursorWalk, WalkProof
from dify_etl.dify.record import Page, Rejected
from dify_etl.dify.workflow_records import WorkflowAppLog, WorkflowRun
from dify_etl.sync.apps import CHATFLOW_MODES, WORKFLOW_MODES, KnownApp
from dify_etl.sync.days import AppDays
from dify_etl.sync.run import Sync
from dify_etl.sync.walks import MARGIN, Rows, TimedList, WindowRead
from dify_etl.sync.windows import Window, day_start, local_date, windows_of

TIMED_LOGS_SINCE = (1, 6, 0)
LISTED_RUNS_SINCE = (1, 9, 2)
KINDS = ("debugging", "app-run")
ROUNDING = timedelta(seconds=1)  # of the times that Dify tells
ENTRIES = 3  # held runs at which a list is entered: each may be deleted by now

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stretch:
    """Days of one kind of runs, and the held runs just newer than them; none: from the newest."""

    kind: str
    window: Window
    entries: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """The run lists of one app."""

    app: KnownApp
    days: AppDays
    bound: datetime
    deep: tuple[Stretch, ...] = ()


@dataclass
class RunsRead:
    """What the lists of one app gave; `whole` are the stretches that were shown to the last run."""

    logs: list[WindowRead[Rows[WorkflowAppLog]]] = field(default_factory=list)
    runs: dict[str, list[WorkflowRun]] = field(default_factory=lambda: defaultdict(list))
    whole: list[Stretch] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    doubts: dict[date, str] = field(default_factory=dict)
    requests: int = 0


def deep_stretches(sync: Sync, app: KnownApp, days: AppDays) -> tuple[Stretch, ...]:
    """The stretches of the deep read with the held runs at which their lists are entered."""
    return tuple(
        Stretch(kind, window, _entries(sync, app, kind, window))
        for window in windows_of(days.deep, sync.rules.zone)
        for kind in _listed_kinds(sync)
    )


def _listed_kinds(sync: Sync) -> tuple[str, ...]:
    """Older servers list debugging runs only."""
    return KINDS if sync.dify.version >= LISTED_RUNS_SINCE else KINDS[:1]


def _entries(sync: Sync, app: KnownApp, kind: str, window: Window) -> tuple[str, ...]:
    rows = sync.database.rows(
        """SELECT workflow_run_id FROM raw.workflow_runs
        WHERE app_id = ? AND triggered_from = ? AND absent_since IS NULL AND created_at > ?
        ORDER BY created_at LIMIT ?""",
        [app.app_id, kind, window.end + timedelta(seconds=1), ENTRIES],
    )
    return tuple(row[0] for row in rows)


def read_run_lists(sync: Sync, task: Task) -> RunsRead:
    """All lists of one app; called on a worker thread."""
    read = RunsRead()
    if task.app.mode in WORKFLOW_MODES:
        _read_logs(sync, task, read)
    since = list(windows_of(task.days.due, sync.rules.zone))[:1]
    recent = [
        Stretch(kind, Window(window.first, sync.today, sync.rules.zone))
        for window in since
        for kind in _listed_kinds(sync)
    ]
    for stretch in (*recent, *task.deep):
        _read_list(sync, task, read, stretch)
    return read


def _read_logs(sync: Sync, task: Task, read: RunsRead) -> None:
    """Log rows by time; servers before 1.6 ignore the time and are listed whole, uncut."""
    room, app_id = sync.dify.workflows, task.app.app_id
    is_timed = sync.dify.version >= TIMED_LOGS_SINCE
    logs = TimedList(
        lambda start, end, page, limit: room.app_logs_page(
            app_id, page, limit, created_after=start, created_before=end
        ),
        key=_log_id,
        collect=partial(Rows, _log_id),
        is_timed=is_timed,
        together=sync.together,
    )
    windows = list(windows_of(task.days.all, sync.rules.zone))
    if not is_timed:
        windows = [Window(windows[0].first, windows[-1].last, sync.rules.zone)]
    for window in windows:
        read.logs.extend(logs.read(window, task.bound))
    if is_timed:
        read.logs.append(WindowRead(logs.read_tail(task.bound, sync.dify.server_time)))


def _log_id(log: WorkflowAppLog) -> str:
    return log.workflow_app_log_id


def _read_list(sync: Sync, task: Task, read: RunsRead, stretch: Stretch) -> None:
    """Newest first until a page begins before the stretch; runs before the start date are left."""
    oldest_wanted = stretch.window.start - MARGIN
    begin = day_start(sync.rules.start_date, sync.rules.zone) - MARGIN
    walk = CursorWalk(
        partial(_ask, sync, task.app, stretch),
        key=lambda run: run.workflow_run_id,
        at=lambda run: run.created_at,
        stop=lambda page: any(run.created_at < oldest_wanted for run in page.records),
    )
    rows = Rows(walk.key)
    for page in walk:
        rows.add(page)
    found = rows.records.values()
    read.runs[stretch.kind].extend(run for run in found if run.created_at >= begin)
    read.rejected.extend(rows.rejected.values())
    read.requests += rows.requests
    if not walk.proof.is_proven:
        reason = f"{stretch.kind} runs: {walk.proof.reason}"
        read.doubts.update(dict.fromkeys(_doubtful_days(stretch.window, walk.proof), reason))
    elif not rows.rejected:
        read.whole.append(stretch)


def _doubtful_days(window: Window, proof: WalkProof) -> Iterable[date]:
    """The days that may lack runs: all, or those of the seconds that were too full for a page."""
    shown = {
        local_date(second + shift, window.zone)
        for second in proof.crowded
        for shift in (-ROUNDING, ROUNDING)
    }
    return [day for day in window.days if day in shown or not shown]


def _ask(
    sync: Sync, app: KnownApp, stretch: Stretch, last_id: str | None, limit: int
) -> Page[WorkflowRun]:
    """A page; the first one is asked beside the first of the entries that Dify still has."""
    for entry in () if last_id else stretch.entries:
        try:
            return _page(sync, app, stretch.kind, entry, limit)
        except (NotFound, Refused) as error:
            log.debug("run %s is gone (%s), entering the list at a newer one", entry, error.what)
    return _page(sync, app, stretch.kind, last_id, limit)


def _page(
    sync: Sync, app: KnownApp, kind: str, last_id: str | None, limit: int
) -> Page[WorkflowRun]:
    room = sync.dify.workflows
    if kind == "app-run" and app.mode in CHATFLOW_MODES:
        return room.chatflow_runs_page(app.app_id, last_id, limit, triggered_from=kind)
    return room.runs_page(app.app_id, last_id, limit, triggered_from=kind)
