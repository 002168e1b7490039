"""One failure stays one failure: the rest is loaded, and the ledger name what went wrong."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from dify_etl.dify.errors import LoginRefused
from dify_etl.dify.http.auth import PasswordCredentials
from dify_etl_tests.sync.answers_changed import ChangedAnswers, Forbidding, rows_changed
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import (
    app_of,
    brief_world,
    first_message,
    quiet_world,
    run,
    talk,
)
from dify_etl_tests.sync.workplace import NOW, RUNS, TALK, Workplace
from dify_simulated import Faults, SimulatedDify

MODES = ("chat", "agent-chat", "workflow", "completion", "advanced-chat")


def through(place: Workplace, *arguments: Any, **settings: Any) -> None:
    """Let the client see changed answers from now on."""
    inner = httpx.WSGITransport(app=place.server)
    place.transport = ChangedAnswers(inner, *arguments, **settings)


def spoil(field: str, value: object, *, position: int = 0) -> Any:
    """Give one field of one row a value that no record accepts."""
    return lambda place, row: {**row, field: value} if place == position else row


@pytest.mark.parametrize("status", [403, 404, 500])
def test_app_that_fails_fails_alone(workplace: Open, status: int) -> None:
    """When everything below one app is refused, the slices of the others are all proven."""
    place = workplace(quiet_world(*MODES))
    for mode in MODES[:2]:
        talk(place.world, at=NOW - timedelta(days=1), mode=mode)
    run(place.world, at=NOW - timedelta(days=1))
    broken = app_of(place.world, "agent-chat").id
    through(place, refuse=lambda path: status if f"/apps/{broken}/" in path else None)
    place.read()
    failed = place.rows("SELECT DISTINCT app_id FROM ops.slices WHERE state = 'failed'")
    assert failed == [(broken,)]
    states = f"SELECT DISTINCT state FROM ops.slices WHERE app_id <> '{broken}'"
    assert place.rows(states) == [("proven",)]
    assert place.value("SELECT count(*) FROM raw.conversations") == 1
    assert place.value("SELECT count(*) FROM raw.workflow_runs") == 1


def test_failed_detail_of_an_app_makes_the_list_red(chat: Workplace) -> None:
    """The list came and a detail did not: apps are incomplete, and the next night heals it."""
    app = app_of(chat.world)
    through(chat, refuse=lambda path: 500 if path.endswith(f"/apps/{app.id}") else None)
    report = chat.read(("apps",))["apps"]
    assert report.states == {"incomplete": 1}
    assert "1 details not read" in (report.failures[0].reason or "")
    assert chat.value("SELECT count(*) FROM raw.apps") == 1
    chat.transport = None
    assert chat.read(("apps",))["apps"].states == {"proven": 1}
    assert differences(chat, ("apps",)) == []


def test_failed_slices_say_what_was_refused(chat: Workplace) -> None:
    """The reason of a failed slice names the endpoint and what Dify said."""
    through(chat, refuse=lambda path: 403 if path.endswith("chat-conversations") else None)
    reports = chat.read(TALK)
    (reason,) = {one.reason for one in reports["conversations"].failures}
    assert "chat-conversations" in (reason or "")
    assert "refused" in (reason or "")


def test_failed_days_are_read_when_the_app_is_back(chat: Workplace) -> None:
    """What failed one night is caught up on the next, also beyond the look-back."""
    chat.with_rules(lookback_days=1)
    talk(chat.world, at=NOW - timedelta(days=20))
    through(chat, refuse=lambda path: 403 if path.endswith("chat-conversations") else None)
    chat.read(TALK)
    chat.transport = None
    chat.read(TALK)
    assert differences(chat, ("conversations", "messages")) == []
    assert chat.rows("SELECT DISTINCT state FROM ops.slices WHERE app_id IS NOT NULL") == [
        ("proven",)
    ]


def test_failed_messages_are_read_the_next_night(chat: Workplace) -> None:
    """A conversation whose messages could not be read is in doubt, and due again."""
    talk(chat.world, at=NOW - timedelta(days=3))
    through(chat, refuse=lambda path: 500 if path.endswith("chat-messages") else None)
    reports = chat.read(TALK)
    assert reports["messages"].states["incomplete"] > 0
    chat.transport = None
    assert set(chat.read(TALK)["messages"].states) == {"proven"}
    assert differences(chat, ("messages",)) == []


def test_plugin_daemon_that_is_down_fails_the_datasets_only(workplace: Open) -> None:
    """The 400 of a missing plugin daemon fails datasets; nothing of them is marked absent."""
    place = workplace(quiet_world("chat"))
    place.read(("members", "datasets", "documents"))
    place.server.plugin_daemon_down = True
    reports = place.read()
    assert [name for name, report in reports.items() if report.failures] == ["datasets"]
    assert differences(place, ("datasets", "documents")) == []


def test_bad_record_is_quarantined_without_its_neighbours(chat: Workplace) -> None:
    """The malformed message is set aside with the path of the error; the other one is loaded."""
    row = talk(chat.world, at=NOW - timedelta(days=1), messages=3)
    through(chat, rows_changed("chat-messages", spoil("created_at", "yesterday")))
    report = chat.read(TALK)["messages"]
    bad = first_message(chat.world, row)
    assert chat.value("SELECT count(*) FROM raw.messages") == 2
    assert chat.rows("SELECT feed, record_id, error_path FROM ops.quarantine") == [
        ("messages", bad, "created_at")
    ]
    assert report.quarantined == 1
    raw_json = chat.value("SELECT raw_json FROM ops.quarantine")
    assert json.loads(raw_json)["id"] == bad


def test_bad_record_met_again_is_one_row_of_the_quarantine(chat: Workplace) -> None:
    """The same malformed object on two nights is one entry, with the later run."""
    talk(chat.world, at=NOW - timedelta(minutes=9), messages=2)
    through(chat, rows_changed("chat-messages", spoil("answer", None)))
    chat.read(TALK)
    chat.read(TALK)
    assert chat.rows("SELECT run_id FROM ops.quarantine") == [("run 2",)]


@pytest.mark.parametrize(
    ("route", "table", "field"),
    [
        ("/apps", "apps", "mode"),
        ("chat-conversations", "conversations", "message_count"),
        ("api-keys", "app_api_keys", "created_at"),
        ("workflow-app-logs", "workflow_runs", "created_at"),
        ("/annotations", "annotations", "created_at"),
        ("/datasets", "datasets", "created_at"),
        ("/documents", "documents", "name"),
    ],
)
def test_row_that_became_malformed_is_not_taken_for_gone(
    workplace: Open, route: str, table: str, field: str
) -> None:
    """A held row that can no longer be read stays as it was: quarantined, not marked absent."""
    place = workplace(brief_world())
    feeds = ("apps", "datasets", table)
    place.read(feeds)
    through(place, rows_changed(route, spoil(field, [])))
    place.read(feeds)
    assert place.value(f"SELECT count(absent_since) FROM raw.{table}") == 0
    assert place.value(f"SELECT count(*) FROM ops.quarantine WHERE feed = '{table}'") > 0


def test_key_that_is_malformed_leaves_no_token(workplace: Open) -> None:
    """A malformed API key is named by its fields and types only: no raw JSON, no token."""
    place = workplace(quiet_world("chat"))
    key = place.world.add_api_key(
        tenant_id=place.world.workspace_id, at=NOW, app_id=app_of(place.world).id
    )
    through(place, rows_changed("api-keys", spoil("created_at", "never")))
    place.read(("apps", "app_api_keys"))
    ((raw_json, message),) = place.rows("SELECT raw_json, message FROM ops.quarantine")
    assert raw_json is None
    assert key.token not in message
    assert "token str" in message


def test_unknown_fields_go_to_extra_and_are_named(chat: Workplace) -> None:
    """A field of a future version is kept in `extra`, and listed as schema drift."""
    talk(chat.world, at=NOW - timedelta(days=1), messages=1)
    through(chat, rows_changed("chat-messages", lambda _, row: {**row, "mood": {"is": "good"}}))
    chat.read(TALK)
    assert json.loads(chat.value("SELECT extra FROM raw.messages")) == {"mood": {"is": "good"}}
    assert chat.rows("SELECT feed, field, server_version FROM ops.schema_drift") == [
        ("messages", "mood", "1.12.1")
    ]


def test_unknown_fields_of_keys_are_dropped(workplace: Open) -> None:
    """What a future version adds to API keys may be secret: it is stored nowhere."""
    place = workplace(quiet_world("chat"))
    world = place.world
    world.add_api_key(tenant_id=world.workspace_id, at=NOW, app_id=app_of(world).id)
    through(place, rows_changed("api-keys", lambda _, row: {**row, "copy": row["token"]}))
    place.read(("apps", "app_api_keys"))
    assert place.rows("SELECT * FROM ops.schema_drift") == []
    assert "extra" not in {name for (name, *_) in place.rows("DESCRIBE raw.app_api_keys")}


@pytest.mark.parametrize("role", ["admin", "editor"])
def test_role_without_private_datasets_is_unproven(workplace: Open, role: str) -> None:
    """Only the owner sees all datasets; for others the slice says that some may be missing."""
    place = workplace(quiet_world("chat"))
    place.world.set_role(role)
    place.read()
    found = place.rows("SELECT feed, state, reason FROM ops.slices WHERE state <> 'proven'")
    assert {(feed, state) for feed, state, _ in found} == {
        ("datasets", "unproven"),
        ("documents", "unproven"),
    }
    assert all(reason.endswith(f"this role is {role}") for *_, reason in found)


HIDDEN = "SELECT DISTINCT feed FROM ops.slices WHERE reason LIKE 'not shown to this account%'"


@pytest.mark.parametrize("role", ["normal", "dataset_operator"])
def test_what_a_role_is_not_shown_is_unproven(workplace: Open, role: str) -> None:
    """What a role may not read is unproven and says so; nothing has failed, the rest is there."""
    place = workplace(quiet_world(*MODES))
    run(place.world, at=NOW - timedelta(days=1))
    place.world.set_role(role)
    reports = place.read()
    assert {one.state for one in reports.values()} <= {"proven", "unproven"}
    hidden = {"conversations", "messages", "annotations", "workflow_versions"}
    assert {feed for (feed,) in place.rows(HIDDEN)} == hidden
    assert place.value("SELECT count(*) FROM raw.workflow_runs") == 1
    assert place.value("SELECT max(tries) FROM ops.slices") == 0
    reason = place.value(f"{HIDDEN.replace('DISTINCT feed', 'reason')} AND feed = 'annotations'")
    assert reason == (
        f"not shown to this account ({role}): annotations are shown to the role editor, admin or "
        "owner [GET /apps/{app_id}/annotations] Ask an owner for the role editor."
    )


def test_role_that_was_lowered_loses_nothing(workplace: Open) -> None:
    """On a later night nothing that was read before is absent, and no try is counted; when the role
    is back, all is read.
    """
    place = workplace(quiet_world(*MODES))
    for mode in ("chat", "completion"):
        talk(place.world, at=NOW - timedelta(days=1), mode=mode, messages=1)
    place.read()
    place.world.set_role("normal")
    now = place.pass_time(days=1)
    talk(place.world, at=now - timedelta(hours=1))
    reports = place.read()
    held = ("conversations", "messages", "annotations", "app_api_keys", "datasets", "documents")
    for _ in range(5):  # more nights than tries
        reports |= place.read(TALK)
    assert {one.state for one in reports.values()} <= {"proven", "unproven"}
    absent = [place.value(f"SELECT count(absent_since) FROM raw.{name}") for name in held]
    assert absent == [0] * len(held)
    reads = place.rows("SELECT max(tries), bool_or(state = 'absent') FROM ops.conversation_reads")
    assert reads == [(0, False)]
    place.world.set_role("owner")
    assert {one.state for one in place.read().values()} <= {"proven", "unproven"}
    assert place.rows(HIDDEN) == []
    assert differences(place, ("conversations", "messages")) == []


@pytest.mark.parametrize(
    ("path", "feeds"),
    [
        ("/chat-conversations", {"conversations", "messages"}),
        ("/chat-messages", {"messages"}),
        ("/api-keys", {"app_api_keys"}),
        ("/annotations", {"annotations"}),
        ("/feedbacks/export", {"message_feedbacks"}),
        ("/statistics/daily-messages", {"daily_statistics"}),
    ],
)
def test_right_that_one_app_withholds_is_said_of_that_app(
    workplace: Open, path: str, feeds: set[str]
) -> None:
    """Where rights are set app by app, an owner too: only that app's slices are unproven."""
    place = workplace(quiet_world("chat", "agent-chat"))
    for mode in ("chat", "agent-chat"):
        for hours in (1, 2, 3):
            talk(place.world, at=NOW - timedelta(hours=hours), mode=mode)
    closed = app_of(place.world, "agent-chat").id
    inner = httpx.WSGITransport(app=place.server)
    place.transport = Forbidding(inner, lambda asked: asked.endswith(f"/{closed}{path}"))
    reports = place.read((*TALK, "app_api_keys", "annotations", "daily_statistics"))
    found = place.rows(HIDDEN.replace("feed", "feed, app_id"))
    assert set(found) == {(feed, closed) for feed in feeds}
    assert {one.state for one in reports.values()} <= {"proven", "unproven"}
    assert place.value("SELECT count(*) FROM raw.conversations") == (
        3 if "conversations" in feeds else 6
    )
    assert place.value(f"{HIDDEN.replace('DISTINCT feed', 'reason')} LIMIT 1").endswith(
        "The role owner is enough as a rule: ask an owner for the right to this one"
        f"{_permission(path)}."
    )
    assert place.transport.refused < 4  # not once for every conversation


