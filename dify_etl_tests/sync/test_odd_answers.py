"""What an odd answer costs is named, and nothing beside it is lost; the fuzzer found each."""

from datetime import timedelta
from typing import Any

import pytest

from dify_etl.feeds.quarantine import retry_quarantine
from dify_etl.home import LIVE
from dify_etl.sync.run import SyncPlan
from dify_etl.warehouse.database import open_database
from dify_etl_tests.sync.answers_changed import Change, rows_changed
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import (
    agent_world,
    app_of,
    brief_world,
    failing_document,
    first_message,
    quiet_world,
    run,
    talk,
)
from dify_etl_tests.sync.test_proven_means_loaded import AT, answering, changed, state_of
from dify_etl_tests.sync.workplace import NOW, RUNS, TALK, Workplace
from dify_simulated.world.rows import Message

WAITING = "SELECT record_id, error_path FROM ops.quarantine WHERE resolved_at IS NULL ORDER BY 2"


def answered(path_end: str, **values: Any) -> Change:
    """What answers at this path say around their rows."""
    return lambda path, answer: {**answer, **values} if path.endswith(path_end) else answer


def test_second_row_of_an_odd_message_hides_no_oddity(workplace: Open) -> None:
    """A message with an odd field, and another one with its id: both wait, each with its reason."""
    place = workplace(quiet_world("chat"))
    row = talk(place.world, at=AT, messages=2)
    ids = [message_id for _, message_id in place.world.messages_of_conversation[row.id].entries]
    answering(
        place, rows_changed("/chat-messages", lambda at, one: {**one, "id": ids[1], "error": 7})
    )
    place.read(TALK)
    assert place.rows(WAITING) == [(ids[1], "error"), (ids[1], "id")]


def test_documents_are_unproven_without_the_list_of_datasets(workplace: Open) -> None:
    """Nobody was asked for documents, so none is proven to be absent."""
    place = workplace(quiet_world("chat"))
    failing_document(place.world)
    place.read(("documents",))
    state = "SELECT state, reason LIKE 'the list of datasets%' FROM ops.slices"
    assert place.rows(f"{state} WHERE feed = 'documents'") == [("unproven", True)]
    answering(place, answered("/datasets", data=5)).read(("datasets", "documents"))
    assert place.rows(f"{state} WHERE feed = 'documents'") == [("unproven", True)]
    answering(place, None).read(("datasets", "documents"))
    assert place.rows(f"{state} WHERE feed = 'documents'") == [("proven", None)]


def test_odd_tool_log_leaves_its_talk_in_doubt(workplace: Open) -> None:
    """A step of the log that is none: the calls are there without seconds, and the talk says so."""
    place = workplace(brief_world(), "1.12.1")
    answering(
        place,
        lambda path, answer: (
            {**answer, "iterations": [7, *answer["iterations"][1:]]}
            if path.endswith("/agent/logs")
            else answer
        ),
    ).read(TALK)
    assert place.value("SELECT count(seconds) FROM raw.agent_tool_calls") == 0
    doubted = "SELECT count(*) FROM ops.conversation_reads WHERE reason LIKE '%tool calls of%'"
    assert place.value(doubted) > 0
    answering(place, None).read(TALK)
    assert place.value("SELECT count(*) FROM raw.agent_tool_calls WHERE seconds IS NULL") == 0


def test_odd_tool_log_costs_its_own_message_alone(workplace: Open) -> None:
    """The first log of a talk is odd; those of its other messages are asked for all the same."""
    place = workplace(brief_world(), "1.12.1")
    odd = iter([{"iterations": [7]}])
    answering(
        place,
        lambda path, answer: (
            {**answer, **next(odd, {})} if path.endswith("/agent/logs") else answer
        ),
    ).read(TALK)
    without = "SELECT DISTINCT message_id FROM raw.agent_tool_calls WHERE seconds IS NULL"
    assert len(place.rows(without)) == 1


