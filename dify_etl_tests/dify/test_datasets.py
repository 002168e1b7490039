"""Datasets: private ones are asked for, and a missing plugin daemon is told as such."""

from datetime import UTC, datetime

import httpx
import pytest

from dify_etl.dify.datasets import DocumentSegment
from dify_etl.dify.errors import Refused
from dify_etl.dify.record import Page
from dify_etl_tests.dify.pretend_server import PretendServer
from dify_etl_tests.dify.recordings import VERSIONS, client, exchange


def test_private_datasets_are_asked_for() -> None:
    """An owner sees everybody's datasets only when he asks for them."""
    asked: list[httpx.QueryParams] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params)
        return httpx.Response(200, json={"data": [], "total": 0})

    client(PretendServer(answer=answer)).datasets.page()

    assert dict(asked[0]) == {"page": "1", "limit": "100", "include_all": "true"}


@pytest.mark.parametrize("version", VERSIONS)
def test_missing_plugin_daemon_is_hinted_at(version: str) -> None:
    """Without the daemon the list is a 400 that looks like a wrong parameter."""
    recorded = exchange(version, "plugin-daemon-down", "datasets-list")
    server = PretendServer(answer=lambda request: recorded.response())

    with pytest.raises(Refused) as caught:
        client(server).datasets.page()

    assert (caught.value.status, caught.value.code) == (400, "invalid_param")
    assert "plugin daemon" in caught.value.hint


@pytest.mark.parametrize("version", VERSIONS)
def test_documents_know_their_dataset(version: str) -> None:
    """Dify's rows do not tell the dataset: it is joined in."""
    recorded = exchange(version, "datasets", "documents-default")
    server = PretendServer(answer=lambda request: recorded.response())

    documents = client(server).datasets.documents_page("dataset-1")

    assert {document.dataset_id for document in documents} == {"dataset-1"}
    assert documents.total == recorded.body["total"]


def segment(**values: object) -> dict[str, object]:
    """A passage with nothing but an id, and what a test says."""
    return {"id": "segment-1", **values}


def segments_of(*rows: dict[str, object]) -> Page[DocumentSegment]:
    """What the client makes of these rows of a page."""
    answer = {"data": list(rows), "limit": 100, "total": len(rows), "total_pages": 1, "page": 1}
    server = PretendServer(answer=lambda request: httpx.Response(200, json=answer))
    return client(server).datasets.segments_page("dataset-1", "document-1")


def test_segment_may_lack_everything_but_its_id() -> None:
    """Dataset and document are those that were asked; null and missing are the same."""
    bare, null = segments_of(segment(), segment(id="segment-2", content=None, child_chunks=None))
    assert (bare.dataset_id, bare.document_id, bare.segment_id) == (
        "dataset-1",
        "document-1",
        "segment-1",
    )
    assert bare.model_copy(update={"segment_id": null.segment_id}) == null


def test_signed_text_of_a_segment_is_not_kept() -> None:
    """It is the text once more with links that are new on every read; what is unknown is."""
    (row,) = segments_of(segment(content="text", sign_content="text?sign=1", is_new=True))
    assert row.content == "text"
    assert row.extra == {"is_new": True}


def test_odd_field_of_a_segment_costs_only_itself() -> None:
    """The row is a record without it, and is named; one without an id is none."""
    page = segments_of(segment(hit_count="often", created_at=1_700_000_000), segment(id=None))
    (row,) = page.records
    assert (row.hit_count, row.odd_fields) == (None, ("hit_count",))
    assert row.created_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert [one.error_path for one in page.rejected] == ["hit_count", "id"]
    assert page.total == 2
