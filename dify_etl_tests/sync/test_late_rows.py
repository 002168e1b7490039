"""Rows that Dify writes late: a run that has ended may have nodes to come, and a message name a run
that is not there yet.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from dify_etl.home import LIVE
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import first_message, quiet_world, run, talk
from dify_etl_tests.sync.workplace import NOW, RUNS, TALK, Workplace
from dify_simulated import World


def nights_asked_for_nodes(place: Workplace, nights: int) -> list[int]:
    """How often nodes are asked for in each of so many nights."""
    asked_for = []
    for _ in range(nights):
        place.pass_time(days=1)
        with place.requests() as requests:
            place.read(RUNS)
        asked_for.append(sum(one.path.endswith("node-executions") for one in requests))
    return asked_for


def test_node_written_after_its_run_ended_is_read(workplace: Open) -> None:
    """Dify may write nodes in the background: the run has ended and tells two steps, one node is
    there. The other one comes the next night; then the run is left alone.
    """
    place = workplace(quiet_world("workflow"))
    run_id = run(place.world, at=NOW - timedelta(hours=6))
    node = place.world.take_node(place.world.nodes_of_run[run_id][1])
    place.read(RUNS)
    assert place.rows("SELECT node_id FROM raw.node_executions") == [("start",)]
    place.world.put_node(node)
    assert nights_asked_for_nodes(place, 2) == [1, 0]
    assert differences(place, ("node_executions",)) == []


def test_nodes_that_end_after_their_run_are_read(workplace: Open) -> None:
    """The status of a node may be written after that of its run."""
    place = workplace(quiet_world("workflow"), "1.16.1")
    nodes = []
    for status in ("running", "pending", "paused"):
        run_id = run(place.world, at=NOW - timedelta(hours=6))
        nodes.append(place.world.node_executions[place.world.nodes_of_run[run_id][1]])
        nodes[-1].status = status
    place.read(RUNS)
    for node in nodes:
        node.status = "succeeded"
    assert nights_asked_for_nodes(place, 2) == [3, 0]
    assert differences(place, ("node_executions",)) == []


def test_nodes_of_a_run_that_just_ended_are_read_again(workplace: Open) -> None:
    """Its nodes look whole, as many as it tells steps: one of a loop may be written yet."""
    place = workplace(quiet_world("workflow"))
    run_id = run(place.world, at=NOW - timedelta(minutes=5))
    place.read(RUNS)
    at = NOW - timedelta(minutes=5)
    place.world.add_node(run_id, at=at, node_id="again", node_type="start", status="succeeded")
    assert nights_asked_for_nodes(place, 2) == [1, 0]
    assert differences(place, ("node_executions",)) == []


def test_what_a_stopped_run_left_open_is_not_waited_for(workplace: Open) -> None:
    """Nodes of a run that was stopped may run for ever, and more steps be told than there are
    nodes: within a day of its end they are read again, and of an old run once.
    """
    place = workplace(quiet_world("workflow"))
    for age in (timedelta(hours=20), timedelta(days=30)):
        run_id = run(place.world, at=NOW - age, status="stopped")
        place.world.workflow_runs[run_id].total_steps = 7
        node = place.world.node_executions[place.world.nodes_of_run[run_id][1]]
        node.status, node.finished_at = "running", None
    place.read(RUNS)
    assert nights_asked_for_nodes(place, 2) == [1, 0]
    assert place.rows("SELECT DISTINCT state FROM ops.slices WHERE feed = 'node_executions'") == [
        ("proven",)
    ]


def test_end_that_lies_ahead_is_not_waited_for(workplace: Open) -> None:
    """A run that tells an end of the year 9000 has ended when it was read."""
    place = workplace(quiet_world("workflow"))
    run_id = run(place.world, at=NOW - timedelta(days=3))
    place.world.workflow_runs[run_id].finished_at = datetime(9000, 1, 1, tzinfo=UTC)
    place.read(RUNS)
    assert nights_asked_for_nodes(place, 2) == [1, 0]


def test_home_of_before_reads_what_it_lacks(workplace: Open) -> None:
    """A home that settled runs with their end reads those once more whose nodes were not all there,
    or had not ended; not the others.
    """
    place = workplace(quiet_world("workflow"))
    lacking, open_, _ = (run(place.world, at=NOW - timedelta(days=days)) for days in (9, 8, 7))
    node = place.world.take_node(place.world.nodes_of_run[lacking][1])
    late = place.world.node_executions[place.world.nodes_of_run[open_][1]]
    late.status = "running"
    place.read(RUNS)
    with duckdb.connect(place.home / LIVE) as connection:
        connection.execute("DELETE FROM ops.migrations WHERE number = 7")
    place.world.put_node(node)
    late.status = "succeeded"
    assert nights_asked_for_nodes(place, 2) == [2, 0]
    assert differences(place, ("node_executions",)) == []


# Enough to read messages, and the runs that they name.
TALK_AND_RUNS = (*TALK, "workflow_runs", "node_executions")


def name_a_run(world: World, *, at: datetime) -> str:
    """A message that names a run, which has a node. Answers the id of the run."""
    conversation = talk(world, at=at, messages=1, mode="advanced-chat")
    run_id = world.messages[first_message(world, conversation)].workflow_run_id
    assert run_id is not None
    world.add_node(run_id, at=at, node_type="start", status="succeeded")
    return run_id


@contextmanager
def without_run(world: World, run_id: str) -> Iterator[None]:
    """While the block runs, Dify has no such run."""
    nodes = [world.node_executions[one] for one in world.nodes_of_run[run_id]]
    row = world.take_run(run_id)
    yield
    world.put_run(row)
    for node in nodes:
        world.put_node(node)


@pytest.mark.parametrize(("version", "days"), [("1.7.2", 0), ("1.12.1", 2), ("1.16.1", 0)])
def test_run_that_comes_after_its_message_is_read(workplace: Open, version: str, days: int) -> None:
    """A message names a run that Dify answers to be none. Later a list shows it, or, where none
    lists it, its own address. It was taken for gone for ever.
    """
    place = workplace(quiet_world("advanced-chat"), version)
    run_id = name_a_run(place.world, at=NOW - timedelta(days=days, minutes=40))
    with without_run(place.world, run_id):
        place.read(TALK_AND_RUNS)
        assert place.rows("SELECT count(*) FROM raw.workflow_runs") == [(0,)]
    place.pass_time(days=1)
    place.read(TALK_AND_RUNS)
    assert differences(place, ("workflow_runs", "node_executions")) == []


def test_run_that_is_gone_is_asked_for_a_day(workplace: Open) -> None:
    """Dify deletes runs: what a message of today names is asked for again until it is a day old."""
    place = workplace(quiet_world("advanced-chat"), "1.7.2")
    for days in (0, 30):
        run_id = name_a_run(place.world, at=NOW - timedelta(days=days, minutes=40))
        place.world.take_run(run_id)
    asked_for = []
    for _ in range(3):
        with place.requests() as requests:
            place.read(TALK_AND_RUNS)
        asked_for.append(sum("/workflow-runs/" in one.path for one in requests))
        place.pass_time(days=1)
    assert asked_for == [2, 1, 0]
