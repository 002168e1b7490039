"""Apps of mode agent: every talk that their logs tell is read whole, with its price."""

import httpx
import pytest

from dify_etl.assembly.sync_proof import LiveSyncProof
from dify_etl.feeds.agent_messages import OTHERS_DEBUGGING
from dify_etl.raw.tables import RAW_TABLES
from dify_etl_tests.sync.answers_changed import ChangedAnswers
from dify_etl_tests.sync.comparison import EXPECTED, differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.expected_values import Told
from dify_etl_tests.sync.small_worlds import agent_world, app_of
from dify_etl_tests.sync.workplace import TALK, Workplace
from dify_simulated.world.rows import App, Conversation

VERSIONS = ("1.15.0", "1.16.1", "main-2026-08")
TABLES = (
    *("apps", "app_api_keys", "annotations", "conversations", "messages", "message_feedbacks"),
    *("message_citations", "message_files", "agent_thoughts", "daily_statistics"),
    *("agent_tool_calls", "agent_versions"),
)
# What fills these.
FEEDS_OF_AGENTS = (
    *("apps", "app_api_keys", "annotations", "agent_versions", "daily_statistics"),
    *("conversations", "messages"),
)


@pytest.fixture
def agents(workplace: Open) -> Workplace:
    """A workspace with agents on a server of 1.16.1, not read yet."""
    return workplace(agent_world(), "1.16.1")


def others_debugging(place: Workplace) -> Conversation:
    """A debugging talk that another account had with the first agent."""
    app = app_of(place.world, "agent")
    return next(
        row
        for row in place.world.conversations.values()
        if row.app_id == app.id
        and row.invoke_from == "debugger"
        and row.from_account_id != place.world.account_id
        and place.world.messages_of_conversation[row.id].entries
    )


def states(place: Workplace, feed: str, app: App) -> set[tuple[str, str | None]]:
    """State and reason of the slices of one app that are not proven."""
    rows = place.rows(
        f"SELECT DISTINCT state, reason FROM ops.slices WHERE feed = '{feed}' "
        f"AND app_id = '{app.id}' AND state <> 'proven'"
    )
    return {(state, reason) for state, reason in rows}


@pytest.fixture(params=[(version, role) for version in VERSIONS for role in ("owner", "editor")])
def whole(request: pytest.FixtureRequest, workplace: Open) -> Workplace:
    """The same workspace, read once, for each version and for two roles of the account."""
    version, role = request.param
    place = workplace(agent_world(), version)
    place.world.set_role(role)
    before = place.world.snapshot()
    place.read(FEEDS_OF_AGENTS)
    assert place.world.snapshot() == before, "reading left a trace"
    return place


def test_agents_are_read_whole(whole: Workplace) -> None:
    """Every table equals the world, cost and statistics included; no field is unknown.

    What nothing shows is told: the debugging talks of other accounts, on the days they lived.
    """
    assert differences(whole, TABLES) == []
    assert whole.rows("SELECT feed, field FROM ops.schema_drift") == []
    assert whole.rows("SELECT feed, error_path FROM ops.quarantine") == []
    assert whole.value("SELECT count(*) FROM raw.messages WHERE total_price > 0") > 0
    for app in [one for one in whole.world.apps.values() if one.mode == "agent"]:
        ((state, reason),) = states(whole, "messages", app)
        assert state == "unproven"
        assert OTHERS_DEBUGGING in str(reason)
        assert states(whole, "conversations", app) == set()
        assert states(whole, "daily_statistics", app) == set()


def test_nothing_that_writes_is_asked(agents: Workplace) -> None:
    """GET /agent and GET /agent/{id} make a conversation: a whole sync asks neither."""
    agents.read()
    assert agents.server.requests_of("/agent") == []
    assert agents.server.requests_of("/agent/{agent_id}") == []
    assert agents.server.requests_of("/agent/{agent_id}/logs/{conversation_id}/messages") != []


def test_debugging_talk_of_another_account_is_there_without_messages(agents: Workplace) -> None:
    """Its row is held and never absent, however often it is read; its messages are not asked."""
    hidden = others_debugging(agents)
    agents.read(TALK)
    agents.read(TALK)
    row = f"FROM raw.conversations WHERE conversation_id = '{hidden.id}'"
    assert agents.rows(f"SELECT message_count, absent_since {row}") == [(2, None)]
    shown = agents.server.requests_of("/apps/{app_id}/chat-messages")
    assert hidden.id not in {dict(one.query)["conversation_id"] for one in shown}


