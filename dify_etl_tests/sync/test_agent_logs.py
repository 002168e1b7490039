"""What only the logs of agents tell: talks that no list shows, messages that Dify cannot show."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from dify_etl.feeds.agent_messages import OF_WORKFLOW
from dify_etl_tests.sync.answers_changed import ChangedAnswers
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import agent_world, app_of, talk
from dify_etl_tests.sync.workplace import NOW, TALK, Workplace
from dify_simulated import World
from dify_simulated.world.rows import Conversation, Message

DEAD = "gone.example"


@pytest.fixture
def agents(workplace: Open) -> Workplace:
    """A workspace with agents on a server of 1.16.1, not read yet."""
    return workplace(agent_world(), "1.16.1")


def with_dead_file(place: Workplace) -> Message:
    """A message of an end user to the first agent, whose file lies on a host that is gone."""
    app = app_of(place.world, "agent")
    row = next(
        one
        for one in place.world.messages.values()
        if one.app_id == app.id and one.from_end_user_id and one.total_price
    )
    place.world.attach_remote_file(row.id, f"https://{DEAD}/a.png?token=of-a-stranger")
    place.world.dead_hosts.add(DEAD)
    return row


def row_of(place: Workplace, message: Message) -> tuple[object, ...]:
    """Where the row of a message comes from, what it says, and what it cost."""
    (found,) = place.rows(
        "SELECT message_source, query, answer, status, from_source, total_tokens, total_price, "
        f"inputs IS NULL FROM raw.messages WHERE message_id = '{message.id}'"
    )
    return found


def test_rating_of_a_message_that_only_the_log_tells(agents: Workplace) -> None:
    """The log tells no ratings: that the export has one is no doubt for ever."""
    message = with_dead_file(agents)
    agents.world.give_feedback(message.id, "like", at=NOW - timedelta(hours=1))
    agents.read(TALK)
    assert row_of(agents, message)[0] == "log"
    told = f"""SELECT reason FROM ops.slices
        WHERE feed = 'message_feedbacks' AND app_id = '{message.app_id}'"""
    assert agents.rows(told) == [(None,)]


@pytest.mark.parametrize("version", ["1.16.1", "main-2026-08"])
def test_message_that_dify_cannot_show_is_loaded_from_the_log(
    workplace: Open, version: str
) -> None:
    """Tokens and price are there, what the log lacks is null, and the talk tells Dify's words."""
    place = workplace(agent_world(), version)
    message = with_dead_file(place)
    place.read(TALK)
    tokens = message.message_tokens + message.answer_tokens
    told = (message.query, message.answer, message.status, message.from_source)
    assert row_of(place, message) == ("log", *told, tokens, message.total_price, True)
    ((talk, state, reason),) = place.rows(
        "SELECT conversation_id, state, reason FROM ops.conversation_reads "
        "WHERE state = 'incomplete'"
    )
    assert (talk, state) == (message.conversation_id, "incomplete")
    assert reason.startswith(f"message {message.id}: Dify answers 400: invalid_param; ")
    assert "message_files" in reason
    assert "of-a-stranger" not in reason


def test_message_is_whole_once_its_host_answers_again(agents: Workplace) -> None:
    """The next night reads the message itself, and all is equal."""
    with_dead_file(agents)
    agents.read(TALK)
    agents.world.dead_hosts.clear()
    agents.pass_time(days=1)
    agents.read(TALK)
    assert differences(agents, ("messages", "agent_thoughts")) == []


def test_message_that_was_whole_keeps_what_the_log_lacks(agents: Workplace) -> None:
    """A host that dies after the first read takes neither inputs nor steps of the message away."""
    message = with_dead_file(agents)
    agents.world.dead_hosts.clear()
    agents.read(TALK)
    agents.world.dead_hosts.add(DEAD)
    agents.world.give_feedback(message.id, "like", at=agents.pass_time(hours=2))
    agents.read(TALK)
    assert row_of(agents, message)[0] == "log"
    assert row_of(agents, message)[-1] is False
    assert differences(agents, ("agent_thoughts", "agent_tool_calls")) == []
    files = f"SELECT absent_since FROM raw.message_files WHERE message_id = '{message.id}'"
    assert agents.rows(files) == [(None,)]


