"""What waits for a person is due until it is over, and its forms are told without their tokens."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import duckdb
import httpx
import pytest

from dify_etl.dify.messages import Message
from dify_etl.dify.record import parse
from dify_etl.feeds.message_parts import is_settled
from dify_etl.feeds.quarantine import Retried, retry_quarantine
from dify_etl_tests.dify.recordings import exchange
from dify_etl_tests.sync.answers_changed import ChangedAnswers, rows_changed
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import app_of, lively_world, quiet_world
from dify_etl_tests.sync.workplace import NOW, Workplace

VERSIONS = ("1.16.1", "main-2026-08")
EACH_NIGHT = ("apps", "conversations", "messages", "workflow_runs", "node_executions")
TALK = ("conversations", "messages", "workflow_runs", "node_executions", "human_inputs")


def recorded(version: str, name: str) -> Message:
    """The message of a recorded page."""
    body = exchange(version, "human-input", name).body
    (message,) = parse(Message, body["data"], endpoint="-", context={"app_id": "a"})
    return message


def ask(place: Workplace, *, blocking: bool = False, days_ago: float = 0.1) -> str:
    """Let a chatflow ask a person; answers the run's id."""
    world, at = place.world, place.world.now() - timedelta(days=days_ago)
    talk = world.add_conversation(app_of(world, "advanced-chat").id, at=at)
    run_id = world.add_message(talk.id, at=at, query="pay 900", answer=None).workflow_run_id or ""
    world.ask_person(run_id, at=at, blocking=blocking, expires_in=timedelta(days=80))
    return run_id


def answer(place: Workplace, run_id: str) -> None:
    """Let a person approve, and the worker go on as this version does; 777 tokens."""
    world, now = place.world, place.world.now()
    world.submit_form(world.forms_of_run[run_id][0], at=now)
    world.resume_run(
        run_id,
        at=now,
        is_stopped=world.workflow_runs[run_id].is_blocking
        and place.server.version.stops_resumed_runs,
        prompt_tokens=700,
        answer_tokens=77,
    )


def nights(place: Workplace, count: int, *, days_apart: int = 1) -> list[int]:
    """Read so many nights; how often chat-messages was asked in each."""
    asked = []
    for _ in range(count):
        place.pass_time(days=days_apart)
        with place.requests() as requests:
            place.read(EACH_NIGHT)
        asked.append(sum(one.path.endswith("/chat-messages") for one in requests))
    return asked


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "name",
    [
        "streaming-1-paused-chat-messages",
        "streaming-2-chat-messages-at-once",
        "blocking-1-paused-chat-messages",
        "blocking-2-chat-messages-at-once",
    ],
)
def test_recorded_message_that_waits_is_not_settled(version: str, name: str) -> None:
    """Days after, a message is not settled while its run waits; after 90 days it is."""
    message = recorded(version, name)
    assert not is_settled(message, message.created_at + timedelta(days=8))
    assert is_settled(message, message.created_at + timedelta(days=91))


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "name", ["streaming-3-resumed-chat-messages", "blocking-3-resumed-chat-messages"]
)
def test_recorded_message_whose_run_ended_is_settled(version: str, name: str) -> None:
    """When the run is over the message is settled, also with the empty answer of 1.16.1."""
    message = recorded(version, name)
    later = message.created_at + timedelta(hours=1)
    assert message.workflow_run_id is not None
    assert is_settled(message, later, {message.workflow_run_id})
    assert not is_settled(message, later)


