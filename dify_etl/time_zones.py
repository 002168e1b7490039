"""Time zones by the rules of the tzdata package alone, and what of them local days need.

Python prefers the rules of the system, DuckDB and Polars have some compiled in, and they disagree
in a dozen zones of today. So every zone of this program is made here.
"""

import hashlib
from datetime import UTC, date, datetime, time, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from io import BytesIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

ONE_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
# Less than there ever was between two changes of one zone since 1970 (six days, Recife 2000).
_STEP = timedelta(days=5)
# Where Python's datetimes end, an offset may lead beyond them: these years have that of summer.
_FIRST_YEAR, _LAST_YEAR = 2, 9998


def utc_now() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


@cache
def zone_names() -> frozenset[str]:
    """The names of all zones, aliases too, as tzdata lists them."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


@cache
def zone_of(name: str) -> ZoneInfo:
    """The zone of an IANA name; ZoneInfoNotFoundError when tzdata has none of that name."""
    return ZoneInfo.from_file(BytesIO(_rules(name)), key=name)


@cache
def rules_digest(name: str) -> str:
    """SHA-256 of the zone's rules: another one means that local days have to be counted anew."""
    return hashlib.sha256(_rules(name)).hexdigest()


def is_same_zone(name: str | None, other: str | None) -> bool:
    """Whether two names have the same rules, as Asia/Calcutta and Asia/Kolkata: their days are the
    same. A name without a zone is like itself alone.
    """
    if name == other:
        return True
    names = zone_names()
    return name in names and other in names and rules_digest(name) == rules_digest(other)


def _rules(name: str) -> bytes:
    if name not in zone_names():  # before it becomes a path
        raise ZoneInfoNotFoundError(f"tzdata has no zone {name!r}")
    return files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()


def day_start(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which a local day begins, UTC: of two midnights the first; where there is
    none, the one at which the clock jumps over it.
    """
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def local_date(instant: datetime, zone: ZoneInfo) -> date:
    """The local day of an instant, as Dify's statistics have it (PostgreSQL's date_trunc of the
    wall time).
    """
    return instant.astimezone(zone).date()


@lru_cache(maxsize=4096)
def offsets_of_year(zone: ZoneInfo, year: int) -> tuple[tuple[datetime, timedelta], ...]:
    """The offset from UTC at the begin of a year of UTC, and every later one in it, each with the
    instant (UTC, without zone) from which it counts.
    """
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        return ((datetime(year, 1, 1), _offset(zone, datetime(year, 7, 1))),)
    at, end = datetime(year, 1, 1), datetime(year + 1, 1, 1)
    offset = _offset(zone, at)
    found = [(at, offset)]
    while at < end:
        until = min(at + _STEP, end)
        later = _offset(zone, until)
        if later != offset:
            found.append((_change(zone, at, until), later))
        at, offset = until, later
    return tuple(one for one in found if one[0] < end)


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The first second of the new offset."""
    offset = _offset(zone, before)
    while after - before > _SECOND:
        middle = (before + (after - before) // 2).replace(microsecond=0)
        if _offset(zone, middle) == offset:
            before = middle
        else:
            after = middle
    return after


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    return zone.fromutc(at.replace(tzinfo=zone)).utcoffset() or timedelta()
