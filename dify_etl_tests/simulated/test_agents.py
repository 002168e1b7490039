"""The simulated agents answer as the recorded ones did: status, keys, types; two reads write."""

from __future__ import annotations

from base64 import b64encode
from re import sub

import httpx
import pytest

from dify_etl_tests.simulated.conftest import NOW
from dify_etl_tests.simulated.contract_left_out import OF_AGENTS
from dify_etl_tests.simulated.json_shape import Shape, differences
from dify_etl_tests.simulated.recorded_exchanges import Exchange, all_exchanges, exchanges
from dify_simulated import SimulatedDify, World, WorldPlan, build_world
from dify_simulated.world.rows import Account

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


# Recorded writes in an order in which each finds what it needs. What a write makes is known by the
# name behind the path from then on.
WRITES = (
    ("agent-api-key-create", "/agent/{unpublished}/api-keys", "agent key"),
    ("agent-api-key-delete", "/agent/{unpublished}/api-keys/{agent key}", None),
    ("api-key-create", "/apps/{unpublished app}/api-keys", "key"),
    ("api-key-delete", "/apps/{unpublished app}/api-keys/{key}", None),
    ("published-api-key-create", "/apps/{app}/api-keys", "published key"),
    ("published-api-key-delete", "/apps/{app}/api-keys/{published key}", None),
    ("publish-agent", "/agent/{agent}/publish", None),
    ("publish", "/apps/{app}/workflows/publish", None),
    ("model-config-post", "/apps/{app}/model-config", None),
    ("feedback-post-theirs", "/agent/{agent}/feedbacks", None),
    ("create-by-apps", "/apps", None),
    ("create-as-normal-member", "/agent", None),
    ("create-without-name", "/agent", None),
    ("create", "/agent", "made"),
    ("create-same-name", "/agent", None),
    ("publish-agent-without-model", "/agent/{made}/publish", None),
    ("update", "/agent/{made}", None),
    ("api-enable", "/agent/{made}/api-enable", None),
    ("app-update", "/apps/{app of made}", None),
    ("app-rename", "/apps/{app of made}/name", None),
    ("app-site-enable", "/apps/{app of made}/site-enable", None),
    ("app-api-enable", "/apps/{app of made}/api-enable", None),
    ("import-dsl", "/apps/imports", "imported"),
    ("app-delete-imported", "/apps/{app of imported}", None),
    ("app-delete", "/apps/{app of made}", None),
    ("create-another", "/agent", "another"),
    ("delete", "/agent/{another}", None),
    ("delete-again", "/agent/{another}", None),
)


def agents_world(agents: int = 1) -> World:
    """Agents with talks, and nothing else."""
    return build_world(
        WorldPlan(seed=4, apps=0, days=3, conversations_per_day=0, agents=agents, now=NOW)
    )


class Console:
    """A signed-in owner of a world with one agent, on one version."""

    def __init__(self, version: str, agents: int = 1) -> None:
        self.world = agents_world(agents)
        self._simulated = SimulatedDify(self.world, version)
        self.client = self.signed_in(self.world.account)
        self.agent, *self.others = self.world.agents.values()

    def signed_in(self, account: Account) -> httpx.Client:
        """A client with the session of an account."""
        client = httpx.Client(
            transport=httpx.WSGITransport(app=self._simulated),
            base_url="http://dify.test/console/api",
        )
        password = b64encode((account.password or "").encode()).decode()
        client.post("/login", json={"email": account.email, "password": password})
        client.headers["X-CSRF-Token"] = client.cookies["csrf_token"]
        return client

    def normal_member(self) -> Account:
        """Somebody of the role that changes nothing."""
        world, name = self.world, "member"
        row = world.add_account(name=name, email="member@dify.test", at=NOW, password="let me in 1")
        world.join(row.id, world.workspace_id, role="normal", at=NOW)
        return row

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


