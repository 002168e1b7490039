"""Which local days of which app are read tonight, by the state that the ledger gives them."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta

from dify_etl.sync.run import Sync
from dify_etl.sync.windows import ONE_DAY, day_start

# A slice that fails this often in a row waits for a person (or --full) instead of every night.
MOST_TRIES = 5


@dataclass(frozen=True)
class AppDays:
    """The days to read of one app: those that are due, and those listed again by the deep read."""

    app_id: str
    due: tuple[date, ...]
    deep: tuple[date, ...]

    @property
    def all(self) -> tuple[date, ...]:
        """Both, in order."""
        return tuple(sorted({*self.due, *self.deep}))


def is_over(sync: Sync, day: date) -> bool:
    """Whether the day ended at least 24 hours before this run."""
    return sync.now >= day_start(day + ONE_DAY, sync.rules.zone) + timedelta(hours=24)


def days_to_read(sync: Sync, feed: str, app_ids: tuple[str, ...]) -> tuple[AppDays, ...]:
    """Per app: the asked days unless settled, on a night also what was missed or failed before.

    Days of the look-back are always read again; outside it a settled day is asked only by --full.
    """
    settled, books = _ledger(sync, feed)
    again = frozenset(sync.lookback.days)
    chosen = []
    for app_id in app_ids:
        due = {day for day in sync.asked_days if sync.plan.is_full or day in again}
        due |= {day for day in sync.asked_days if day not in settled[app_id]}
        if sync.is_night:
            done = books[app_id]
            due |= {day for day in sync.history if day not in done}
        deep = tuple(day for day in sync.deep_days if day not in due)
        chosen.append(AppDays(app_id, tuple(sorted(due)), deep))
    return tuple(chosen)


def _ledger(sync: Sync, feed: str) -> tuple[dict[str, set[date]], dict[str, set[date]]]:
    """Per app: the settled days, and the days that need no catching up."""
    settled: dict[str, set[date]] = defaultdict(set)
    done: dict[str, set[date]] = defaultdict(set)
    rows = sync.database.rows(
        "SELECT app_id, slice_date, state, tries, is_settled FROM ops.slices "
        "WHERE feed = ? AND slice_date IS NOT NULL",
        [feed],
    )
    for app_id, day, state, tries, is_settled in rows:
        is_good = state in ("proven", "unproven")
        if is_good and is_settled:
            settled[app_id].add(day)
            done[app_id].add(day)
        elif tries >= MOST_TRIES:
            done[app_id].add(day)
    return settled, done
