"""Write instants as Dify's time parameters want them: minutes in the account's zone, or UTC."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def start_minute(at: datetime | None, zone: ZoneInfo) -> str | None:
    """A start, floored to `YYYY-MM-DD HH:MM`; an hour earlier when clocks are put back then.

    Dify takes a wall time that exists twice for the second one, so that the first could not be
    asked for: the window is widened instead.
    """
    if at is None:
        return None
    local = at.astimezone(zone)
    return _text(_shifted(local, -HOUR) if _exists_twice(local) else local)


def end_minute(at: datetime | None, zone: ZoneInfo) -> str | None:
    """An end, ceiled to the minute; an hour later when clocks are put back then."""
    if at is None:
        return None
    local = _ceiled(at.astimezone(zone))
    return _text(_shifted(local, HOUR) if _exists_twice(local) else local)


def is_one_minute(at: datetime, zone: ZoneInfo) -> bool:
    """Whether `start_minute` and `end_minute` ask for exactly this whole minute: neither is
    widened, as where clocks are put back.
    """
    local = at.astimezone(zone)
    return local == local.replace(second=0, microsecond=0) and not _exists_twice(local)


def exact_minute(at: datetime | None, zone: ZoneInfo) -> str | None:
    """The wall time of an instant, for statistics, whose bounds must not be widened."""
    return None if at is None else _text(at.astimezone(zone))


def utc_after(at: datetime | None) -> str | None:
    """A lower bound in UTC, floored to the second: `2026-11-10T00:00:00Z`."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def utc_before(at: datetime | None) -> str | None:
    """An upper bound in UTC, ceiled to the second."""
    if at is None:
        return None
    whole = at.replace(microsecond=0)
    return utc_after(whole if whole == at else whole + timedelta(seconds=1))


def _text(local: datetime) -> str:
    return f"{local:%Y-%m-%d %H:%M}"


def _ceiled(local: datetime) -> datetime:
    whole = local.replace(second=0, microsecond=0)
    return whole if whole == local else _shifted(whole, MINUTE)


def _shifted(local: datetime, by: timedelta) -> datetime:
    """Moved on the time line, not on the wall clock, and out of the doubled hour."""
    moved = (local.astimezone(UTC) + by).astimezone(local.tzinfo)
    return _shifted(moved, by) if abs(by) == HOUR and _exists_twice(moved) else moved


def _exists_twice(local: datetime) -> bool:
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
