"""Versions of workflows by day, from rows written by hand."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from dify_etl_tests.sql.hand_written import DAY, NOON, HandWritten

MART = "marts.workflow_performance"


def test_versions_are_compared(warehouse: HandWritten) -> None:
    """Outcomes, seconds and tokens by version, with the name that its publisher gave it."""
    warehouse.app("workflow")
    published = NOON - timedelta(days=3)
    warehouse.add(
        "raw.workflow_versions",
        workflow_id="w",
        app_id="app",
        version="v2",
        marked_name="faster",
        created_at=published,
    )
    for version, status, seconds in (
        ("v1", "succeeded", 4.0),
        ("v1", "failed", 2.0),
        ("v2", "succeeded", 1.0),
        ("v2", "partial-succeeded", 1.0),
        ("v2", "stopped", 9.0),
        ("v2", "running", 0.0),
    ):
        warehouse.run(workflow_version=version, status=status, elapsed_seconds=seconds)
    warehouse.run(workflow_version="v2", triggered_from="debugging", status="failed")
    first, second = warehouse.rows_of(MART)
    assert (first["workflow_version"], first["version_name"], first["runs"]) == ("v1", None, 2)
    assert (first["failure_rate"], first["p50_seconds"], first["total_tokens"]) == (0.5, 3.0, 200)
    assert (second["version_name"], second["version_published_at"]) == ("faster", published)
    counts = ("succeeded", "partly_succeeded", "failed", "stopped", "unfinished")
    assert [second[f"{name}_runs"] for name in counts] == [1, 1, 0, 1, 1]
    assert (second["failure_rate"], second["p50_seconds"]) == (0.0, 1.0)
    assert (second["run_date"], second["priced_runs"], second["total_price"]) == (DAY, 0, None)


def test_prices_of_nodes(warehouse: HandWritten) -> None:
    """What the nodes of a run cost is what it cost, in one currency."""
    warehouse.app("workflow")
    for _ in range(2):
        run = warehouse.run(workflow_version="v1")
        for _ in range(2):
            warehouse.node(run, total_price="0.25", currency="USD", total_tokens=10)
    warehouse.run(workflow_version="v1")
    row = warehouse.one_row_of(MART)
    assert (row["priced_runs"], row["total_price"], row["currency"]) == (2, Decimal(1), "USD")


def test_prices_of_messages(warehouse: HandWritten) -> None:
    """A chatflow's run cost what its message cost."""
    warehouse.app("advanced-chat")
    run = warehouse.run(workflow_version="v1", message_id="message 2")
    told: dict[str, Any] = {"total_price": "0.5", "currency": "USD", "total_tokens": 30}
    warehouse.message(workflow_run_id=run, **told)
    row = warehouse.one_row_of(MART)
    assert (row["priced_runs"], row["total_price"]) == (1, Decimal("0.5"))


@pytest.mark.parametrize("in_one_run", [True, False])
def test_currencies_are_not_added(warehouse: HandWritten, in_one_run: bool) -> None:
    """Within a run, and from run to run."""
    warehouse.app("workflow")
    run = warehouse.run(workflow_version="v1")
    warehouse.node(run, total_price="0.25", currency="USD", total_tokens=10)
    other = run if in_one_run else warehouse.run(workflow_version="v1")
    warehouse.node(other, total_price="0.25", currency="RMB", total_tokens=10)
    row = warehouse.one_row_of(MART)
    assert (row["total_price"], row["currency"]) == (None, None)
    assert row["priced_runs"] == (1 if in_one_run else 2)


def test_figures_beyond_sense_break_no_build(warehouse: HandWritten) -> None:
    """The exact sum of the largest numbers that a column takes."""
    warehouse.app("workflow")
    for _ in range(2):
        warehouse.run(total_tokens=2**63 - 1, elapsed_seconds=9e300)
    assert warehouse.one_row_of(MART)["total_tokens"] == 2**64 - 2


@pytest.mark.parametrize("in_one_run", [True, False])
def test_unknown_currencies_are_not_added(warehouse: HandWritten, in_one_run: bool) -> None:
    """A price whose currency nobody tells is not of the currency of the others."""
    warehouse.app("workflow")
    run = warehouse.run(workflow_version="v1")
    warehouse.node(run, total_price="0.5", currency="USD", total_tokens=10)
    other = run if in_one_run else warehouse.run(workflow_version="v1")
    warehouse.node(other, total_price="0.5", currency=None, total_tokens=10)
    row = warehouse.one_row_of(MART)
    assert (row["total_price"], row["currency"]) == (None, None)


def test_what_costs_nothing_has_no_currency(warehouse: HandWritten) -> None:
    """A price of 0 is a price, and does not mix with the currency of others."""
    warehouse.app("workflow")
    run = warehouse.run(workflow_version="v1")
    warehouse.node(run, total_price="0", currency="USD", total_tokens=10)
    row = warehouse.one_row_of(MART)
    assert (row["priced_runs"], row["total_price"], row["currency"]) == (1, Decimal(0), None)