def test_private_dataset_of_another_is_unproven(workplace: Open) -> None:
    """A dataset that was closed to us after it was listed keeps its documents and fails nothing."""
    place = workplace(brief_world())
    feeds = ("members", "datasets", "documents")
    place.read(feeds)
    before = place.value("SELECT count(*) FROM raw.documents")
    inner = httpx.WSGITransport(app=place.server)
    place.transport = Forbidding(inner, lambda asked: asked.endswith("/documents"))
    assert place.read(feeds)["documents"].states == {"unproven": 1}
    assert place.value("SELECT count(*) FROM raw.documents WHERE absent_since IS NULL") == before


@pytest.mark.parametrize("role", ["normal", "editor"])
def test_refused_runs_are_unproven_with_their_nodes(workplace: Open, role: str) -> None:
    """A run whose detail is not shown is asked again every night, and its days say why."""
    place = workplace(quiet_world("workflow"))
    place.world.set_role(role)
    run(place.world, at=NOW - timedelta(days=1))
    inner = httpx.WSGITransport(app=place.server)
    place.transport = Forbidding(inner, lambda asked: "/workflow-runs/" in asked)
    for _ in range(6):
        reports = place.read(RUNS)
    assert (reports["workflow_runs"].state, reports["node_executions"].state) == (
        "unproven",
        "unproven",
    )
    assert place.rows("SELECT detail_tries FROM ops.run_reads") == [(0,)]
    place.transport = None
    assert place.read(RUNS)["node_executions"].state == "proven"
    assert place.value("SELECT count(*) FROM raw.node_executions") == 2


