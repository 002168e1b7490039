"""Errors by their text without what differs, from rows written by hand."""

from datetime import timedelta

from dify_etl_tests.sql.hand_written import NOON, HandWritten

MART = "marts.errors"


def test_texts_that_differ_in_values_are_one_error(warehouse: HandWritten) -> None:
    """Ids, numbers and quoted values are replaced; the newest text is the example."""
    warehouse.app("chat")
    for number, (person, text) in enumerate(
        (
            ("ada", "Run 3f8fd213-979c-4bda-8b88-f9aa3d65a2a8 failed after 30 s: 'a secret'"),
            ("bob", "Run 1b4eee79-0f7e-43f8-9ebb-85c0e2feb8e8 failed after 5 s: 'another'"),
            ("bob", "Rate limit"),
        )
    ):
        warehouse.message(
            f"talk {number}",
            status="error",
            error=text,
            from_end_user_id=person,
            created_at=NOON + timedelta(minutes=number),
        )
    rows = {row["error_group"]: row for row in warehouse.rows_of(MART)}
    assert set(rows) == {"Run <id> failed after <n> s: <value>", "Rate limit"}
    found = rows["Run <id> failed after <n> s: <value>"]
    assert (found["errors"], found["people"], found["affected_conversations"]) == (2, 2, 2)
    assert (found["first_at"], found["last_at"]) == (NOON, NOON + timedelta(minutes=1))
    assert found["example_error"].startswith("Run 1b4eee79")
    assert (found["error_kind"], found["example_id"]) == ("message", "message 2")


def test_apostrophes_quote_nothing(warehouse: HandWritten) -> None:
    """What stands between `can't` and `won't` is no value: such errors stay two."""
    warehouse.app("chat")
    for text in ("can't reach A, won't retry", "can't parse B, won't retry", "got \"x\": 'y'"):
        warehouse.message(status="error", error=text)
    assert {row["error_group"] for row in warehouse.rows_of(MART)} == {
        "can't reach A, won't retry",
        "can't parse B, won't retry",
        "got <value>: <value>",
    }


def test_nodes_and_runs_have_rows_of_their_own(warehouse: HandWritten) -> None:
    """A run that failed for a node: both are told, with the node; debugging is left out."""
    warehouse.app("workflow")
    run = warehouse.run(status="failed", error="no key")
    warehouse.node(run, node_id="search", node_type="tool", status="failed", error="no key")
    debugged = warehouse.run(triggered_from="debugging", status="failed", error="no key")
    warehouse.node(debugged, status="failed", error="no key")
    rows = {row["error_kind"]: row for row in warehouse.rows_of(MART)}
    assert {kind: row["errors"] for kind, row in rows.items()} == {"node": 1, "run": 1}
    node = rows["node"]
    assert (node["node_type"], node["nodes"], node["example_node_id"]) == ("tool", 1, "search")


def test_what_was_deleted_since_is_counted(warehouse: HandWritten) -> None:
    """It happened, be its log gone from Dify by now."""
    warehouse.app("chat")
    warehouse.message(status="error", error="boom", absent_since=NOON)
    assert warehouse.one_row_of(MART)["errors"] == 1


def test_what_is_empty_or_stopped_is_no_error(warehouse: HandWritten) -> None:
    """Empty texts are left out, and runs that somebody ended."""
    warehouse.app("chat")
    warehouse.message(status="error", error="")
    warehouse.message()
    warehouse.run(status="stopped", error="Stopped by user.")
    assert warehouse.rows_of(MART) == []


def test_tools_of_agents_fail_too(warehouse: HandWritten) -> None:
    """A tool call with an error is one of the message's person."""
    warehouse.app("agent-chat")
    warehouse.message(message_id="asked", from_end_user_id="ada")
    warehouse.add(
        "raw.agent_tool_calls",
        agent_thought_id="thought",
        call_position=1,
        message_id="asked",
        conversation_id="talk",
        app_id="app",
        tool_name="search",
        error="HTTP 502",
        message_created_at=NOON,
    )
    row = warehouse.one_row_of(MART)
    assert (row["error_kind"], row["error_group"], row["people"]) == ("tool", "HTTP <n>", 1)
