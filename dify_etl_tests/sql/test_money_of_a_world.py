"""marts.costs beside the truth of a simulated workspace, through the console API that hides it."""

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from dify_etl.home import LIVE
from dify_etl.time_zones import zone_of
from dify_etl.warehouse.database import open_database
from dify_etl.warehouse.model_settings import ModelSettings
from dify_etl_tests.conftest import Tell
from dify_etl_tests.sql.hand_written import models_behind
from dify_etl_tests.sql.money_world import MoneyWorld
from dify_etl_tests.sync.workplace import NOW, Workplace
from dify_etl_tests.warehouse.good_models import build_models
from dify_simulated.versions import ServerVersion

BASIC = ("support", "yuan", "tools", "euro", "letters")
README = Path(__file__).resolve().parents[2] / "README.md"
FEEDS = (
    *("apps", "members", "conversations", "messages", "workflow_runs", "node_executions"),
    "daily_statistics",
)
Read = Callable[[str], tuple[MoneyWorld, Workplace]]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Reads the workspace once per version: a night, a deletion, another night."""
    places: dict[str, tuple[MoneyWorld, Workplace]] = {}

    def read_once(version: str) -> tuple[MoneyWorld, Workplace]:
        if version not in places:
            money = MoneyWorld(has_agents=ServerVersion(version).has_agents)
            home = tmp_path_factory.mktemp("home")
            place = Workplace(money.world, home, version)
            place.with_rules(
                zone=zone_of("UTC"),
                start_date=NOW.date() - timedelta(days=6),
                models=ModelSettings(currencies=(("mistral-large", "EUR"),)),
            )
            place.read(FEEDS)
            for conversation_id in money.deleted:
                money.world.delete_conversation(conversation_id)
            place.pass_time(days=1)
            place.read(FEEDS)
            with open_database(home / LIVE) as database:
                build_models(database, models_behind("marts.costs"))
            places[version] = money, place
        return places[version]

    return read_once


every_version = pytest.mark.parametrize("version", ["1.0.0", "1.12.1", "1.16.1"])


@every_version
def test_known_prices_equal_the_ledger(read: Read, version: str) -> None:
    """Chatflows and workflows, in each app, day, model, person and currency: to the last digit.

    Nothing is counted twice that iterations, loops and workflows as tools repeat; what failed and
    what was debugging is there as well.
    """
    money, place = read(version)
    names = ("flow", "yuan flow", "inner", "outer")
    found = place.rows(
        f"""SELECT app_name, usage_date, coalesce(person_id, ''), model, currency, sum(total_price)
        FROM marts.costs WHERE app_name IN {names} AND total_price > 0 GROUP BY ALL"""
    )
    assert {row[:5]: row[5] for row in found} == money.of_apps(*names)


@every_version
def test_figure_of_dify_is_met_to_the_digit(read: Read, version: str) -> None:
    """What is marked adds up to the largest figure that Dify told for the day, in every app."""
    _, place = read(version)
    days = place.rows(
        """SELECT app_id, statistic_date, f.total_price,
            coalesce(sum(c.total_price) FILTER (is_in_dify_figure), 0)
        FROM staging.stg_largest_figures f LEFT JOIN marts.costs c USING (app_id)
        WHERE f.is_settled AND c.usage_date = f.statistic_date GROUP BY ALL"""
    )
    assert len(days) == (16 if ServerVersion(version).has_agents else 14)
    assert [day for day in days if day[2] != day[3]] == []


def test_prices_of_agents_equal_the_ledger(read: Read) -> None:
    """Their log tells the price of each message, but of debugging, which is counted and unknown."""
    money, place = read("1.16.1")
    found = place.rows(
        """SELECT app_name, usage_date, person_id, 'gpt-4o', currency, sum(total_price)
        FROM marts.costs WHERE app_name = 'trips' AND is_in_dify_figure GROUP BY ALL"""
    )
    assert {row[:5]: row[5] for row in found} == money.of_apps("trips")
    unknown = place.rows(
        """SELECT price_source, difference_reason, sum(messages), sum(total_price) FROM marts.costs
        WHERE app_name = 'trips' AND NOT is_in_dify_figure GROUP BY ALL"""
    )
    assert unknown == [("unknown", "debugging", 2, None)]


@every_version
@pytest.mark.parametrize(("column", "place_in_key"), [("person_id", 2), ("model", 3)])
def test_money_of_basic_apps_is_with_the_right_one(
    read: Read, version: str, column: str, place_in_key: int, tell: Tell
) -> None:
    """Dify shows no price of these messages: 95 % of the money sits within 5 % of the truth.

    What is given to nobody counts as missing.
    """
    money, place = read(version)
    rows = place.rows(
        f"""SELECT {column}, currency, sum(total_price) FROM marts.costs
        WHERE app_name IN {BASIC} AND price_source <> 'unattributed' GROUP BY ALL"""
    )
    found = {row[:2]: row[2] for row in rows}
    truth = money.sums((place_in_key, 4), BASIC)
    right = sum(
        price for key, price in truth.items() if abs(found.get(key, 0) - price) <= price / 20
    )
    total = sum(truth.values())
    sources = ", ".join(f"{source} {share}" for source, share in shares(place).items())
    tell(f"money of basic apps of {version}: {right / total:.1%} by {column}; {sources}")
    assert right >= total * Decimal("0.95")


def shares(place: Workplace) -> dict[str, str]:
    """How much of the basic apps' money comes from where."""
    rows = place.rows(
        f"""SELECT price_source, sum(total_price) / sum(sum(total_price)) OVER ()
        FROM marts.costs WHERE app_name IN {BASIC} AND is_in_dify_figure
        GROUP BY ALL ORDER BY ALL"""
    )
    return {source: f"{share:.1%}" for source, share in rows if share is not None}


def test_first_query_of_the_readme(read: Read) -> None:
    """Whoever asks what the README asks first gets the truth: per app and currency."""
    money, place = read("1.12.1")
    (query,) = re.findall(r'query "(select [^"]*marts\.costs[^"]*)"', README.read_text("utf-8"))
    found = {(app, currency): price for app, currency, price in place.rows(query)}
    assert found["yuan flow", "RMB"] == money.sums((0, 4), ("yuan flow",))["yuan flow", "RMB"]
    assert found["outer", "USD"] == money.sums((0, 4), ("outer",))["outer", "USD"]
    told = place.value(
        "SELECT sum(total_price) FROM staging.stg_largest_figures JOIN staging.stg_apps "
        "USING (app_id) WHERE app_name = 'support'"
    )
    assert found["support", "USD"] == told
    assert {key for key in found if key[0] == "euro"} == {("euro", "EUR")}
