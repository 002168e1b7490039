"""What waits for a person, triggers and archived runs look as the recorded servers tell them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from dify_etl_tests.simulated.json_shape import Shape, differences
from dify_etl_tests.simulated.recorded_exchanges import exchange, exchanges
from dify_etl_tests.simulated.signing_in import signed_in
from dify_simulated import SimulatedDify, World, WorldPlan, build_world
from dify_simulated.world.rows import App

NOW = datetime(2026, 11, 21, 0, 30, tzinfo=UTC)
VERSIONS = ("1.16.1", "main-2026-08")
# What a recorded waiting run has not, and one of another story has.
DOCUMENTED = {
    ".data[].parent_message_id": "str",
    ".data[].finished_at": "NoneType",
    ".data[].predecessor_node_id": "str",
    ".data[].error": "str",
}


class Desk:
    """A small workspace of one version, and somebody who asks it."""

    def __init__(self, version: str) -> None:
        self.version = version
        self.world: World = build_world(
            WorldPlan(apps=0, days=1, conversations_per_day=0, now=NOW, version=version)
        )
        self.dify = SimulatedDify(self.world, version)
        self.client = signed_in(self.dify)
        self.at = NOW - timedelta(hours=1)

    def app(self, mode: str) -> App:
        """A new app."""
        world = self.world
        return world.add_app(
            name=mode,
            mode=mode,
            at=self.at,
            created_by=world.account_id,
            tenant_id=world.workspace_id,
        )

    def problems(self, path: str, key: str) -> list[str]:
        """How the answer at a path differs from a recorded one, given all of its endpoint."""
        item = exchange(self.version, key)
        answer = self.client.get(path)
        if answer.status_code != item.status:
            return [f"{key}: status {answer.status_code} instead of {item.status}"]
        pool = Shape()
        last = item.path.rsplit("/", 1)[-1]
        for area in ("human-input", "logs", "apps"):
            for one in exchanges(self.version, area):
                if one.method == "GET" and one.status == item.status and one.path.endswith(last):
                    pool.add(one.body)
        found = differences(answer.json(), item.body, pool=pool, documented=DOCUMENTED)
        return [f"{key}: {problem}" for problem in found]


@pytest.fixture(params=VERSIONS)
def desk(request: pytest.FixtureRequest) -> Desk:
    """A desk at each recorded version."""
    return Desk(request.param)


def waiting(desk: Desk, app: App, *, blocking: bool = False) -> tuple[str, str]:
    """A run of an app that asks a person: its id and its conversation's."""
    world, at = desk.world, desk.at
    user = world.add_end_user(app.id, session_id="alice", at=at)
    talk_id = ""
    if app.mode == "advanced-chat":
        talk_id = world.add_conversation(app.id, at=at, end_user_id=user.id).id
        run_id = world.add_message(talk_id, at=at, answer=None).workflow_run_id or ""
    else:
        run_id = world.start_run(app.id, at=at, end_user_id=user.id).id
    node = world.add_node(run_id, at=at, node_id="start", node_type="start", status="succeeded")
    node.finished_at, node.outputs, node.process_data = at, {}, {}
    world.ask_person(run_id, at=at, blocking=blocking)
    return run_id, talk_id


@pytest.mark.parametrize("blocking", [False, True])
def test_talk_that_waits_and_goes_on(desk: Desk, blocking: bool) -> None:
    """Messages, pauses and nodes of a chatflow have the recorded shape: waiting, answered, over."""
    app = desk.app("advanced-chat")
    run_id, talk_id = waiting(desk, app, blocking=blocking)
    name = "blocking" if blocking else "streaming"
    messages = f"/apps/{app.id}/chat-messages?conversation_id={talk_id}"
    nodes = f"/apps/{app.id}/workflow-runs/{run_id}/node-executions"
    pause = f"/workflow/{run_id}/pause-details"
    found = desk.problems(messages, f"human-input/{name}-1-paused-chat-messages")
    found += desk.problems(nodes, f"human-input/{name}-1-paused-node-executions")
    found += desk.problems(pause, f"human-input/{name}-1-paused-pause-details")

    desk.world.submit_form(desk.world.forms_of_run[run_id][0], at=NOW)
    found += desk.problems(messages, f"human-input/{name}-2-chat-messages-at-once")

    stops = blocking and desk.dify.version.stops_resumed_runs
    desk.world.resume_run(run_id, at=NOW, is_stopped=stops)
    found += desk.problems(messages, f"human-input/{name}-3-resumed-chat-messages")
    found += desk.problems(nodes, f"human-input/{name}-3-resumed-node-executions")
    found += desk.problems(pause, f"human-input/{name}-3-resumed-pause-details")

    assert found == []


