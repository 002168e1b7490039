"""Go round runs that Dify cannot show: what is older in their list is asked beside a known run.

Known are runs of earlier loads, those that log rows showed, and those that messages name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from dify_etl.dify.errors import DifyError
from dify_etl.feeds.run_lists import Doubts, OddStretch, Part, Task, read_stretch
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.fetching import FetchLimits, fetch
from dify_etl.sync.run import Sync
from dify_etl.time_zones import local_date

MOST_ROUNDS = 20  # odd runs of one list that are gone round in one night


@dataclass(frozen=True)
class _Behind:
    """A list to be entered behind an odd run, at a known run that began at `entry_at`."""

    task: Task
    found: OddStretch
    entry_at: datetime


def go_round_odd_runs(
    loader: FeedLoader,
    doubts: Mapping[Task, Doubts | DifyError],
    load: Callable[[Task, Part], None],
) -> None:
    """Load what is older than odd runs, as far as known runs lead there. In doubt are the days from
    the odd run to the known one, and where none is known all that are older.
    """
    waiting = [
        (task, found)
        for task, lists in doubts.items()
        if isinstance(lists, Doubts)
        for found in lists.odd
    ]
    for _ in range(MOST_ROUNDS):
        behind = [_behind(loader.sync, task, found) for task, found in waiting]
        for (task, found), entered in zip(waiting, behind, strict=True):
            _doubt(loader.sync, doubts[task], found, entered)
        entries = [one for one in behind if one is not None]
        if not entries:
            return
        loader.expect(len(entries))
        waiting = []
        for fetched in fetch(
            entries,
            lambda one: read_stretch(loader.sync, one.task, one.found.stretch),
            FetchLimits(loader.sync.rules.workers),
        ):
            waiting += _taken(fetched.task, fetched.result, doubts, load)
            loader.step()
    for task, found in waiting:
        _doubt(loader.sync, doubts[task], found, None)


def _taken(
    entered: _Behind,
    part: Part | None,
    doubts: Mapping[Task, Doubts | DifyError],
    load: Callable[[Task, Part], None],
) -> list[tuple[Task, OddStretch]]:
    """Load a part; the odd runs that it met. Without one, the list failed behind the known run."""
    task, lists = entered.task, doubts[entered.task]
    failed = replace(entered.found, odd=replace(entered.found.odd, reached=entered.entry_at))
    if part is None or part.doubts is None:
        return [(task, failed)]
    load(task, part)
    if isinstance(lists, Doubts):
        lists.requests += part.doubts.requests
        for day, reason in part.doubts.days.items():
            lists.days.setdefault(day, reason)
        for day, reason in part.doubts.beyond.items():
            lists.beyond.setdefault(day, reason)
    return [
        (task, found if found.odd.reached else replace(failed, reason=found.reason))
        for found in part.doubts.odd
    ]


def _behind(sync: Sync, task: Task, found: OddStretch) -> _Behind | None:
    """Where the list may be entered behind an odd run: the newest known one that is older."""
    stretch = found.stretch
    named = "SELECT workflow_run_id, created_at FROM raw.messages WHERE app_id = $app"
    rows = sync.database.rows(
        f"""SELECT workflow_run_id, created_at FROM raw.workflow_runs
        WHERE app_id = $app AND triggered_from = $kind AND absent_since IS NULL
            AND created_at < $before AND created_at >= $first
        UNION ALL SELECT * FROM ({named} AND workflow_run_id IS NOT NULL AND absent_since IS NULL
            AND $kind = 'app-run' AND created_at < $before AND created_at >= $first)
        ORDER BY created_at DESC LIMIT 1""",
        {
            "app": task.app.app_id,
            "kind": stretch.kind,
            "before": found.odd.reached or task.bound,
            "first": stretch.window.start,
        },
    )
    for run_id, at in rows:
        return _Behind(task, replace(found, stretch=replace(stretch, entries=(run_id,))), at)
    return None


def _doubt(
    sync: Sync, lists: Doubts | DifyError, found: OddStretch, entered: _Behind | None
) -> None:
    """The days between the odd run and where the list goes on may lack runs."""
    window, zone = found.stretch.window, sync.rules.zone
    last = local_date(found.odd.reached, zone) if found.odd.reached else window.last
    first = local_date(entered.entry_at, zone) if entered else window.first
    if isinstance(lists, Doubts):
        for day in window.days:
            if first <= day <= last:
                lists.days.setdefault(day, found.reason)
