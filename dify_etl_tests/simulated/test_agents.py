"""The simulated agents answer as the recorded ones did: status, keys, types; two reads write."""

from __future__ import annotations

from base64 import b64encode
from re import sub

import httpx
import pytest

from dify_etl_tests.simulated.conftest import NOW
from dify_etl_tests.simulated.json_shape import Shape, differences
from dify_etl_tests.simulated.recorded_exchanges import Exchange, exchanges
from dify_simulated import SimulatedDify, World, WorldPlan, build_world

VERSIONS = ("1.16.1", "main-2026-08")
UUID = r"[0-9a-f]{8}-[0-9a-f-]{27}"
# Recorded under names that tell more than the path: what the ids stand for here.
UNKNOWN = "1dfc2551-a0d9-49ff-bd07-c5450090bc02"
ENDPOINTS = (
    ("logs", "logs"),
    ("logs-limit101", "logs"),
    ("logs-page-text", "logs"),
    ("logs-sort-bogus", "logs"),
    ("logs-sort-order-bogus", "logs"),
    ("logs-source-bogus", "logs"),
    ("logs-statuses-bogus", "logs"),
    ("logs-start-gt-end", "logs"),
    ("logs-start-iso", "logs"),
    ("logs-keyword", "logs"),
    ("logs-statuses-failed", "logs"),
    ("logs-page-beyond", "logs"),
    ("logs-window", "logs"),
    ("log-sources", "log-sources"),
    ("log-messages-theirs", "logs/{theirs}/messages"),
    ("log-messages-failed", "logs/{failed}/messages"),
    ("log-messages-debugged", "logs/{debugged}/messages"),
    ("log-messages-unknown", f"logs/{UNKNOWN}/messages"),
    ("agent-message-get-theirs", "messages/{message}"),
    ("statistics-summary", "statistics/summary"),
    ("statistics-summary-empty", "statistics/summary"),
    ("statistics-summary-bad-date", "statistics/summary"),
    ("published-versions", "versions"),
    ("version-get-unknown", f"versions/{UNKNOWN}"),
    ("referencing-workflows", "referencing-workflows"),
    ("api-access", "api-access"),
    ("get-unknown", ""),
)


def agents_world() -> World:
    """One agent with talks, and nothing else."""
    return build_world(
        WorldPlan(seed=4, apps=0, days=3, conversations_per_day=0, agents=1, now=NOW)
    )


class Console:
    """A signed-in owner of a world with one agent, on one version."""

    def __init__(self, version: str) -> None:
        self.world = agents_world()
        self.client = httpx.Client(
            transport=httpx.WSGITransport(app=SimulatedDify(self.world, version)),
            base_url="http://dify.test/console/api",
        )
        account = self.world.account
        password = b64encode((account.password or "").encode()).decode()
        self.client.post("/login", json={"email": account.email, "password": password})
        self.client.headers["X-CSRF-Token"] = self.client.cookies["csrf_token"]
        (self.agent,) = self.world.agents.values()

    def ids(self) -> dict[str, str]:
        """Talks and a message by what they are for whoever asks."""
        talks = self.world.conversations.values()
        messages = self.world.messages.values()
        theirs = next(one for one in messages if one.from_end_user_id and not one.error)
        return {
            "theirs": theirs.conversation_id,
            "message": theirs.id,
            "failed": next(one.conversation_id for one in messages if one.status == "error"),
            "debugged": next(one.id for one in talks if one.invoke_from == "debugger"),
            "mine": next(
                one.id
                for one in talks
                if one.from_account_id == self.world.account_id and one.invoke_from == "debugger"
            ),
        }

    def get(self, item: Exchange, below: str) -> httpx.Response:
        """Ask as the recorded request did."""
        place = below.format_map(self.ids())
        who = UNKNOWN if item.name.endswith("get-unknown") and not below else self.agent.id
        query = {name: "fail" if name == "keyword" else value for name, value in item.query}
        return self.client.get(f"/agent/{who}" + (f"/{place}" if place else ""), params=query)


def pool(version: str) -> dict[str, Shape]:
    """Everything recorded of agents, by path without ids, and status."""
    found: dict[str, Shape] = {}
    for item in exchanges(version, "agents"):
        found.setdefault(_endpoint(item), Shape()).add(item.body)
    return found


