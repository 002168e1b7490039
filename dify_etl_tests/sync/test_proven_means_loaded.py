"""A slice is proven only when all that Dify told for it is in its table."""

from datetime import timedelta
from typing import Any

import httpx
import orjson
import pytest

from dify_etl.feeds.quarantine import retry_quarantine
from dify_etl_tests.sync.answers_changed import Change, ChangedAnswers, rows_changed
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import app_of, first_message, quiet_world, run, talk
from dify_etl_tests.sync.workplace import NOW, RUNS, TALK, Workplace
from dify_simulated import World

DAY = "2026-03-09"
AT = NOW.replace(hour=10, second=0) - timedelta(days=3)


def answering(place: Workplace, change: Change | None) -> Workplace:
    """The workplace whose server answers otherwise; with None as it is."""
    inner = httpx.WSGITransport(app=place.server)
    place.transport = ChangedAnswers(inner, change) if change else inner
    return place


def changed(path_end: str, is_one: Any, **values: Any) -> Change:
    """Rows of which `is_one` holds get these values."""
    return rows_changed(path_end, lambda at, row: {**row, **values} if is_one(row) else row)


def state_of(place: Workplace, feed: str, day: str = DAY) -> tuple[Any, ...]:
    """State, reason and whether it is settled, of a day with rows."""
    (row,) = place.rows(
        f"""SELECT state, reason, is_settled FROM ops.slices s JOIN raw.apps a USING (app_id)
        WHERE feed = '{feed}' AND slice_date = '{day}' ORDER BY state = 'proven', rows DESC
        LIMIT 1"""
    )
    return row


def runs_world() -> World:
    world = quiet_world("workflow")
    for minute in range(2):
        run(world, at=AT + timedelta(minutes=minute))
    return world


def test_rejected_nodes_leave_their_day_unproven_until_they_are_well(workplace: Open) -> None:
    """All nodes of two runs without an id: each in quarantine, the day says how many, and a night
    in which they are well proves it.
    """
    nodes = changed("/node-executions", lambda row: True, created_at="yesterday")
    place = answering(workplace(runs_world()), nodes)
    place.read(RUNS)
    assert place.value("SELECT count(*) FROM ops.quarantine WHERE resolved_at IS NULL") == 4
    assert state_of(place, "node_executions") == ("unproven", "4 in quarantine", False)
    assert state_of(place, "workflow_runs") == ("proven", None, True)
    answering(place, None).pass_time(days=1)
    place.read(RUNS)
    assert place.value("SELECT count(*) FROM ops.quarantine WHERE resolved_at IS NULL") == 0
    assert state_of(place, "node_executions") == ("proven", None, True)
    assert place.value("SELECT count(*) FROM raw.node_executions") == 4


def test_odd_figure_of_nodes_costs_the_figure_alone(workplace: Open) -> None:
    """A node whose seconds come as text is loaded without them; its day says so."""
    nodes = changed("/node-executions", lambda row: row["node_id"] == "end", elapsed_time="0.5")
    place = answering(workplace(runs_world()), nodes)
    place.read(RUNS)
    assert place.rows(
        "SELECT node_id, elapsed_seconds IS NULL, odd_fields FROM raw.node_executions GROUP BY ALL "
        "ORDER BY node_id DESC"
    ) == [("start", False, None), ("end", True, "elapsed_seconds")]
    assert state_of(place, "node_executions") == ("unproven", "2 fields odd", False)


def test_odd_field_keeps_its_last_good_value(workplace: Open) -> None:
    """A conversation whose count turns to text keeps the last count, and its messages are read."""
    place = workplace(quiet_world("chat"))
    row = talk(place.world, at=AT)
    place.read(TALK)
    place.world.add_message(row.id, at=NOW - timedelta(minutes=30), query="one more")
    answering(place, changed("/chat-conversations", lambda row: True, message_count="3"))
    place.pass_time(minutes=10)
    place.read(TALK)
    (held,) = place.rows("SELECT message_count, odd_fields FROM raw.conversations")
    assert held == (2, "message_count")
    assert place.value("SELECT count(*) FROM raw.messages") == 3
    assert state_of(place, "conversations")[0] == "proven"
    assert place.value("SELECT odd_fields FROM ops.quarantine") == "message_count"
    answering(place, None).read(TALK)
    (held,) = place.rows("SELECT message_count, odd_fields FROM raw.conversations")
    assert held == (3, None)
    assert place.value("SELECT count(*) FROM ops.quarantine WHERE resolved_at IS NULL") == 0