def _permission(path: str) -> str:
    if path == "/api-keys":
        return ""
    is_watched = path.startswith(("/statistics", "/feedbacks"))
    return " (app.acl.monitor)" if is_watched else " (app.acl.log_and_annotation)"


def test_hidden_dataset_is_not_taken_for_gone(workplace: Open) -> None:
    """When the account's role is lowered, datasets that it saw before are not marked absent."""
    place = workplace(quiet_world("chat"))
    place.read(("members", "datasets"))
    place.world.set_role("editor")
    place.read(("members", "datasets"))
    assert place.value("SELECT count(absent_since) FROM raw.datasets") == 0


def test_refused_login_ends_the_sync(chat: Workplace) -> None:
    """A wrong password is not tried again for every feed: the sync ends with it."""
    chat.credentials = PasswordCredentials(chat.world.account.email, SecretStr("wrong"))
    with pytest.raises(LoginRefused):
        chat.read(TALK)
    assert len(chat.server.requests_of("/login")) == 1


@pytest.mark.parametrize("route", ["/apps", "/workspaces/current/members", "/datasets/api-keys"])
def test_list_that_fails_keeps_what_is_held(workplace: Open, route: str) -> None:
    """A whole list that answers 500 is one failed slice; its rows stay, all else is read."""
    place = workplace(quiet_world("chat"))
    talk(place.world, at=NOW - timedelta(days=1))
    feeds = ("members", "dataset_api_keys", *TALK)
    place.read(feeds)
    now = place.pass_time(days=1)
    talk(place.world, at=now - timedelta(hours=1))
    through(place, refuse=lambda path: 500 if path.endswith(f"api{route}") else None)
    reports = place.read(feeds)
    assert sum(report.states.get("failed", 0) for report in reports.values()) == 1
    assert differences(place, ("apps", "members", "conversations", "messages")) == []


