"""A message that Dify cannot show costs itself at most, and nothing once it can be shown."""

from datetime import timedelta

import pytest

from dify_etl.feeds.odd_messages import MOST_SILENT
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import quiet_world, talk
from dify_etl_tests.sync.workplace import NOW, RUNS, TALK, Workplace
from dify_simulated import World
from dify_simulated.world.rows import Conversation

DEAD = "dead.example.test"
BEGAN = NOW - timedelta(days=2)
TABLES = ("conversations", "messages", "message_files", "message_feedbacks")
SHOWN = "SELECT query FROM raw.messages WHERE absent_since IS NULL ORDER BY created_at"
NEWEST = ("1.16.1", "main-2026-08")


def messages_of(world: World, conversation: Conversation) -> list[str]:
    """The ids of a conversation's messages, oldest first."""
    return [row_id for _, row_id in world.messages_of_conversation[conversation.id].entries]


def with_dead_file(world: World, *, at: int = 6, messages: int = 12, mode: str = "chat") -> str:
    """A talk with a file on a host that does not answer; the id of the message that has it."""
    row = talk(world, at=BEGAN, messages=messages, mode=mode)
    dead = messages_of(world, row)[at]
    world.attach_remote_file(dead, f"https://{DEAD}/a.png?of=of-a-stranger")
    world.dead_hosts.add(DEAD)
    return dead


def questions(*numbers: int) -> list[tuple[str]]:
    return [(f"question {number}",) for number in numbers]


def state_of(place: Workplace) -> tuple[str, str]:
    """State and reason of the only conversation that is in doubt."""
    ((state, reason),) = place.rows(
        "SELECT state, reason FROM ops.conversation_reads WHERE state <> 'proven'"
    )
    return state, reason


@pytest.mark.parametrize("version", NEWEST)
def test_first_load_brings_what_is_newer(workplace: Open, version: str) -> None:
    """Without any older id the newer messages are loaded, the others counted in Dify's words."""
    place = workplace(quiet_world("chat"), version)
    with_dead_file(place.world)

    report = place.read(TALK)["messages"]

    assert place.rows(SHOWN) == questions(*range(7, 12))
    state, reason = state_of(place)
    assert state == "incomplete"
    assert reason.startswith("7 of 12 messages stay out: Dify answers 400: invalid_param; ")
    assert "MessageInfiniteScrollPaginationResponse: data." in reason
    assert ".message_files" in reason
    assert report.state == "incomplete"


def test_advice_blames_no_daemon_and_quotes_no_url(workplace: Open) -> None:
    """The reason tells what to do about the file, not where it lies: the URL may be secret."""
    place = workplace(quiet_world("chat"), "1.16.1")
    with_dead_file(place.world)

    place.read(TALK)

    _, reason = state_of(place)
    assert "bring the file's host back, or delete the message" in reason
    assert "daemon" not in reason
    assert "of-a-stranger" not in reason


def test_rated_older_message_leads_behind_the_odd_one(workplace: Open) -> None:
    """The feedback export names an older message: it and what is older come on the first night."""
    place = workplace(quiet_world("chat"), "1.16.1")
    world = place.world
    dead = with_dead_file(world)
    older = messages_of(world, world.conversations[world.messages[dead].conversation_id])[4]
    world.give_feedback(older, "like", at=NOW - timedelta(hours=3))

    place.read(TALK)

    assert place.rows(SHOWN) == questions(0, 1, 2, 3, 4, 7, 8, 9, 10, 11)
    assert state_of(place)[1].startswith("2 of 12 messages stay out: ")


def test_runs_of_a_chatflow_lead_behind_the_odd_message(workplace: Open) -> None:
    """On the second night the runs name every message: only the odd one stays out."""
    place = workplace(quiet_world("advanced-chat"), "1.16.1")
    with_dead_file(place.world, mode="advanced-chat")
    place.read((*TALK, *RUNS))
    place.pass_time(days=1)

    place.read((*TALK, *RUNS))

    assert place.rows(SHOWN) == questions(0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11)
    assert state_of(place)[1].startswith("1 of 12 messages stay out: ")