@pytest.mark.parametrize("version", VERSIONS)
def test_writes_on_agents_answer_as_recorded(version: str) -> None:
    """Status, keys, types and the words of refusals of every recorded write."""
    console, shapes = Console(version, agents=2), pool(version)
    (unpublished,) = console.others
    for row in console.world.versions_of_agent(unpublished.id):
        del console.world.agent_versions[row.id]
    member = console.signed_in(console.normal_member())
    ids = {
        **console.ids(),
        "agent": console.agent.id,
        "app": console.agent.app_id,
        "unpublished": unpublished.id,
        "unpublished app": unpublished.app_id,
    }
    recorded = {item.name: item for item in exchanges(version, "agents") if item.method != "GET"}
    answered = {}
    for name, path, made in WRITES:
        if name not in recorded:
            continue  # a newer server makes no key of what is not published, so none was deleted
        item = recorded[name]
        client = member if name.endswith("as-normal-member") else console.client
        sent = {**item.sent} if isinstance(item.sent, dict) else None
        if sent and "message_id" in sent:
            sent["message_id"] = ids["message"]
        answer = client.request(item.method, path.format_map(ids), json=sent)
        answered[name] = _problems(answer, item, shapes[_endpoint(item)])
        if made and answer.is_success:
            told = answer.json()
            ids |= {made: told["id"], f"app of {made}": told.get("app_id", "")}
    assert {name: found for name, found in answered.items() if found} == {}
    assert answered.keys() == recorded.keys()


def _problems(answer: httpx.Response, item: Exchange, shape: Shape) -> list[str]:
    """How an answer differs from the recorded one; refusals in their words too."""
    if answer.status_code != item.status:
        return [f"{answer.status_code} instead of {item.status}: {answer.text[:200]}"]
    if not answer.content:
        return [] if not item.body else ["empty"]
    told = answer.json()
    found = differences(told, item.body, pool=shape, documented=DOCUMENTED)
    if item.status >= 400 and isinstance(item.body, dict):
        words = (_without_ids(told["message"]), _without_ids(item.body["message"]))
        found += [] if words[0] == words[1] else [f"{words[0]!r} instead of {words[1]!r}"]
    return found


def _without_ids(words: str) -> str:
    """Without ids and what was sent, and with a set of words in one order: Python prints it in any.

    The simulated Dify knows no routes of snippets and pipelines, so it recommends none.
    """
    words = sub(UUID, "{}", sub(" or /console/api/(?:snippets|rag)/[^ ]*", "", words))
    words = sub(r"'role': '.*?'|\"role\":\".*?\"", "", words)
    return sub(r"\{('[^}]*')\}", lambda found: str(sorted(found[1].split(", "))), words)


# Types that the servers give, though no recorded row happens to have them.
DOCUMENTED = {
    ".data[].icon": "str",
    ".data[].icon_background": "str",
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
def test_apps_of_agents_answer_as_recorded(version: str) -> None:
    """What is asked of an agent's app as of any other: statistics, annotations, ratings, DSL."""
    console, shapes = Console(version), app_pool(version)
    shown = next(one for one in console.world.messages.values() if one.from_end_user_id)
    console.world.annotate(shown.id, at=NOW, content="better")
    console.world.give_feedback(shown.id, "like", at=NOW)
    problems = []
    for item in of_apps(version):
        path = sub(f"/apps/{UUID}", f"/apps/{console.agent.app_id}", item.path)
        answer = console.client.get(path.removeprefix("/console/api"), params=dict(item.query))
        found = _problems(answer, item, shapes[_endpoint(item)])
        problems += [f"{item.key}: {problem}" for problem in found]
    assert problems == []


def of_apps(version: str) -> list[Exchange]:
    """What was recorded of agents in the areas of all apps."""
    return [item for item in all_exchanges(version) if item.key in OF_AGENTS]


def app_pool(version: str) -> dict[str, Shape]:
    """Everything recorded of apps and agents, by path without ids, and status."""
    found = pool(version)
    for item in all_exchanges(version):
        found.setdefault(_endpoint(item), Shape()).add(item.body)
    return found


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