def test_odd_step_of_an_agent_costs_its_own_calls_their_seconds(workplace: Open) -> None:
    """A step that is odd is set aside; its message is loaded, and nothing ends in a bug."""
    place = workplace(brief_world(), "1.12.1")

    def odd(at: int, row: Any) -> Any:
        steps = row.get("agent_thoughts") or []
        return {**row, "agent_thoughts": [{**one, "chain_id": 7} for one in steps[:1]] + steps[1:]}

    answering(place, rows_changed("/chat-messages", odd)).read(TALK)
    assert place.rows("SELECT kind FROM ops.unforeseen_errors") == []
    assert place.value("SELECT count(*) FROM ops.quarantine WHERE record_class = 'AgentThought'")
    answering(place, None).read(TALK)
    assert place.value("SELECT count(*) FROM raw.agent_tool_calls WHERE seconds IS NULL") == 0


def agent_talk(place: Workplace) -> tuple[str, list[str]]:
    """A talk with the first agent, and its messages."""
    talks = place.world.messages_of_conversation
    row = next(
        one
        for one in place.world.conversations.values()
        if one.mode == "agent" and one.from_end_user_id and len(talks[one.id].entries) > 2
    )
    return row.id, [message_id for _, message_id in talks[row.id].entries]


def test_message_of_an_agent_in_another_talk_is_not_believed(workplace: Open) -> None:
    """Dify shows a message of the log as one of another conversation: the log's row is taken, and
    the talk is in doubt.
    """
    place = workplace(agent_world(), "1.16.1")
    talk_id, (first, *_) = agent_talk(place)

    def moved(path: str, answer: Any) -> Any:
        is_it = path.endswith(f"/messages/{first}")
        return {**answer, "conversation_id": "another"} if is_it else answer

    answering(place, moved).read(TALK)
    held = f"SELECT conversation_id, message_source FROM raw.messages WHERE message_id = '{first}'"
    assert place.rows(held) == [(talk_id, "log")]
    doubt = f"SELECT state, reason FROM ops.conversation_reads WHERE conversation_id = '{talk_id}'"
    ((state, reason),) = place.rows(doubt)
    assert (state, "answered with 'another'" in reason) == ("incomplete", True)


def test_id_that_the_server_cannot_read_costs_its_message(workplace: Open) -> None:
    """An id that is no UUID is answered as a route that is missing: the others are read whole."""
    place = workplace(agent_world(), "1.16.1")
    talk_id, (*others, last) = agent_talk(place)
    change = changed(f"/{talk_id}/messages", lambda one: one["id"] == last, id="no uuid")
    answering(place, change).read(TALK)
    held = place.rows(
        f"SELECT message_id, message_source FROM raw.messages WHERE conversation_id = '{talk_id}'"
    )
    assert dict(held) == {**dict.fromkeys(others, "chat"), "no uuid": "log"}


def test_parts_of_two_talks_with_one_message_id_are_told_apart(workplace: Open) -> None:
    """Two apps tell a message of one id: what hangs on the first stays with its time."""
    place = workplace(quiet_world("chat", "chat"))
    apps = list(place.world.apps)
    talks = [
        place.world.add_conversation(app, at=AT.replace(hour=hour))
        for app, hour in zip(apps, (2, 9), strict=True)
    ]
    ids = [
        place.world.add_message(row.id, at=AT.replace(hour=hour), query="?", answer="!").id
        for row, hour in zip(talks, (2, 9), strict=True)
    ]
    cited = [{"position": 1, "score": 0.5, "content": "x"}]

    def alike(at: int, one: Any) -> Any:
        return {**one, "id": ids[0], "metadata": {"retriever_resources": cited}}

    answering(place, rows_changed("/chat-messages", alike)).with_rules(workers=1).read(TALK)
    ((app_id, at),) = place.rows("SELECT app_id, message_created_at FROM raw.message_citations")
    assert at.hour == {apps[0]: 2, apps[1]: 9}[app_id]
    assert [parent for (parent,) in place.rows("SELECT parent_id FROM ops.quarantine")] == [ids[0]]


def test_odd_log_of_a_completion_leaves_its_message_unproven(workplace: Open) -> None:
    """The log is the row of its message, too: an odd time of it is told in both feeds."""
    place = workplace(quiet_world("completion"))
    row = talk(place.world, at=AT, messages=1, mode="completion")
    change = changed("/completion-conversations", lambda one: one["id"] == row.id, status=5)
    answering(place, change).read(TALK)
    assert place.rows("SELECT odd_fields FROM raw.messages") == [("status",)]
    for feed in ("conversations", "messages"):
        state, reason, _ = state_of(place, feed)
        assert (state, "1 field odd" in reason) == ("unproven", True)


