"""The sums of app_daily_cost, from rows written by hand."""

from datetime import timedelta
from decimal import Decimal

from dify_etl_tests.sql.hand_written import NOON, HandWritten

MART = "marts.app_daily_cost"


def costs(warehouse: HandWritten) -> dict[str, tuple[int, Decimal]]:
    """Charged items and price by currency."""
    return {
        row["currency"]: (row["charged_items"], row["total_price"])
        for row in warehouse.rows_of(MART)
    }


def test_each_currency_is_a_row(warehouse: HandWritten) -> None:
    """Prices are added exactly, by currency; messages without a price are no row."""
    warehouse.app("chat")
    warehouse.read_day()
    for price in ("0.1", "0.2"):
        warehouse.message(total_price=price, currency="USD", total_tokens=30)
    warehouse.message(total_price="3.5", currency="RMB")
    warehouse.message()
    assert costs(warehouse) == {"USD": (2, Decimal("0.3")), "RMB": (1, Decimal("3.5"))}


def test_workflow_apps_are_charged_by_node(warehouse: HandWritten) -> None:
    """Nodes carry the price; an iteration repeats its inner nodes and is left out."""
    warehouse.app("workflow")
    warehouse.read_day()
    run = warehouse.run()
    for kind in ("llm", "iteration"):
        warehouse.node(run, node_type=kind, total_price="0.25", currency="USD", total_tokens=5)
    assert costs(warehouse) == {"USD": (1, Decimal("0.25"))}


def test_chatflow_is_not_charged_twice(warehouse: HandWritten) -> None:
    """A message of an advanced-chat app has the price of its run's nodes already."""
    warehouse.app("advanced-chat")
    warehouse.read_day()
    run = warehouse.run()
    warehouse.message(workflow_run_id=run, total_price="0.25", currency="USD")
    warehouse.node(run, total_price="0.25", currency="USD")
    assert costs(warehouse) == {"USD": (1, Decimal("0.25"))}


def test_days_that_were_not_read_have_no_cost(warehouse: HandWritten) -> None:
    """A part of a day is no figure."""
    warehouse.app("chat")
    warehouse.read_day()
    warehouse.message(created_at=NOON - timedelta(days=9), total_price="1", currency="USD")
    assert costs(warehouse) == {}