def unlisted(place: Workplace) -> Conversation:
    """A talk of an end user that the list of conversations does not show, and the log does."""
    app = app_of(place.world, "agent")
    row = next(
        one
        for one in place.world.conversations.values()
        if one.app_id == app.id and one.from_end_user_id
    )
    place.world.delete_conversation(row.id, soft=True)
    return row


def talk_of_hidden_flow(place: Workplace) -> Conversation:
    """A talk with a chatflow that no list of this workspace shows, of which the agent is a node."""
    world, at = place.world, NOW - timedelta(days=1)
    flow = world.add_app(
        name="hidden",
        mode="advanced-chat",
        at=at,
        created_by=world.account_id,
        tenant_id=world.new_id(),
    )
    agent = world.agent_of_app[app_of(world, "agent").id]
    world.use_agent(agent, app_id=flow.id, node_id="llm")
    row = world.add_conversation(flow.id, at=at, name="asked in a flow")
    for number in range(2):
        message = world.add_message(
            row.id, at=at + timedelta(minutes=number), query=f"question {number}"
        )
        assert message.workflow_run_id is not None
        world.add_node(message.workflow_run_id, at=message.created_at, node_id="llm")
    return row


def held(place: Workplace, talk: Conversation) -> tuple[object, ...]:
    """What stands in raw.conversations of a talk."""
    (found,) = place.rows(
        "SELECT app_id, name, from_end_user_id, message_count, source_type, source_app_id, "
        f"source_node_id, absent_since FROM raw.conversations WHERE conversation_id = '{talk.id}'"
    )
    return found


def messages_held(place: Workplace, talk: Conversation) -> int:
    """How many messages of a talk are held and not absent."""
    return int(
        place.value(
            f"SELECT count(*) FROM raw.messages WHERE conversation_id = '{talk.id}' "
            "AND absent_since IS NULL"
        )
    )


def test_talk_that_only_the_log_knows_is_loaded(agents: Workplace) -> None:
    """It stands with its messages, and no later night takes it for deleted."""
    talk = unlisted(agents)
    count = len(agents.world.messages_of_conversation[talk.id])
    for _ in range(2):
        agents.read(TALK)
        told = (talk.app_id, talk.name, talk.from_end_user_id, count)
        assert held(agents, talk) == (*told, "webapp", talk.app_id, None, None)
        assert messages_held(agents, talk) == count
        agents.pass_time(days=1)
    others = f"conversation_id <> '{talk.id}'"
    lacking = [f"conversations lacks {(talk.id,)}"]
    assert differences(agents, ("conversations",), where=others) == lacking


def test_second_night_asks_one_page_of_the_log_per_agent(agents: Workplace) -> None:
    """Where nothing is new, the log of each agent costs one request, and no talk is looked up."""
    unlisted(agents)
    agents.read(TALK)
    agents.pass_time(days=1)
    with agents.requests() as asked:
        agents.with_rules(deep_read_days=0).read(("apps", "conversations"))
    logs = [one.path for one in asked if "/logs" in one.path]
    assert len(logs) == len(set(logs)) == 2


def test_talk_that_only_the_log_knows_grows(agents: Workplace) -> None:
    """A new message in it is read the next night."""
    talk = unlisted(agents)
    agents.read(TALK)
    count = messages_held(agents, talk)
    agents.world.add_message(talk.id, at=agents.pass_time(hours=5))
    agents.pass_time(hours=1)
    agents.read(TALK)
    assert messages_held(agents, talk) == count + 1


def test_talk_that_neither_shows_is_absent(agents: Workplace) -> None:
    """A talk that the log does not show any more either is marked as deleted."""
    talk = unlisted(agents)
    agents.read(TALK)
    for message_id in list(agents.world.messages_of_conversation[talk.id]):
        agents.world.take_message(message_id)
    agents.read(TALK)
    assert held(agents, talk)[-1] is not None
    assert messages_held(agents, talk) == 0


