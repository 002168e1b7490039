"""How conversations went, from rows written by hand."""

from datetime import timedelta
from typing import Any

import pytest

from dify_etl_tests.sql.hand_written import DAY, NOON, HandWritten

MART = "marts.conversation_quality"


def talk(warehouse: HandWritten, *messages: dict[str, Any], **values: Any) -> dict[str, Any]:
    """The row of a conversation whose messages come a minute apart."""
    warehouse.app("chat")
    warehouse.add(
        "raw.conversations",
        **{
            "conversation_id": "talk",
            "app_id": "app",
            "from_end_user_id": "user",
            "from_end_user_session_id": "ada",
            "from_source": "api",
            "created_at": NOON,
        }
        | values,
    )
    for number, message in enumerate(messages):
        plain: dict[str, Any] = {"answer": "Yes.", "created_at": NOON + timedelta(minutes=number)}
        warehouse.message(**(plain | message))
    return warehouse.one_row_of(MART)


def test_a_good_conversation(warehouse: HandWritten) -> None:
    """Turns, time between first and last question, tokens, who talked, ratings, annotations."""
    warehouse.like("message 1", conversation_id="talk")
    warehouse.like("message 2", conversation_id="talk", rating="dislike", from_source="admin")
    warehouse.like("message 2", conversation_id="talk", absent_since=NOON)
    row = talk(warehouse, {"annotation_id": "a"}, {"annotation_hit_id": "a"}, {})
    assert (row["turns"], row["duration_seconds"], row["total_tokens"]) == (3, 120.0, 90)
    assert (row["person_name"], row["person_kind"], row["app_mode"]) == ("ada", "end_user", "chat")
    assert (row["likes"], row["dislikes"]) == (1, 1)
    assert (row["annotated_messages"], row["annotation_hits"]) == (1, 1)
    assert (row["unanswered_messages"], row["is_abandoned"]) == (0, False)
    assert (row["created_date"], row["average_latency_seconds"]) == (DAY, 2.0)


@pytest.mark.parametrize("answer", [" Yes.", "\r\n\tYes.", "\u3000", "  \x00", "é"])
def test_what_begins_with_blanks_is_an_answer_all_the_same(
    warehouse: HandWritten, answer: str
) -> None:
    """Only blanks, tabs and ends of lines alone are none."""
    assert talk(warehouse, {"answer": answer})["unanswered_messages"] == 0


@pytest.mark.parametrize("answer", ["", " \n", "\t\r\n  ", None])
def test_silence_at_the_end_is_abandoned(warehouse: HandWritten, answer: str | None) -> None:
    """Nobody asked again after an empty answer."""
    row = talk(warehouse, {}, {"answer": answer})
    assert (row["unanswered_messages"], row["is_abandoned"], row["error_messages"]) == (1, True, 0)


def test_silence_in_the_middle_is_not(warehouse: HandWritten) -> None:
    """The question was asked again, and answered."""
    row = talk(warehouse, {"answer": "", "status": "error"}, {})
    assert (row["unanswered_messages"], row["error_messages"], row["is_abandoned"]) == (1, 1, False)


def test_part_of_an_answer_and_an_error(warehouse: HandWritten) -> None:
    """It failed while it was written: there is an answer, and the conversation is abandoned."""
    row = talk(warehouse, {"status": "error"})
    assert (row["unanswered_messages"], row["error_messages"], row["is_abandoned"]) == (0, 1, True)


def test_who_waits_for_a_person_is_not_unanswered(warehouse: HandWritten) -> None:
    """A run that asks a person goes on when he answers."""
    row = talk(warehouse, {"answer": "", "status": "paused"})
    assert (row["waiting_messages"], row["unanswered_messages"]) == (1, 0)
    assert row["is_abandoned"] is False


def test_who_waits_by_a_form_is_not_unanswered(warehouse: HandWritten) -> None:
    """A blocking client's message is normal and empty; its form tells that it waits."""
    form = {"app_id": "app", "message_id": "message 1"}
    warehouse.add("raw.human_inputs", human_input_id="form", state="waiting", **form)
    row = talk(warehouse, {"answer": ""})
    assert (row["waiting_messages"], row["unanswered_messages"]) == (1, 0)


def test_who_answered_too_late_is_unanswered(warehouse: HandWritten) -> None:
    """The form expired: nobody is waited for any more."""
    form = {"app_id": "app", "message_id": "message 1"}
    warehouse.add("raw.human_inputs", human_input_id="form", state="expired", **form)
    assert talk(warehouse, {"answer": ""})["unanswered_messages"] == 1


def test_conversation_without_a_question(warehouse: HandWritten) -> None:
    """One that nobody shows the messages of has a row, and no verdict."""
    row = talk(warehouse, absent_since=NOON)
    assert (row["turns"], row["duration_seconds"], row["is_abandoned"]) == (0, None, None)
    assert row["is_absent"] is True


def test_figures_beyond_sense_break_no_build(warehouse: HandWritten) -> None:
    """The exact sum of the largest numbers that a column takes."""
    huge = {"message_tokens": 2**63 - 1, "answer_tokens": 2**63 - 1, "latency_seconds": 9e300}
    row = talk(warehouse, huge, huge)
    assert row["total_tokens"] == 4 * (2**63 - 1)


def test_failed_messages_tell_no_latency(warehouse: HandWritten) -> None:
    """Dify leaves 0 seconds with them."""
    row = talk(warehouse, {"latency_seconds": 8.0}, {"latency_seconds": 0.0, "status": "error"})
    assert (row["turns"], row["average_latency_seconds"]) == (2, 8.0)
