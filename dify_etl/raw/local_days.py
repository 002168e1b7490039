"""Local days and hours, computed once, when rows are loaded, and stored beside their instants."""

from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import polars as pl

from dify_etl.time_zones import offsets_of_year
from dify_etl.warehouse.tables import Column, Table

_DAY = 86_400_000_000
_HOUR = 3_600_000_000
_EPOCH = datetime(1970, 1, 1)


def day_columns(*instants: str, hours: bool) -> tuple[Column, ...]:
    """The columns for the local days of these instants, `created_date` for `created_at`; with
    `hours` also those for their hours, `created_hour`.
    """
    found: list[Column] = []
    for name in instants:
        stem = name.removesuffix("_at")
        day = f"Local day of {name}, in the account's zone."
        found.append(Column(f"{stem}_date", "DATE", day, local_of=name))
        if hours:
            hour = f"Hour of {name} on the clock of the account's zone, 0 to 23."
            found.append(Column(f"{stem}_hour", "BIGINT", hour, local_of=name))
    return tuple(found)


def with_local_days(table: Table, rows: pl.DataFrame, zone: ZoneInfo) -> pl.DataFrame:
    """The rows with the local day and hour of each instant that they bring and the table wants."""
    wanted = [one for one in table.local_columns if one.local_of in rows.columns]
    if not wanted:
        return rows
    clocks = {name: _clock(rows[name], zone) for name in {one.local_of or "" for one in wanted}}
    return rows.with_columns(_column(one, clocks[one.local_of or ""]) for one in wanted)


def _column(column: Column, clock: pl.Series) -> pl.Series:
    """What a local clock shows, as a table's column: its day or its hour."""
    if column.type == "DATE":
        return (clock // _DAY).cast(pl.Int32).cast(pl.Date).alias(column.name)
    return ((clock % _DAY) // _HOUR).alias(column.name)


def _clock(instants: pl.Series, zone: ZoneInfo) -> pl.Series:
    """The local wall times of instants, in microseconds; null for null.

    Polars knows zones as well, but by rules of its own.
    """
    micros = instants.cast(pl.Int64)
    first, last = instants.min(), instants.max()
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return micros
    years = (first.year, last.year)
    if last.year - first.year > 1:  # one odd year is no reason to look at all between
        years = tuple(instants.dt.year().drop_nulls().unique().sort())
    since, offsets = _offsets(zone, tuple(sorted(set(years))))
    if offsets.len() == 1:
        return micros + int(offsets[0])
    number = since.search_sorted(micros, side="right")
    return micros + offsets.gather(number)


@lru_cache(maxsize=256)
def _offsets(zone: ZoneInfo, years: tuple[int, ...]) -> tuple[pl.Series, pl.Series]:
    """Offsets in microseconds, and from when each but the first counts."""
    found = [one for year in years for one in offsets_of_year(zone, year)]
    kept = [one for index, one in enumerate(found) if not index or one[1] != found[index - 1][1]]
    since = [_micros(at - _EPOCH) for at, _ in kept]
    return (
        pl.Series(since[1:], dtype=pl.Int64()),
        pl.Series([_micros(offset) for _, offset in kept], dtype=pl.Int64()),
    )


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
