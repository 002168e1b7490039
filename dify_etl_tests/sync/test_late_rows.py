"""Rows that Dify writes late: a run that has ended may have nodes to come, and a message name a run
that is not there yet.
"""

from datetime import UTC, datetime, timedelta

import duckdb
import pytest

from dify_etl.home import LIVE
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import quiet_world, run
from dify_etl_tests.sync.workplace import NOW, RUNS, Workplace


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
    assert nights_asked_for_nodes(place, 3) == [1, 0, 0]
    assert differences(place, ("node_executions",)) == []


@pytest.mark.parametrize("status", ["running", "pending", "paused"])
def test_node_that_ends_after_its_run_is_read(workplace: Open, status: str) -> None:
    """The status of a node may be written after that of its run."""
    place = workplace(quiet_world("workflow"), "1.16.1")
    run_id = run(place.world, at=NOW - timedelta(hours=6))
    node = place.world.node_executions[place.world.nodes_of_run[run_id][1]]
    ended = node.status, node.finished_at
    node.status, node.finished_at = status, None
    place.read(RUNS)
    node.status, node.finished_at = ended
    assert nights_asked_for_nodes(place, 3) == [1, 0, 0]
    assert differences(place, ("node_executions",)) == []


def test_nodes_of_a_run_that_just_ended_are_read_again(workplace: Open) -> None:
    """Its nodes look whole, as many as it tells steps: one of a loop may be written yet."""
    place = workplace(quiet_world("workflow"))
    run_id = run(place.world, at=NOW - timedelta(minutes=5))
    place.read(RUNS)
    at = NOW - timedelta(minutes=5)
    place.world.add_node(run_id, at=at, node_id="again", node_type="start", status="succeeded")
    assert nights_asked_for_nodes(place, 3) == [1, 0, 0]
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
    assert nights_asked_for_nodes(place, 4) == [1, 0, 0, 0]
    assert place.rows("SELECT DISTINCT state FROM ops.slices WHERE feed = 'node_executions'") == [
        ("proven",)
    ]


def test_end_that_lies_ahead_is_not_waited_for(workplace: Open) -> None:
    """A run that tells an end of the year 9000 has ended when it was read."""
    place = workplace(quiet_world("workflow"))
    run_id = run(place.world, at=NOW - timedelta(days=3))
    place.world.workflow_runs[run_id].finished_at = datetime(9000, 1, 1, tzinfo=UTC)
    place.read(RUNS)
    assert nights_asked_for_nodes(place, 3) == [1, 0, 0]


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
