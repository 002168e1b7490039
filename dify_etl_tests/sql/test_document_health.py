"""Datasets by the state of their documents, from rows written by hand."""

from datetime import timedelta
from typing import Any

from dify_etl_tests.sql.hand_written import NOON, RUN_ENDED, HandWritten

MART = "marts.document_health"


def document(warehouse: HandWritten, number: int, status: str, **values: Any) -> None:
    """A document of a dataset, made at noon."""
    plain = {
        "document_id": f"document {number}",
        "dataset_id": "dataset",
        "name": f"file {number}",
        "indexing_status": status,
        "is_enabled": True,
        "is_archived": False,
        "word_count": 100,
        "hit_count": 0,
        "created_at": NOON,
    }
    warehouse.add("raw.documents", **(plain | values))


def read(warehouse: HandWritten) -> None:
    warehouse.add("raw.datasets", dataset_id="dataset", name="Manuals", app_count=2)
    warehouse.add("ops.slices", feed="documents", state="proven", read_at=RUN_ENDED)


def test_every_document_has_a_state(warehouse: HandWritten) -> None:
    """Available, working, paused, failed, disabled, archived; a deleted one counts nowhere."""
    read(warehouse)
    document(warehouse, 1, "completed", hit_count=3)
    document(warehouse, 2, "completed")
    document(warehouse, 3, "completed", is_enabled=False)
    document(warehouse, 4, "completed", is_archived=True)
    document(warehouse, 5, "indexing")
    document(warehouse, 6, "waiting", created_at=RUN_ENDED - timedelta(hours=2))
    document(warehouse, 7, "indexing", display_status="paused")  # as Dify's lists tell it
    document(warehouse, 8, "error", error="bad file")
    document(warehouse, 9, "error", error="worse", created_at=NOON + timedelta(minutes=1))
    document(warehouse, 10, "completed", absent_since=NOON)
    row = warehouse.one_row_of(MART)
    names = ("", "available_", "working_", "paused_", "failed_", "disabled_", "archived_")
    assert [row[f"{name}documents"] for name in names] == [9, 2, 2, 1, 2, 1, 1]
    assert (row["stuck_documents"], row["oldest_working_since_at"]) == (1, NOON)
    assert (row["last_error"], row["last_error_document"]) == ("worse", "file 9")
    assert (row["characters"], row["hits"], row["never_hit_documents"]) == (900, 3, 1)
    assert (row["apps"], row["read_at"]) == (2, RUN_ENDED)


def test_empty_dataset_is_a_row_of_zeros(warehouse: HandWritten) -> None:
    """It has no documents, and nothing of it is stuck."""
    read(warehouse)
    row = warehouse.one_row_of(MART)
    assert (row["documents"], row["stuck_documents"], row["characters"]) == (0, 0, None)


def test_figures_beyond_sense_break_no_build(warehouse: HandWritten) -> None:
    """A server may tell any number that a column takes: the sums are exact."""
    read(warehouse)
    for number in (1, 2):
        document(warehouse, number, "completed", word_count=2**63 - 1, hit_count=2**63 - 1)
    row = warehouse.one_row_of(MART)
    assert (row["characters"], row["hits"]) == (2**64 - 2, 2**64 - 2)


def test_an_error_without_a_text_is_that_of_its_document(warehouse: HandWritten) -> None:
    """The newest failed document tells none: that of another is not put in its place."""
    read(warehouse)
    document(warehouse, 1, "error", error="bad file")
    document(warehouse, 2, "error", error=None, created_at=NOON + timedelta(minutes=1))
    row = warehouse.one_row_of(MART)
    assert (row["last_error"], row["last_error_document"]) == (None, "file 2")
