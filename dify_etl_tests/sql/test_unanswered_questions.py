"""What people asked without a good answer, from rows written by hand."""

from datetime import timedelta
from typing import Any

import pytest

from dify_etl_tests.sql.hand_written import DAY, NOON, HandWritten

MART = "marts.unanswered_questions"
DAYS = timedelta(days=3)


def ask(warehouse: HandWritten, question: str, **values: Any) -> str:
    """A question, a minute after the one before; answers the message's id."""
    at = NOON + timedelta(minutes=warehouse.rows_written)
    plain: dict[str, Any] = {"query": question, "answer": "Yes.", "created_at": at}
    warehouse.message(**(plain | values))
    return f"message {warehouse.rows_written}"


def cite(warehouse: HandWritten, message_id: str) -> None:
    """The answer of that message cites something."""
    warehouse.add("raw.message_citations", message_id=message_id, citation_number=1, app_id="app")


def test_equal_questions_are_one_group(warehouse: HandWritten) -> None:
    """Case, marks and spaces aside; the newest is the example, good answers are counted too."""
    warehouse.app("chat")
    ask(warehouse, "Where is my  parcel?", answer="")
    last = ask(warehouse, "where is my parcel", status="error", answer="On")
    ask(warehouse, "Where is my parcel!")
    ask(warehouse, "Something else")
    row = warehouse.one_row_of(MART)
    assert (row["question_group"], row["questions"]) == ("where is my parcel", 2)
    assert (row["unanswered_questions"], row["well_answered_questions"]) == (2, 1)
    assert (row["example_question"], row["example_answer"]) == ("where is my parcel", "On")
    assert (row["example_message_id"], row["last_asked_date"]) == (last, DAY)
    assert (row["people"], row["is_annotated"]) == (1, False)


def test_examples_that_share_conversation_and_time_have_texts_of_their_own(
    warehouse: HandWritten,
) -> None:
    """The clock of some servers stands for a while, and agents ask several questions at once."""
    warehouse.app("chat")
    for question, answer in (("One", ""), ("Two", "  ")):
        ask(warehouse, question, answer=answer, conversation_id="talk", created_at=NOON)
    ask(warehouse, "One", status="error", conversation_id="talk", created_at=NOON - DAYS)
    rows = warehouse.rows_of(MART)
    told = [(row["question_group"], row["example_question"], row["example_answer"]) for row in rows]
    assert sorted(told) == [("one", "One", ""), ("two", "Two", "  ")]


def test_disliked_answers(warehouse: HandWritten) -> None:
    """Whose dislike was withdrawn was answered well."""
    warehouse.app("chat")
    warehouse.like(ask(warehouse, "One"), rating="dislike")
    warehouse.like(ask(warehouse, "Two"), rating="dislike", absent_since=NOON)
    warehouse.like(ask(warehouse, "Three"))
    row = warehouse.one_row_of(MART)
    assert (row["question_group"], row["disliked_questions"]) == ("one", 1)


def test_answers_that_cite_nothing(warehouse: HandWritten) -> None:
    """Where answers cite, one that does not is a gap, unless an annotation gave it."""
    warehouse.app("chat")
    cite(warehouse, ask(warehouse, "Cited"))
    ask(warehouse, "Uncited")
    ask(warehouse, "Annotated", annotation_hit_id="a")
    row = warehouse.one_row_of(MART)
    assert (row["question_group"], row["uncited_questions"]) == ("uncited", 1)


def test_apps_without_sources_are_not_blamed(warehouse: HandWritten) -> None:
    """Nothing cites in the app: nothing is missing."""
    warehouse.app("chat")
    ask(warehouse, "Hello")
    assert warehouse.rows_of(MART) == []


@pytest.mark.parametrize("gone", [None, NOON])
def test_annotated_groups_are_marked(warehouse: HandWritten, gone: object) -> None:
    """An annotation with a question of the group answers the next who asks, while it is there."""
    warehouse.app("chat")
    ask(warehouse, "Why?", answer="")
    warehouse.add(
        "raw.annotations", annotation_id="a", app_id="app", question="WHY", absent_since=gone
    )
    assert warehouse.one_row_of(MART)["is_annotated"] is (gone is None)


def test_other_scripts_and_questions_of_marks(warehouse: HandWritten) -> None:
    """Chinese is kept, full-width marks fall away; a question of marks alone has no group."""
    warehouse.app("chat")
    ask(warehouse, "发票怎么开？", answer="")
    ask(warehouse, "发票怎么开", answer="")
    ask(warehouse, "???", answer="")
    ask(warehouse, "x" * 1000, answer="")
    rows = {row["question_group"]: row["questions"] for row in warehouse.rows_of(MART)}
    assert rows == {"发票怎么开": 2, "x" * 300: 1}


def test_who_waits_for_a_person_is_answered_later(warehouse: HandWritten) -> None:
    """A run that asks a person goes on when he answers."""
    warehouse.app("chat")
    ask(warehouse, "May I?", answer="", status="paused")
    assert warehouse.rows_of(MART) == []


def test_the_example_is_one_message(warehouse: HandWritten) -> None:
    """The newest, be its answer or its id unknown: nothing is taken from another message."""
    warehouse.app("completion")
    ask(warehouse, "Why?", answer="", message_id="opened")
    ask(warehouse, "why", answer=None, message_id=None, message_source="list")
    row = warehouse.one_row_of(MART)
    assert (row["example_question"], row["example_answer"]) == ("why", None)
    assert (row["example_message_id"], row["questions"]) == (None, 2)


def test_dislikes_of_logs_that_nobody_opened(warehouse: HandWritten) -> None:
    """The rating names a message, the log only its conversation, which has no other."""
    warehouse.app("completion")
    ask(warehouse, "Why?", conversation_id="log", message_id=None, message_source="list")
    ask(warehouse, "How?", conversation_id="other", message_id=None, message_source="list")
    warehouse.like("a message", rating="dislike", conversation_id="log")
    row = warehouse.one_row_of(MART)
    assert (row["question_group"], row["disliked_questions"]) == ("why", 1)


def test_what_a_closed_log_cites_nobody_knows(warehouse: HandWritten) -> None:
    """That others of its app cite is no reproach."""
    warehouse.app("completion")
    cite(warehouse, ask(warehouse, "Opened"))
    ask(warehouse, "Closed", message_id=None, message_source="list")
    assert warehouse.rows_of(MART) == []


def test_spaces_and_accents_of_every_kind(warehouse: HandWritten) -> None:
    """Ideographic, no-break and invisible spaces; an accent as one character or as two."""
    warehouse.app("chat")
    for question in ("un é", "un\u3000é", "un\u00a0é", "un\u200bé", "un e\u0301"):
        ask(warehouse, question, answer="")
    row = warehouse.one_row_of(MART)
    assert (row["question_group"], row["questions"]) == ("un é", 5)