def test_message_loaded_before_its_host_died_is_kept(workplace: Open) -> None:
    """All is held and all that can be read is read again; the day is unproven, and not red."""
    place = workplace(quiet_world("chat"), "1.16.1")
    world = place.world
    dead = with_dead_file(world)
    world.dead_hosts.clear()
    place.read(TALK)
    world.dead_hosts.add(DEAD)
    place.pass_time(days=1)
    row = world.conversations[world.messages[dead].conversation_id]
    world.add_message(row.id, at=world.now() - timedelta(hours=1), query="question 12")
    world.give_feedback(messages_of(world, row)[2], "dislike", at=world.now())

    report = place.read(TALK)["messages"]

    assert differences(place, ("conversations", "messages", "message_files")) == []
    assert place.value("SELECT rating FROM raw.message_feedbacks") == "dislike"
    state, reason = state_of(place)
    assert state == "unproven"
    assert reason.startswith("1 of 13 messages are held as they were read before: ")
    assert report.state == "unproven"


def test_night_after_the_host_is_back_all_is_equal(workplace: Open) -> None:
    """What stayed out is tried again, and once the file can be reached all tables are whole."""
    place = workplace(quiet_world("chat"), "1.16.1")
    with_dead_file(place.world)
    place.read(TALK)
    place.pass_time(days=1)
    place.world.dead_hosts.clear()

    report = place.read(TALK)["messages"]

    assert differences(place, TABLES) == []
    assert report.state == "proven"


@pytest.mark.parametrize("at", [0, 11])
def test_odd_message_at_either_end(workplace: Open, at: int) -> None:
    """The oldest message takes none with it; the newest hides the others until one is known."""
    place = workplace(quiet_world("chat"), "1.16.1")
    with_dead_file(place.world, at=at)

    place.read(TALK)

    assert place.rows(SHOWN) == (questions(*range(1, 12)) if at == 0 else [])
    assert state_of(place)[0] == "incomplete"


def test_other_conversations_are_not_touched(workplace: Open) -> None:
    """A neighbour of the odd conversation is loaded and proven."""
    place = workplace(quiet_world("chat"), "1.16.1")
    with_dead_file(place.world)
    other = talk(place.world, at=NOW - timedelta(hours=5), messages=3)

    place.read(TALK)

    state = f"SELECT state FROM ops.conversation_reads WHERE conversation_id = '{other.id}'"
    assert place.value(state) == "proven"
    assert (
        place.value(f"SELECT count(*) FROM raw.messages WHERE conversation_id = '{other.id}'") == 3
    )


def test_odd_message_is_found_with_few_requests(workplace: Open) -> None:
    """Dify tries the dead host for seconds at each failing page: its words lead to the message."""
    place = workplace(quiet_world("chat"), "1.16.1")
    with_dead_file(place.world, at=30, messages=90)

    place.read(TALK)

    asked = place.server.requests_of("/apps/{app_id}/chat-messages")
    assert [request.status for request in asked] == [400, 200]


def test_two_odd_messages_are_both_gone_round(workplace: Open) -> None:
    """Behind the first odd message the walk meets a second one, and goes round it, too."""
    place = workplace(quiet_world("chat"), "1.16.1")
    world = place.world
    dead = with_dead_file(world, at=8)
    row = world.conversations[world.messages[dead].conversation_id]
    place.world.dead_hosts.clear()
    place.read(TALK)
    world.attach_remote_file(messages_of(world, row)[3], f"https://{DEAD}/b.png")
    world.dead_hosts.add(DEAD)
    place.pass_time(days=1)
    for message_id in messages_of(world, row)[:8]:
        world.give_feedback(message_id, "like", at=world.now())

    place.read(TALK)

    held = "SELECT count(*) FROM raw.message_feedbacks WHERE absent_since IS NULL"
    assert place.value(held) == 7  # the second odd message's own is not seen
    assert state_of(place)[1].startswith("2 of 12 messages are held as they were read before")


