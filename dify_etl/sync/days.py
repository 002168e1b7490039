"""Which local days of which app are read tonight, by the state that the ledger gives them."""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from dify_etl.raw.tables import raw_table
from dify_etl.sync.run import Sync
from dify_etl.time_zones import ONE_DAY, day_start
from dify_etl.warehouse.database import Database

# What does not come whole is tried again after 1, 2, 4 nights, and then every so many, for ever.
MOST_NIGHTS = 7
# Tries of what nothing shows more of: only a change of its list row, or --full, reads it again.
NEVER = 1_000_000
# Nights vary by hours, so that one that is half a day early counts as well.
EARLY = timedelta(hours=12)


AppDay = tuple[str, date]


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


def nights_until_next(tries: int) -> int:
    """How many nights lie between a try and the next one, after so many in a row that failed."""
    return min(MOST_NIGHTS, 2 ** min(tries - 1, MOST_NIGHTS)) if tries else 0


def is_due_again(tries: str, read_at: str, now: datetime) -> str:
    """SQL over two columns: whether what was tried so often, last at that time, is due again."""
    nights = f"least({MOST_NIGHTS}, pow(2, least({tries}, {MOST_NIGHTS}) - 1))::INTEGER"
    moment = f"TIMESTAMPTZ '{(now + EARLY).isoformat()}'"
    return (
        f"(coalesce({tries}, 0) <= 1 OR ({tries} < {NEVER} "
        f"AND {read_at} + to_days({nights}) <= {moment}))"
    )


def is_over(sync: Sync, day: date) -> bool:
    """Whether the day ended at least 24 hours before this run."""
    return sync.now >= day_start(day + ONE_DAY, sync.rules.zone) + timedelta(hours=24)


def rows_by_day(database: Database, name: str) -> Counter[AppDay]:
    """How many rows a raw table that is read by days holds, by app and local day."""
    table = raw_table(name)
    rows = database.rows(
        f"SELECT app_id, {table.day_column}, count(*) FROM {table.qualified} GROUP BY ALL"
    )
    return Counter({(app_id, day): count for app_id, day, count in rows})


def days_to_read(
    sync: Sync, feed: str, app_ids: tuple[str, ...], *, is_asked: bool = True
) -> tuple[AppDays, ...]:
    """Per app: the asked days unless settled, on a night also what was missed or failed before.

    Not `is_asked` is a feed whose days cost no request, as they follow from what was read of their
    objects: what is not good is judged anew every night.
    Days of the look-back are always read again; outside it a settled day is asked only by --full.
    """
    settled, days_read = _ledger(sync, feed, is_asked=is_asked)
    again = frozenset(sync.lookback.days)
    chosen = []
    for app_id in app_ids:
        due = {day for day in sync.asked_days if sync.plan.is_full or day in again}
        due |= {day for day in sync.asked_days if day not in settled[app_id]}
        if sync.is_night:
            done = days_read[app_id]
            due |= {day for day in sync.history if day not in done}
        deep = tuple(day for day in sync.deep_days if day not in due)
        chosen.append(AppDays(app_id, tuple(sorted(due)), deep))
    return tuple(chosen)


def _ledger(
    sync: Sync, feed: str, *, is_asked: bool
) -> tuple[dict[str, set[date]], dict[str, set[date]]]:
    """Per app: the settled days, and the days that need no catching up.

    What failed is tried every night: an app that refuses ends it with its first request, and when
    it answers again nothing waits. A day that came with rows missing is tried after growing gaps;
    one whose list is good, and a run of it is in doubt, is judged as soon as the run is read.
    """
    settled: dict[str, set[date]] = defaultdict(set)
    done: dict[str, set[date]] = defaultdict(set)
    rows = sync.database.rows(
        "SELECT app_id, slice_date, state, tries, is_settled, "
        # An instant becomes one of Python's slowly, and few days need theirs.
        "CASE WHEN state = 'incomplete' THEN read_at END, "
        "coalesce(starts_with(reason, 'run '), false) FROM ops.slices "
        "WHERE feed = ? AND slice_date IS NOT NULL",
        [feed],
    )
    for app_id, day, state, tries, is_settled, read_at, is_of_run in rows:
        is_good = state in ("proven", "unproven")
        if is_good and is_settled:
            settled[app_id].add(day)
            done[app_id].add(day)
        elif (is_asked and state == "incomplete") and not (
            is_of_run or _is_due(sync, tries, read_at)
        ):
            done[app_id].add(day)
    return settled, done


def _is_due(sync: Sync, tries: int, read_at: datetime) -> bool:
    """Whether enough nights have passed since the last try."""
    return tries <= 1 or sync.now + EARLY >= read_at + timedelta(days=nights_until_next(tries))
