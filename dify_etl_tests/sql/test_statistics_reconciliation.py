"""The verdicts of statistics_reconciliation, from rows written by hand."""

from datetime import timedelta
from typing import Any

import pytest

from dify_etl_tests.sql.hand_written import DAY, NOON, RUN_ENDED, HandWritten

MART = "marts.statistics_reconciliation"


def verdict(warehouse: HandWritten, metric: str = "daily_messages") -> tuple[str, str]:
    """How a metric was compared, and what came of it."""
    row = warehouse.one_row_of(MART, f"metric = '{metric}'")
    assert row["is_unexplained"] == (
        row["verdict"] in ("missing_here", "missing_in_dify", "different")
    )
    return row["comparison"], row["verdict"]


@pytest.fixture
def chatflow(warehouse: HandWritten) -> HandWritten:
    """An advanced-chat app whose day was read whole by one run."""
    warehouse.app("advanced-chat")
    warehouse.read_day()
    warehouse.end_run()
    return warehouse


@pytest.fixture
def chat(warehouse: HandWritten) -> HandWritten:
    """The same for a chat app."""
    warehouse.app("chat")
    warehouse.read_day()
    warehouse.end_run()
    return warehouse


def test_same_figure_is_equal(chatflow: HandWritten) -> None:
    """Both sides and their difference are shown."""
    chatflow.message()
    chatflow.dify_says("daily_messages", 1, unit="messages")
    row = chatflow.one_row_of(MART, "metric = 'daily_messages'")
    assert (row["dify_value"], row["warehouse_value"], row["difference"]) == (1, 1, 0)
    assert (row["unit"], row["verdict"], row["is_unexplained"]) == ("messages", "equal", False)


def test_lost_row_shows(chatflow: HandWritten) -> None:
    """One message less than Dify counts is a difference that nothing explains."""
    chatflow.message()
    chatflow.dify_says("daily_messages", 2)
    assert verdict(chatflow) == ("exact", "different")


def test_day_that_is_missing_here_is_a_row(chatflow: HandWritten) -> None:
    """Dify has a figure for a day without a row of ours."""
    chatflow.dify_says("daily_messages", 2)
    row = chatflow.one_row_of(MART)
    assert (row["verdict"], row["warehouse_value"], row["difference"]) == ("missing_here", None, -2)


def test_day_that_is_missing_in_dify_is_a_row(chatflow: HandWritten) -> None:
    """Rows of ours on a day for which Dify shows no figure, or shows none any more."""
    chatflow.message()
    chatflow.dify_says("token_count", None)
    assert verdict(chatflow) == ("exact", "missing_in_dify")
    assert verdict(chatflow, "token_count") == ("exact", "missing_in_dify")


def test_day_that_was_not_read_is_not_compared(chatflow: HandWritten) -> None:
    """Rows of another day wait until both sides of it are read."""
    chatflow.message(created_at=NOON + timedelta(days=1))
    chatflow.read_day(DAY + timedelta(days=1), feeds=("messages",))
    assert chatflow.rows_of(MART) == []


@pytest.mark.parametrize(("figure", "expected"), [(1, "within_bounds"), (2, "within_bounds")])
def test_debugging_may_hide_in_console_rows(chat: HandWritten, figure: int, expected: str) -> None:
    """Chat lists hold debugging, Dify's figures do not: they lie between ours."""
    chat.message()
    chat.message(from_source="console", from_end_user_id=None)
    chat.dify_says("daily_messages", figure)
    assert verdict(chat) == ("bounds", expected)


def test_figure_outside_of_the_bounds_is_different(chat: HandWritten) -> None:
    """No debugging explains that Dify counts more than we have."""
    chat.message()
    chat.dify_says("daily_messages", 2)
    assert verdict(chat) == ("bounds", "different")


def test_day_of_nothing_but_debugging_is_explained(chat: HandWritten) -> None:
    """Dify shows no figure for a day on which somebody only debugged."""
    chat.message(from_source="console", from_end_user_id=None)
    assert verdict(chat) == ("bounds", "within_bounds")
    assert verdict(chat, "daily_end_users") == ("exact", "equal")


def test_ratios_with_debugging_are_not_compared(chat: HandWritten) -> None:
    """A ratio over rows that may be debugging has no bounds."""
    chat.message()
    chat.dify_says("tokens_per_second", 99)
    assert verdict(chat, "tokens_per_second") == ("none", "not_comparable")