@pytest.mark.parametrize(("version", "blocking"), [("1.16.1", False), ("main-2026-08", True)])
def test_answer_after_days_is_read_and_then_left(
    workplace: Open, version: str, blocking: bool
) -> None:
    """A form that is answered after twelve days: the message is read every night until then, told
    as it ended, and not asked any more.
    """
    place = workplace(quiet_world("advanced-chat"), version).with_rules(deep_read_days=0)
    run_id = ask(place, blocking=blocking)
    assert nights(place, 4, days_apart=3) == [1] * 4
    assert place.rows("SELECT state FROM raw.human_inputs") == [("waiting",)]

    answer(place, run_id)

    assert nights(place, 4)[2:] == [0, 0]
    is_lost = blocking and version == "1.16.1"
    assert place.rows("SELECT answer, message_tokens + answer_tokens FROM raw.messages") == [
        ("", 0) if is_lost else ("approved: ja", 777)
    ]
    assert differences(place, ("messages", "workflow_runs", "human_inputs")) == []


def test_nobody_answers_for_ninety_days(workplace: Open) -> None:
    """What waits longer than runs are waited for is read no more."""
    place = workplace(quiet_world("advanced-chat"), "1.16.1")
    place = place.with_rules(start_date=NOW.date() - timedelta(days=200))
    ask(place, days_ago=89)
    assert nights(place, 4)[2:] == [0, 0]


def test_deep_read_heals_what_went_on_later(workplace: Open) -> None:
    """A run that goes on after its patience is over is found by the counts of its list row."""
    place = workplace(quiet_world("advanced-chat"), "main-2026-08")
    place = place.with_rules(start_date=NOW.date() - timedelta(days=200), deep_read_days=1)
    run_id = ask(place, days_ago=100)
    nights(place, 2)
    answer(place, run_id)
    nights(place, 1)
    assert place.value("SELECT answer FROM raw.messages") == "approved: ja"


def test_home_of_before_reads_what_waits(workplace: Open) -> None:
    """A home whose books took a waiting message for settled, without counts, reads it again."""
    place = workplace(quiet_world("advanced-chat"), "main-2026-08")
    run_id = ask(place, days_ago=20)
    nights(place, 1)
    with duckdb.connect(place.home / "live.duckdb") as connection:
        connection.execute(
            "UPDATE ops.conversation_reads SET is_settled = true, success_count = NULL, "
            "failed_count = NULL, partial_success_count = NULL, paused_count = NULL"
        )
    answer(place, run_id)
    assert nights(place, 1) == [1]
    assert place.value("SELECT answer FROM raw.messages") == "approved: ja"


@pytest.mark.parametrize("version", VERSIONS)
def test_forms_triggers_and_archived_runs_equal_the_world(workplace: Open, version: str) -> None:
    """All tables of what newer servers have equal the world, and a second read changes nothing."""
    place = workplace(lively_world(version=version), version)
    place.read((*EACH_NIGHT, "app_triggers", "archived_runs"))
    found = differences(place, (*TALK, "app_triggers", "archived_runs"))
    assert found == []
    before = place.rows("SELECT * FROM raw.human_inputs ORDER BY ALL")
    assert {row[0] for row in place.rows("SELECT state FROM raw.human_inputs")} == {
        "waiting",
        "submitted",
        "expired",
    }
    place.read((*EACH_NIGHT, "app_triggers", "archived_runs"))
    assert place.rows("SELECT * FROM raw.human_inputs ORDER BY ALL") == before


def test_workflow_form_keeps_its_id_when_it_is_answered(workplace: Open) -> None:
    """The pause alone tells the form of a workflow app's run: its row stays the same one."""
    place = workplace(quiet_world("workflow"), "1.16.1")
    world, at = place.world, place.world.now() - timedelta(hours=2)
    run_id = world.start_run(app_of(world, "workflow").id, at=at).id
    form = world.ask_person(run_id, at=at)
    nights(place, 1)
    answer(place, run_id)
    nights(place, 1)
    rows = place.rows("SELECT form_id, state, action_id, asked_at FROM raw.human_inputs")
    assert rows == [(form.id, "submitted", "approve", at.replace(microsecond=0))]


