"""Local days and hours of rows, by one set of rules, for all zones of the world."""

from datetime import UTC, date, datetime, timedelta
from functools import cache

import polars as pl
import pytest

from dify_etl.raw.local_days import with_local_days
from dify_etl.raw.tables import raw_table
from dify_etl.time_zones import (
    ONE_DAY,
    day_start,
    offsets_of_year,
    rules_digest,
    zone_names,
    zone_of,
)

FIRST, LAST = date(2023, 1, 1), date(2026, 12, 31)
HOUR = timedelta(hours=1)
DAYS = [FIRST + timedelta(days=number) for number in range((LAST - FIRST).days + 1)]
MESSAGES = raw_table("messages")


@cache
def different_zones() -> tuple[str, ...]:
    """One name for each set of rules in tzdata: aliases have the days of their zone."""
    return tuple({rules_digest(name): name for name in sorted(zone_names())}.values())


def loaded(instants: pl.Series, zone: str) -> pl.DataFrame:
    """Messages of these instants as they are loaded, with day and hour."""
    return with_local_days(MESSAGES, pl.DataFrame({"created_at": instants}), zone_of(zone))


def moments(*instants: datetime | None) -> pl.Series:
    return pl.Series(instants, dtype=pl.Datetime("us", "UTC"))


def test_sum_over_days_is_the_whole_in_every_zone() -> None:
    """Four years of rows, one an hour: each is in one day of every zone, and each day has those
    between its bounds. So are the first and the last microsecond of every day where they belong.
    """
    begin, end = datetime(2022, 12, 31, tzinfo=UTC), datetime(2027, 1, 2, tzinfo=UTC)
    rows = pl.datetime_range(begin, end, HOUR, time_unit="us", eager=True)
    days = pl.Series([FIRST - ONE_DAY, *DAYS, LAST + ONE_DAY])
    assert len(different_zones()) > 300
    for name in different_zones():
        starts = moments(*(day_start(day, zone_of(name)) for day in days[1:]))
        lasts = starts - timedelta(microseconds=1)
        local = loaded(pl.concat([rows, starts, lasts]), name)["created_date"]
        hourly, edges = local.head(rows.len()), local.tail(2 * starts.len())
        assert hourly.null_count() == 0, name
        assert hourly.is_sorted(), name
        assert hourly.search_sorted(days[1:]).equals(rows.search_sorted(starts)), name
        assert edges.equals(pl.concat([days[1:], days[:-1]])), name


def test_rows_at_the_edges_of_odd_days_are_where_the_statistics_have_them() -> None:
    """The seconds round each change of clocks of four years, and round the midnights beside it, in
    every zone: day and hour of the local clock, by which Dify's statistics count.
    """
    second = timedelta(seconds=1)
    for name in different_zones():
        zone = zone_of(name)
        changes = [
            at.replace(tzinfo=UTC)
            for year in range(FIRST.year, LAST.year + 1)
            for at, _ in offsets_of_year(zone, year)[1:]
        ]
        days = {(at.astimezone(zone).date() + by * ONE_DAY) for at in changes for by in (-1, 0, 1)}
        starts = [day_start(day, zone) for day in sorted(days)]
        edges = [at for start in (*starts, *changes) for at in (start - second, start)]
        local = [at.astimezone(zone) for at in edges]
        found = loaded(moments(*edges), name)
        assert found["created_date"].to_list() == [at.date() for at in local], name
        assert found["created_hour"].to_list() == [at.hour for at in local], name


@pytest.mark.parametrize(
    "at",
    [
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(1901, 1, 1, tzinfo=UTC),
        datetime(2100, 7, 1, 21, 59, 59, tzinfo=UTC),
        datetime(2100, 7, 1, 22, tzinfo=UTC),
    ],
)
def test_odd_years_are_counted_too(at: datetime) -> None:
    """Instants before 1970 and in the far future have the day that Python gives them, and spoil
    no neighbour.
    """
    usual = datetime(2026, 3, 29, 1, tzinfo=UTC)
    found = loaded(moments(at, None, usual), "Europe/Berlin")
    local = at.astimezone(zone_of("Europe/Berlin"))
    assert found["created_date"].to_list() == [local.date(), None, date(2026, 3, 29)]
    assert found["created_hour"].to_list() == [local.hour, None, 3]


def test_year_9999_has_a_day() -> None:
    """The last instant that Dify could tell is no error, though its day is beyond Python's last."""
    found = loaded(moments(datetime(9999, 12, 31, 12, tzinfo=UTC)), "Europe/Berlin")
    assert found["created_date"].to_list() == [date(9999, 12, 31)]


def test_rows_without_their_instant_bring_no_day() -> None:
    """A frame that does not tell when leaves the day that the warehouse has."""
    rows = pl.DataFrame({"message_id": ["a"]})
    assert with_local_days(MESSAGES, rows, zone_of("UTC")).columns == ["message_id"]