@pytest.mark.parametrize("status", [400, 500])
@pytest.mark.parametrize("version", ["1.7.2", "1.12.1", "1.16.1"])
def test_newest_message_hides_none_that_is_known(
    workplace: Open, version: str, status: int
) -> None:
    """No page comes, whatever its size. A known id that answers shows that a row is to blame."""
    place = workplace(quiet_world("chat"), version)
    row = talk(place.world, at=BEGAN, messages=6)
    place.read(TALK)
    place.pass_time(days=1)
    newest = place.world.add_message(row.id, at=place.world.now(), query="question 6")
    place.world.give_feedback(messages_of(place.world, row)[2], "like", at=place.world.now())
    place.server.odd_rows[newest.id] = status

    place.read(TALK)

    assert place.rows(SHOWN) == questions(*range(6))
    assert place.value("SELECT rating FROM raw.message_feedbacks") == "like"
    state, reason = state_of(place)
    assert state == "incomplete"
    assert reason.startswith(f"1 of 7 messages stay out: Dify answers {status}")


def test_server_that_answers_nothing_is_asked_little(workplace: Open) -> None:
    """All pages and messages fail: then it is the server, and known ids are tried a few times."""
    place = workplace(quiet_world("chat"), "1.12.1")
    row = talk(place.world, at=BEGAN, messages=20)
    place.read(TALK)
    place.pass_time(days=1)
    place.world.add_message(row.id, at=place.world.now(), query="question 20")
    place.server.odd_rows.update(dict.fromkeys(messages_of(place.world, row), 500))
    before = len(place.server.requests_of("/apps/{app_id}/chat-messages"))

    place.read(TALK)

    assert state_of(place)[0] == "failed"
    assert place.rows(SHOWN) == questions(*range(20))
    asked = place.server.requests_of("/apps/{app_id}/chat-messages")[before:]
    assert len(asked) + len(place.server.requests_of("/apps/{app_id}/messages/{message_id}")) < 40


@pytest.mark.parametrize("version", NEWEST)
def test_many_newest_messages_hide_none_that_is_known(workplace: Open, version: str) -> None:
    """Where Dify names the message that it cannot show, as many ids are tried as it takes."""
    place = workplace(quiet_world("chat"), version)
    row = talk(place.world, at=BEGAN, messages=12)
    place.read(TALK)
    place.pass_time(days=1)
    ids = messages_of(place.world, row)
    for message_id in ids[6:]:
        place.world.attach_remote_file(message_id, f"https://{DEAD}/a.png")
    place.world.dead_hosts.add(DEAD)
    place.world.give_feedback(ids[2], "like", at=place.world.now())

    place.read(TALK)

    assert place.value("SELECT rating FROM raw.message_feedbacks") == "like"
    assert state_of(place)[1].startswith("6 of 12 messages are held as they were read before: ")


def test_after_many_that_show_nothing_no_more_are_asked(workplace: Open) -> None:
    """Where conversation after conversation fails, it is the server, and a bad night enough."""
    place = workplace(quiet_world("chat"), "1.12.1")
    world = place.world
    rows = [talk(world, at=BEGAN + timedelta(minutes=number), messages=2) for number in range(40)]
    place.read(TALK)
    place.pass_time(days=1)
    for row in rows:
        world.add_message(row.id, at=world.now(), query="one more")
        place.server.odd_rows.update(dict.fromkeys(messages_of(world, row), 500))

    place.read(TALK)

    asked = place.server.requests_of("/apps/{app_id}/messages/{message_id}")
    assert 0 < len({request.path for request in asked}) <= 2 * (MOST_SILENT + place.rules.workers)
    assert place.rows("SELECT DISTINCT state FROM ops.conversation_reads") == [("failed",)]
