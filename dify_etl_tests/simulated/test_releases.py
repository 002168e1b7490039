"""Every release answers every read, and the world may change while many read it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from re import sub

import httpx
import pytest

from dify_etl_tests.simulated.conftest import NOW
from dify_etl_tests.simulated.signing_in import signed_in
from dify_simulated import SimulatedDify, World, serve
from dify_simulated.server.calls import Need
from dify_simulated.server.routes import CONSOLE_ROUTES
from dify_simulated.versions import KNOWN_VERSIONS
from dify_simulated.world.rows import App

# Keys of one dataset: a route without a table behind it, 500 on every release.
BROKEN_IN_DIFY = "/datasets/<uuid:dataset_id>/api-keys"


def ids_of(world: World, app: App) -> dict[str, str]:
    """An id for each name in the routes; made up where the app has no such row."""
    rows = {
        "conversation_id": [row.id for row in world.conversations.values() if row.app_id == app.id],
        "message_id": [row.id for row in world.messages.values() if row.app_id == app.id],
        "run_id": [row.id for row in world.workflow_runs.values() if row.app_id == app.id],
        "annotation_id": [row.id for row in world.annotations.values() if row.app_id == app.id],
        "dataset_id": list(world.datasets),
        "agent_id": list(world.agents),
        "version_id": list(world.agent_versions),
        "document_id": list(world.documents),
        "batch": [row.batch for row in world.documents.values()],
    }
    found = {name: (held or [world.new_id()])[0] for name, held in rows.items()}
    return {**found, "app_id": app.id, "resource_id": app.id}


def filled(rule: str, ids: dict[str, str]) -> str:
    """The path of a route with its names replaced by ids."""
    return sub(r"<(?:uuid:)?(\w+)>", lambda found: ids[found.group(1)], rule)


@pytest.mark.parametrize("version", KNOWN_VERSIONS)
def test_every_read_of_every_release_is_answered(world: World, version: str) -> None:
    """Rows or a refusal in order: nothing is refused as wrong, nothing breaks that Dify keeps."""
    dify = SimulatedDify(world, version)
    reader = signed_in(dify)
    reads = [
        route
        for route in CONSOLE_ROUTES
        if route.method == "GET" and route.need is Need.LOGIN and route.rule != BROKEN_IN_DIFY
    ]
    statuses = set()
    for app in world.apps.values():
        ids = ids_of(world, app)
        query = {name: ids[name] for name in ("conversation_id", "message_id")}
        for route in (route for route in reads if route.exists_in(dify.version)):
            statuses.add(reader.get(filled(route.rule, ids), params=query).status_code)

    assert statuses == {200, 404}


def test_the_world_changes_while_it_is_read(world: World, chat: App) -> None:
    """Four readers and a writer at a time: no request fails, and in the end all rows are there."""
    dify = SimulatedDify(world)

    def write() -> None:
        for number in range(60):
            row = world.add_conversation(chat.id, at=NOW - timedelta(seconds=number))
            world.add_message(row.id, at=NOW - timedelta(seconds=number))

    with serve(dify) as server, ThreadPoolExecutor(5) as pool:
        reader = signed_in(dify)
        url = f"{server.base_url}/console/api/apps/{chat.id}/chat-conversations"
        client = httpx.Client(headers=reader.headers, cookies=dict(reader.cookies.items()))
        writing = pool.submit(write)
        asked = [pool.submit(client.get, url) for _ in range(40)]
        writing.result()
        statuses = {answer.result().status_code for answer in asked}

        client.close()

    assert statuses == {200}
    assert reader.get(f"/apps/{chat.id}/chat-conversations").json()["total"] == 60