@pytest.mark.parametrize(
    ("version", "mode", "metric", "expected"),
    [
        ("1.8.1", "chat", "daily_messages", "exact"),
        ("1.8.1", "advanced-chat", "daily_messages", "none"),
        ("1.9.0", "advanced-chat", "daily_messages", "exact"),
        ("1.6.0", "chat", "daily_conversations", "exact"),
        ("1.7.0", "chat", "daily_conversations", "bounds"),
        ("1.7.0", "advanced-chat", "daily_conversations", "exact"),
        ("1.7.2", "chat", "daily_end_users", "exact"),
        ("1.12.1", "completion", "daily_messages", "bounds"),
    ],
)
def test_version_decides_who_leaves_debugging_out(
    warehouse: HandWritten, version: str, mode: str, metric: str, expected: str
) -> None:
    """Dify's figures leave debugging out since 1.9.0, of conversations since 1.7.0."""
    warehouse.app(mode)
    warehouse.read_day()
    warehouse.message()
    warehouse.dify_says(metric, 1, server_version=version)
    assert verdict(warehouse, metric)[0] == expected


@pytest.mark.parametrize(("version", "expected"), [("1.7.2", "none"), ("1.10.1", "exact")])
def test_logs_of_old_servers_prove_no_runs(
    warehouse: HandWritten, version: str, expected: str
) -> None:
    """Before 1.10.0 logs do not tell which runs Dify counts."""
    warehouse.app("workflow")
    warehouse.read_day()
    warehouse.run()
    warehouse.dify_says("workflow_daily_runs", 1, server_version=version)
    assert verdict(warehouse, "workflow_daily_runs")[0] == expected


def test_rows_that_tell_too_little_are_not_compared(warehouse: HandWritten) -> None:
    """Tokens of logs that were not opened are unknown; that there are messages is known."""
    warehouse.app("completion")
    warehouse.read_day(feeds=("daily_statistics", "conversations"))
    warehouse.read_day(feeds=("messages",), state="unproven")
    warehouse.message(message_id=None, message_tokens=None, answer_tokens=None)
    warehouse.dify_says("daily_messages", 1)
    warehouse.dify_says("token_count", 30)
    assert verdict(warehouse) == ("bounds", "within_bounds")
    assert verdict(warehouse, "token_count") == ("none", "not_comparable")


@pytest.mark.parametrize(
    ("marks", "expected"),
    [
        ({"state": "incomplete"}, "unproven"),
        ({"is_settled": False}, "open"),
        ({"run_id": "another run"}, "outdated"),
    ],
)
def test_difference_may_be_explained_by_the_reads(
    warehouse: HandWritten, marks: dict[str, Any], expected: str
) -> None:
    """Reads that are unproven, too early, or of two runs explain a difference."""
    warehouse.app("advanced-chat")
    warehouse.read_day(feeds=("daily_statistics",))
    warehouse.read_day(feeds=("messages",), **marks)
    warehouse.message()
    warehouse.dify_says("daily_messages", 2)
    assert verdict(warehouse) == ("exact", expected)


def test_late_change_makes_dify_s_figure_outdated(chatflow: HandWritten) -> None:
    """A message that was found deleted after the run still counts in the older figure."""
    later = RUN_ENDED + timedelta(hours=1)
    chatflow.message()
    chatflow.message(absent_since=later)
    chatflow.dify_says("daily_messages", 2)
    assert verdict(chatflow) == ("exact", "outdated")


@pytest.mark.parametrize(("rate", "expected"), [(333.34, "equal"), (333.40, "different")])
def test_rounding_is_no_difference(chatflow: HandWritten, rate: float, expected: str) -> None:
    """Rates agree when they agree but for the last digit that Dify shows."""
    for name in ("liked", "plain", "other"):
        chatflow.message(message_id=name)
    chatflow.like("liked")
    chatflow.dify_says("user_satisfaction_rate", rate)
    assert verdict(chatflow, "user_satisfaction_rate") == ("exact", expected)


def test_days_of_another_zone_are_not_compared(chatflow: HandWritten) -> None:
    """Figures that were read for another zone's days are of other days."""
    chatflow.dify_says("daily_messages", 5, account_timezone="UTC")
    assert chatflow.rows_of(MART) == []


def test_lost_completion_log_shows(warehouse: HandWritten) -> None:
    """The lists of completion apps prove the number of messages, opened or not."""
    warehouse.app("completion")
    warehouse.read_day(feeds=("daily_statistics", "conversations"))
    warehouse.read_day(feeds=("messages",), state="unproven")
    warehouse.message(message_id=None)
    warehouse.dify_says("daily_messages", 2)
    assert verdict(warehouse) == ("bounds", "different")