def test_shaky_server_is_read_whole(workplace: Open) -> None:
    """With one request in twenty failing in some way, all rows arrive all the same."""
    place = workplace(brief_world())
    place.server = SimulatedDify(
        place.world,
        faults=Faults(seed=5, rate_limited=0.02, server_errors=0.02, truncated=0.01),
    )
    place.attempts = 6
    reports = place.read()
    assert sum(report.retries for report in reports.values()) > 0
    assert differences(place) == []


def test_null_figure_costs_its_metric_of_its_day(workplace: Open) -> None:
    """When Dify answers null for one price of one day, every other figure is loaded and proven."""
    place = workplace(quiet_world("chat"))
    days = [NOW.date() - timedelta(days=ago) for ago in (3, 2)]
    for day in days:
        talk(place.world, at=datetime(day.year, day.month, day.day, 10, tzinfo=UTC))
    place.read(("apps", "daily_statistics"))
    held = place.rows("SELECT count(*) FROM raw.daily_statistics")

    def without_price(path: str, answer: Any) -> Any:
        if path.endswith("statistics/token-costs"):
            answer["data"][0]["total_price"] = None
        return answer

    through(place, without_price)
    place.read(("apps", "daily_statistics"))

    wrong = (
        "SELECT slice_date, state, reason FROM ops.slices "
        "WHERE feed = 'daily_statistics' AND state <> 'proven'"
    )
    assert place.rows(wrong) == [(days[0], "unproven", "1 in quarantine")]
    assert place.rows("SELECT count(*) FROM raw.daily_statistics") == held
    assert place.rows("SELECT record_id FROM ops.quarantine") == [(f"{days[0]}/total_price",)]

    through(place)
    place.read(("apps", "daily_statistics"))
    assert place.rows(wrong) == []
    assert place.value("SELECT count(*) FROM ops.quarantine WHERE resolved_at IS NULL") == 0


