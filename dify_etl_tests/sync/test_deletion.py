"""What Dify deleted is marked absent with its parts, and unmarked when it returns."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from dify_etl_tests.sync.answers_changed import ChangedAnswers
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import app_of, first_message, quiet_world, run, talk
from dify_etl_tests.sync.workplace import NOW, TALK, Workplace
from dify_simulated.world.rows import Conversation

TABLES = ("conversations", "messages", "message_feedbacks")


def absent(place: Workplace, table: str = "conversations") -> int:
    """How many rows of a table are marked absent."""
    return int(place.value(f"SELECT count(absent_since) FROM raw.{table}"))


def talk_with_parts(place: Workplace, *, days_ago: float, mode: str = "chat") -> Conversation:
    """A rated conversation of two messages, one in a completion app."""
    at = NOW - timedelta(days=days_ago)
    row = talk(place.world, at=at, messages=1 if mode == "completion" else 2, mode=mode)
    place.world.give_feedback(first_message(place.world, row), "like", at=at)
    return row


@pytest.mark.parametrize("mode", ["chat", "agent-chat", "advanced-chat", "completion"])
def test_deleted_conversation_is_absent_with_its_messages_and_parts(
    workplace: Open, mode: str
) -> None:
    """The rows stay, and say since when Dify has them no more; other rows are untouched."""
    place = workplace(quiet_world(mode))
    row = talk_with_parts(place, days_ago=2, mode=mode)
    talk_with_parts(place, days_ago=1, mode=mode)
    place.read(TALK)
    place.world.delete_conversation(row.id)
    place.read(TALK)
    assert differences(place, TABLES) == []
    gone = f"SELECT count(absent_since) FROM raw.{{}} WHERE conversation_id = '{row.id}'"
    assert [place.value(gone.format(name)) > 0 for name in TABLES] == [True, True, True]


@pytest.mark.parametrize("mode", ["chat", "completion"])
def test_conversation_that_returns_is_absent_no_more(workplace: Open, mode: str) -> None:
    """Restored from a backup, conversation, messages and parts are held as present again."""
    place = workplace(quiet_world(mode))
    row = talk_with_parts(place, days_ago=2, mode=mode)
    world, message = place.world, place.world.messages[first_message(place.world, row)]
    feedback = next(iter(world.feedbacks.values()))
    others = [world.messages[i] for i in world.messages_of_conversation[row.id]][1:]
    place.read(TALK)
    world.delete_conversation(row.id)
    place.pass_time(days=7)
    place.read(TALK)
    world.put_conversation(row)
    for one in (message, *others):
        world.put_message(one)
    world.put_feedback(feedback)
    place.pass_time(days=7)
    place.with_rules(lookback_days=30).read(TALK)
    assert differences(place, TABLES) == []
    assert [absent(place, table) for table in TABLES] == [0, 0, 0]


def test_deep_read_finds_a_conversation_deleted_long_ago(chat: Workplace) -> None:
    """Beyond the look-back every day has its turn within the cycle of nights."""
    chat.with_rules(lookback_days=1, deep_read_days=4)
    row = talk_with_parts(chat, days_ago=40)
    chat.read(TALK)
    chat.world.delete_conversation(row.id)
    for _ in range(4):
        chat.read(TALK)
        chat.pass_time(days=1)
    assert [absent(chat, table) for table in TABLES] == [1, 2, 1]


def test_without_deep_read_old_days_are_left_alone(chat: Workplace) -> None:
    """With a cycle of 0 the lists of old days are not asked again."""
    chat.with_rules(lookback_days=1, deep_read_days=0)
    row = talk_with_parts(chat, days_ago=40)
    chat.read(TALK)
    chat.world.delete_conversation(row.id)
    chat.read(TALK)
    assert absent(chat) == 0


def test_conversation_that_answers_404_is_absent_at_once(chat: Workplace) -> None:
    """Deleted between its list and its messages, a conversation is marked by the 404."""
    row = talk(chat.world, at=NOW - timedelta(days=2))
    chat.read(("apps", "conversations"))
    chat.world.delete_conversation(row.id)
    chat.read(("messages",))
    assert absent(chat) == 1


def test_feed_keeps_its_times_when_a_later_one_marks_its_rows(chat: Workplace) -> None:
    """Deleted in the middle of a run: the feed that lists conversations is told what vanished, but
    it was read when it was read.
    """
    chat.with_rules(workers=1)
    row = talk(chat.world, at=NOW - timedelta(days=2))

    def after_the_lists(path: str, answer: Any) -> Any:
        if path.endswith("/feedbacks/export"):
            chat.world.delete_conversation(row.id)
        return answer

    chat.transport = ChangedAnswers(httpx.WSGITransport(app=chat.server), after_the_lists)
    chat.read(TALK)

    (lists,) = chat.rows("SELECT rows_absent, ended_at FROM ops.runs WHERE feed = 'conversations'")
    assert lists[0] == 1
    assert lists[1] <= chat.value("SELECT started_at FROM ops.runs WHERE feed = 'messages'")


def test_deleted_app_is_absent_and_its_rows_stay(workplace: Open) -> None:
    """An app that is gone is marked with all that was read of it, which stays; nothing fails."""
    place = workplace(quiet_world("chat", "agent-chat"))
    talk(place.world, at=NOW - timedelta(days=2))
    feeds = (*TALK, "app_api_keys", "daily_statistics")
    place.read(feeds)
    place.world.delete_app(app_of(place.world).id)
    reports = place.read(feeds)
    assert absent(place, "apps") == 1
    assert [name for name, report in reports.items() if report.failures] == []
    assert [absent(place, table) for table in ("conversations", "messages")] == [1, 2]


def test_deleted_key_annotation_and_member_are_absent(workplace: Open) -> None:
    """Full lists mark what they show no more."""
    place = workplace(quiet_world("chat"))
    world = place.world
    key = world.add_api_key(tenant_id=world.workspace_id, at=NOW, app_id=app_of(world).id)
    note = world.annotate(first_message(world, talk(world, at=NOW)), at=NOW, content="better")
    tables = ("app_api_keys", "annotations", "members")
    place.read(("apps", *tables))
    world.delete_api_key(key.id)
    world.take_annotation(note.id)
    leaver = next(one for one in world.accounts.values() if one.email == "ben@dify.test")
    world.remove_account(leaver.id)
    place.read(("apps", *tables))
    assert [absent(place, table) for table in tables] == [1, 1, 1]
    assert differences(place, tables) == []


def test_run_that_left_the_logs_is_absent(workplace: Open) -> None:
    """A run whose row and log line are gone is marked by a proven walk of the logs."""
    place = workplace(quiet_world("workflow"))
    run_id = run(place.world, at=NOW - timedelta(days=2))
    run(place.world, at=NOW - timedelta(days=1))
    place.read(("apps", "workflow_runs", "node_executions"))
    place.world.unlog_run(run_id)
    place.world.delete_run(run_id)
    place.read(("apps", "workflow_runs", "node_executions"))
    assert place.rows(
        "SELECT workflow_run_id FROM raw.workflow_runs WHERE absent_since IS NOT NULL"
    ) == [(run_id,)]


def test_run_that_lost_its_log_row_alone_is_there(workplace: Open) -> None:
    """A run that no log shows any more, but the list of runs does, is not marked absent."""
    place = workplace(quiet_world("workflow"))
    run_id = run(place.world, at=NOW - timedelta(days=2))
    place.read(("apps", "workflow_runs"))
    place.world.unlog_run(run_id)
    place.read(("apps", "workflow_runs"))
    assert absent(place, "workflow_runs") == 0


@pytest.mark.parametrize("held", [2, 130])
def test_deleted_message_is_absent_with_its_parts(workplace: Open, held: int) -> None:
    """A retention job takes one message, and two are written: the one is marked, also in a long
    conversation of which only the newer messages are due.
    """
    place = workplace(quiet_world("chat"))
    row = talk(place.world, at=NOW - timedelta(days=2), messages=held)
    first = first_message(place.world, row)
    place.world.give_feedback(first, "like", at=NOW - timedelta(days=2))
    place.read(TALK)
    place.pass_time(days=1)
    place.world.take_message(first)
    for query in ("one", "two"):
        place.world.add_message(row.id, at=place.world.now() - timedelta(hours=2), query=query)
    place.read(TALK)
    assert differences(place, TABLES) == []
    assert (absent(place, "messages"), absent(place, "message_feedbacks")) == (1, 1)


def test_deleted_message_is_absent_after_a_night_of_refusals(workplace: Open) -> None:
    """The night after the deletion the app answered 500: the one after that marks the message."""
    place = workplace(quiet_world("chat"))
    at = NOW - timedelta(hours=1)
    row = place.world.add_conversation(app_of(place.world).id, at=at)
    message = place.world.add_message(row.id, at=at, query="?", answer=None)  # is read again
    place.read(TALK)
    place.world.take_message(message.id)
    place.pass_time(hours=5)
    inner = httpx.WSGITransport(app=place.server)
    is_refused = ("chat-messages", "chat-conversations")
    place.transport = ChangedAnswers(
        inner, refuse=lambda path: 500 if path.endswith(is_refused) else None
    )
    place.read(TALK)
    place.transport = None
    place.pass_time(days=1)
    place.read(TALK)
    assert differences(place, TABLES) == []
    assert absent(place, "messages") == 1


@pytest.mark.parametrize("is_opened", [False, True])
def test_log_of_a_completion_without_its_message(workplace: Open, is_opened: bool) -> None:
    """Its list tells no text any more: the message is marked, and none is made up in its place."""
    place = workplace(quiet_world("completion")).with_rules(completion_detail=is_opened)
    at = NOW - timedelta(hours=5)
    row = talk(place.world, at=at, messages=1, mode="completion")
    place.world.give_feedback(first_message(place.world, row), "like", at=at)
    place.read(TALK)
    assert place.value("SELECT count(*) FROM raw.messages WHERE absent_since IS NULL") == 1
    place.world.take_message(first_message(place.world, row))
    place.pass_time(hours=8)
    place.read(TALK)
    assert place.value("SELECT count(*) FROM raw.messages WHERE absent_since IS NULL") == 0
    assert (absent(place, "messages"), absent(place, "message_feedbacks")) == (1, 1)
    assert absent(place, "conversations") == 0
