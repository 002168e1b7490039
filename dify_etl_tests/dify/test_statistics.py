"""Statistics in long form, as real servers sent them."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from dify_etl.dify.statistics import DailyFigures, DailyStatistic, StatisticMetric
from dify_etl_tests.dify.pretend_server import PROFILE, PretendServer
from dify_etl_tests.dify.recordings import VERSIONS, client, exchange


def daily(metric: StatisticMetric, *rows: Any) -> list[DailyStatistic]:
    return list(answered(metric, *rows))


def answered(metric: StatisticMetric, *rows: Any) -> DailyFigures:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/profile"):
            return httpx.Response(200, json=PROFILE)
        return httpx.Response(200, json={"data": list(rows)})

    return client(PretendServer(answer=answer)).statistics.daily("app-1", metric)


RECORDED = [
    (StatisticMetric.DAILY_MESSAGES, "daily-messages--chat"),
    (StatisticMetric.TOKENS_PER_SECOND, "tokens-per-second--chat"),
    (StatisticMetric.USER_SATISFACTION_RATE, "user-satisfaction-rate--chat"),
    (StatisticMetric.WORKFLOW_TOKEN_COSTS, "workflow-token-costs--workflow"),
    (StatisticMetric.WORKFLOW_DAILY_RUNS, "workflow-daily-conversations--workflow"),
]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(("metric", "name"), RECORDED)
def test_recorded_days_become_figures(version: str, metric: StatisticMetric, name: str) -> None:
    """Each day of a real answer is one record with its value, whatever type Dify gave it."""
    raw = exchange(version, "statistics", name).body["data"]
    key = metric.figures[0].key

    found = daily(metric, *raw)

    assert raw
    assert [(one.statistic_date.isoformat(), one.value) for one in found] == [
        (row["date"], Decimal(str(row[key]))) for row in raw
    ]


def test_costs_are_two_figures_a_day() -> None:
    """Tokens carry no currency, the price does; a zero in powers of ten is zero."""
    row = {"date": "2026-11-11", "token_count": 7, "total_price": "0E-7", "currency": "USD"}

    tokens, price = daily(StatisticMetric.TOKEN_COSTS, row)

    assert (tokens.metric, tokens.value, tokens.currency) == ("token_count", Decimal(7), None)
    assert (price.metric, price.value, price.currency) == ("total_price", Decimal(0), "USD")
    assert price.statistic_date == date(2026, 11, 11)


def test_bad_day_is_named() -> None:
    """A day that cannot be read would be a hole in the figures: it is told alone."""
    found = answered(
        StatisticMetric.DAILY_MESSAGES,
        {"date": "None", "message_count": 1},
        {"date": "2026-11-11", "message_count": 2},
    )

    assert [(one.day, one.metric) for one in found.odd] == [(None, "daily_messages")]
    assert [one.value for one in found.records] == [Decimal(2)]


def test_null_figure_costs_itself() -> None:
    """A sum of prices that is null is named by day and metric; the tokens beside it are there."""
    row = {"date": "2026-11-11", "token_count": 7, "total_price": None, "currency": "USD"}

    found = answered(StatisticMetric.TOKEN_COSTS, row)

    assert [one.metric for one in found.records] == ["token_count"]
    assert [(one.day, one.metric) for one in found.odd] == [(date(2026, 11, 11), "total_price")]
    assert [one.record_id for one in found.rejected] == ["2026-11-11/total_price"]


def test_bounds_are_midnights_of_the_accounts_zone() -> None:
    """Start and end are sent as exact wall times, end exclusive."""
    asked: list[httpx.QueryParams] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/profile"):
            return httpx.Response(200, json={**PROFILE, "timezone": "Asia/Shanghai"})
        asked.append(request.url.params)
        return httpx.Response(200, json={"data": []})

    statistics = client(PretendServer(answer=answer)).statistics
    start, end = datetime(2026, 11, 9, 16, tzinfo=UTC), datetime(2026, 11, 10, 16, tzinfo=UTC)
    statistics.daily("a", StatisticMetric.DAILY_MESSAGES, start, end)

    assert dict(asked[0]) == {"start": "2026-11-10 00:00", "end": "2026-11-11 00:00"}


@pytest.mark.parametrize(
    ("mode", "count"),
    [("chat", 7), ("agent-chat", 7), ("completion", 7), ("advanced-chat", 10), ("workflow", 4)],
)
def test_each_mode_has_its_endpoints(mode: str, count: int) -> None:
    """Only endpoints that have rows for a mode are worth asking."""
    assert len(StatisticMetric.of_mode(mode)) == count


def test_figures_have_names_of_their_own() -> None:
    """No two figures share a name, so that they can stand in one table."""
    names = [figure.metric for metric in StatisticMetric for figure in metric.figures]

    assert len(names) == len(set(names)) == 13