@pytest.mark.parametrize("blocking", [False, True])
def test_values_of_a_talk_are_those_recorded(desk: Desk, blocking: bool) -> None:
    """Status, answer and metadata of the message, and status of the run, are the recorded ones."""
    app = desk.app("advanced-chat")
    run_id, talk_id = waiting(desk, app, blocking=blocking)
    name = "blocking" if blocking else "streaming"

    def told(stage: str) -> None:
        path = f"/apps/{app.id}/chat-messages?conversation_id={talk_id}"
        ours = desk.client.get(path).json()["data"][0]
        body = exchange(desk.version, f"human-input/{name}-{stage}-chat-messages").body
        assert isinstance(body, dict)
        theirs = body["data"][0]
        for key in ("status", "answer"):
            assert ours[key] == theirs[key]
        assert ours["metadata"].keys() == theirs["metadata"].keys()
        run = desk.client.get(f"/apps/{app.id}/workflow-runs/{run_id}").json()
        recorded = exchange(desk.version, f"human-input/{name}-{stage}-workflow-run-get").body
        assert isinstance(recorded, dict)
        assert run["status"] == recorded["status"]
        assert (run["finished_at"] is None) == (recorded["finished_at"] is None)

    told("1-paused")
    desk.world.submit_form(desk.world.forms_of_run[run_id][0], at=NOW)
    stops = blocking and desk.dify.version.stops_resumed_runs
    desk.world.resume_run(run_id, at=NOW, is_stopped=stops)
    told("3-resumed")


def test_run_of_a_workflow_app_that_waits(desk: Desk) -> None:
    """Log, list, count, nodes and pause of a workflow app's run have the recorded shape."""
    app = desk.app("workflow")
    run_id, _ = waiting(desk, app)
    runs = f"/apps/{app.id}/workflow-runs"
    paths = {
        "app-logs": f"/apps/{app.id}/workflow-app-logs?detail=true",
        "runs": f"{runs}?triggered_from=app-run",
        "runs-count": f"{runs}/count?triggered_from=app-run",
        "node-executions": f"{runs}/{run_id}/node-executions",
        "pause-details": f"/workflow/{run_id}/pause-details",
    }
    found = [
        problem
        for name, path in paths.items()
        for problem in desk.problems(path, f"human-input/workflow-1-paused-{name}")
    ]
    assert found == []
    count = desk.client.get(paths["runs-count"]).json()
    assert count["total"] == 1
    assert sum(count.values()) == 1


Fill = Callable[[Desk, App], object]


def _triggers(desk: Desk, app: App) -> object:
    return [
        desk.world.add_trigger(app.id, at=desk.at, kind=kind)
        for kind in ("webhook", "schedule", "plugin")
    ]


def _nothing(desk: Desk, app: App) -> object:
    return None


def _archived(desk: Desk, app: App) -> object:
    user = desk.world.add_end_user(app.id, session_id="alice", at=desk.at)
    for end_user_id in (user.id, None):
        run = desk.world.start_run(app.id, at=desk.at, end_user_id=end_user_id)
        desk.world.finish_run(run.id, at=NOW)
        desk.world.archive_run(run.id, at=NOW)
    return None


@pytest.mark.parametrize(
    ("mode", "fill", "path", "key"),
    [
        ("workflow", _triggers, "triggers", "apps/triggers"),
        ("workflow", _nothing, "triggers", "apps/triggers-none"),
        ("chat", _nothing, "triggers", "apps/triggers-on-chat"),
        ("workflow", _archived, "workflow-archived-logs", "logs/workflow-archived-logs"),
        ("chat", _nothing, "workflow-archived-logs", "logs/workflow-archived-logs-on-chat"),
    ],
)
def test_lists_of_a_workflow_app(desk: Desk, mode: str, fill: Fill, path: str, key: str) -> None:
    """Triggers and archived runs have the recorded shape; other modes are refused as recorded."""
    app = desk.app(mode)
    fill(desk, app)
    assert desk.problems(f"/apps/{app.id}/{path}", key) == []


def test_unknown_run_has_no_pause(desk: Desk) -> None:
    """Asked for a run that is not there, the server answers as recorded."""
    path = f"/workflow/{desk.world.new_id()}/pause-details"
    assert desk.problems(path, "logs/pause-details-unknown") == []