OPENED = "SELECT message_id, latency_seconds, message_tokens, message_source FROM raw.messages"


def opened_log(workplace: Open) -> tuple[Workplace, Message]:
    """A completion app with a log that may be opened, and the message of it."""
    place = workplace(quiet_world("completion")).with_rules(completion_detail=True)
    row = talk(place.world, at=AT, messages=1, mode="completion")
    message = place.world.messages[first_message(place.world, row)]
    message.provider_response_latency, message.message_tokens = 0.5, 7
    return place, message


def message_changed(**change: Any) -> Change:
    """Fields of the message in the detail of a completion log."""

    def changed(path: str, answer: Any) -> Any:
        if "/completion-conversations/" not in path:
            return answer
        return {**answer, "status": 5, "message": {**answer["message"], **change}}

    return changed


def test_odd_field_of_an_opened_log_costs_the_field(workplace: Open) -> None:
    """As in the messages of chats: the rest is loaded, what is odd waits in quarantine and is
    asked again. An odd field of the log itself, whose row its list made, costs nothing.
    """
    place, message = opened_log(workplace)
    feedbacks = [{"rating": 5}]
    odd = message_changed(provider_response_latency="0.5", feedbacks=feedbacks)
    answering(place, odd).read(TALK)
    assert place.rows(OPENED) == [(message.id, None, 7, "detail")]
    assert place.rows("SELECT odd_fields FROM raw.messages") == [("latency_seconds",)]
    state, reason, _ = state_of(place, "messages")
    assert (state, "odd" in reason) == ("unproven", True), (state, reason)
    assert len(place.rows("SELECT 1 FROM ops.quarantine WHERE resolved_at IS NULL")) == 2
    answering(place, message_changed()).pass_time(days=1)
    place.read(TALK)
    assert place.rows(OPENED) == [(message.id, 0.5, 7, "detail")]
    assert place.rows("SELECT 1 FROM ops.quarantine WHERE resolved_at IS NULL") == []
    assert state_of(place, "messages") == ("proven", None, True)


def test_opened_log_whose_message_is_none_comes_back(workplace: Open) -> None:
    """A message without its time waits in quarantine; a retry puts it into the row of its log."""
    place, message = opened_log(workplace)
    answering(place, message_changed(created_at="soon")).read(TALK)
    assert place.rows(OPENED) == [(None, None, None, "list")]
    state, reason, _ = state_of(place, "messages")
    assert (state, "1 in quarantine" in reason) == ("unproven", True), (state, reason)
    with place.opened() as sync:
        sync.database.execute(
            "UPDATE ops.quarantine SET raw_json = replace(raw_json, '\"soon\"', ?)",
            [str(int(AT.timestamp()))],
        )
        assert retry_quarantine(sync).loaded == 1
    assert place.rows(OPENED) == [(message.id, 0.5, 7, "detail")]


def test_detail_that_lacks_its_id_alone_is_no_absent_run(workplace: Open) -> None:
    """Old servers answer nulls for a run that is gone: one null is none of that."""
    place = workplace(quiet_world("workflow"), "1.12.1")
    run(place.world, at=AT)

    def without_id(path: str, answer: Any) -> Any:
        return {**answer, "id": None} if "workflow-runs/" in path and "graph" in answer else answer

    answering(place, without_id).read(RUNS)
    state, reason, _ = state_of(place, "workflow_runs")
    assert (state, "record without id" in reason) == ("incomplete", True)


@pytest.mark.parametrize(
    ("mode", "feed", "is_detail"),
    [
        ("workflow", "workflow_runs", "/workflow-runs/"),
        ("completion", "messages", "-conversations/"),
    ],
)
def test_detail_of_another_object_is_not_believed(
    workplace: Open, mode: str, feed: str, is_detail: str
) -> None:
    """An answer about something else than what was asked for leaves the day in doubt."""
    place = workplace(quiet_world(mode), "1.12.1").with_rules(completion_detail=True)
    run(place.world, at=AT) if mode == "workflow" else talk(
        place.world, at=AT, messages=1, mode=mode
    )
    answering(
        place,
        lambda path, answer: (
            {**answer, "id": "another"}
            if is_detail in path and "node-executions" not in path
            else answer
        ),
    ).read((*TALK, *RUNS))
    state, reason, _ = state_of(place, feed)
    assert (state, "answered with 'another'" in reason) == ("incomplete", True), (state, reason)
    assert place.rows(f"SELECT * FROM raw.{feed} WHERE COLUMNS(*)::VARCHAR = 'another'") == []


