"""The whole client against a simulated Dify: every version, faults, expiry, rows that move."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import SecretStr

from dify_etl.dify import DifyClient
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.session import RetryPolicy
from dify_simulated import Faults, SimulatedDify, World, WorldPlan, build_world, serve

CHATS = ("chat", "agent-chat", "advanced-chat")
VERSIONS = ("1.0.0", "1.7.2", "1.9.2", "1.10.1", "1.12.1", "1.14.2")
MINUTE = timedelta(minutes=1)
NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def world() -> World:
    return build_world(WorldPlan(seed=7, apps=10, days=5, now=NOW))


def connected(world: World, dify: SimulatedDify) -> DifyClient:
    return DifyClient(
        "http://dify.test",
        email=world.account.email,
        password=SecretStr(world.account.password or ""),
        transport=httpx.WSGITransport(app=dify),
        retry=RetryPolicy(attempts=12),
        clock=Clock(sleep=lambda seconds: None),
    )


def read_all(dify: DifyClient) -> dict[str, set[str]]:
    """Message ids by conversation, read by eight threads as a run would."""
    listed = [
        (app.app_id, conversation.conversation_id)
        for app in dify.apps.list()
        if app.mode in CHATS
        for conversation in dify.conversations.chat(app.app_id)
    ]

    def messages_of(pair: tuple[str, str]) -> set[str]:
        return {message.message_id for message in dify.conversations.messages(*pair)}

    with ThreadPoolExecutor(8) as pool:
        found = pool.map(messages_of, listed)
        return {conversation: ids for (_, conversation), ids in zip(listed, found, strict=True)}


def messages_in(world: World, conversation_ids: set[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {conversation_id: set() for conversation_id in conversation_ids}
    for message in world.messages.values():
        if message.conversation_id in found:
            found[message.conversation_id].add(message.id)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_every_message_of_every_version_arrives(world: World, version: str) -> None:
    """Whatever the generation of the server, each message of the listed conversations is read."""
    found = read_all(connected(world, SimulatedDify(world, version=version)))

    assert len(found) > 50
    assert found == messages_in(world, set(found))


def test_reading_leaves_no_trace(world: World) -> None:
    """After reading everything the server's database is as before, but for our own login."""
    before = world.snapshot()

    read_all(connected(world, SimulatedDify(world)))

    assert world.snapshot() == before


def test_faults_cost_time_but_no_row(world: World) -> None:
    """With one request in five failing in some way, the result is the same."""
    faults = Faults(
        seed=3, rate_limited=0.05, server_errors=0.05, html=0.03, truncated=0.04, resets=0.03
    )
    undisturbed = read_all(connected(world, SimulatedDify(world)))

    found = read_all(connected(world, SimulatedDify(world, faults=faults)))

    assert found == undisturbed


def test_session_that_expires_while_eight_threads_read(world: World) -> None:
    """One refresh serves all threads; nobody logs in again."""
    dify = SimulatedDify(world, faults=Faults(before_request=at_request(60, lambda: expire())))

    def expire() -> None:
        dify.expire_access_tokens()

    found = read_all(connected(world, dify))

    asked = [request.path.removeprefix("/console/api") for request in dify.requests]
    assert found == messages_in(world, set(found))
    assert (asked.count("/login"), asked.count("/refresh-token")) == (1, 1)


def at_request(number: int, act: Callable[[], None]) -> Callable[[int, str, str], None]:
    def before_request(count: int, method: str, path: str) -> None:
        if count == number:
            act()

    return before_request


def test_rows_that_are_touched_meanwhile_hide_no_other(world: World) -> None:
    """A list by last change is moved with every request: rows that nobody touched are all read."""
    app_id = busiest_chat(world)
    touched: list[str] = []

    def touch(count: int, method: str, path: str) -> None:
        if path.endswith("/chat-conversations"):
            rest = [c for c in of_app(world, app_id) if c not in touched]
            touched.append(rest[len(rest) // 2])
            world.rename_conversation(touched[-1], "renamed", at=NOW)

    client = connected(world, SimulatedDify(world, faults=Faults(before_request=touch)))
    walk = client.conversations.chat_walk(app_id, sort_by="updated_at", end=NOW - MINUTE)
    walk.page_sizes = (5,)
    found = {row.conversation_id for page in walk for row in page}

    assert len(touched) > 3
    assert {one for one in of_app(world, app_id) if one not in touched} <= found


def busiest_chat(world: World) -> str:
    chats = [app.id for app in world.apps.values() if app.mode == "chat"]
    return max(chats, key=lambda app_id: len(of_app(world, app_id)))


def of_app(world: World, app_id: str) -> list[str]:
    """Conversations that lists show and that were last changed before the window's end."""
    return [
        conversation.id
        for conversation in world.conversations.values()
        if conversation.app_id == app_id
        and not conversation.is_deleted
        and conversation.updated_at < NOW - MINUTE
    ]


def test_client_works_over_a_socket(world: World) -> None:
    """The same over real HTTP, with connections that are reset now and then."""
    dify = SimulatedDify(world, faults=Faults(seed=5, resets=0.05))

    with (
        serve(dify, port=0) as server,
        DifyClient(
            server.base_url,
            email=world.account.email,
            password=SecretStr(world.account.password or ""),
            clock=Clock(sleep=lambda seconds: None),
        ) as client,
    ):
        apps = [app.app_id for app in client.apps.list()]

    assert set(apps) == set(world.apps)


def test_wire_log_tells_no_token(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Also with every log at DEBUG, no cookie and no token of the session is written."""
    with (
        serve(SimulatedDify(world), port=0) as server,
        DifyClient(
            server.base_url,
            email=world.account.email,
            password=SecretStr(world.account.password or ""),
        ) as client,
        caplog.at_level("DEBUG"),
    ):
        client.account.profile()

    assert "account/profile" in caplog.text
    assert "access_token" not in caplog.text
