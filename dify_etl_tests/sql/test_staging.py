"""Staging: the raw rows under clear names, absent ones included, with their local days."""

from datetime import UTC, date, datetime

import pytest

from dify_etl_tests.sql.hand_written import NOON, HandWritten


def test_absent_rows_stay_and_say_so(warehouse: HandWritten) -> None:
    """A row that Dify has no more is still there, flagged."""
    warehouse.message(message_id="held")
    warehouse.message(message_id="gone", absent_since=NOON)
    rows = warehouse.rows_of("staging.stg_messages")
    assert {row["message_id"]: row["is_absent"] for row in rows} == {"held": False, "gone": True}


@pytest.mark.parametrize(
    ("asked_at", "day"),
    [
        (datetime(2026, 3, 1, 22, 59, 59, tzinfo=UTC), date(2026, 3, 1)),
        (datetime(2026, 3, 1, 23, 0, tzinfo=UTC), date(2026, 3, 2)),
        (datetime(2026, 3, 29, 21, 59, 59, tzinfo=UTC), date(2026, 3, 29)),
        (datetime(2026, 3, 29, 22, 0, tzinfo=UTC), date(2026, 3, 30)),
    ],
    ids=["before midnight", "midnight", "before midnight in summer", "midnight in summer"],
)
def test_days_are_those_of_the_account(
    warehouse: HandWritten, asked_at: datetime, day: date
) -> None:
    """A day begins at midnight in the account's zone, also on the day the clocks change."""
    warehouse.message(created_at=asked_at)
    assert warehouse.one_row_of("staging.stg_messages")["created_date"] == day


def test_days_are_unknown_before_the_source_is(unpinned: HandWritten) -> None:
    """Without a source there is no zone and no local day; the rows are there all the same."""
    unpinned.message()
    row = unpinned.one_row_of("staging.stg_messages")
    assert row["created_date"] is None
    assert row["created_at"] == NOON


def test_latest_figure_counts(warehouse: HandWritten) -> None:
    """Of several readings of a figure the latest is shown, one row per zone."""
    warehouse.dify_says("daily_messages", 5, read_at=datetime(2026, 3, 3, tzinfo=UTC))
    warehouse.dify_says("daily_messages", 7, read_at=datetime(2026, 3, 4, tzinfo=UTC))
    warehouse.dify_says("daily_messages", 6, account_timezone="UTC")
    rows = warehouse.rows_of("staging.stg_daily_statistics")
    assert {row["account_timezone"]: row["value"] for row in rows} == {"Europe/Berlin": 7, "UTC": 6}


def test_figure_that_went_is_null(warehouse: HandWritten) -> None:
    """A figure that Dify shows no more is null, not the last one that it showed."""
    warehouse.dify_says("daily_messages", 5, read_at=datetime(2026, 3, 3, tzinfo=UTC))
    warehouse.dify_says("daily_messages", None, read_at=datetime(2026, 3, 4, tzinfo=UTC))
    assert warehouse.one_row_of("staging.stg_daily_statistics")["value"] is None
