"""Segments of documents, as the source of the releases answers them."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from dify_etl_tests.simulated.conftest import NOW
from dify_etl_tests.simulated.signing_in import signed_in
from dify_simulated import SimulatedDify, World, WorldPlan, build_world

VERSIONS = ("1.0.0", "1.7.2", "1.12.1", "1.16.1", "main-2026-08")


@pytest.fixture
def route(world: World) -> str:
    """The segments of the first document, of which there are 104."""
    document = next(row for row in world.documents.values() if row.segments)
    for number in range(100):
        world.add_segment(document.id, f"more {number}", at=NOW)
    return f"/datasets/{document.dataset_id}/documents/{document.id}/segments"


def asked(world: World, version: str, route: str, **query: object) -> httpx.Response:
    """One answer of a server of that version to the account that reads."""
    reader = signed_in(SimulatedDify(world, version))
    return reader.get(route, params={name: str(one) for name, one in query.items()})


def test_pages_come_by_position(world: World, route: str) -> None:
    """With total and number of pages, and no `has_more`; a page behind the last one is empty."""
    for version in VERSIONS:
        answer = asked(world, version, route, page=2, limit=100).json()
        assert [row["position"] for row in answer.pop("data")] == [101, 102, 103, 104]
        assert answer == {"limit": 100, "total": 104, "total_pages": 2, "page": 2}
        assert asked(world, version, route, page=9).json()["data"] == []
        assert len(asked(world, version, route).json()["data"]) == 20


def test_bounds_came_with_pydantic(world: World, route: str) -> None:
    """Older servers cut to 100 rows and take other numbers for the defaults; text is refused."""
    for version, sizes in (("1.7.2", [100, 20, 20]), ("1.12.1", [None] * 3)):
        for query, size in zip(({"limit": 101}, {"limit": 0}, {"page": 0}), sizes, strict=True):
            answer = asked(world, version, route, **query)
            assert answer.is_error == (size is None), (version, query)
            assert size is None or len(answer.json()["data"]) == size
        assert asked(world, version, route, page="one").is_error


def test_fields_by_release(world: World, route: str) -> None:
    """Attachments came with 1.11, summaries with 1.12; the text comes a second time, signed."""
    rows = {one: asked(world, one, route, limit=1).json()["data"][0] for one in VERSIONS}
    newest = rows["main-2026-08"].keys()
    assert newest - rows["1.0.0"].keys() == {"attachments", "summary"}
    assert newest == rows["1.12.1"].keys()
    again = asked(world, "1.16.1", route, limit=1).json()["data"][0]
    assert again["content"] == rows["1.16.1"]["content"]
    assert again["sign_content"] != rows["1.16.1"]["sign_content"]


def test_whoever_sees_the_dataset_reads_them() -> None:
    """Any role, but for datasets that are somebody's own; unknown documents are not found."""
    world = build_world(WorldPlan(seed=5, apps=0, days=1, conversations_per_day=0, now=NOW))
    world.set_role("normal")
    own, others = (
        world.add_dataset(
            name="notes",
            tenant_id=world.workspace_id,
            created_by=account,
            at=NOW,
            permission="only_me",
        )
        for account in (world.account_id, "somebody")
    )
    for dataset, status in ((own, 200), (others, 403)):
        document = world.add_document(dataset.id, at=NOW - timedelta(hours=1))
        route = f"/datasets/{dataset.id}/documents/{document.id}/segments"
        assert asked(world, "1.16.1", route).status_code == status
    unknown = f"/datasets/{own.id}/documents/{own.id}/segments"
    assert asked(world, "1.16.1", unknown).status_code == 404
