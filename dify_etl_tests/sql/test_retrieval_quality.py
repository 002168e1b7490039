"""What answers cite, and what none does, from rows written by hand."""

from datetime import timedelta

import pytest

from dify_etl_tests.sql.hand_written import DAY, NOON, HandWritten

MART = "marts.retrieval_quality"


def cite(warehouse: HandWritten, message: str, segment: str | None, score: float | None) -> None:
    """An answer of noon that cites a segment of document d in dataset s."""
    warehouse.rows_written += 1
    warehouse.add(
        "raw.message_citations",
        message_id=message,
        app_id="app",
        citation_number=warehouse.rows_written,
        dataset_id="s",
        dataset_name="set as cited",
        document_id="d",
        document_name=f"name in {message}",
        segment_id=segment,
        segment_position=3,
        score=score,
        message_created_at=NOON + timedelta(days=int(message[-1])),
        message_created_date=DAY + timedelta(days=int(message[-1])),
    )


@pytest.fixture
def cited(warehouse: HandWritten) -> HandWritten:
    """Segment a is cited by two answers, one liked and one disliked; segment b by one."""
    warehouse.app("chat")
    cite(warehouse, "message 1", "a", 0.8)
    cite(warehouse, "message 2", "a", 0.6)
    cite(warehouse, "message 2", "b", None)
    warehouse.like("message 1")
    warehouse.like("message 2", rating="dislike")
    warehouse.like("message 2", from_source="admin", absent_since=NOON)
    return warehouse


def test_segments_have_their_scores_and_ratings(cited: HandWritten) -> None:
    """Means of scores, answers that were liked and disliked, first and last day."""
    first, second = cited.rows_of(MART)
    assert (first["segment_id"], first["citations"], first["cited_messages"]) == ("a", 2, 2)
    scores = [first[f"{name}_score"] for name in ("average", "best", "worst")]
    assert scores == [pytest.approx(0.7), 0.8, 0.6]
    assert (first["liked_messages"], first["disliked_messages"]) == (1, 1)
    days = (DAY + timedelta(days=1), DAY + timedelta(days=2))
    assert (first["first_cited_date"], first["last_cited_date"]) == days
    assert (second["segment_id"], second["average_score"]) == ("b", None)
    assert (second["liked_messages"], second["disliked_messages"]) == (0, 1)


def test_documents_that_are_gone_have_their_last_name(cited: HandWritten) -> None:
    """The document is not in Dify any more: the newest citation tells its name."""
    names = {row["document_name"] for row in cited.rows_of(MART)}
    assert names == {"name in message 2"}
    assert {row["is_document_in_dify"] for row in cited.rows_of(MART)} == {False}


def test_documents_never_cited_have_a_row(cited: HandWritten) -> None:
    """Of two documents in Dify one is cited; a deleted one is no gap."""
    cited.add("raw.datasets", dataset_id="s", name="set")
    for document, gone in (("d", None), ("lonely", None), ("deleted", NOON)):
        cited.add(
            "raw.documents",
            document_id=document,
            dataset_id="s",
            name=f"{document} now",
            absent_since=gone,
        )
    rows = cited.rows_of(MART)
    assert [row["document_name"] for row in rows if row["is_cited"]] == ["d now", "d now"]
    (lonely,) = [row for row in rows if not row["is_cited"]]
    assert (lonely["document_name"], lonely["segment_id"], lonely["citations"]) == (
        "lonely now",
        None,
        0,
    )
    assert (lonely["dataset_name"], lonely["is_document_in_dify"]) == ("set", True)


@pytest.fixture
def segmented(cited: HandWritten) -> HandWritten:
    """Document d, and another that no answer cites, have segments; one of d's was deleted."""
    cited.add("raw.datasets", dataset_id="s", name="set")
    for document in ("d", "lonely"):
        cited.add("raw.documents", document_id=document, dataset_id="s", name=f"{document} now")
    for segment, document, gone in (
        *(("a", "d", None), ("b", "d", None), ("c", "d", None), ("old", "d", NOON)),
        ("e", "lonely", None),
    ):
        cited.add(
            "raw.document_segments",
            segment_id=segment,
            document_id=document,
            dataset_id="s",
            position=4,
            absent_since=gone,
        )
    return cited


def test_segments_never_cited_have_a_row_where_they_are_read(segmented: HandWritten) -> None:
    """Beside that of the document of which none is cited; deleted ones are no gap."""
    for document in ("d", "lonely"):
        segmented.add("ops.document_reads", document_id=document, state="proven")
    rows = segmented.rows_of(MART)
    never = [row for row in rows if not row["is_cited"]]
    told = {(row["document_name"], row["segment_id"], row["segment_position"]) for row in never}
    assert told == {("d now", "c", 4), ("lonely now", "e", 4), ("lonely now", None, None)}
    assert {(row["citations"], row["is_document_in_dify"]) for row in never} == {(0, True)}
    assert [row["segment_id"] for row in rows if row["is_cited"]] == ["a", "b"]


def test_segments_that_are_read_no_more_are_not_called_uncited(segmented: HandWritten) -> None:
    """Their rows stay when the feed is turned off, and nobody knows whether they are there."""
    never = [row for row in segmented.rows_of(MART) if not row["is_cited"]]
    assert [(row["document_name"], row["segment_id"]) for row in never] == [("lonely now", None)]


def test_external_sources(warehouse: HandWritten) -> None:
    """A source outside of Dify tells no segment; scores may be beyond sense."""
    warehouse.app("chat")
    cite(warehouse, "message 1", None, 9e300)
    cite(warehouse, "message 1", None, 9e300)
    row = warehouse.one_row_of(MART)
    assert (row["segment_id"], row["is_cited"], row["citations"]) == (None, True, 2)
    assert (row["cited_messages"], row["average_score"]) == (1, 9e300)


def test_what_is_gone_is_not_in_dify(cited: HandWritten) -> None:
    """Of a deleted dataset the citation tells the name, and its documents are gone with it."""
    cited.add("raw.datasets", dataset_id="s", name="old name", absent_since=NOON)
    cited.add("raw.documents", document_id="d", dataset_id="s", name="d now")
    rows = cited.rows_of(MART)
    assert {row["dataset_name"] for row in rows} == {"set as cited"}
    assert {row["is_document_in_dify"] for row in rows} == {False}
