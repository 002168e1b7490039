"""Staging: the raw rows under clear names, absent ones included."""

import re
from datetime import UTC, datetime

from dify_etl.raw.tables import RAW_TABLES
from dify_etl_tests.sql.hand_written import MODELS, NOON, HandWritten


def test_absent_rows_stay_and_say_so(warehouse: HandWritten) -> None:
    """A row that Dify has no more is still there, flagged."""
    warehouse.message(message_id="held")
    warehouse.message(message_id="gone", absent_since=NOON)
    rows = warehouse.rows_of("staging.stg_messages")
    assert {row["message_id"]: row["is_absent"] for row in rows} == {"held": False, "gone": True}


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


def test_no_column_stops_at_raw() -> None:
    """What is loaded is shown in the view of the same name, under that name or a clearer one."""
    shown = {
        model.name.removeprefix("stg_"): model.query
        for model in MODELS
        if model.schema == "staging"
    }
    missing = {
        f"{table}.{column}"
        for table, raw in RAW_TABLES.items()
        for column in raw.table.names
        if table in shown and not re.search(rf"\b{column}\b", shown[table])
    }
    assert missing == {"dataset_api_keys.app_id"}  # always null: they are of no app
