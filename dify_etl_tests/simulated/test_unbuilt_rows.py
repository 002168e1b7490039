"""Rows that the server cannot show fail the same answers, with the same words, as recorded."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from dify_etl_tests.simulated.recorded_exchanges import exchange
from dify_etl_tests.simulated.signing_in import signed_in
from dify_etl_tests.sync.small_worlds import app_of, quiet_world, talk
from dify_etl_tests.sync.workplace import NOW
from dify_simulated import SimulatedDify

NEWEST = ("1.16.1", "main-2026-08")
DEAD = "https://dead.example.test/a.png"


class Place:
    """A talk of five messages, the third with a file on a dead host, as on the recorded servers."""

    def __init__(self, version: str) -> None:
        world = quiet_world("chat")
        row = talk(world, at=NOW - timedelta(hours=3), messages=5, seconds_apart=5)
        entries = world.messages_of_conversation[row.id].entries
        self.ids = [message_id for _, message_id in entries]
        world.attach_remote_file(self.ids[2], DEAD)
        world.dead_hosts.add("dead.example.test")
        self.app = f"/apps/{app_of(world).id}"
        self.talk_id = row.id
        self.client = signed_in(SimulatedDify(world, version))

    def page(self, limit: int, before: int | None = None) -> httpx.Response:
        """A page of the talk, before the message of this number."""
        query: dict[str, str | int] = {"conversation_id": self.talk_id, "limit": limit}
        if before is not None:
            query["first_id"] = self.ids[before]
        return self.client.get(f"{self.app}/chat-messages", params=query)


def told(answer: httpx.Response | object) -> tuple[object, list[str]]:
    """Code and the first three lines of the message, without what differs by chance."""
    body = answer.json() if isinstance(answer, httpx.Response) else answer
    assert isinstance(body, dict)
    lines = str(body["message"]).splitlines()[:3]
    return body["code"], [line.split(" [type=")[0] for line in lines]


@pytest.mark.parametrize("version", NEWEST)
def test_pages_beside_a_dead_file_answer_as_recorded(version: str) -> None:
    """Pages with the message fail with its place; newer and older ones, and others, are fine."""
    place = Place(version)

    answers = {
        "chat-messages-dead-file": place.page(100),
        "chat-messages-dead-file-limit1-at-it": place.page(1, before=3),
        "chat-messages-dead-file-limit2": place.page(2),
        "chat-messages-dead-file-behind-it": place.page(2, before=2),
        "message-get-dead-file": place.client.get(f"{place.app}/messages/{place.ids[2]}"),
        "message-get-beside-dead-file": place.client.get(f"{place.app}/messages/{place.ids[1]}"),
    }

    for name, answer in answers.items():
        recorded = exchange(version, f"logs/{name}")
        assert answer.status_code == recorded.status, name
        if recorded.status == 400:
            assert told(answer) == told(recorded.body), name


@pytest.mark.parametrize("version", NEWEST)
@pytest.mark.parametrize("oddity", ["source-info", "metadata"])
def test_odd_document_answers_as_recorded(version: str, oddity: str) -> None:
    """The list fails without telling which document, its own GET is a 500, its status is fine."""
    world = quiet_world("chat")
    dataset = next(iter(world.datasets))
    document = world.add_document(dataset, at=NOW - timedelta(hours=1))
    document.oddity = oddity
    client, at = signed_in(SimulatedDify(world, version)), f"/datasets/{dataset}"

    answers = {
        f"documents-bad-row-{oddity}": client.get(f"{at}/documents"),
        f"document-get-bad-row-{oddity}": client.get(f"{at}/documents/{document.id}"),
        f"indexing-status-bad-row-{oddity}": client.get(f"{at}/indexing-status"),
    }

    for name, answer in answers.items():
        recorded = exchange(version, f"datasets/{name}")
        assert answer.status_code == recorded.status, name
        if recorded.status == 400:
            (code, lines), (recorded_code, recorded_lines) = told(answer), told(recorded.body)
            assert (code, lines[1]) == (recorded_code, recorded_lines[1]), name
            assert lines[0].split()[-1] == recorded_lines[0].split()[-1], name
