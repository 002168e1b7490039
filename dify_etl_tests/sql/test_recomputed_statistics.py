"""The figures of recomputed_statistics: as Dify computes them, from rows written by hand."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dify_etl_tests.sql.hand_written import DAY, NOON, HandWritten

MART = "marts.recomputed_statistics"
CONSOLE: dict[str, Any] = {"from_source": "console", "from_end_user_id": None}
LATER = NOON + timedelta(days=1)


def figure(warehouse: HandWritten, metric: str, day: date = DAY) -> Decimal | None:
    """The value of a metric on a day; None when there is no row."""
    rows = warehouse.rows_of(MART, f"metric = '{metric}' AND statistic_date = DATE '{day}'")
    return rows[0]["value"] if rows else None


@pytest.fixture
def chatflow(warehouse: HandWritten) -> HandWritten:
    """An advanced-chat app."""
    warehouse.app("advanced-chat")
    return warehouse


def test_messages_that_dify_still_has_are_counted(chatflow: HandWritten) -> None:
    """Dify counts what it has: rows that are absent are left out."""
    chatflow.message("one")
    chatflow.message("two", from_end_user_id=None)
    chatflow.message("three", absent_since=NOON)
    names = ("daily_messages", "daily_conversations", "daily_end_users", "token_count")
    assert [figure(chatflow, name) for name in names] == [2, 2, 1, 60]


def test_other_values_are_of_other_rows(warehouse: HandWritten) -> None:
    """Beside all rows stand those that Dify's rule counts, and all that were ever held."""
    warehouse.app("chat")
    warehouse.read_day()
    for name, values in (("one", {}), ("two", CONSOLE), ("three", {"absent_since": NOON})):
        warehouse.add("raw.conversations", conversation_id=name, app_id="app", created_at=NOON)
        warehouse.message(name, **values)
    for metric, value in (("daily_messages", 1), ("daily_conversations", 1), ("token_count", 30)):
        warehouse.dify_says(metric, value)
    row = warehouse.one_row_of(MART, "metric = 'daily_messages'")
    assert (row["value"], row["counted_value"], row["held_value"]) == (2, 1, 3)
    assert (row["left_out_rows"], row["absent_rows"]) == (1, 1)


def test_satisfaction_is_per_mille_of_joined_rows(chatflow: HandWritten) -> None:
    """A message that user and editor like counts twice on both sides; dislikes are no likes."""
    chatflow.message(message_id="twice")
    chatflow.message(message_id="disliked")
    chatflow.message(message_id="plain")
    chatflow.like("twice")
    chatflow.like("twice", from_source="admin", from_account_id="ada")
    chatflow.like("twice", from_source="admin", from_account_id="bob", absent_since=NOON)
    chatflow.like("disliked", rating="dislike")
    assert figure(chatflow, "user_satisfaction_rate") == 500
    assert figure(chatflow, "daily_messages") == 3


def test_interactions_belong_to_the_day_of_beginning(chatflow: HandWritten) -> None:
    """Messages of all days count for the day on which their conversation began."""
    for name, begun_at in (("old", NOON), ("new", NOON), ("other", LATER), ("empty", NOON)):
        chatflow.add("raw.conversations", conversation_id=name, app_id="app", created_at=begun_at)
    for name, asked_at in (("old", NOON), ("old", LATER), ("new", NOON), ("other", LATER)):
        chatflow.message(name, created_at=asked_at)
    assert figure(chatflow, "average_session_interactions") == Decimal("1.5")
    assert figure(chatflow, "average_session_interactions", LATER.date()) == 1


def test_interactions_stop_where_dify_was_asked(chatflow: HandWritten) -> None:
    """Messages that came after Dify's figure was read are not in ours either."""
    chatflow.read_day(feeds=("daily_statistics",))
    chatflow.add("raw.conversations", conversation_id="talk", app_id="app", created_at=NOON)
    chatflow.message("talk")
    chatflow.message("talk", created_at=NOON + timedelta(days=40))
    assert figure(chatflow, "average_session_interactions") == 1


def test_speed_is_a_ratio_of_sums(chatflow: HandWritten) -> None:
    """Tokens of the answers over seconds, not the mean of each message's speed."""
    chatflow.message(answer_tokens=100, latency_seconds=1.0)
    chatflow.message(answer_tokens=10, latency_seconds=9.0)
    assert figure(chatflow, "tokens_per_second") == 11


def test_speed_without_seconds_is_zero(chatflow: HandWritten) -> None:
    """No time passed: Dify says 0, and so do we."""
    chatflow.message(latency_seconds=0.0)
    assert figure(chatflow, "tokens_per_second") == 0


def test_response_time_is_in_milliseconds(warehouse: HandWritten) -> None:
    """Seconds of messages become milliseconds; only completion apps have the metric."""
    warehouse.app("completion")
    warehouse.message(latency_seconds=1.5)
    warehouse.message(latency_seconds=2.5)
    assert figure(warehouse, "average_response_time") == 2000
    assert figure(warehouse, "average_session_interactions") is None


def test_prices_are_those_of_costs(chatflow: HandWritten) -> None:
    """What costs marks as part of Dify's figure, and nothing that can be given to nobody."""
    chatflow.read_day()
    chatflow.message(total_price="0.5", total_tokens=30, currency="USD")
    chatflow.dify_says("total_price", 0.75)
    assert figure(chatflow, "total_price") == Decimal("0.5")


def test_rows_that_tell_too_little_are_counted(warehouse: HandWritten) -> None:
    """Logs that were not opened have no tokens: the figure says how many rows lack them."""
    warehouse.app("completion")
    warehouse.message("opened", message_source="detail")
    warehouse.message(
        "closed",
        message_id=None,
        message_tokens=None,
        answer_tokens=None,
        latency_seconds=None,
        message_source="list",
    )
    rows = {row["metric"]: row["missing_rows"] for row in warehouse.rows_of(MART)}
    assert rows["daily_messages"] == 0
    lacking = ("token_count", "average_response_time", "tokens_per_second")
    assert [rows[name] for name in lacking] == [1, 1, 1]


def test_only_published_runs_are_counted(warehouse: HandWritten) -> None:
    """Dify's workflow figures are of app-run alone; people are accounts and end users."""
    warehouse.app("workflow")
    for user in ("ada", "ada", "bob"):
        warehouse.run(created_by_end_user_id=user)
    warehouse.run(created_by_end_user_id=None, created_by_account_id="editor")
    for trigger in ("debugging", "webhook", "schedule"):
        warehouse.run(triggered_from=trigger)
    warehouse.run(absent_since=NOON)
    names = ("daily_runs", "daily_terminals", "token_count", "average_app_interactions")
    found = [figure(warehouse, f"workflow_{name}") for name in names]
    assert found == [4, 3, 400, Decimal("1.33")]


def test_tokens_beyond_64_bits_are_recomputed(warehouse: HandWritten) -> None:
    """Prompt and answer of one message may each fill a BIGINT: their sum is exact."""
    warehouse.app("chat")
    warehouse.read_day(feeds=("conversations", "messages"))
    warehouse.message(message_tokens=9 * 10**18, answer_tokens=9 * 10**18, latency_seconds=1e-300)
    assert figure(warehouse, "token_count") == 18 * 10**18
    assert figure(warehouse, "tokens_per_second") is None
    assert warehouse.rows_of("marts.statistics_reconciliation") == []
