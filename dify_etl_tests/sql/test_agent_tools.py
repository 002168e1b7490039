"""Tools of agents by day, from rows written by hand."""

from typing import Any

from dify_etl_tests.sql.hand_written import NOON, HandWritten

MART = "marts.agent_tools"


def call(warehouse: HandWritten, number: int, **values: Any) -> None:
    """A call of the tool `search` in a message of its own."""
    plain = {
        "agent_thought_id": f"thought {number}",
        "call_position": 1,
        "message_id": f"asked {number}",
        "conversation_id": "talk",
        "app_id": "app",
        "tool_name": "search",
        "message_created_at": NOON,
    }
    warehouse.message(message_id=f"asked {number}", from_end_user_id=f"user {number % 2}")
    warehouse.add("raw.agent_tool_calls", **(plain | values))


def test_calls_fail_by_error_or_status(warehouse: HandWritten) -> None:
    """Calls of which nothing is told are no successes, and count for no rate."""
    warehouse.app("agent-chat")
    call(warehouse, 1, status="success", seconds=1.0, step_tokens=10)
    call(warehouse, 2, status="error", seconds=3.0, step_tokens=20)
    call(warehouse, 3, error="HTTP 502", status="success", seconds=2.0)
    call(warehouse, 4)
    row = warehouse.one_row_of(MART)
    assert (row["calls"], row["failed_calls"], row["untold_calls"]) == (4, 2, 1)
    assert row["failure_rate"] == 2 / 3
    assert (row["messages"], row["people"], row["step_tokens"]) == (4, 2, 30)
    assert (row["p50_seconds"], row["total_seconds"]) == (2.0, 6.0)


def test_nothing_told_is_no_rate(warehouse: HandWritten) -> None:
    """Newest agents tell calls without status and seconds; what was deleted happened."""
    warehouse.app("agent")
    call(warehouse, 1)
    call(warehouse, 2, absent_since=NOON)
    row = warehouse.one_row_of(MART)
    assert (row["calls"], row["failure_rate"], row["p50_seconds"]) == (2, None, None)


def test_figures_beyond_sense_break_no_build(warehouse: HandWritten) -> None:
    """A server may tell any number that a column takes: the tool has its row, and the exact sum."""
    warehouse.app("agent-chat")
    for number in (1, 2):
        call(warehouse, number, seconds=9e300, step_tokens=2**63 - 1, status="success")
    row = warehouse.one_row_of(MART)
    assert (row["total_seconds"], row["step_tokens"]) == (1.8e301, 2**64 - 2)