def test_app_with_an_odd_colour_is_read_with_its_talks(workplace: Open) -> None:
    """Its id and mode are what its children are asked with: nothing else can cost them."""
    place = workplace(quiet_world("chat"))
    talk(place.world, at=AT)
    detail = f"/console/api/apps/{app_of(place.world).id}"
    answering(
        place,
        lambda path, answer: (
            {**answer, "icon_background": 7}
            if path == detail
            else changed("/console/api/apps", lambda row: True, icon_background=7)(path, answer)
        ),
    ).read(TALK)
    assert place.value("SELECT state FROM ops.slices WHERE feed = 'apps'") == "proven"
    assert place.rows("SELECT name, odd_fields FROM raw.apps") == [
        ("the chat app", "icon_background")
    ]
    assert place.value("SELECT count(*) FROM raw.messages") == 2
    assert state_of(place, "messages")[0] == "proven"


def test_days_below_a_conversation_without_time_are_not_proven(workplace: Open) -> None:
    """A conversation that cannot be placed leaves its own day and the days of its messages
    unproven, with its id.
    """
    place = workplace(quiet_world("chat"))
    row = talk(place.world, at=AT)
    answering(
        place, changed("/chat-conversations", lambda one: one["id"] == row.id, created_at=True)
    )
    place.read(TALK)
    assert state_of(place, "conversations") == ("unproven", "1 in quarantine", False)
    state, reason, _ = state_of(place, "messages")
    assert (state, reason) == ("unproven", f"conversation {row.id} in quarantine")


def test_days_below_an_app_without_mode_are_not_proven(workplace: Open) -> None:
    """An app that was read before and whose mode is odd now: its days name it."""
    place = workplace(quiet_world("chat"))
    talk(place.world, at=AT)
    place.read(TALK)
    answering(place, changed("/console/api/apps", lambda row: True, mode=7))
    place.read(TALK)
    app_id = app_of(place.world).id
    assert state_of(place, "messages")[:2] == ("unproven", f"app {app_id} in quarantine")
    assert place.rows("SELECT state, reason FROM ops.slices WHERE feed = 'apps'") == [
        ("unproven", "1 in quarantine")
    ]


def test_row_of_an_impossible_time_leaves_all_days_of_its_app_in_doubt(workplace: Open) -> None:
    """1970 is no day of Dify's: the row may be of any day, so none is proven without it."""
    place = workplace(quiet_world("chat"))
    row = talk(place.world, at=AT)
    answering(place, changed("/chat-conversations", lambda one: one["id"] == row.id, created_at=0))
    place.read(TALK)
    assert state_of(place, "conversations")[:2] == ("unproven", "1 in quarantine")


def test_day_of_a_run_that_only_its_message_tells_is_not_proven(workplace: Open) -> None:
    """A run of debugging is in no list: while its message waits, its day names the message."""
    place = workplace(quiet_world("advanced-chat"))
    row = talk(place.world, at=AT, messages=1, mode="advanced-chat")
    message_id = place.world.messages_of_conversation[row.id].entries[0][1]
    answering(place, changed("/chat-messages", lambda one: True, created_at=None)).read(
        (*TALK, *RUNS)
    )
    for feed in ("workflow_runs", "node_executions"):
        assert state_of(place, feed)[:2] == (
            "unproven",
            f"message {message_id} in quarantine",
        )
    answering(place, None).read((*TALK, *RUNS))
    assert state_of(place, "workflow_runs")[0] == "proven"


def test_row_with_the_id_of_another_app_waits(workplace: Open) -> None:
    """It is named for its app, the other app keeps its row, and a well night loads both."""
    place = workplace(quiet_world("chat", "chat"))
    apps = list(place.world.apps)
    keys = [
        place.world.add_api_key(tenant_id=place.world.workspace_id, at=AT, app_id=app)
        for app in apps
    ]
    answering(place, changed("/api-keys", lambda one: one["id"] in keys[1].id, id=keys[0].id))
    place = place.with_rules(workers=1)
    held = "SELECT app_id FROM raw.app_api_keys WHERE absent_since IS NULL"
    doubt = "SELECT reason FROM ops.slices WHERE feed = 'app_api_keys' AND state <> 'proven'"
    for _ in range(2):  # the next night its owner's row is loaded, and the other one still waits
        place.read(("apps", "app_api_keys"))
        assert len(place.rows(held)) == 1
        assert place.rows("SELECT record_id FROM ops.quarantine WHERE resolved_at IS NULL") == [
            (keys[0].id,)
        ]
        assert place.rows(doubt) == [("1 in quarantine",)]
    answering(place, None).read(("apps", "app_api_keys"))
    assert {app for (app,) in place.rows(held)} == set(apps)
    assert place.rows(doubt) == []
    assert place.rows("SELECT record_id FROM ops.quarantine WHERE resolved_at IS NULL") == []


