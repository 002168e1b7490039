"""Apps: filters as each version reads them, details without the keys to the web app."""

from collections.abc import Sequence

import httpx
import pytest

from dify_etl.dify.app_records import App
from dify_etl.dify.errors import UnexpectedAnswer
from dify_etl.dify.json_text import JsonText
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


NEWEST_SERVERS = ("1.16.1", "main-2026-08")


class RecordedFilters:
    """The recorded lists of 1.16.1 and main, chosen by how the ids are written."""

    def __init__(self, version: str, told: str = "1.16.1") -> None:
        self.version = version
        self.asked: list[str] = []
        self.server = PretendServer(version=told, answer=self._answer)

    @property
    def tag_ids(self) -> list[str]:
        """The two tags of the recordings."""
        query = exchange(self.version, "apps", "list-tag-repeated").query
        return [text for name, text in query if name == "tag_ids"]

    def _answer(self, request: httpx.Request) -> httpx.Response:
        asked = request.url.params
        if "tag_ids[0]" in asked:
            name = "list-tag-indexed-two" if "tag_ids[1]" in asked else "list-tag-indexed"
        elif "creator_ids[0]" in asked:
            name = "list-creator-indexed-unknown"
        elif "creator_ids" in asked:
            name = "list-creator-plain"
        elif len(asked.get_list("tag_ids")) > 1:
            name = "list-tag-repeated"
        else:
            name = "list-tag-comma" if "," in asked["tag_ids"] else "list-tag-plain-one"
        self.asked.append(name)
        return exchange(self.version, "apps", name).response()


@pytest.mark.parametrize("told", ["1.12.1", "1.14.2", "1.15.0", "1.16.1", "1.17.0"])
@pytest.mark.parametrize("version", NEWEST_SERVERS)
def test_filter_that_the_server_ignores_is_not_believed(version: str, told: str) -> None:
    """Whatever version is told: 1.16.1 and main send all apps for the indexed form, and refuse the
    comma list; what comes in the end has the tags.
    """
    recorded = RecordedFilters(version, told)

    page = client(recorded.server).apps.page(tag_ids=recorded.tag_ids)

    assert len(page.records) == page.total == 1
    assert recorded.asked[-1] == "list-tag-repeated"
    assert told != "1.16.1" or len(recorded.asked) == 1


@pytest.mark.parametrize("version", NEWEST_SERVERS)
def test_creators_are_checked_by_the_rows(version: str) -> None:
    """A creator whose apps come passes; one that the rows contradict in every form is an error."""
    recorded = RecordedFilters(version)
    known = dict(exchange(version, "apps", "list-creator-plain").query)["creator_ids"]
    apps = client(recorded.server).apps

    assert {app.created_by for app in apps.page(creator_ids=[known]).records} == {known}
    with pytest.raises(UnexpectedAnswer, match="does not filter"):
        apps.page(creator_ids=["1dfc2551-a0d9-49ff-bd07-c5450090bc02"])


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


@pytest.mark.parametrize("tags", [7, "text", {"id": "a"}, [7, None, {"name": "b"}, {"id": 7}]])
def test_odd_tags_are_none(tags: object) -> None:
    """What stands for tags and is none names no tag; the others are told."""
    app = App.model_construct(tags=JsonText.of(tags))
    assert app.tag_values("id") == set()
    assert app.tag_values("name") == ({"b"} if isinstance(tags, list) else set())
