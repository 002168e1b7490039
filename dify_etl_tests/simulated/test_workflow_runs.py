"""Runs and their log lines, as each generation of servers shows them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from dify_etl_tests.simulated.conftest import NOW
from dify_etl_tests.simulated.signing_in import signed_in
from dify_simulated import SimulatedDify, World
from dify_simulated.world.rows import App, WorkflowRun

START = NOW - timedelta(hours=3)


@pytest.fixture
def workflow(world: World) -> App:
    """A published workflow app."""
    return next(app for app in world.apps.values() if app.mode == "workflow")


def line(reader: httpx.Client, run: WorkflowRun) -> dict[str, Any] | None:
    """The log line of a run, None when the list has none."""
    answer = reader.get(f"/apps/{run.app_id}/workflow-app-logs", params={"keyword": run.id}).json()
    return answer["data"][0] if answer["data"] else None


@pytest.mark.parametrize(("version", "seconds"), [("1.7.2", 600), ("1.12.1", 0)])
def test_the_time_of_a_log_line(world: World, workflow: App, version: str, seconds: int) -> None:
    """Old servers stamp the end of the run, new ones its start."""
    run = world.start_run(workflow.id, at=START)
    world.finish_run(run.id, at=START + timedelta(seconds=600))

    shown = line(signed_in(SimulatedDify(world, version)), run)

    assert shown is not None
    assert shown["created_at"] == int(START.timestamp()) + seconds


@pytest.mark.parametrize(("version", "listed"), [("1.7.2", False), ("1.12.1", True)])
def test_a_running_run_in_the_log(world: World, workflow: App, version: str, listed: bool) -> None:
    """Old servers write the line when the run has ended."""
    run = world.start_run(workflow.id, at=START)

    assert (line(signed_in(SimulatedDify(world, version)), run) is not None) is listed


def test_a_run_that_is_gone_leaves_its_line(
    world: World, reader: httpx.Client, workflow: App
) -> None:
    """The line stays with a null run, the detail answers 200 with nulls, the nodes are none."""
    run = world.start_run(workflow.id, at=NOW + timedelta(days=1))
    world.delete_run(run.id)
    path = f"/apps/{workflow.id}"

    newest = reader.get(f"{path}/workflow-app-logs", params={"limit": 1}).json()["data"][0]
    detail = reader.get(f"{path}/workflow-runs/{run.id}")

    assert newest["workflow_run"] is None
    assert detail.status_code == 200
    assert set(detail.json().values()) == {None}
    assert reader.get(f"{path}/workflow-runs/{run.id}/node-executions").json() == {"data": []}


def test_the_default_lists_debug_runs_only(
    world: World, reader: httpx.Client, workflow: App
) -> None:
    """Without triggered_from no real run is listed."""
    answer = reader.get(f"/apps/{workflow.id}/workflow-runs", params={"limit": 100}).json()

    kinds = {world.workflow_runs[row["id"]].triggered_from for row in answer["data"]}
    assert kinds == {"debugging"}


def test_old_servers_ignore_triggered_from(world: World, workflow: App) -> None:
    """On 1.7.2 even the parameter does not help, nor is a wrong value refused."""
    reader = signed_in(SimulatedDify(world, "1.7.2"))

    answer = reader.get(
        f"/apps/{workflow.id}/workflow-runs", params={"triggered_from": "schedule"}
    ).json()

    kinds = {world.workflow_runs[row["id"]].triggered_from for row in answer["data"]}
    assert kinds == {"debugging"}


@pytest.mark.parametrize(("version", "indexes"), [("1.7.2", [2, 1]), ("1.12.1", [1, 2])])
def test_the_order_of_nodes(world: World, workflow: App, version: str, indexes: list[int]) -> None:
    """Descending on old servers, ascending on new ones."""
    run = world.start_run(workflow.id, at=START)
    for number in range(2):
        world.add_node(run.id, at=START + timedelta(seconds=number))
    reader = signed_in(SimulatedDify(world, version))

    nodes = reader.get(f"/apps/{workflow.id}/workflow-runs/{run.id}/node-executions").json()["data"]

    assert [node["index"] for node in nodes] == indexes


@pytest.mark.parametrize(("version", "status"), [("1.0.0", 500), ("1.7.2", 400), ("1.12.1", 200)])
def test_a_paused_run_breaks_old_lists(world: World, version: str, status: int) -> None:
    """One chatflow run in a state that the server does not know hides all conversations."""
    chatflow = next(app for app in world.apps.values() if app.mode == "advanced-chat")
    conversation = world.add_conversation(chatflow.id, at=START)
    message = world.add_message(conversation.id, at=START, answer=None)
    world.pause_run(message.workflow_run_id or "")
    reader = signed_in(SimulatedDify(world, version))

    answer = reader.get(f"/apps/{chatflow.id}/chat-conversations", params={"limit": 100})

    assert answer.status_code == status


def test_counts_agree_with_the_rows(world: World, reader: httpx.Client, workflow: App) -> None:
    """/count counts what the list would list."""
    index = world.runs_of_app[workflow.id, "app-run"]

    counts = reader.get(
        f"/apps/{workflow.id}/workflow-runs/count", params={"triggered_from": "app-run"}
    ).json()

    assert counts["total"] == len(index)
    assert counts["failed"] == [world.workflow_runs[i].status for i in index].count("failed")


def test_1_0_does_not_know_the_time_filter(world: World, workflow: App) -> None:
    """The parameters are ignored in silence: the whole list comes."""
    reader = signed_in(SimulatedDify(world, "1.0.0"))
    path = f"/apps/{workflow.id}/workflow-app-logs"

    filtered = reader.get(path, params={"created_at__after": "2036-01-01"}).json()

    assert filtered["total"] == reader.get(path).json()["total"] > 0
