"""Ratings with what was rated, from rows written by hand."""

from dify_etl_tests.sql.hand_written import DAY, NOON, HandWritten

MART = "marts.feedback_log"


def test_a_rating_has_its_question(warehouse: HandWritten) -> None:
    """Question, answer, model, who asked and who rated, and the documents that the answer cites."""
    warehouse.app("chat", model="gpt-4o")
    warehouse.read_day()
    for name in ("ada", "bob"):
        warehouse.add(
            "raw.conversations",
            conversation_id=f"of {name}",
            app_id="app",
            from_end_user_id=f"id of {name}",
            from_end_user_session_id=name,
        )
    warehouse.message("of ada", query="Why?", answer="So.", from_end_user_id="id of ada")
    for position, document in enumerate(("second", "first", "second"), 1):
        warehouse.add(
            "raw.message_citations",
            message_id="message 1",
            citation_number=position,
            app_id="app",
            document_name=document,
        )
    given = {"from_end_user_id": "id of bob", "content": "Too short", "conversation_id": "of ada"}
    warehouse.like("message 1", rating="dislike", created_at=NOON, **given)
    row = warehouse.one_row_of(MART)
    assert (row["question"], row["answer"], row["model"]) == ("Why?", "So.", "gpt-4o")
    assert (row["asker_name"], row["giver_name"], row["comment"]) == ("ada", "bob", "Too short")
    assert (row["citations"], row["cited_documents"]) == (3, '["first","second"]')
    assert (row["rating"], row["rated_date"], row["total_tokens"]) == ("dislike", DAY, 30)
    assert (row["is_annotated"], row["is_absent"]) == (False, False)


def test_rows_of_what_is_gone_stay(warehouse: HandWritten) -> None:
    """A withdrawn rating, and a rating whose message nobody could read, have their rows."""
    warehouse.app("chat")
    warehouse.message(annotation_id="a")
    warehouse.like("message 1", absent_since=NOON)
    warehouse.like("message of nobody")
    rows = {row["message_id"]: row for row in warehouse.rows_of(MART)}
    assert (rows["message 1"]["is_absent"], rows["message 1"]["is_annotated"]) == (True, True)
    lost = rows["message of nobody"]
    assert (lost["question"], lost["citations"], lost["cited_documents"]) == (None, 0, None)


def test_logs_that_nobody_opened(warehouse: HandWritten) -> None:
    """Dify names no message of a completion log: the conversation has only one."""
    warehouse.app("completion")
    warehouse.message("talk", message_id=None, query="Why?", message_source="list")
    warehouse.like("a message", conversation_id="talk")
    assert warehouse.one_row_of(MART)["question"] == "Why?"


def test_figures_beyond_sense_break_no_build(warehouse: HandWritten) -> None:
    """The exact sum of the largest numbers that a column takes."""
    warehouse.app("chat")
    warehouse.message(message_tokens=2**63 - 1, answer_tokens=2**63 - 1)
    warehouse.like("message 1")
    assert warehouse.one_row_of(MART)["total_tokens"] == 2**64 - 2


def test_sources_without_a_name_are_counted(warehouse: HandWritten) -> None:
    """They are citations, and no name."""
    warehouse.app("chat")
    warehouse.message()
    for position, name in enumerate((None, "guide"), 1):
        warehouse.add(
            "raw.message_citations",
            message_id="message 1",
            citation_number=position,
            app_id="app",
            document_name=name,
        )
    warehouse.like("message 1")
    row = warehouse.one_row_of(MART)
    assert (row["citations"], row["cited_documents"]) == (2, '["guide"]')
