"""Datasets: private ones are asked for, and a missing plugin daemon is told as such."""

import httpx
import pytest

from dify_etl.dify.errors import Refused
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