def test_listed_talk_without_its_place_in_the_log_is_there(agents: Workplace) -> None:
    """What one of both shows is not absent: a talk whose messages are gone stays."""
    agents.read(TALK)
    app = app_of(agents.world, "agent")
    talk = next(one for one in agents.world.conversations.values() if one.app_id == app.id)
    for message_id in list(agents.world.messages_of_conversation[talk.id]):
        agents.world.take_message(message_id)
    agents.read(TALK)
    assert held(agents, talk)[-1] is None


@pytest.mark.parametrize("status", [404, 500])
def test_day_is_not_proven_by_the_list_alone(workplace: Open, status: int) -> None:
    """Without the log the talks are loaded, no day is proven, and nothing is absent."""
    place = workplace(agent_world(), "1.16.1")
    place.read(TALK)
    talk = next(one for one in place.world.conversations.values() if one.mode == "agent")
    place.world.delete_conversation(talk.id)
    place.transport = without_logs(place, status)
    place.read(TALK)
    assert held(place, talk)[-1] is None
    found = place.rows(
        "SELECT DISTINCT s.state, starts_with(s.reason, 'log of the agent: ') FROM ops.slices s "
        "JOIN raw.apps a USING (app_id) WHERE s.feed = 'conversations' AND a.mode = 'agent' "
        "AND s.run_id = 'run 2'"
    )
    assert found == [("incomplete", True)]


def without_logs(place: Workplace, status: int) -> httpx.BaseTransport:
    """The server as it is, but for the list of logs."""
    whole = httpx.WSGITransport(app=place.server)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/logs"):
            return httpx.Response(status, html="<title>no</title>", request=request)
        return whole.handle_request(request)

    return httpx.MockTransport(answer)


@pytest.mark.parametrize("version", ["1.16.1", "main-2026-08"])
def test_talks_of_workflows_belong_to_their_own_app(workplace: Open, version: str) -> None:
    """What an agent said as a node is read with the chatflow, once, and proves the agent's days.

    A talk that went through two of its nodes stands in the log twice.
    """
    place = workplace(flow_world(), version)
    place.read()
    tables = ("conversations", "messages", "workflow_runs", "node_executions", "daily_statistics")
    assert differences(place, tables) == []
    app = app_of(place.world, "agent")
    unproven = place.rows(
        f"SELECT reason FROM ops.slices WHERE feed = 'conversations' AND app_id = '{app.id}' "
        "AND state <> 'proven'"
    )
    assert unproven == []


@pytest.mark.parametrize(
    ("source", "is_in_doubt"),
    [({"type": "\0"}, False), ({"type": "\0", "app_id": None}, True), (None, True)],
)
def test_talk_of_a_workflow_stays_its_own_when_its_source_is_odd(
    workplace: Open, source: dict[str, Any] | None, is_in_doubt: bool
) -> None:
    """The log of the agent says that the talk is the flow's, by another word or not at all: it is
    never taken for the agent's own, and where nothing tells whose it is, the day is not proven.
    """
    place = workplace(flow_world(), "1.16.1")
    flow = app_of(place.world, "advanced-chat")
    (talk_id,) = (row.id for row in place.world.conversations.values() if row.app_id == flow.id)

    def odd(path: str, answer: Any) -> Any:
        rows = answer.get("data", []) if path.endswith("/logs") and "/agent/" in path else []
        for row in rows:
            if talk_id in (row.get("id"), row.get("conversation_id")):
                row["source"] = source and {**row["source"], **source}
        return answer

    place.transport = ChangedAnswers(httpx.WSGITransport(app=place.server), odd)
    place.read()
    assert differences(place, ("conversations", "messages")) == []
    doubts = place.rows(
        "SELECT DISTINCT reason FROM ops.slices WHERE feed = 'conversations' AND state <> 'proven'"
    )
    reason = f"log of the agent: talk {talk_id}: its source cannot be read"
    assert doubts == ([(reason,)] if is_in_doubt else [])


