"""Nodes of workflow versions by day, from rows written by hand."""

import pytest

from dify_etl_tests.sql.hand_written import HandWritten

MART = "marts.node_performance"


def test_nodes_are_counted_by_version(warehouse: HandWritten) -> None:
    """Outcomes, retries, seconds, and the part of the run's time; debugging is left out."""
    warehouse.app("workflow")
    for version, seconds in (("v1", 3.0), ("v1", 1.0), ("v2", 2.0)):
        run = warehouse.run(workflow_version=version)
        warehouse.node(run, elapsed_seconds=seconds, total_tokens=100)
        warehouse.node(run, node_id="end", node_type="end", title="End", elapsed_seconds=1.0)
    failed = warehouse.run(workflow_version="v2", status="failed")
    warehouse.node(failed, status="failed", elapsed_seconds=4.0, retry_index=1)
    warehouse.node(failed, status="exception", elapsed_seconds=4.0)
    debugged = warehouse.run(triggered_from="debugging")
    warehouse.node(debugged, elapsed_seconds=99.0)
    rows = {(row["workflow_version"], row["node_id"]): row for row in warehouse.rows_of(MART)}
    assert set(rows) == {("v1", "llm"), ("v1", "end"), ("v2", "llm"), ("v2", "end")}
    first = rows["v1", "llm"]
    assert (first["executions"], first["succeeded_executions"], first["retries"]) == (2, 2, 0)
    assert (first["p50_seconds"], first["total_seconds"], first["total_tokens"]) == (2.0, 4.0, 200)
    assert first["share_of_run_time"] == pytest.approx(4 / 6)
    second = rows["v2", "llm"]
    counts = [second[f"{name}_executions"] for name in ("succeeded", "failed", "handled")]
    assert counts == [1, 1, 1]
    assert (second["retries"], second["failure_rate"]) == (1, pytest.approx(2 / 3))
    assert rows["v2", "end"]["node_title"] == "End"


def test_unended_executions_have_no_duration(warehouse: HandWritten) -> None:
    """What runs is counted, and neither fast nor a failure; a run may tell no version."""
    warehouse.app("workflow")
    warehouse.node(warehouse.run(), status="running", elapsed_seconds=0.0)
    row = warehouse.one_row_of(MART)
    assert (row["workflow_version"], row["executions"]) == (None, 1)
    assert (row["p50_seconds"], row["failure_rate"], row["share_of_run_time"]) == (None, None, None)


def test_figures_beyond_sense_break_no_build(warehouse: HandWritten) -> None:
    """A server may tell any number that a column takes: the node has its row, and the exact sum."""
    warehouse.app("workflow")
    for _ in range(2):
        warehouse.node(warehouse.run(), elapsed_seconds=9e300, total_tokens=2**63 - 1)
    row = warehouse.one_row_of(MART)
    assert (row["total_seconds"], row["total_tokens"]) == (1.8e301, 2**64 - 2)
