"""Apps: filters as each version reads them, details without the keys to the web app."""

from collections.abc import Sequence

import httpx
import pytest

from dify_etl_tests.dify.pretend_server import PretendServer
from dify_etl_tests.dify.recordings import VERSIONS, client, exchange

EMPTY = {"page": 1, "limit": 100, "total": 0, "has_more": False, "data": []}


def query_of(version: str, tag_ids: Sequence[str] = ()) -> dict[str, list[str]]:
    asked: dict[str, list[str]] = {}

    def answer(request: httpx.Request) -> httpx.Response:
        asked.update({key: request.url.params.get_list(key) for key in request.url.params})
        return httpx.Response(200, json=EMPTY)

    client(PretendServer(version=version, answer=answer)).apps.page(tag_ids=tag_ids)
    return asked


def test_order_does_not_move_while_paging() -> None:
    """The newest servers sort by last change unless told otherwise."""
    assert query_of("1.16.1")["sort_by"] == ["earliest_created"]


@pytest.mark.parametrize(
    ("version", "query"),
    [
        ("1.12.1", {"tag_ids": ["a,b"]}),
        ("1.14.2", {"tag_ids[0]": ["a"], "tag_ids[1]": ["b"]}),
        ("1.16.1", {"tag_ids": ["a", "b"]}),
    ],
)
def test_tags_are_written_in_the_versions_way(version: str, query: dict[str, list[str]]) -> None:
    """A comma list, then indexed names, then repeated ones."""
    found = query_of(version, tag_ids=("a", "b"))

    assert {key: value for key, value in found.items() if key.startswith("tag_ids")} == query


@pytest.mark.parametrize("version", VERSIONS)
def test_detail_keeps_no_key_to_the_web_app(version: str) -> None:
    """site.access_token and site.code let anyone in: they are in no part of the record."""
    recorded = exchange(version, "apps", "get-chat")
    secret = recorded.body["site"]["access_token"]
    server = PretendServer(answer=lambda request: recorded.response())

    app = client(server).apps.get("app-1")

    assert app.site is not None
    assert app.site.load()["title"] == recorded.body["site"]["title"]
    assert secret not in app.model_dump_json() + repr(app.extra)


def test_rejected_detail_keeps_no_key_either() -> None:
    """The error for a detail that cannot be parsed holds no value of it."""
    recorded = exchange("1.12.1", "apps", "get-chat")
    body = {**recorded.body, "created_at": "never"}
    server = PretendServer(answer=lambda request: httpx.Response(200, json=body))

    with pytest.raises(Exception, match="created_at") as caught:
        client(server).apps.get("app-1")

    assert recorded.body["site"]["access_token"] not in repr(caught.value) + str(caught.value)
