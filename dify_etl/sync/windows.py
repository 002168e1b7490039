"""Days and instants: local days of one time zone, and the stretches of them that are asked at once.

All arithmetic is done on UTC instants, since a local day may have 23 or 25 hours.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from dify_etl.sync.errors import WindowWrong
from dify_etl.time_zones import ONE_DAY, day_start
from dify_etl.warehouse.tables import quoted


@dataclass(frozen=True)
class Window:
    """The local days from `first` to `last`, both included, in one zone."""

    first: date
    last: date
    zone: ZoneInfo

    @property
    def start(self) -> datetime:
        """The instant at which the first day begins, UTC."""
        return day_start(self.first, self.zone)

    @property
    def end(self) -> datetime:
        """The instant at which the last day has ended, UTC; not part of the window."""
        return day_start(self.last + ONE_DAY, self.zone)

    @property
    def days(self) -> tuple[date, ...]:
        """Its local days in order."""
        count = (self.last - self.first).days + 1
        return tuple(self.first + timedelta(days=index) for index in range(count))

    def has(self, day: date) -> bool:
        """Whether it is one of these days."""
        return self.first <= day <= self.last

    def halves(self) -> tuple["Window", ...]:
        """The window cut into two; a single day cannot be cut and comes back alone."""
        if self.first == self.last:
            return (self,)
        middle = self.first + (self.last - self.first) // 2
        return (
            Window(self.first, middle, self.zone),
            Window(middle + ONE_DAY, self.last, self.zone),
        )


def windows_of(days: Iterable[date], zone: ZoneInfo) -> Iterator[Window]:
    """The days as windows without gaps, oldest first."""
    ordered = sorted(set(days))
    first = last = None
    for day in ordered:
        if first is not None and last is not None and day - last > ONE_DAY:
            yield Window(first, last, zone)
            first = None
        first, last = first or day, day
    if first is not None and last is not None:
        yield Window(first, last, zone)


def window_scope(app_id: str, window: Window, bound: datetime, column: str = "created_at") -> str:
    """SQL over t: the app's rows of a window, as far as a walk that ended at `bound` can have seen
    them.
    """
    until = min(window.end, bound)
    return (
        f"t.app_id = {quoted(app_id)} AND t.{column} >= TIMESTAMPTZ '{window.start.isoformat()}' "
        f"AND t.{column} < TIMESTAMPTZ '{until.isoformat()}'"
    )


def deep_days(start: date, before: date, today: date, cycle: int) -> tuple[date, ...]:
    """The days of history, from `start` to the day before `before`, whose turn it is tonight.

    In `cycle` nights every day has its turn. The stretches move as history grows, hence one day
    of overlap on both sides.
    """
    length = (before - start).days
    if cycle <= 0 or length <= 0:
        return ()
    turn = today.toordinal() % cycle
    first = start + timedelta(days=turn * length // cycle) - ONE_DAY
    after = start + timedelta(days=(turn + 1) * length // cycle) + ONE_DAY
    first, after = max(first, start), min(after, before)
    return tuple(first + timedelta(days=index) for index in range((after - first).days))


def check_order(first: date, last: date) -> None:
    """WindowWrong when the last day is before the first."""
    if last < first:
        raise WindowWrong(
            f"the end {last} is before the start {first}",
            where="--from and --to",
            hint="Give the earlier day as --from; both days are included.",
        )


def asked_window(first: date, last: date, *, today: date, zone: ZoneInfo) -> Window:
    """The window that a user asked for; WindowWrong when it lies in the future or is reversed."""
    check_order(first, last)
    if last > today:
        raise WindowWrong(
            f"{last} lies in the future; today is {today} in {zone.key}",
            where="--to",
            hint="Ask for days up to today.",
        )
    return Window(first, last, zone)
