"""What only the logs of agents tell: talks that no list shows, messages that Dify cannot show."""

import pytest

from dify_etl.simulated.rows import Message
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import agent_world, app_of
from dify_etl_tests.sync.workplace import TALK, Workplace

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