def test_pause_that_is_odd_costs_the_forms_alone(workplace: Open) -> None:
    """The nodes of a run that waits are loaded, and its day says what is missing."""
    place = workplace(quiet_world("workflow"), "1.16.1")
    at = place.world.now() - timedelta(hours=2)
    run_id = place.world.start_run(app_of(place.world, "workflow").id, at=at).id
    place.world.ask_person(run_id, at=at)
    answering(place, answered("/pause-details", paused_nodes=5)).read(RUNS)
    assert place.value("SELECT count(*) FROM raw.node_executions WHERE status = 'paused'") == 1
    ((state, reason),) = place.rows(
        "SELECT state, reason FROM ops.slices WHERE feed = 'node_executions' AND state <> 'proven'"
    )
    assert (state, "paused_nodes" in reason) == ("incomplete", True)
    answering(place, None).pass_time(days=1)
    place.read(RUNS)
    assert place.value("SELECT count(*) FROM raw.human_inputs") == 1


@pytest.mark.parametrize("odd", [{"created_at": "noon"}, {"conversation_id": 7}])
def test_message_that_is_set_aside_is_missing_on_its_own_day(
    workplace: Open, odd: dict[str, Any]
) -> None:
    """A talk of two days: where the day of the second message can be read, it is unproven; where
    it cannot, both are. The day on which the talk began proves nothing of it.
    """
    place = workplace(quiet_world("chat"))
    row = talk(place.world, at=AT, messages=1)
    second = place.world.add_message(row.id, at=AT + timedelta(days=1), query="?", answer="!")
    change = changed("/chat-messages", lambda one: one["id"] == second.id, **odd)
    answering(place, change).read(TALK)
    assert place.rows(WAITING)[0][0] == second.id
    assert state_of(place, "messages", "2026-03-10")[0] == "unproven"
    first = state_of(place, "messages", "2026-03-09")[0]
    assert first == ("unproven" if "created_at" in odd else "proven")


def test_deleted_run_of_an_old_server_leaves_no_doubt(workplace: Open) -> None:
    """Before 1.9 no day of runs is proven: what vanished there waits for nobody all the same."""
    place = workplace(quiet_world("workflow"), "1.7.2")
    odd = run(place.world, at=NOW - timedelta(hours=5))
    run(place.world, at=NOW - timedelta(hours=4))

    def with_odd_tokens(at: int, one: Any) -> Any:
        told = one["workflow_run"]
        return {**one, "workflow_run": {**told, "total_tokens": "7"}} if told["id"] == odd else one

    answering(place, rows_changed("/workflow-app-logs", with_odd_tokens)).read(RUNS)
    assert place.rows(WAITING) != []
    place.world.delete_run(odd)
    answering(place, None).pass_time(days=1)
    place.read(RUNS)
    assert place.rows(WAITING) == []


@pytest.mark.parametrize("total", [1 << 63, (1 << 64) - 1])
def test_total_that_no_column_holds_leaves_the_list_unproven(workplace: Open, total: int) -> None:
    """A number of rows beyond 64 bits is none: rows are loaded, and their list is in doubt."""
    place = workplace(quiet_world("chat"), "1.16.1")
    asked = first_message(place.world, talk(place.world, at=AT, messages=1))
    place.world.annotate(asked, at=AT, content="Today.")
    answering(place, answered("/annotations", total=total))
    place.read(("apps", "annotations"))
    assert place.value("SELECT count(*) FROM raw.annotations") == 1
    states = place.rows("SELECT state, expected FROM ops.slices WHERE feed = 'annotations'")
    assert states == [("incomplete", None)]


