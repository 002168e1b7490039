"""The lists that show workflow runs: log rows by time, and cursor lists from the newest run on.

A cursor list knows no time: the deep read enters it beside a run that is held, just newer than
the days that it reads.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from functools import partial
from itertools import chain
from typing import Any

import polars as pl

from dify_etl.dify.app_modes import CHATFLOW_MODES, WORKFLOW_MODES
from dify_etl.dify.errors import NotFound, Refused, RowNotBuilt
from dify_etl.dify.odd_rows import OddRows
from dify_etl.dify.paging import CursorWalk, WalkProof
from dify_etl.dify.record import Page, Rejected, lost
from dify_etl.dify.workflow_records import ChatflowRun, WorkflowAppLog, WorkflowRun
from dify_etl.raw.frames import records_frame
from dify_etl.raw.tables import raw_table
from dify_etl.sync.days import AppDays
from dify_etl.sync.framed_rows import FramedRows
from dify_etl.sync.known_apps import KnownApp
from dify_etl.sync.run import Sync
from dify_etl.sync.walks import MARGIN, MOST_ROWS, TimedList, WindowRead
from dify_etl.sync.windows import Window, windows_of
from dify_etl.time_zones import day_start, local_date

FEED = "workflow_runs"
TIMED_LOGS_SINCE = (1, 6, 0)
LISTED_RUNS_SINCE = (1, 9, 2)
TRIGGERS_SINCE = (1, 10, 0)
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


@dataclass(frozen=True)
class Evidence:
    """What the lists of one app prove: ids of the runs that they showed.

    `logged` by window whose log rows are proven, `listed` by kind; `whole` are the stretches of
    lists that were shown to their last run.
    """

    logged: list[tuple[Window, set[str]]] = field(default_factory=list)
    listed: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    whole: list[Stretch] = field(default_factory=list)


@dataclass(frozen=True)
class OddStretch:
    """A stretch whose list ended at a run that Dify cannot show; `reason` says so for its days."""

    stretch: Stretch
    odd: OddRows
    reason: str


@dataclass
class Doubts:
    """Why days of one app may lack runs, and the pages asked to find out.

    The days of `odd` are not among `days` yet: what is older may be reached otherwise. Those in
    `beyond` had more runs in one second than Dify can ever show.
    """

    days: dict[date, str] = field(default_factory=dict)
    beyond: dict[date, str] = field(default_factory=dict)
    requests: int = 0
    odd: list[OddStretch] = field(default_factory=list)

    def lacks(self, kind: str) -> bool:
        """Whether Dify could not show some runs of a kind: then none is known to be gone."""
        return any(one.stretch.kind == kind for one in self.odd)


@dataclass(frozen=True)
class Part:
    """Rows of one app's lists: frames of raw.workflow_runs, each with how many of its rows came
    before. `evidence` and `doubts` are those of all parts and come with the last.
    """

    frames: tuple[tuple[pl.DataFrame, int], ...]
    rejected: tuple[Rejected, ...]
    unknown: frozenset[str]
    evidence: Evidence | None = None
    doubts: Doubts | None = None


@dataclass(frozen=True)
class _Rows:
    """Rows of a walk, or some of them, with the ids of their runs."""

    walked: FramedRows[Any]
    run_ids: set[str]

    @classmethod
    def of(cls, walked: FramedRows[Any]) -> "_Rows":
        return cls(walked, set(walked.rows["workflow_run_id"]))


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


def read_run_lists(sync: Sync, task: Task) -> Iterator[Part]:
    """All lists of one app: a part as soon as it holds MOST_ROWS rows, and what is left."""
    evidence, doubts = Evidence(), Doubts()
    seen: set[str] = set()
    waiting: list[_Rows] = []
    for rows in _walks(sync, task, evidence, doubts):
        doubts.requests += rows.walked.requests
        waiting.append(rows)
        if sum(len(one.run_ids) for one in waiting) >= MOST_ROWS:
            yield _part(waiting, seen)
            waiting = []
    yield replace(_part(waiting, seen), evidence=evidence, doubts=doubts)


def _part(waiting: Sequence[_Rows], seen: set[str]) -> Part:
    frames = []
    for rows in waiting:
        frames.append((rows.walked.rows, len(rows.run_ids & seen)))
        seen |= rows.run_ids
    return Part(
        tuple(frames),
        tuple(one for rows in waiting for one in rows.walked.rejected.values()),
        frozenset(name for rows in waiting for name in rows.walked.unknown),
    )


def _walks(sync: Sync, task: Task, evidence: Evidence, doubts: Doubts) -> Iterator[_Rows]:
    """Logs first, then the lists of runs; what a list shows later is newer."""
    if task.app.is_of(WORKFLOW_MODES):
        yield from _read_logs(sync, task, evidence, doubts)
    since = list(windows_of(task.days.due, sync.rules.zone))[:1]
    recent = [
        Stretch(kind, Window(window.first, sync.today, sync.rules.zone))
        for window in since
        for kind in _listed_kinds(sync)
    ]
    for stretch in (*recent, *task.deep):
        yield from _read_list(sync, task, stretch, evidence, doubts)


def _read_logs(sync: Sync, task: Task, evidence: Evidence, doubts: Doubts) -> Iterator[_Rows]:
    """Log rows by time; servers before 1.6 ignore the time and are listed whole, uncut."""
    is_timed = sync.dify.version >= TIMED_LOGS_SINCE
    logs = _log_list(sync, task.app, has_triggers=sync.dify.version >= TRIGGERS_SINCE)
    windows = list(windows_of(task.days.all, sync.rules.zone))
    if not is_timed:
        windows = [Window(windows[0].first, windows[-1].last, sync.rules.zone)]
    for read in chain.from_iterable(_log_reads(sync, task, one) for one in windows):
        rows = _Rows.of(read.rows)
        yield rows
        if read.window and read.reason:
            reason = f"log rows: {read.reason}"
            doubts.days |= dict.fromkeys(read.window.days, reason)
        elif read.window and not lost(read.rows.rejected.values()):
            evidence.logged.append((read.window, rows.run_ids))
    if is_timed:
        yield _Rows.of(logs.read_tail(task.bound, sync.dify.later_time))


def _log_reads(
    sync: Sync, task: Task, window: Window
) -> Iterator[WindowRead[FramedRows[WorkflowAppLog]]]:
    """The log with its triggers. There Dify counts a run once for each trigger that it has: where
    that may be why a day is not proven, it is asked without them.
    """
    has_triggers = sync.dify.version >= TRIGGERS_SINCE
    for read in _log_list(sync, task.app, has_triggers=has_triggers).read(window, task.bound):
        if has_triggers and read.window and read.reason:
            yield WindowRead(read.rows)
            plain = _log_list(sync, task.app, has_triggers=False)
            yield from plain.read(read.window, task.bound)
        else:
            yield read


def _log_list(
    sync: Sync, app: KnownApp, *, has_triggers: bool
) -> TimedList[WorkflowAppLog, FramedRows[WorkflowAppLog]]:
    room = sync.dify.workflows
    return TimedList(
        lambda start, end, page, limit: room.app_logs_page(
            app.app_id, page, limit, created_after=start, created_before=end, detail=has_triggers
        ),
        key=_log_id,
        collect=partial(FramedRows, logs_frame, _log_id),
        is_timed=sync.dify.version >= TIMED_LOGS_SINCE,
        together=sync.together,
        most_pages=sync.dify.bounds.pages,
    )


def _log_id(log: WorkflowAppLog) -> str:
    return log.workflow_app_log_id


def _read_list(
    sync: Sync, task: Task, stretch: Stretch, evidence: Evidence, doubts: Doubts
) -> Iterator[_Rows]:
    """Newest first until a page begins before the stretch; runs before the start date are left."""
    oldest_wanted = stretch.window.start - MARGIN
    begin = day_start(sync.rules.start_date, sync.rules.zone) - MARGIN
    walk = CursorWalk(
        partial(_ask, sync, task.app, stretch),
        key=lambda run: run.workflow_run_id,
        at=lambda run: run.created_at,
        stop=lambda page: any(run.created_at < oldest_wanted for run in page.records),
        is_newest_first=True,
        most_pages=sync.dify.bounds.pages,
    )

    def frame_of(runs: Sequence[WorkflowRun]) -> pl.DataFrame:
        wanted = [run for run in runs if run.created_at >= begin]
        return runs_frame(_class_of(task.app, stretch.kind), stretch.kind, wanted)

    rows = FramedRows(frame_of, walk.key)
    has_rejected = False
    crowded: set[str] = set()
    for page in walk:
        rows.add(page)
        if len({walk.at(run).replace(microsecond=0) for run in page.records}) == 1:
            crowded.update(walk.key(run) for run in page.records)
        has_rejected = has_rejected or bool(lost(page.rejected))
        if len(rows) >= MOST_ROWS:
            yield _noted(rows, stretch, evidence)
            rows = FramedRows(frame_of, walk.key)
    yield _noted(rows, stretch, evidence)
    if not walk.proof.is_proven:
        reason = f"{stretch.kind} runs: {walk.proof.reason}"
        doubts.odd += [OddStretch(stretch, odd, reason) for odd in walk.proof.odd]
        if walk.proof.odd:
            return
        logged = _days_proven_by_log(evidence, crowded) if walk.proof.crowded else set()
        told = doubts.beyond if walk.proof.crowded else doubts.days
        for day in _doubtful_days(stretch.window, walk.proof):
            if day not in logged:
                told.setdefault(day, reason)
    elif not has_rejected:
        evidence.whole.append(stretch)


def read_stretch(sync: Sync, task: Task, stretch: Stretch) -> Part:
    """One list of one app alone: its rows, and what is in doubt; it proves no absence."""
    doubts = Doubts()
    rows = list(_read_list(sync, task, stretch, Evidence(), doubts))
    return replace(_part(rows, set()), doubts=doubts)


def _noted(rows: FramedRows[WorkflowRun], stretch: Stretch, evidence: Evidence) -> _Rows:
    found = _Rows.of(rows)
    evidence.listed[stretch.kind] |= found.run_ids
    return found


def runs_frame(
    record_class: type[WorkflowRun], kind: str | None, runs: Sequence[WorkflowRun]
) -> pl.DataFrame:
    """Listed runs of one kind (triggered_from); None when the list is not known any more."""
    rows = records_frame(raw_table(FEED), record_class, runs)
    if kind is None:
        return rows
    return rows.with_columns(pl.col("triggered_from").fill_null(kind))


def logs_frame(logs: Sequence[WorkflowAppLog]) -> pl.DataFrame:
    """Log rows. Those whose run is gone tell of no run: they are absences, never rows."""
    known = [log for log in logs if log.workflow_run_id is not None]
    rows = records_frame(raw_table(FEED), WorkflowAppLog, known)
    return rows.with_columns(pl.col("triggered_from").fill_null("app-run"))


def _days_proven_by_log(evidence: Evidence, crowded: set[str]) -> set[date]:
    """Days whose log rows came as many as the log counts, when all runs of full seconds stand in
    the log: then it proves the runs that the list could not show.
    """
    if not crowded <= {run_id for _, run_ids in evidence.logged for run_id in run_ids}:
        return set()
    return {day for window, _ in evidence.logged for day in window.days}


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
        except RowNotBuilt:
            raise
        except (NotFound, Refused) as error:
            log.debug("run %s is gone (%s), entering the list at a newer one", entry, error.what)
    return _page(sync, app, stretch.kind, last_id, limit)


def _class_of(app: KnownApp, kind: str) -> type[WorkflowRun]:
    """Published runs of chatflows have a list of their own, which tells their conversations."""
    return ChatflowRun if kind == "app-run" and app.mode in CHATFLOW_MODES else WorkflowRun


def _page(
    sync: Sync, app: KnownApp, kind: str, last_id: str | None, limit: int
) -> Page[WorkflowRun]:
    room = sync.dify.workflows
    if _class_of(app, kind) is ChatflowRun:
        return room.chatflow_runs_page(app.app_id, last_id, limit, triggered_from=kind)
    return room.runs_page(app.app_id, last_id, limit, triggered_from=kind)
