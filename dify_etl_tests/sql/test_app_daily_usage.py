"""The figures of app_daily_usage, from rows written by hand."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest

from dify_etl_tests.sql.hand_written import DAY, NOON, HandWritten

MART = "marts.app_daily_usage"


@pytest.fixture
def chat(warehouse: HandWritten) -> HandWritten:
    """A chat app whose day was read."""
    warehouse.app("chat")
    warehouse.read_day(feeds=("conversations", "messages"))
    return warehouse


def test_quiet_day_is_a_row_of_zeros(chat: HandWritten) -> None:
    """A day that was read and had no traffic counts zero, so that averages over days are right."""
    chat.message(created_at=NOON - timedelta(days=1))
    row = chat.one_row_of(MART)
    counts = ("conversations_started", "messages", "end_users", "total_tokens", "workflow_runs")
    assert [row[name] for name in counts] == [0] * len(counts)
    assert (row["total_price"], row["currency"], row["average_latency_seconds"]) == (None,) * 3


def test_days_before_the_first_activity_are_no_rows(chat: HandWritten) -> None:
    """An app begins with its first conversation, message or run, not with the first day read."""
    chat.read_day(DAY - timedelta(days=1), feeds=("conversations", "messages"))
    assert chat.rows_of(MART) == []
    chat.message()
    assert [row["usage_date"] for row in chat.rows_of(MART)] == [DAY]


def test_day_that_was_not_read_is_no_row(chat: HandWritten) -> None:
    """Rows of a day outside of the reads are a part of it only: they make no figure."""
    chat.message(created_at=NOON - timedelta(days=9))
    assert [row["usage_date"] for row in chat.rows_of(MART)] == [DAY]


def test_messages_are_counted(chat: HandWritten) -> None:
    """Messages, their conversations, people, errors and tokens, those deleted in Dify included."""
    chat.message("one", from_end_user_id="ada")
    chat.message("one", from_end_user_id="ada", absent_since=NOON)
    chat.message("two", from_end_user_id="bob", status="error")
    chat.message("three", from_end_user_id=None, from_source="console", latency_seconds=6.0)
    row = chat.one_row_of(MART)
    assert (row["messages"], row["active_conversations"], row["end_users"]) == (4, 3, 2)
    assert (row["console_messages"], row["error_messages"]) == (1, 1)
    assert (row["prompt_tokens"], row["completion_tokens"], row["total_tokens"]) == (40, 80, 120)
    assert row["average_latency_seconds"] == 3.0


def test_ratings_do_not_multiply_messages(chat: HandWritten) -> None:
    """Two ratings of one message are two ratings and one message; a withdrawn one is none."""
    chat.message(message_id="m", total_price="0.5", currency="USD")
    chat.like("m", from_end_user_id="user")
    chat.like("m", from_source="admin", from_account_id="ada", rating="dislike")
    chat.like("m", from_source="admin", from_account_id="bob", absent_since=NOON)
    row = chat.one_row_of(MART)
    assert (row["messages"], row["likes"], row["dislikes"]) == (1, 1, 1)
    assert (row["total_price"], row["currency"]) == (Decimal("0.5"), "USD")


def test_prices_of_several_currencies_are_not_added(chat: HandWritten) -> None:
    """Dollars and yuan give no sum; the number of currencies says why."""
    chat.message(total_price="0.5", currency="USD")
    chat.message(total_price="3.5", currency="RMB")
    chat.message()
    row = chat.one_row_of(MART)
    assert (row["total_price"], row["currency"], row["currencies"]) == (None, None, 2)
    assert row["unpriced_messages"] == 1


def test_conversations_count_on_their_day_of_beginning(chat: HandWritten) -> None:
    """A conversation begins once, and is active on every day with a message."""
    chat.read_day(DAY + timedelta(days=1), feeds=("messages",))
    chat.add("raw.conversations", conversation_id="talk", app_id="app", created_at=NOON)
    chat.message()
    chat.message(created_at=NOON + timedelta(days=1))
    rows = chat.rows_of(MART)
    assert [row["conversations_started"] for row in rows] == [1, 0]
    assert [row["active_conversations"] for row in rows] == [1, 1]


def test_runs_leave_debugging_out(warehouse: HandWritten) -> None:
    """Runs and their tokens count whoever triggered them, but for debugging."""
    warehouse.app("workflow")
    warehouse.read_day(feeds=("workflow_runs",))
    for trigger in ("app-run", "webhook", "debugging", None):
        warehouse.run(triggered_from=trigger)
    row = warehouse.one_row_of(MART)
    assert (row["workflow_runs"], row["workflow_run_tokens"]) == (3, 300)


def test_day_is_as_good_as_its_worst_read(warehouse: HandWritten) -> None:
    """One read that is not proven, or came too early, marks the day."""
    warehouse.app("chat")
    warehouse.read_day(feeds=("conversations",))
    warehouse.read_day(feeds=("messages",), state="incomplete", is_settled=False)
    warehouse.read_day(date(2026, 3, 3), feeds=("conversations", "messages"))
    warehouse.message()
    marks = [(row["is_proven"], row["is_settled"]) for row in warehouse.rows_of(MART)]
    assert marks == [(False, False), (True, True)]


def test_sums_beyond_64_bits_are_exact(warehouse: HandWritten) -> None:
    """Tokens that add up to more than a BIGINT holds are summed all the same."""
    warehouse.app("workflow")
    warehouse.read_day(feeds=("workflow_runs",))
    for _ in range(2):
        warehouse.run(total_tokens=6 * 10**18)
    assert warehouse.one_row_of(MART)["workflow_run_tokens"] == 12 * 10**18


def test_tokens_of_one_message_beyond_64_bits_are_exact(chat: HandWritten) -> None:
    """Prompt and answer may each fill a BIGINT."""
    chat.message(message_tokens=9 * 10**18, answer_tokens=9 * 10**18)
    assert chat.one_row_of(MART)["total_tokens"] == 18 * 10**18


def test_failed_messages_tell_no_latency(chat: HandWritten) -> None:
    """Dify leaves 0 seconds with them: no mean has them in it."""
    chat.message(latency_seconds=10.0)
    chat.message(latency_seconds=0.0, status="error")
    row = chat.one_row_of(MART)
    assert (row["messages"], row["average_latency_seconds"]) == (2, 10.0)


def test_day_that_cost_nothing_cost_0(warehouse: HandWritten) -> None:
    """A model of one's own tells a price of 0: it is known, and in no currency."""
    warehouse.app("advanced-chat")
    warehouse.read_day()
    run = warehouse.run()
    warehouse.message(workflow_run_id=run, total_price="0", total_tokens=30, currency="USD")
    warehouse.dify_says("total_price", 0)
    row = warehouse.one_row_of(MART)
    assert (row["total_price"], row["currency"], row["currencies"]) == (Decimal(0), None, 0)
    assert warehouse.one_row_of("marts.workspace_daily_usage")["total_price"] == 0