@pytest.mark.parametrize("promise", [{"has_more": True}, {"total": 3}])
@pytest.mark.parametrize(
    ("path", "key", "feed"),
    [
        ("/api-keys", "data", "app_api_keys"),
        ("/members", "accounts", "members"),
        ("/node-executions", "data", "node_executions"),
    ],
)
def test_page_of_a_list_that_comes_whole_is_not_taken_for_all(
    workplace: Open, path: str, key: str, feed: str, promise: dict[str, Any]
) -> None:
    """A later Dify may send in pages what every known one sends at once: what the first page has
    not is not gone, and nothing is proven.
    """
    place = workplace(quiet_world("workflow"))
    (app,) = place.world.apps.values()
    for number in range(3):
        place.world.add_api_key(tenant_id=app.tenant_id, at=AT, app_id=app.id)
        run(place.world, at=AT + timedelta(minutes=number))
    feeds = ("apps", feed) if feed != "node_executions" else RUNS
    place.read(feeds)
    held = place.value(f"SELECT count(*) FROM raw.{feed} WHERE absent_since IS NULL")
    assert held >= 2

    def first(at: str, answer: Any) -> Any:
        return {**answer, key: answer[key][:1], **promise} if at.endswith(path) else answer

    place.pass_time(hours=2)
    answering(place, first).read(feeds, SyncPlan(is_full=True))
    assert place.value(f"SELECT count(*) FROM raw.{feed} WHERE absent_since IS NULL") == held
    told = place.rows(f"SELECT state, reason FROM ops.slices WHERE feed = '{feed}'")
    assert any(state in ("failed", "incomplete") and "whole" in reason for state, reason in told)


def test_deep_text_of_a_stranger_costs_nobody_the_night(workplace: Open) -> None:
    """A question that is lists in lists, with what looks like a secret, and inputs as deep as JSON
    is written: all is loaded, that of others as well, and the secret is not.
    """
    place = workplace(quiet_world("chat"))
    talk(place.world, at=AT, messages=3)
    asked, named, _ = place.world.messages.values()
    asked.query = "[" * 500 + '{"token": "9f8a7b6c5d4e3f2a1b0c"}' + "]" * 500
    inputs: dict[str, object] = {"token": "9f8a7b6c5d4e3f2a1b0c"}
    for _ in range(248):
        inputs = {"a": inputs}
    named.inputs = inputs
    place.read(TALK)
    found = place.rows("SELECT query || inputs FROM raw.messages")
    assert len(found) == 3
    assert "9f8a7b6c5d4e3f2a1b0c" not in str(found)
    assert place.value("SELECT count(*) FROM ops.unforeseen_errors") == 0
    assert place.rows("SELECT 1 FROM ops.slices WHERE state <> 'proven'") == []


def test_odd_part_of_another_table_is_no_oddity_of_this_one(workplace: Open) -> None:
    """A log of a completion tells a conversation and a message: the annotation is the message's.
    Once Dify tells it well, nothing is odd any more.
    """
    place = workplace(quiet_world("completion"))
    asked = first_message(place.world, talk(place.world, at=AT, messages=1, mode="completion"))
    place.world.annotate(asked, at=AT, content="Today.")
    path = "/completion-conversations"

    def odd(at: int, row: Any) -> Any:
        return row | {"annotation": row["annotation"] | {"question": 7}}

    answering(place, rows_changed(path, odd)).read(TALK)
    odd_fields = "SELECT odd_fields FROM raw.{} ORDER BY 1"
    assert place.rows(odd_fields.format("messages")) == [("annotation_question",)]
    assert place.rows(odd_fields.format("conversations")) == [(None,)]
    answering(place, None).pass_time(hours=2)
    place.read(TALK)
    assert place.rows(odd_fields.format("messages")) == [(None,)]


def test_odd_name_of_no_column_heals(workplace: Open) -> None:
    """Homes of before hold names of parts of other tables there: a good read takes them out."""
    place = workplace(quiet_world("completion"))
    talk(place.world, at=AT, messages=1, mode="completion")
    place.read(TALK)
    with open_database(place.home / LIVE) as database:
        database.execute("UPDATE raw.conversations SET odd_fields = 'annotation_question,name'")
        database.execute("UPDATE ops.slices SET is_settled = false")
    place.pass_time(hours=2)
    place.read(TALK)
    assert place.rows("SELECT odd_fields FROM raw.conversations") == [("name",)]
