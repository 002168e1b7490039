"""What the benchmark's server answers is what the simulated Dify answers."""

import json
from typing import Any

import pytest
from werkzeug.test import Client

from benchmark.copied import CopiedDify
from benchmark.rendered import API, RenderedDify, canonical
from benchmark.worlds import hard_world
from dify_simulated import SimulatedDify, World

VERSION = "1.12.1"


@pytest.fixture(scope="module")
def world() -> World:
    return hard_world(days=3, conversations_per_day=4)


@pytest.fixture
def rendered(world: World) -> RenderedDify:
    return RenderedDify(world, VERSION)


def body_of(answer: bytes) -> Any:
    """The JSON of a whole HTTP answer."""
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def live(world: World, target: str) -> Any:
    """The JSON that the simulation itself answers."""
    client = Client(SimulatedDify(world, VERSION, session_style="bearer"))
    login = {"email": world.account.email, "password": world.account.password}
    token = client.post(f"{API}/login", json=login).get_json()["data"]["access_token"]
    return client.get(target, headers={"Authorization": f"Bearer {token}"}).get_json()


def targets(world: World) -> list[str]:
    """One read of each kind that is asked often."""
    chat = next(app.id for app in world.apps.values() if app.mode == "chat")
    talk = next(row.id for row in world.conversations.values() if row.app_id == chat)
    run = next(iter(world.workflow_runs.values()))
    return [
        f"{API}/apps/{chat}/chat-conversations?page=1&limit=100&sort_by=created_at",
        f"{API}/apps/{chat}/chat-messages?limit=100&conversation_id={talk}",
        f"{API}/apps/{run.app_id}/workflow-runs/{run.id}",
        f"{API}/apps/{run.app_id}/workflow-runs/{run.id}/node-executions",
    ]


def test_rendered_answers_are_the_live_ones(world: World, rendered: RenderedDify) -> None:
    """Asked for the first time or the second, an answer holds what the simulation says."""
    rendered.render_ahead(runs=True)
    for target in targets(world):
        expected = live(world, target)
        for _ in range(2):
            assert body_of(rendered.read(target.encode())) == expected


def test_order_of_parameters_does_not_matter() -> None:
    """Readers that write their parameters in another order share the rendered answer."""
    assert canonical(b"/a?x=1&b=2") == canonical(b"/a?b=2&x=1")


def test_refusal_is_passed_on(rendered: RenderedDify) -> None:
    """What is no good answer is not kept and comes as the simulation gives it."""
    answer = rendered.read(f"{API}/nothing-here".encode())
    assert answer.startswith(b"HTTP/1.1 404")


def test_change_of_the_world_is_seen(world: World, rendered: RenderedDify) -> None:
    """A conversation that went on has its new message in the next answer."""
    before = {row for table, row in rendered.ids() if table == "messages"}
    rendered.render_ahead(runs=False)
    rendered.touch_one()
    new = {row for table, row in rendered.ids() if table == "messages"} - before
    (message,) = (world.messages[row] for row in new)
    query = f"conversation_id={message.conversation_id}&limit=100"
    target = f"{API}/apps/{message.app_id}/chat-messages?{query}"
    assert body_of(rendered.read(target.encode())) == live(world, target)


def test_every_copy_has_ids_of_its_own(world: World) -> None:
    """The copied lists and pages show exactly the ids that the copied world is said to have."""
    dify = CopiedDify(world, VERSION, copies=3)
    expected = {row for table, row in dify.ids() if table == "messages"}
    found: set[str] = set()
    for app in (app for app in world.apps.values() if app.mode in ("chat", "agent-chat")):
        for row in _listed(dify, app.id):
            found |= _messages(dify, app.id, row)
    assert found
    assert found < expected


def _listed(dify: CopiedDify, app_id: str) -> list[str]:
    ids: list[str] = []
    page, has_more = 0, True
    while has_more:
        page += 1
        target = f"{API}/apps/{app_id}/chat-conversations?page={page}&limit=100"
        answer = body_of(dify.read(target.encode()))
        ids += [row["id"] for row in answer["data"]]
        has_more = answer["has_more"]
    assert len(ids) == len(set(ids)) == answer["total"]
    return ids


def _messages(dify: CopiedDify, app_id: str, conversation_id: str) -> set[str]:
    target = f"{API}/apps/{app_id}/chat-messages?conversation_id={conversation_id}&limit=100"
    rows = body_of(dify.read(target.encode()))["data"]
    assert all(row["conversation_id"] == conversation_id for row in rows)
    return {row["id"] for row in rows}


def test_copies_tell_what_their_originals_tell(world: World) -> None:
    """The log of an agent, and the detail of a completion log: under the ids of the copy."""
    dify = CopiedDify(world, VERSION, copies=3)
    modes = {app.id: app.mode for app in world.apps.values()}
    message = next(one for one in world.messages.values() if one.agent_thoughts)
    talk, copy = f"00000002{message.conversation_id[8:]}", f"00000002{message.id[8:]}"
    path = f"{API}/apps/{message.app_id}/agent/logs"
    log = body_of(dify.read(f"{path}?conversation_id={talk}&message_id={copy}".encode()))
    assert len(log["iterations"]) > 0
    row = next(one for one in world.conversations.values() if modes[one.app_id] == "completion")
    detail = f"{API}/apps/{row.app_id}/completion-conversations/00000001{row.id[8:]}"
    assert body_of(dify.read(detail.encode()))["id"] == f"00000001{row.id[8:]}"