def test_ratings_of_unopened_logs_are_those_of_their_list(warehouse: HandWritten) -> None:
    """Nothing else tells them before 1.10.1; what an export tells as well is not counted twice."""
    warehouse.app("completion")
    warehouse.read_day()
    counts = {"user_like_count": 1, "admin_like_count": 0, "user_dislike_count": 0}
    log = {"app_id": "app", "created_at": NOON}
    warehouse.add(
        "raw.conversations", conversation_id="one", admin_dislike_count=1, **counts, **log
    )
    warehouse.add(
        "raw.conversations", conversation_id="two", admin_dislike_count=0, **counts, **log
    )
    for name in ("one", "two"):
        warehouse.message(name, message_id=None, message_source="list", latency_seconds=None)
    warehouse.like("elsewhere", conversation_id="two")
    row = warehouse.one_row_of(MART)
    assert (row["messages"], row["likes"], row["dislikes"]) == (2, 2, 1)
    found = warehouse.rows_of("marts.conversation_quality")
    assert [(row["likes"], row["dislikes"]) for row in found] == [(1, 1), (1, 0)]


@pytest.mark.parametrize(
    ("exported", "likes"),
    [
        ({"changed_at": NOON + timedelta(days=1)}, 1),
        ({"changed_at": NOON - timedelta(days=1)}, 0),
        ({"absent_since": NOON + timedelta(days=1)}, 0),
    ],
    ids=["liked after the list", "taken back before the list", "taken back after the list"],
)
def test_rating_of_an_unopened_log_is_the_newest_told(
    warehouse: HandWritten, exported: dict[str, datetime], likes: int
) -> None:
    """Lists of old days are read seldom, the export once a week: what changed last counts."""
    warehouse.app("completion")
    warehouse.read_day()
    counted = 1 if "absent_since" in exported else 0
    warehouse.add(
        "raw.conversations",
        **{"conversation_id": "log", "app_id": "app", "created_at": NOON},
        user_like_count=counted,
    )
    warehouse.message("log", message_id=None, message_source="list", latency_seconds=None)
    warehouse.like("elsewhere", conversation_id="log", **exported)
    assert warehouse.one_row_of(MART)["likes"] == likes
    assert warehouse.one_row_of("marts.conversation_quality")["likes"] == likes