def test_tokens_beyond_bigint_cost_their_node(workplace: Open) -> None:
    """A node that tells 2^63 tokens is loaded without them, and named by the field."""
    place = workplace(quiet_world("workflow", "chat"))
    run(place.world, at=NOW - timedelta(days=1))
    talk(place.world, at=NOW - timedelta(days=1))

    def many_tokens(path: str, answer: Any) -> Any:
        if path.endswith("/node-executions"):
            for node in answer["data"]:
                node["execution_metadata"] = {"total_tokens": 2**63}
        return answer

    through(place, many_tokens)
    place.read((*TALK, *RUNS))

    paths = place.rows("SELECT DISTINCT error_path FROM ops.quarantine")
    assert paths == [("execution_metadata.total_tokens",)]
    assert place.value("SELECT count(*) FROM raw.messages") == len(place.world.messages)


class GoneMessages(httpx.BaseTransport):
    """Has no messages of any conversation; `is_listed`: the lists show it all the same."""

    def __init__(self, place: Workplace, *, is_listed: bool) -> None:
        self._inner = ChangedAnswers(httpx.WSGITransport(app=place.server), self._change)
        self._is_listed = is_listed

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/chat-messages"):
            gone = {"code": "not_found", "message": "Conversation Not Exists.", "status": 404}
            return httpx.Response(404, headers={"x-version": "1.12.1"}, json=gone)
        return self._inner.handle_request(request)

    def _change(self, path: str, answer: Any) -> Any:
        if path.endswith("/chat-conversations") and not self._is_listed:
            return {**answer, "data": [], "total": 0}
        return answer


def test_talk_that_was_gone_and_is_listed_again_is_tried_again(chat: Workplace) -> None:
    """Its messages answered 404, once while no list showed it, then although one did: the nights
    are counted anew, and it is read when it answers.
    """
    talk(chat.world, at=NOW - timedelta(hours=30))
    chat.read(["apps", "conversations"])
    chat.transport = GoneMessages(chat, is_listed=False)
    chat.read(["messages"])
    assert chat.value("SELECT state FROM ops.conversation_reads") == "absent"
    chat.transport = GoneMessages(chat, is_listed=True)
    chat.read(TALK)
    assert chat.rows("SELECT state, tries FROM ops.conversation_reads") == [("incomplete", 1)]
    chat.transport = None
    chat.pass_time(days=1)
    chat.read(TALK)
    assert chat.value("SELECT state FROM ops.conversation_reads") == "proven"
    assert chat.value("SELECT count(*) FROM raw.messages WHERE absent_since IS NULL") == 2
