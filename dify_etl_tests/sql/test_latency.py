"""How long answers take, from rows written by hand."""

import pytest

from dify_etl_tests.sql.hand_written import NOON, HandWritten

MART = "marts.latency"


def test_percentiles_are_of_the_messages_that_tell_seconds(warehouse: HandWritten) -> None:
    """A hundred and one messages of 1 to 101 s, that of 101 deleted since; one without end."""
    warehouse.app("chat", model="gpt-4o")
    warehouse.read_day()
    for seconds in range(1, 101):
        warehouse.message(latency_seconds=float(seconds))
    warehouse.message(latency_seconds=0.0)
    warehouse.message(latency_seconds=101.0, absent_since=NOON)
    row = warehouse.one_row_of(MART)
    assert (row["model"], row["messages"], row["is_proven"]) == ("gpt-4o", 101, True)
    assert [row[f"p{part}_seconds"] for part in (50, 95, 99)] == [51.0, 96.0, 100.0]
    assert row["max_seconds"] == 101.0
    assert row["messages_with_first_token"] == 0
    assert row["p50_first_token_seconds"] is None


def test_tokens_per_second_are_those_of_answers(warehouse: HandWritten) -> None:
    """Tokens of answers by the seconds of those that tell tokens; failures are counted."""
    warehouse.app("chat")
    warehouse.message(answer_tokens=30, latency_seconds=2.0)
    warehouse.message(answer_tokens=10, latency_seconds=2.0)
    warehouse.message(answer_tokens=0, latency_seconds=6.0, status="error")
    row = warehouse.one_row_of(MART)
    assert row["tokens_per_second"] == pytest.approx(10.0)
    assert (row["messages"], row["failed_messages"]) == (3, 1)
    assert row["is_proven"] is False


def test_first_token_where_dify_tells_it(warehouse: HandWritten) -> None:
    """Streaming servers tell when the first token came."""
    warehouse.app("advanced-chat")
    for seconds in (0.5, 1.5):
        warehouse.message(time_to_first_token_seconds=seconds)
    warehouse.message()
    row = warehouse.one_row_of(MART)
    assert (row["messages_with_first_token"], row["p50_first_token_seconds"]) == (2, 1.0)


def test_seconds_beyond_sense_break_no_build(warehouse: HandWritten) -> None:
    """A server may tell any finite number: the row is there, and the others are right."""
    warehouse.app("chat")
    warehouse.message(latency_seconds=9e300)
    warehouse.message(latency_seconds=2.0)
    row = warehouse.one_row_of(MART)
    assert (row["messages"], row["max_seconds"]) == (2, 9e300)