def test_odd_part_costs_the_part(workplace: Open) -> None:
    """A file that cannot be known again waits under its message's id; the message keeps its
    tokens, and the file's neighbour is loaded.
    """
    place = workplace(quiet_world("chat"))
    row = talk(place.world, at=AT, messages=1)
    message_id = first_message(place.world, row)
    for name in ("one", "two"):
        place.world.attach_remote_file(message_id, f"https://cdn.test/{name}.png")

    def first_without_id(at: int, one: Any) -> Any:
        first, *others = one["message_files"]
        return {**one, "message_files": [{**first, "id": 7}, *others]}

    answering(place, rows_changed("/chat-messages", first_without_id))
    place.read(TALK)
    assert place.value("SELECT count(message_tokens) FROM raw.messages") == 1
    assert place.rows("SELECT filename FROM raw.message_files") == [("two.png",)]
    assert place.rows("SELECT parent_id, record_class FROM ops.quarantine") == [
        (message_id, "MessageFile")
    ]
    assert state_of(place, "messages") == ("unproven", "1 in quarantine", False)
    answering(place, None).read(TALK)
    assert state_of(place, "messages")[0] == "proven"


def test_odd_field_of_a_citation_costs_the_field(workplace: Open) -> None:
    """A citation that a code node or external knowledge made up has its row without what is odd;
    the day is proven, and the next night asks again.
    """
    odd = {"position": 1, "document_id": 7, "score": "0.87", "content": "x"}
    good = {"position": 2, "document_id": "d", "score": 0.5, "content": "y"}
    place = workplace(quiet_world("chat"))
    row = talk(place.world, at=AT, messages=1)
    message_id = place.world.messages_of_conversation[row.id].entries[0][1]
    answering(
        place,
        rows_changed(
            "/chat-messages",
            lambda at, one: {
                **one,
                "metadata": {**(one.get("metadata") or {}), "retriever_resources": [odd, good]},
            },
        ),
    )
    place.read(TALK)
    assert place.value("SELECT count(message_tokens) FROM raw.messages") == 1
    told = "SELECT position, document_id, score, content, odd_fields FROM raw.message_citations"
    assert place.rows(f"{told} ORDER BY position") == [
        (1, None, None, "x", "document_id,score"),
        (2, "d", 0.5, "y", None),
    ]
    assert place.rows("SELECT parent_id, record_class FROM ops.quarantine") == [
        (message_id, "MessageCitation")
    ]
    assert state_of(place, "messages")[:2] == ("proven", None)
    answering(place, None).read(TALK)
    assert place.value("SELECT count(*) FROM ops.quarantine WHERE resolved_at IS NULL") == 0


def test_doubt_dies_with_its_object(workplace: Open) -> None:
    """A conversation that was set aside and that Dify then has no more leaves no doubt."""
    place = workplace(quiet_world("chat"))
    talk(place.world, at=AT - timedelta(hours=1))
    row = talk(place.world, at=AT)
    change = changed("/chat-conversations", lambda one: one["id"] == row.id, created_at=True)
    answering(place, change).read(TALK)
    assert state_of(place, "conversations")[:2] == ("unproven", "1 in quarantine")
    place.world.delete_conversation(row.id)
    answering(place, None).pass_time(days=1)
    place.read(TALK)
    assert state_of(place, "conversations")[:2] == ("proven", None)


def test_expected_is_what_dify_said(workplace: Open) -> None:
    """No count of Dify speaks of one day's messages or runs: there is none to expect."""
    place = workplace(runs_world())
    place.read((*TALK, *RUNS))
    feeds = "('messages', 'workflow_runs', 'node_executions')"
    assert place.value(f"SELECT count(expected) FROM ops.slices WHERE feed IN {feeds}") == 0


def test_messages_of_one_second_that_dify_cannot_show_are_beyond_proof(workplace: Open) -> None:
    """Of 130 messages in one second Dify shows 100 for ever: unproven with the counts, settled."""
    place = workplace(quiet_world("chat"))
    talk(place.world, at=AT, messages=130, seconds_apart=0)
    place.read(TALK)
    state, reason, is_settled = state_of(place, "messages")
    assert (state, is_settled) == ("unproven", True)
    assert "100 of 130" in reason


def test_runs_of_one_second_are_proven_by_the_log(workplace: Open) -> None:
    """The log counts 130 runs and brings them all; that the list shows 100 proves nothing less."""
    place = workplace(quiet_world("workflow"))
    for _ in range(130):
        run(place.world, at=AT)
    place.read(("apps", "workflow_runs"))
    assert place.value("SELECT count(*) FROM raw.workflow_runs") == 130
    assert state_of(place, "workflow_runs") == ("proven", None, True)