def test_second_night_reads_nothing_of_settled_talks(agents: Workplace) -> None:
    """A talk that did not change since is not asked again."""
    agents.pass_time(days=2)
    agents.read(TALK)
    with agents.requests() as asked:
        agents.read(TALK)
    assert [one.path for one in asked if "/messages" in one.path] == []


def test_new_message_alone_is_read(agents: Workplace) -> None:
    """A talk that grew costs its log and the new message; the price of all stays."""
    agents.pass_time(days=2)
    agents.read(TALK)
    world = agents.world
    row = next(
        one
        for one in world.conversations.values()
        if one.mode == "agent" and one.from_end_user_id and world.messages_of_conversation[one.id]
    )
    added = world.add_message(row.id, at=agents.pass_time(hours=1))
    agents.pass_time(hours=1)
    with agents.requests() as asked:
        agents.read(TALK)
    single = [one.path.rsplit("/", 1)[1] for one in asked if "/messages/" in one.path]
    assert single == [added.id]
    assert differences(agents, ("messages", "agent_thoughts")) == []


def test_rating_of_an_agent_is_seen(agents: Workplace) -> None:
    """A like moves the counts of the list, and the talk is read again."""
    agents.read(TALK)
    message = next(
        one
        for one in agents.world.messages.values()
        if agents.world.apps[one.app_id].mode == "agent" and one.from_end_user_id
    )
    agents.world.give_feedback(message.id, "like", at=agents.pass_time(hours=2))
    agents.read(TALK)
    assert differences(agents, ("conversations", "messages")) == []
    held = f"SELECT rating FROM raw.message_feedbacks WHERE message_id = '{message.id}'"
    assert ("like",) in agents.rows(held)


def test_deleted_talk_of_an_agent_is_absent(agents: Workplace) -> None:
    """What the list shows no more is marked, with its messages."""
    agents.read(TALK)
    row = next(one for one in agents.world.conversations.values() if one.mode == "agent")
    agents.world.delete_conversation(row.id)
    agents.read(TALK)
    absent = "SELECT conversation_id FROM raw.conversations WHERE absent_since IS NOT NULL"
    assert agents.rows(absent) == [(row.id,)]


def test_books_before_a_deletion_know_what_is_hidden(agents: Workplace) -> None:
    """An app with talks that nothing shows is not read whole: a deletion is told so."""
    agents.read(TALK)
    app = app_of(agents.world, "agent")
    loader = LiveSyncProof(agents.home, agents.rules.zone, agents.world.now())
    proof = loader.proof_of(app.id, since=app.created_at, mode=app.mode)
    assert any(OTHERS_DEBUGGING in line for line in proof.unproven)


def test_server_that_fails_late_costs_what_is_left(agents: Workplace) -> None:
    """When the server fails in the middle of a long talk, what came is loaded, and of the others
    their tokens and price, which the log tells; the next night brings the rest.
    """
    talks = agents.world.messages_of_conversation
    row = next(
        one
        for one in agents.world.conversations.values()
        if one.mode == "agent" and one.from_end_user_id and len(talks[one.id].entries) > 2
    )
    ids = [message_id for _, message_id in talks[row.id].entries]
    inner = httpx.WSGITransport(app=agents.server)
    agents.transport = ChangedAnswers(
        inner, refuse=lambda path: 503 if path.endswith(f"/messages/{ids[1]}") else None
    )

    agents.read(TALK)

    held = "SELECT message_source, count(*), bool_and(total_price > 0) FROM raw.messages"
    counted = agents.rows(f"{held} WHERE conversation_id = '{row.id}' GROUP BY 1 ORDER BY 1")
    assert sum(count for _, count, _ in counted) == len(ids)
    assert {source for source, _, _ in counted} == {"log", "chat"}
    state = f"SELECT state, reason FROM ops.conversation_reads WHERE conversation_id = '{row.id}'"
    assert agents.rows(state)[0][0] == "incomplete"
    agents.transport = None
    agents.read(TALK)
    assert differences(agents, ("conversations", "messages", "agent_tool_calls")) == []


def test_comparison_of_versions_leaves_nothing_out(agents: Workplace) -> None:
    """Every column of agent_versions is compared, and there are rows to compare."""
    agents.read(("apps", "agent_versions"))
    wanted = list(EXPECTED["agent_versions"](Told(agents.world, (1, 16, 1))))
    named = {column.name for column in RAW_TABLES["agent_versions"].table.columns}
    named -= {"odd_fields"}  # of the read, not of the world: `differences` sees that it is null
    assert {column for row in wanted for column in row} == named
    assert agents.value("SELECT count(*) FROM raw.agent_versions") == len(wanted) > 0
