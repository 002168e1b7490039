"""The figures of workflow_reliability, from rows written by hand."""

from datetime import timedelta

import pytest

from dify_etl_tests.sql.hand_written import NOON, HandWritten

MART = "marts.workflow_reliability"


@pytest.fixture
def workflow(warehouse: HandWritten) -> HandWritten:
    """A workflow app whose day was read."""
    warehouse.app("workflow")
    warehouse.read_day(feeds=("workflow_runs", "node_executions"))
    return warehouse


def test_every_run_has_one_outcome(workflow: HandWritten) -> None:
    """Succeeded, partly succeeded, failed, stopped and unfinished runs add up to all runs."""
    statuses = ("succeeded", "succeeded", "partial-succeeded", "failed", "stopped")
    for status in (*statuses, "running", "paused", None):
        workflow.run(status=status)
    row = workflow.one_row_of(MART)
    outcomes = ("succeeded", "partly_succeeded", "failed", "stopped", "unfinished")
    assert [row[f"{name}_runs"] for name in outcomes] == [2, 1, 1, 1, 3]
    assert row["runs"] == 8
    assert row["success_rate"] == 2 / 5


def test_debugging_is_left_out(workflow: HandWritten) -> None:
    """A day with nothing but debugging is no row."""
    run = workflow.run(triggered_from="debugging", status="failed")
    workflow.node(run, status="failed")
    assert workflow.rows_of(MART) == []


def test_zombies_are_unfinished_runs(workflow: HandWritten) -> None:
    """A run that is no longer waited for is counted among the unfinished, and by itself."""
    run = workflow.run(status="running")
    workflow.add("ops.run_reads", workflow_run_id=run, detail_reason="zombie: running since 2026")
    workflow.run(status="running")
    row = workflow.one_row_of(MART)
    assert (row["unfinished_runs"], row["zombie_runs"]) == (2, 1)
    assert row["success_rate"] is None


def test_percentiles_are_of_ended_runs(workflow: HandWritten) -> None:
    """Half and 95 of 100 by elapsed seconds; what still runs has no duration."""
    for seconds in range(1, 102):
        workflow.run(elapsed_seconds=float(seconds))
    workflow.run(status="running", elapsed_seconds=9999.0)
    row = workflow.one_row_of(MART)
    assert (row["p50_elapsed_seconds"], row["p95_elapsed_seconds"]) == (51.0, 96.0)


def test_worst_node_is_the_most_frequent(workflow: HandWritten) -> None:
    """Failed and handled nodes are counted; the one that did so most often is named."""
    for number in range(3):
        run = workflow.run(status="failed")
        workflow.node(run, node_id="search", title="Search", node_type="tool", status="exception")
        workflow.node(run, status="failed" if number else "succeeded")
    row = workflow.one_row_of(MART)
    assert (row["failed_nodes"], row["handled_nodes"]) == (2, 3)
    worst = [row[f"worst_node_{part}"] for part in ("id", "type", "title", "failures")]
    assert worst == ["search", "tool", "Search", 3]
    assert row["runs"] == 3


def test_nodes_count_on_the_day_of_their_run(workflow: HandWritten) -> None:
    """A node that fails after midnight belongs to the day on which its run began."""
    run = workflow.run(status="failed", created_at=NOON)
    workflow.node(run, status="failed", created_at=NOON + timedelta(hours=13))
    assert workflow.one_row_of(MART)["failed_nodes"] == 1


def test_unproven_nodes_mark_the_day(warehouse: HandWritten) -> None:
    """Runs that are proven with nodes that are not make a day that is not proven."""
    warehouse.app("workflow")
    warehouse.read_day(feeds=("workflow_runs",))
    warehouse.read_day(feeds=("node_executions",), state="unproven")
    warehouse.run()
    assert warehouse.one_row_of(MART)["is_proven"] is False
