"""Local days that are stored: counted anew when the rules change, and a calendar of them."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import duckdb
import pytest

from dify_etl.home import LIVE
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.time_zones import zone_of
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import lively_world, quiet_world, talk
from dify_etl_tests.sync.workplace import NOW, TALK, Workplace

BERLIN = "Europe/Berlin"
TALKS = "AND feed IN ('conversations', 'messages')"
OLD = f"AND slice_date < DATE '2026-03-01' {TALKS}"
LATE = datetime(2026, 3, 9, 23, 30, tzinfo=UTC)  # the 10th in Berlin, at 00:30


def change(place: Workplace, *statements: str) -> None:
    """Change the live file behind the program's back."""
    with duckdb.connect(place.home / LIVE) as connection:
        for one in statements:
            connection.execute(one)


def local_columns() -> list[str]:
    """All columns of local days and hours, one query for each table that has some."""
    return [
        f"SELECT {', '.join(c.name for c in raw.table.local_columns)} FROM raw.{name} ORDER BY "
        f"{', '.join(raw.table.key)}"
        for name, raw in RAW_TABLES.items()
        if raw.table.local_columns
    ]


def forget_columns(place: Workplace) -> None:
    """As version 0.1 left it: no such columns, nothing known of rules."""
    change(
        place,
        *(
            f"ALTER TABLE raw.{name} DROP COLUMN {column.name}"
            for name, raw in RAW_TABLES.items()
            for column in raw.table.local_columns
        ),
        "ALTER TABLE ops.source DROP COLUMN zone_rules",
        "DROP TABLE ops.local_days",
    )


def other_rules(place: Workplace) -> None:
    """As an older tzdata made it: all days and hours are other ones."""
    change(
        place,
        *(
            f"UPDATE raw.{name} SET {column.name} = {column.name} - 1"
            for name, raw in RAW_TABLES.items()
            for column in raw.table.local_columns
        ),
        "UPDATE ops.source SET zone_rules = 'those of yesterday'",
    )


@pytest.mark.parametrize("harm", [forget_columns, other_rules])
def test_home_of_other_rules_is_filled_by_those_of_now(
    workplace: Open, harm: Callable[[Workplace], None]
) -> None:
    """A home of 0.1, and one that other rules made: after its next start every day and hour is
    what it is in a fresh load, and the rows count as unchanged.
    """
    place = workplace(lively_world(timezone=BERLIN)).with_rules(zone=zone_of(BERLIN))
    place.read()
    fresh = place.answers(local_columns())
    changed_at = place.rows("SELECT changed_at FROM raw.messages ORDER BY ALL")
    assert any(value is not None for rows in fresh for row in rows for value in row)
    harm(place)
    place.read(("apps",))
    assert place.answers(local_columns()) == fresh
    assert place.rows("SELECT changed_at FROM raw.messages ORDER BY ALL") == changed_at


def test_days_that_lost_or_got_rows_are_due(workplace: Open) -> None:
    """New rules take a row to another day: both days are due, the others stay settled."""
    place = workplace(quiet_world("chat", timezone=BERLIN)).with_rules(zone=zone_of(BERLIN))
    talk(place.world, at=LATE - timedelta(days=20), messages=1)
    place.read(TALK)
    change(
        place,
        "UPDATE raw.conversations SET created_date = created_date - 1",
        "UPDATE ops.source SET zone_rules = 'those of yesterday'",
    )
    place.read(("apps",))
    due = place.rows(
        "SELECT slice_date FROM ops.slices WHERE feed = 'conversations' AND NOT is_settled "
        "AND slice_date < DATE '2026-03-01' ORDER BY 1"
    )
    assert due == [(date(2026, 2, 17),), (date(2026, 2, 18),)]


def test_days_that_0_1_counted_by_other_rules_are_due(workplace: Open) -> None:
    """DuckDB's rules put the talk of a home of 0.1 into the day before: its books hold it there.
    After the next night they hold it where it is, and no other day was read again.
    """
    place = workplace(quiet_world("chat", timezone=BERLIN)).with_rules(zone=zone_of(BERLIN))
    talk(place.world, at=LATE - timedelta(days=20), messages=1)
    place.read(TALK)
    loader = "SELECT feed, slice_date, rows FROM ops.slices WHERE rows > 0 ORDER BY ALL"
    right = place.rows(loader)
    settled = f"SELECT slice_date FROM ops.slices WHERE NOT is_settled {OLD} GROUP BY 1 ORDER BY 1"
    assert place.rows(settled) == []
    forget_columns(place)
    change(
        place,
        f"UPDATE ops.slices SET rows = 1 WHERE slice_date = DATE '2026-02-17' {TALKS}",
        f"UPDATE ops.slices SET rows = 0 WHERE slice_date = DATE '2026-02-18' {TALKS}",
    )
    place.read(("apps",))
    assert place.rows(settled) == [(date(2026, 2, 17),), (date(2026, 2, 18),)]
    place.read(TALK)
    assert place.rows(loader) == right


def test_statistics_of_days_with_two_midnights_are_due_in_a_home_of_0_1(workplace: Open) -> None:
    """Version 0.1 asked for a part of such a day; this one reads it whole once more."""
    azores = zone_of("Atlantic/Azores")
    place = workplace(quiet_world("chat", timezone=azores.key))
    place.world.set_now(datetime(2025, 11, 10, 12, tzinfo=UTC))
    place.with_rules(zone=azores, start_date=date(2025, 10, 20))
    talk(place.world, at=datetime(2025, 10, 26, 0, 30, tzinfo=UTC), messages=3)
    figures = ("apps", "daily_statistics")
    place.read(figures)
    forget_columns(place)
    change(place, "UPDATE raw.daily_statistics SET value = 1 WHERE metric = 'daily_messages'")
    place.read(figures)
    latest = (
        "SELECT arg_max(value, read_at) FROM raw.daily_statistics WHERE metric = $$daily_messages$$"
    )
    assert place.value(latest) == 3


def test_rows_are_in_the_day_of_the_account(workplace: Open) -> None:
    """Half an hour after midnight in Berlin: day and hour are Berlin's, in raw and staging."""
    place = workplace(quiet_world("chat", timezone=BERLIN)).with_rules(zone=zone_of(BERLIN))
    talk(place.world, at=LATE, messages=1)
    place.read(TALK)
    for table in ("conversations", "messages"):
        held = place.rows(f"SELECT created_date, created_hour FROM raw.{table}")
        assert held == [(date(2026, 3, 10), 0)]


def test_calendar_has_every_day_once(workplace: Open) -> None:
    """From the start date to the end of this year, without a gap; clocks change on two days."""
    place = workplace(quiet_world("chat", timezone=BERLIN)).with_rules(zone=zone_of(BERLIN))
    place.read(("apps",))
    first, last = place.rules.start_date, date(NOW.year, 12, 31)
    days = place.rows("SELECT * FROM ops.local_days ORDER BY local_date")
    assert [day for day, *_ in days] == [
        first + timedelta(days=number) for number in range((last - first).days + 1)
    ]
    assert all(ends == later[1] for (_, _, ends, _), later in pairwise(days))
    odd = {day: (ends - starts, changes) for day, starts, ends, changes in days if changes}
    assert odd == {
        date(2026, 3, 29): (timedelta(hours=23), 1),
        date(2026, 10, 25): (timedelta(hours=25), 1),
    }
