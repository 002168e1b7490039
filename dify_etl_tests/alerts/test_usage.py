"""The rules of cost and failures, over simulated workspaces and at their edges."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dify_etl.alerts.incidents import Incident, Moment, NightsDue
from dify_etl.alerts.usage import dear_days, failing_workflows
from dify_etl.time_zones import zone_of
from dify_etl.warehouse.database import ArrowStream, Database
from dify_etl_tests.sql.conftest import open_for_few_rows
from dify_simulated import World, WorldPlan, build_world

NOW = datetime(2026, 3, 12, 8, tzinfo=UTC)
TODAY = NOW.date()
DAYS = 90
Costs = dict[tuple[str, str, date], Decimal]
# One conversation per talking app has 130 questions, all asked on one day: that is no quiet day.
LONG_CONVERSATION = 100


def quiet_costs(world: World) -> Costs:
    """What Dify charges per app, currency and day, as its statistics add it up."""
    turns = Counter(message.conversation_id for message in world.messages.values())
    costs: Costs = defaultdict(Decimal)
    for message in world.messages.values():
        if message.total_price and turns[message.conversation_id] < LONG_CONVERSATION:
            costs[message.app_id, message.currency, message.created_at.date()] += (
                message.total_price
            )
    for node in world.node_executions.values():
        told = node.execution_metadata or {}
        if world.apps[node.app_id].mode == "workflow" and told.get("total_price"):
            price = Decimal(str(told["total_price"]))
            costs[node.app_id, str(told["currency"]), node.created_at.date()] += price
    return costs


def quiet_runs(world: World) -> dict[tuple[str, date], list[int]]:
    """Runs per app and day, and how many of them failed."""
    counted: dict[tuple[str, date], list[int]] = defaultdict(lambda: [0, 0])
    for run in world.workflow_runs.values():
        if run.triggered_from != "debugging" and run.status not in ("running", "paused"):
            counts = counted[run.app_id, run.created_at.date()]
            counts[0] += 1
            counts[1] += run.status == "failed"
    return counted


@contextmanager
def marts(path: Path) -> Iterator[Database]:
    """The two marts, empty, with the columns that are read."""
    with open_for_few_rows(path) as database:
        database.execute(
            "CREATE TABLE marts.app_daily_cost (app_id VARCHAR, app_name VARCHAR, "
            "currency VARCHAR, usage_date DATE, total_price DECIMAL(38, 10), "
            "other_price DECIMAL(38, 10))"
        )
        database.execute(
            "CREATE TABLE marts.workflow_reliability (app_id VARCHAR, app_name VARCHAR, "
            "run_date DATE, runs BIGINT, unfinished_runs BIGINT, failed_runs BIGINT)"
        )
        yield database


def fill(database: Database, table: str, columns: list[str], rows: list[list[Any]]) -> None:
    frame = ArrowStream(pl.DataFrame(rows, schema=columns, orient="row"))
    database.connection.register("rows_of_test", frame)
    database.execute(f"INSERT INTO {table} SELECT * FROM rows_of_test")
    database.connection.unregister("rows_of_test")


def fill_costs(database: Database, costs: Costs) -> None:
    columns = ["app_id", "app_name", "currency", "usage_date", "total_price", "other_price"]
    rows = [[app, app, *rest, price, Decimal(0)] for (app, *rest), price in costs.items()]
    fill(database, "marts.app_daily_cost", columns, rows)


def on(day: date) -> Moment:
    """The morning after a day."""
    now = datetime(day.year, day.month, day.day, 8, tzinfo=UTC) + timedelta(days=1)
    return Moment(now, zone_of("UTC"), NightsDue(now, now - timedelta(days=1)))


@pytest.mark.parametrize("seed", [7, 11])
def test_ninety_quiet_days_raise_no_alarm_and_a_dear_one_does(tmp_path: Path, seed: int) -> None:
    """Every morning of 90 days of the demo's workspace; then each app has a day of ten times its
    usual, and is found.
    """
    plan = WorldPlan(seed=seed, apps=10, days=DAYS, conversations_per_day=20, now=NOW)
    world = build_world(plan)
    costs, runs = quiet_costs(world), quiet_runs(world)
    days = [TODAY - timedelta(days=number) for number in range(1, DAYS)]
    with marts(tmp_path / "live.duckdb") as database:
        fill_costs(database, costs)
        columns = ["app_id", "app_name", "run_date", "runs", "unfinished_runs", "failed_runs"]
        rows = [[app, app, day, count, 0, bad] for (app, day), (count, bad) in runs.items()]
        fill(database, "marts.workflow_reliability", columns, rows)
        alarms = [one for day in days for one in dear_days(database, on(day))]
        alarms += [one for day in days for one in failing_workflows(database, on(day))]
        assert alarms == []
        regular = regular_apps(costs)
        assert len(regular) > 6
        for (app, currency), average in regular.items():
            database.execute(
                "INSERT INTO marts.app_daily_cost VALUES (?, ?, ?, ?, ?, 0)",
                [app, app, currency, TODAY, 10 * average],
            )
        found = {one.key for one in dear_days(database, on(TODAY))}
    assert found == {f"{app}:{currency}" for app, currency in regular}


def regular_apps(costs: Costs) -> dict[tuple[str, str], Decimal]:
    """Apps with cost on ten of the last 28 days: the average of these days."""
    found: dict[tuple[str, str], list[Decimal]] = defaultdict(list)
    for (app, currency, day), price in costs.items():
        if TODAY - timedelta(days=28) <= day < TODAY and price:
            found[app, currency].append(price)
    return {
        key: sum(held, Decimal(0)) / len(held) for key, held in found.items() if len(held) >= 10
    }


def costs_of(**apps: Sequence[float]) -> Costs:
    """Costs per day, the last of them today."""
    return {
        (app, "USD", TODAY - timedelta(days=len(prices) - 1 - number)): Decimal(str(price))
        for app, prices in apps.items()
        for number, price in enumerate(prices)
        if price
    }


EDGES = {
    "new app": (costs_of(app=[1, 1, 1, 50]), []),
    "nine days": (costs_of(app=[1] * 9 + [50]), []),
    "ten days": (costs_of(app=[1] * 10 + [50]), ["app:USD"]),
    "nine times": (costs_of(app=[1] * 28 + [9]), []),
    "ten times": (costs_of(app=[1] * 28 + [10]), ["app:USD"]),
    "weekdays alone": (costs_of(app=[4, 4, 4, 4, 4, 0, 0] * 4 + [9]), []),
    "one old outlier": (costs_of(app=[1] * 10 + [80] + [1] * 17 + [30]), ["app:USD"]),
    "cents": (costs_of(big=[500] * 29, small=[0.01] * 28 + [0.9]), []),
    "idle app": (costs_of(big=[10] * 29, idle=[0] * 28 + [400]), ["workspace:USD"]),
    "deleted a day ago": (costs_of(app=[1] * 28 + [40, 0, 0]), ["app:USD"]),
    "four days ago": (costs_of(app=[1] * 28 + [40, 1, 1, 1, 1]), []),
}


@pytest.mark.parametrize("name", EDGES)
def test_edges_of_the_rule_of_cost(tmp_path: Path, name: str) -> None:
    """Little history, small sums, outliers, apps that never cost anything."""
    costs, keys = EDGES[name]
    with marts(tmp_path / "live.duckdb") as database:
        fill_costs(database, costs)
        found = list(dear_days(database, on(TODAY - timedelta(days=1))))
    assert [one.key for one in found] == keys


RATES = {
    "as usual": ([(20, 2)] * 28, (20, 5), False),
    "far more": ([(20, 2)] * 28, (20, 14), True),
    "too few runs": ([(20, 0)] * 28, (9, 9), False),
    "too few failures": ([(20, 0)] * 28, (20, 4), False),
    "always bad": ([(20, 12)] * 28, (20, 15), False),
    "new and bad": ([], (20, 19), True),
    "large and a little worse": ([(5000, 100)] * 28, (5000, 200), False),
}


@pytest.mark.parametrize("name", RATES)
def test_edges_of_the_rule_of_failures(tmp_path: Path, name: str) -> None:
    """More failures than chance gives, and enough of them to care."""
    before, (runs, failed), is_found = RATES[name]
    with marts(tmp_path / "live.duckdb") as database:
        history = [*before, (runs, failed)]
        rows = [
            ["app", "app", TODAY - timedelta(days=len(history) - 1 - number), count, 0, bad]
            for number, (count, bad) in enumerate(history)
        ]
        columns = ["app_id", "app_name", "run_date", "runs", "unfinished_runs", "failed_runs"]
        fill(database, "marts.workflow_reliability", columns, rows)
        found: list[Incident] = list(failing_workflows(database, on(TODAY - timedelta(days=1))))
    assert bool(found) == is_found
