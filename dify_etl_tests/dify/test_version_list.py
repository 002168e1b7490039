"""The list of versions tells no total: it is read to its end and back, and no version is lost."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from dify_etl.dify.http.deny_list import without_secrets
from dify_etl.dify.paging import MOST_STALE_PAGES
from dify_etl.dify.record import Page
from dify_etl.dify.version_list import VersionWalk
from dify_etl.dify.workflow_records import WorkflowVersion
from dify_etl_tests.dify.recordings import VERSIONS, Exchange, exchanges, playing


def version(number: int) -> WorkflowVersion:
    """The version of a number; the higher, the newer."""
    return WorkflowVersion.model_validate({"app_id": "a", "id": f"{number:03}"})


class Versions:
    """A list of versions, newest first, that `changes` after so many requests."""

    def __init__(self, count: int, changes: dict[int, Callable[[list[int]], object]]) -> None:
        self.numbers = list(range(count, 0, -1))
        self.changes = changes
        self.asked = 0

    def page(self, page: int, limit: int) -> Page[WorkflowVersion]:
        """One page as Dify cuts it."""
        if change := self.changes.get(self.asked):
            change(self.numbers)
        self.asked += 1
        shown = self.numbers[(page - 1) * limit : page * limit]
        has_more = len(self.numbers) > page * limit
        return Page(tuple(map(version, shown)), page=page, limit=limit, has_more=has_more)


def walked(versions: Versions) -> tuple[set[str], VersionWalk]:
    """The ids that a walk brings, and the walk."""
    walk = VersionWalk(versions.page, key=lambda one: one.workflow_id)
    return {one.workflow_id for page in walk for one in page}, walk


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (20, 1), (21, 3), (60, 5)])
def test_quiet_list_is_proven(count: int, requests: int) -> None:
    """One page proves itself; several are read to the end and back."""
    versions = Versions(count, {})
    ids, walk = walked(versions)
    assert ids == {f"{number:03}" for number in range(1, count + 1)}
    assert walk.proof.is_proven
    assert versions.asked == requests


@pytest.mark.parametrize("when", range(1, 6))
@pytest.mark.parametrize("change", [lambda some: some.pop(0), lambda some: some.insert(0, 999)])
def test_no_version_is_lost_while_the_list_moves(
    when: int, change: Callable[[list[int]], object]
) -> None:
    """A version that is deleted or published between two pages hides no other one."""
    versions = Versions(60, {when: change})
    ids, walk = walked(versions)
    assert {f"{number:03}" for number in range(1, 60)} <= ids
    assert walk.proof.is_proven


def test_list_that_never_ends_is_not_proven() -> None:
    """A server that promises more for ever is believed for some pages only."""
    asked: list[int] = []

    def page(number: int, limit: int) -> Page[WorkflowVersion]:
        asked.append(number)
        return Page((version(1),), has_more=True)

    walk = VersionWalk(page, key=lambda one: one.workflow_id)
    assert list(walk)
    assert not walk.proof.is_proven
    assert max(asked) == MOST_STALE_PAGES + 1


def lists_of(version_text: str) -> list[Exchange]:
    """The recorded lists of versions that end with their page."""
    return [
        one
        for one in exchanges(version_text)
        if one.path.endswith("/workflows") and one.status == 200 and not one.body["has_more"]
    ]


@pytest.mark.parametrize("version_text", VERSIONS)
def test_published_versions_come_without_the_draft(version_text: str) -> None:
    """Of every recorded list, all but the draft are records, and nothing is rejected or unknown."""
    lists = lists_of(version_text)
    assert lists
    for recorded in lists:
        with playing(recorded) as dify:
            (page,) = dify.workflows.published_walk("a")
        told = [row for row in recorded.body["items"] if row["version"] != "draft"]
        assert [one.workflow_id for one in page] == [row["id"] for row in told]
        assert [one.version for one in page] == [row["version"] for row in told]
        assert [one.graph.load() for one in page if one.graph] == [row["graph"] for row in told]
        assert page.rejected == ()
        assert [one.extra for one in page] == [{} for _ in told]


def test_app_without_publication_has_an_empty_list() -> None:
    """Before the first publication Dify shows nothing, also when a draft is saved: proven empty."""
    name = "workflow-versions-draft-never-published"
    with playing(next(one for one in exchanges("1.16.1") if one.name == name)) as dify:
        walk = dify.workflows.published_walk("a")
        assert [len(page) for page in walk] == [0]
    assert walk.proof.is_proven


def test_values_of_environment_variables_are_kept_nowhere() -> None:
    """Of a version that is no record and waits in quarantine, names and types are kept alone."""
    variable = {"id": "v", "name": "plain", "value_type": "string", "value": "s3cret"}
    recorded = next(one for one in exchanges("1.12.1") if one.name == "workflows-list")
    last = recorded.body["items"][-1]
    odd = [{**last, "environment_variables": [variable], "id": None}]
    with playing(replace(recorded, body={**recorded.body, "items": odd})) as dify:
        (page,) = dify.workflows.published_walk("a")
    (rejected,) = page.rejected
    assert "plain" in (rejected.raw or "")
    assert "s3cret" not in (rejected.raw or "")


def test_secrets_in_lines_of_http_nodes_are_taken_out() -> None:
    """Headers and parameters of an HTTP node are one text each: what is secret by its name goes,
    a variable and all else stays.
    """
    headers = (
        "X-Api-Key:abc\nContent-Type: text/plain\nAuthorization:{{#env.KEY#}}\n"
        "authorization: Bearer {{#env.KEY#}}\nx-auth-token: d{{#env.PART#}}"
    )
    node = {"id": "1", "data": {"type": "http-request", "headers": headers, "params": "api_key:e"}}
    other = {"id": "2", "data": {"type": "code", "headers": headers}}
    kept = without_secrets({"nodes": [node, other, None], "edges": []})
    lines = (
        "X-Api-Key:(secret)\nContent-Type: text/plain\nAuthorization:{{#env.KEY#}}\n"
        "authorization: Bearer {{#env.KEY#}}"
    )
    assert kept["nodes"][0]["data"] == {
        "type": "http-request",
        "headers": f"{lines}\nx-auth-token:(secret)",
        "params": "api_key:(secret)",
    }
    assert kept["nodes"][1:] == [other, None]
    assert kept["edges"] == []
    assert without_secrets("no graph") == "no graph"