@pytest.mark.parametrize(
    ("odd_id", "reason"),
    [
        (
            "0b7f9c6e-7b1e-4c57-9f6e-3a3f1c2d4e5f",
            "log of the agent: talk 0b7f9c6e-7b1e-4c57-9f6e-3a3f1c2d4e5f: the log names it and "
            "shows no message of it",
        ),
        ("odd", "1 in quarantine"),
    ],
)
def test_log_that_names_no_talk_leaves_its_day_in_doubt(
    agents: Workplace, odd_id: str, reason: str
) -> None:
    """An id of nobody, or none: the talk that was meant is there without a source, and its day,
    which is not that of its newest message, says so.
    """
    app = app_of(agents.world, "agent")
    talk = next(one for one in agents.world.conversations.values() if one.app_id == app.id)
    agents.world.add_message(talk.id, at=agents.world.now() - timedelta(minutes=9))
    assert talk.created_at.date() < agents.world.now().date()

    def odd(path: str, answer: Any) -> Any:
        rows = answer.get("data", []) if path.endswith("/logs") and "/agent/" in path else []
        for row in rows:
            if talk.id in (row.get("id"), row.get("conversation_id")):
                row |= {"id": odd_id, "conversation_id": odd_id}
        return answer

    transport = agents.transport
    agents.transport = ChangedAnswers(httpx.WSGITransport(app=agents.server), odd)
    agents.read(TALK)
    assert held(agents, talk)[4:6] == (None, None)
    doubts = "SELECT DISTINCT reason FROM ops.slices WHERE feed = 'conversations' AND " + (
        f"state <> 'proven' AND app_id = '{app.id}'"
    )
    assert agents.rows(doubts) == [(reason,)]
    of_its_day = f"{doubts} AND slice_date = '{talk.created_at.date()}'"
    assert agents.rows(of_its_day) == [(reason,)]
    agents.transport = transport
    agents.pass_time(days=1)
    agents.read(TALK)
    assert held(agents, talk)[4:6] == ("webapp", app.id)
    assert agents.rows(doubts) == []


def test_talk_whose_source_is_told_no_more_is_there(agents: Workplace) -> None:
    """Only the log shows it, and says on later nights nothing of its source: it is not deleted."""
    hidden = unlisted(agents)
    agents.read(TALK)
    before = held(agents, hidden)

    def untold(path: str, answer: Any) -> Any:
        rows = answer.get("data", []) if path.endswith("/logs") and "/agent/" in path else []
        for row in rows:
            if hidden.id in (row.get("id"), row.get("conversation_id")):
                row["source"] = None
        return answer

    agents.transport = ChangedAnswers(httpx.WSGITransport(app=agents.server), untold)
    for _ in range(2):
        agents.pass_time(days=1)
        agents.read(TALK)
        assert held(agents, hidden) == before


def flow_world() -> World:
    """A chatflow in which the first agent answers in two nodes, and a talk with it."""
    world = agent_world()
    flow = world.add_app(
        name="a flow",
        mode="advanced-chat",
        at=NOW - timedelta(days=2),
        created_by=world.account_id,
        tenant_id=world.workspace_id,
    )
    agent = world.agent_of_app[app_of(world, "agent").id]
    row = talk(world, at=NOW - timedelta(days=1), mode="advanced-chat")
    assert row.app_id == flow.id
    for node_id in ("llm", "second"):
        world.use_agent(agent, app_id=flow.id, node_id=node_id)
        for message_id in world.messages_of_conversation[row.id]:
            run_id = world.messages[message_id].workflow_run_id
            assert run_id is not None
            world.add_node(run_id, at=row.created_at, node_id=node_id, status="succeeded")
    return world


@pytest.mark.parametrize("version", ["1.16.1", "main-2026-08"])
def test_talk_of_a_workflow_that_no_list_shows_is_loaded(workplace: Open, version: str) -> None:
    """The agent's log alone tells of it: rows, tokens and price are there, and it is unproven."""
    place = workplace(agent_world(), version)
    flow_talk = talk_of_hidden_flow(place)
    place.read(TALK)
    app = app_of(place.world, "agent")
    rows = place.rows(
        "SELECT c.app_id, c.source_app_id, c.source_node_id, m.message_source, r.state, r.reason "
        "FROM raw.conversations c JOIN raw.messages m USING (conversation_id) "
        "JOIN ops.conversation_reads r USING (conversation_id) WHERE c.source_type = 'workflow'"
    )
    told = (app.id, flow_talk.app_id, "llm", "log", "unproven", OF_WORKFLOW)
    assert rows == [told, told]