def _endpoint(item: Exchange) -> str:
    """A message is the same object below its agent and below its app."""
    path = sub(UUID, "{}", item.path).replace("/agent/{}/messages/", "/apps/{}/messages/")
    return f"{path} {item.status}"


@pytest.mark.parametrize("version", VERSIONS)
def test_agents_answer_as_recorded(version: str) -> None:
    """Status, keys and types of the recorded reads are those of the real server."""
    console, shapes = Console(version), pool(version)
    recorded = {item.name: item for item in exchanges(version, "agents")}
    problems = []
    for name, below in ENDPOINTS:
        item = recorded[name]
        answer = console.get(item, below)
        if answer.status_code != item.status:
            problems.append(f"{name}: {answer.status_code} instead of {item.status}")
            continue
        shape = shapes[_endpoint(item)]
        found = differences(answer.json(), item.body, pool=shape, documented=DOCUMENTED)
        problems += [f"{name}: {problem}" for problem in found]
    assert problems == []


# Types that the servers give, though no recorded row happens to have them.
DOCUMENTED = {
    ".data[].source.app_icon": "str",
    ".data[].source.app_icon_background": "str",
    ".data[].app_icon": "str",
    ".data[].app_icon_background": "str",
    ".sources[].app_icon": "str",
    ".sources[].app_icon_background": "str",
    ".data[].user_rate": "float",
    ".data[].operation_rate": "float",
    ".message[]": "dict",
    ".message_files[]": "dict",
    ".data[].version_note": "NoneType",
    ".data[].end_user_id": "NoneType",
    ".data[].from_account_id": "str",
    ".data[].feedbacks[].content": "NoneType",
}


@pytest.mark.parametrize("version", VERSIONS)
def test_talks_are_shown_as_recorded(version: str) -> None:
    """chat-messages shows an account its own talks; of others it knows nothing, for owners too."""
    console = Console(version)
    ids, app_id = console.ids(), console.agent.app_id
    shown = {
        name: console.client.get(
            f"/apps/{app_id}/chat-messages", params={"conversation_id": ids[name]}
        )
        for name in ("mine", "theirs")
    }
    assert shown["mine"].status_code == 200
    assert shown["mine"].json()["data"] != []
    assert (shown["theirs"].status_code, shown["theirs"].json()["code"]) == (404, "not_found")
    assert console.client.get(f"/apps/{app_id}/messages/{ids['message']}").status_code == 200


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("path", ["/agent", "/agent/{id}"])
def test_reading_agents_writes(version: str, path: str) -> None:
    """The list and the detail make one empty talk per account, which chat-conversations lists."""
    console = Console(version)
    console.agent.debug_talks.clear()
    before = len(console.world.conversations)
    for _ in range(2):
        answer = console.client.get(path.format(id=console.agent.id))
        assert answer.status_code == 200
    assert len(console.world.conversations) == before + 1


@pytest.mark.parametrize(("version", "status"), [("1.16.1", 201), ("main-2026-08", 409)])
def test_key_of_an_unpublished_agent(version: str, status: int) -> None:
    """After 1.16.1 an agent gets keys once it was published."""
    console = Console(version)
    console.world.agent_versions.clear()
    keys = f"/apps/{console.agent.app_id}/api-keys"
    answer = console.client.post(keys, json={})
    assert answer.status_code == status
    assert console.client.post(f"/agent/{console.agent.id}/publish", json={}).status_code == 200
    assert console.client.post(keys, json={}).status_code == 201


@pytest.mark.parametrize("version", VERSIONS)
def test_window_of_the_log_is_one_of_messages(version: str) -> None:
    """Counts and times of a row are those of the messages in the window; the end is left out."""
    console = Console(version)
    row = next(one for one in console.world.conversations.values() if one.from_end_user_id)
    at = NOW.replace(second=0, microsecond=0)
    for minute in (3, 2, 1):
        console.world.add_message(row.id, at=at.replace(minute=minute))
    window = {"start": f"{at:%Y-%m-%d %H}:01", "end": f"{at:%Y-%m-%d %H}:03"}
    body = console.client.get(f"/agent/{console.agent.id}/logs", params=window).json()
    (found,) = [one for one in body["data"] if one["id"] == row.id]
    assert found["message_count"] == 2
    assert found["created_at"] == int(at.replace(minute=2).timestamp())
    log = f"/agent/{console.agent.id}/logs/{row.id}/messages"
    assert console.client.get(log, params=window).json()["total"] == 2
