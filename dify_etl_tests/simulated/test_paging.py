"""Pages and cursors lose and repeat rows just as on a real server."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from dify_etl_tests.simulated.conftest import NOW
from dify_etl_tests.simulated.signing_in import signed_in
from dify_simulated import SimulatedDify, World
from dify_simulated.world.rows import App


def talk(world: World, app: App, instants: list[datetime]) -> str:
    """A conversation with one message at each instant."""
    conversation = world.add_conversation(app.id, at=instants[0])
    for at in instants:
        world.add_message(conversation.id, at=at)
    return conversation.id


def pages(reader: httpx.Client, app: App, conversation_id: str, limit: int) -> list[list[str]]:
    """The ids of all pages of a conversation, walked by first_id."""
    found: list[list[str]] = []
    first_id = ""
    while True:
        query = {"conversation_id": conversation_id, "limit": str(limit), "first_id": first_id}
        answer: dict[str, Any] = reader.get(f"/apps/{app.id}/chat-messages", params=query).json()
        found.append([row["id"] for row in answer["data"]])
        if not answer["has_more"]:
            return found
        first_id = answer["data"][0]["id"]


def test_messages_come_newest_page_first_and_ascending_inside(
    world: World, reader: httpx.Client, chat: App
) -> None:
    """The newest messages are on the first page, the oldest of them in front."""
    instants = [NOW - timedelta(minutes=60 - number) for number in range(7)]
    conversation_id = talk(world, chat, instants)
    in_order = list(world.messages_of_conversation[conversation_id])

    assert pages(reader, chat, conversation_id, 3) == [in_order[4:], in_order[1:4], in_order[:1]]


def test_messages_of_the_cursor_second_are_lost(
    world: World, reader: httpx.Client, chat: App
) -> None:
    """The cursor is strict, so ties with it are on no page although has_more says the end."""
    tie = NOW - timedelta(minutes=30)
    instants = [tie - timedelta(minutes=1), *[tie] * 5, tie + timedelta(minutes=1)]
    conversation_id = talk(world, chat, instants)

    walked = {row for page in pages(reader, chat, conversation_id, 3) for row in page}
    whole = {row for page in pages(reader, chat, conversation_id, 100) for row in page}

    assert (len(walked), len(whole)) == (4, 7)


@pytest.mark.parametrize("limit", [7, 10])
def test_ties_repeat_for_the_same_page_size(
    world: World, reader: httpx.Client, chat: App, limit: int
) -> None:
    """Rows of one second come in an arbitrary order that is the same each time."""
    for _ in range(30):
        world.add_conversation(chat.id, at=NOW)
    query = {"limit": limit, "page": 2}

    first, second = (
        [row["id"] for row in reader.get(path, params=query).json()["data"]]
        for path in [f"/apps/{chat.id}/chat-conversations"] * 2
    )

    assert first == second


def test_another_page_size_orders_ties_otherwise(
    world: World, reader: httpx.Client, chat: App
) -> None:
    """So a walk that changes its page size meets other edges."""
    for _ in range(30):
        world.add_conversation(chat.id, at=NOW)

    by_limit = [
        [
            row["id"]
            for row in reader.get(
                f"/apps/{chat.id}/chat-conversations", params={"limit": limit}
            ).json()["data"]
        ]
        for limit in (97, 100)
    ]

    assert by_limit[0] != by_limit[1]
    assert set(by_limit[0]) == set(by_limit[1])


def test_annotated_pages_are_short(world: World, reader: httpx.Client, chat: App) -> None:
    """The total counts annotations, the rows are conversations."""
    conversation = world.add_conversation(chat.id, at=NOW)
    for number in range(3):
        message = world.add_message(conversation.id, at=NOW + timedelta(seconds=number))
        world.annotate(message.id, at=NOW, content="better")

    answer = reader.get(
        f"/apps/{chat.id}/chat-conversations", params={"annotation_status": "annotated", "limit": 2}
    ).json()

    assert (answer["total"], len(answer["data"]), answer["has_more"]) == (3, 1, True)


def test_more_than_a_hundred_documents_end_silently(world: World, reader: httpx.Client) -> None:
    """A limit above 100 gives 100 rows and says that there are no more."""
    dataset_id = max(world.documents_of_dataset, key=lambda i: len(world.documents_of_dataset[i]))

    answer = reader.get(f"/datasets/{dataset_id}/documents", params={"limit": 500}).json()

    assert (len(answer["data"]), answer["has_more"], answer["total"]) == (100, False, 131)


def test_a_full_last_page_promises_more(world: World, reader: httpx.Client) -> None:
    """Datasets compare the number of rows with the limit, so a full page always promises more."""
    total = len(world.datasets)

    answer = reader.get("/datasets", params={"limit": total, "include_all": True}).json()

    assert (len(answer["data"]), answer["has_more"]) == (total, True)


def test_an_unknown_run_cursor_is_refused(world: World, reader: httpx.Client) -> None:
    """A last_id that is gone is a 400, not an empty page."""
    workflow = next(app for app in world.apps.values() if app.mode == "workflow")

    answer = reader.get(f"/apps/{workflow.id}/workflow-runs", params={"last_id": world.new_id()})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_param")


@pytest.mark.parametrize(
    ("version", "keys"),
    [
        ("1.0.0", {"code", "message", "params"}),
        ("1.7.2", {"errors", "message"}),
        ("1.10.1", {"errors", "message"}),
        ("1.12.1", {"code", "message", "status"}),
    ],
)
def test_bounds_are_refused_in_the_words_of_the_release(
    world: World, chat: App, version: str, keys: set[str]
) -> None:
    """Each family of releases has its own shape for a limit of 101."""
    reader = signed_in(SimulatedDify(world, version))

    answer = reader.get(f"/apps/{chat.id}/chat-conversations", params={"limit": 101})

    assert answer.status_code == 400
    assert answer.json().keys() == keys