class RepeatedLogs(httpx.BaseTransport):
    """Since 1.10 a log comes with `detail=true` once for each trigger that its run has: here twice,
    with these details; the total counts both.
    """

    def __init__(self, inner: httpx.BaseTransport, details: Any) -> None:
        self._inner, self._details = inner, details

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._inner.handle_request(request)
        body = orjson.loads(answer.read())
        is_detailed = request.url.params.get("detail") == "true"
        if request.url.path.endswith("/workflow-app-logs") and is_detailed:
            body["data"] = [each for one in body["data"] for each in (one, one | self._details)]
            body["total"] *= 2
        headers = [one for one in answer.headers.multi_items() if one[0] != "content-length"]
        return httpx.Response(answer.status_code, headers=headers, json=body)


@pytest.mark.parametrize("details", [{}, {"details": {"trigger_metadata": {"type": "trigger-x"}}}])
def test_log_of_a_run_with_several_triggers_is_one(details: Any, workplace: Open) -> None:
    """Whatever these tell, equal or not: nothing is set aside, and its day is proven."""
    place = workplace(runs_world(), "1.16.1")
    place.transport = RepeatedLogs(httpx.WSGITransport(app=place.server), details)
    place.read(RUNS)
    assert place.value("SELECT count(*) FROM raw.workflow_runs") == 2
    assert place.value("SELECT count(*) FROM ops.quarantine") == 0
    assert place.rows("SELECT DISTINCT state FROM ops.slices") == [("proven",)]


def test_last_deep_read_stands_beside_the_state(workplace: Open) -> None:
    """A day that fails keeps the time at which its lists were read whole last."""
    place = workplace(quiet_world("chat"))
    talk(place.world, at=AT)
    place.read(TALK)
    sql = f"""SELECT state, deep_read_at, read_at FROM ops.slices
        WHERE feed = 'conversations' AND slice_date = '{DAY}'"""
    ((state, deep_read_at, read_at),) = place.rows(sql)
    assert (state, deep_read_at) == ("proven", read_at)
    inner = httpx.WSGITransport(app=place.server)
    place.transport = ChangedAnswers(
        inner, refuse=lambda path: 400 if path.endswith("/chat-conversations") else None
    )
    place.pass_time(hours=1)
    place.read(TALK)
    ((state, kept, read_at),) = place.rows(sql)
    assert (state, kept) == ("failed", deep_read_at)
    assert read_at > kept


def test_retry_that_loads_makes_the_slice_whole(workplace: Open) -> None:
    """What `quarantine retry` loads is missing no more: its day is proven, and read again."""
    file = {"id": "", "filename": "x.png", "type": "image", "url": "https://cdn.test/x.png"}
    place = workplace(quiet_world("chat"))
    talk(place.world, at=AT, messages=1)
    answering(
        place, rows_changed("/chat-messages", lambda at, one: {**one, "message_files": [file]})
    ).read(TALK)
    assert state_of(place, "messages")[:2] == ("unproven", "1 in quarantine")
    with place.opened() as sync:
        sync.database.execute(
            """UPDATE ops.quarantine SET raw_json = replace(raw_json, '"id":""', '"id":"f"')"""
        )
        assert retry_quarantine(sync).loaded == 1
    told = "SELECT message_file_id, message_created_at FROM raw.message_files"
    assert place.rows(told) == [("f", AT)]
    assert state_of(place, "messages") == ("proven", None, False)


def test_listed_run_whose_detail_is_missing_for_a_night_is_read_later(workplace: Open) -> None:
    """Its 404 says that it is gone, the list says that it is not: its day is not proven, and once
    the detail answers, it and the nodes are there. It was taken for gone for ever.
    """
    place = workplace(runs_world())
    inner = httpx.WSGITransport(app=place.server)
    (run_id, *_) = place.world.workflow_runs
    place.transport = ChangedAnswers(
        inner, refuse=lambda path: 404 if path.endswith(f"/workflow-runs/{run_id}") else None
    )
    place.read(RUNS)
    for feed in ("workflow_runs", "node_executions"):
        state, reason, is_settled = state_of(place, feed)
        assert (state, is_settled) == ("unproven", False)
        assert f"run {run_id}: gone" in reason
    answering(place, None).pass_time(days=1)
    place.read(RUNS)
    assert state_of(place, "workflow_runs") == ("proven", None, True)
    assert state_of(place, "node_executions") == ("proven", None, True)
    assert place.value("SELECT count(outputs) FROM raw.workflow_runs") == 2
    assert place.value("SELECT count(*) FROM raw.node_executions") == 4