def test_tables_of_forms_hold_no_token(workplace: Open) -> None:
    """Neither the form's token nor the one of the console is in a table of forms or of runs."""
    place = workplace(lively_world(version="1.16.1"), "1.16.1")
    place.read((*EACH_NIGHT, "app_triggers"))
    text = "".join(
        json.dumps(row, default=str)
        for table in ("human_inputs", "workflow_runs", "node_executions", "app_triggers")
        for row in place.rows(f"SELECT * FROM raw.{table}")
    )
    forms = place.world.human_input_forms.values()
    tokens = [token for form in forms for token in (form.form_token, form.backstage_token)]
    assert tokens
    assert [token for token in tokens if token in text] == []


@pytest.mark.parametrize("version", ["1.9.2", "1.11.0"])
def test_list_that_a_server_lacks_is_asked_once(workplace: Open, version: str) -> None:
    """A route that the server does not know is asked for one app only, and is no failure."""
    world = quiet_world("workflow", "workflow", "workflow")
    place = workplace(world, version)
    with place.requests() as requests:
        reports = place.read(("apps", "app_triggers", "archived_runs"))
    asked = [one for one in requests if one.path.endswith("/workflow-archived-logs")]
    assert len(asked) == 1
    assert reports["archived_runs"].states == {"proven": 3}


def odd_forms(place: Workplace, change: Callable[[Any], None]) -> Workplace:
    """The same place, whose chat-messages send each first form changed."""

    def changed(_: int, row: Any) -> Any:
        for form in row["extra_contents"][:1]:
            change(form)
        return row

    transport = httpx.WSGITransport(app=place.server)
    place.transport = ChangedAnswers(transport, rows_changed("/chat-messages", changed))
    return place


def without_node(form: Any) -> None:
    del form["form_definition"]["node_id"]


def without_run(form: Any) -> None:
    del form["workflow_run_id"]


def with_a_text(form: Any) -> None:
    form["form_definition"] = "soon"


@pytest.mark.parametrize("change", [without_node, without_run, with_a_text])
def test_odd_form_costs_only_itself(workplace: Open, change: Callable[[Any], None]) -> None:
    """Its message is loaded, the form waits in quarantine by itself, and without its token."""
    place = workplace(quiet_world("advanced-chat"), "1.16.1")
    run_id = ask(place)
    odd_forms(place, change).read(("apps", "conversations", "messages"))
    assert place.rows("SELECT workflow_run_id FROM raw.messages") == [(run_id,)]
    assert place.value("SELECT count(*) FROM raw.human_inputs") == 0
    ((kind, raw),) = place.rows("SELECT record_class, raw_json FROM ops.quarantine")
    assert kind == "HumanInput"
    (form_id,) = place.world.forms_of_run[run_id]
    assert place.world.human_input_forms[form_id].form_token not in raw


def test_form_that_became_odd_is_not_absent(workplace: Open) -> None:
    """A form that is held stays as it was read when the server sends it oddly later."""
    place = workplace(quiet_world("advanced-chat"), "1.16.1")
    ask(place)
    place.read(EACH_NIGHT)
    odd_forms(place, without_node)
    assert nights(place, 1) == [1]
    assert place.rows("SELECT state, absent_since FROM raw.human_inputs") == [("waiting", None)]


def test_odd_form_comes_back(workplace: Open) -> None:
    """A form whose kept object can be read by now is loaded with the time of its message."""
    place = workplace(quiet_world("advanced-chat"), "1.16.1")
    ask(place)
    odd_forms(place, without_node).read(("apps", "conversations", "messages"))
    with place.opened() as sync:
        assert retry_quarantine(sync) == Retried(loaded=0, wrong=1, without_object=0)
        sync.database.execute(
            """UPDATE ops.quarantine SET raw_json =
            json_merge_patch(raw_json, '{"form_definition": {"node_id": "human"}}')"""
        )
        assert retry_quarantine(sync) == Retried(loaded=1, wrong=0, without_object=0)
    assert place.rows(
        """SELECT f.node_id, f.state, f.message_created_at = m.created_at
        FROM raw.human_inputs f JOIN raw.messages m USING (message_id)"""
    ) == [("human", "waiting", True)]
