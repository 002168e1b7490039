"""Take each endpoint away in turn, as a later Dify may: what does not need it does not suffer.

Dify removed endpoints before (`/workspaces/current`, `/info`). A route that a server does not know
is an HTML 404; a route that it knows for another method only is a 405.
"""

import os
import re
from collections.abc import Callable, Sequence
from datetime import timedelta

import httpx
import pytest

from dify_etl.assembly.sync_proof import LiveSyncProof
from dify_etl.dify.statistics import StatisticMetric
from dify_etl.feeds.looking_ahead import unreadable_feeds
from dify_etl.raw.tables import RAW_TABLES
from dify_etl_tests.sync.comparison import EXPECTED, differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.expected_values import Told, version_of
from dify_etl_tests.sync.small_worlds import (
    agent_world,
    app_of,
    brief_world,
    failing_document,
    quiet_world,
    run,
    talk,
)
from dify_etl_tests.sync.workplace import NOW, Workplace
from dify_simulated import SimulatedDify, World

MODES = ("chat", "workflow", "completion", "advanced-chat")
TALKING = ("conversations", "messages", "message_feedbacks", "message_citations", "message_files")
PARTS = ("messages", "message_feedbacks", "message_citations", "message_files", "agent_thoughts")
RUNS = ("workflow_runs", "node_executions")

# Each route that a sync asks, and the tables that are allowed to suffer without it.
NEEDED_BY: dict[str, tuple[str, ...]] = {
    "GET /workspaces/current/members": ("members",),
    "GET /apps/{id}": ("apps",),
    "GET /apps/{id}/api-keys": ("app_api_keys",),
    "GET /datasets/api-keys": ("dataset_api_keys",),
    "GET /datasets": ("datasets", "documents", "document_segments"),
    "GET /datasets/{id}/documents": ("documents", "document_segments"),
    "GET /datasets/{id}/documents/{id}/segments": ("document_segments",),
    "GET /apps/{id}/annotations": ("annotations",),
    "GET /apps/{id}/feedbacks/export": ("message_feedbacks",),
    "GET /apps/{id}/agent/logs": ("agent_tool_calls",),
    "GET /agent/{id}/logs": ("conversations",),
    "GET /agent/{id}/logs/{id}/messages": (*PARTS, "agent_tool_calls"),
    "GET /agent/{id}/versions": ("agent_versions",),
    "GET /apps/{id}/messages/{id}": (*PARTS, "agent_tool_calls"),
    "GET /apps/{id}/chat-conversations": (*TALKING, "agent_thoughts"),
    "GET /apps/{id}/chat-messages": PARTS,
    "GET /apps/{id}/completion-conversations": TALKING,
    "GET /apps/{id}/workflow-app-logs": RUNS,
    "GET /apps/{id}/workflow-runs": RUNS,
    "GET /apps/{id}/advanced-chat/workflow-runs": RUNS,
    "GET /apps/{id}/workflow-runs/{id}": RUNS,
    "GET /apps/{id}/workflow-runs/{id}/node-executions": ("node_executions",),
    "GET /apps/{id}/workflows": ("workflow_versions",),
    "GET /apps/{id}/triggers": ("app_triggers",),
    "GET /apps/{id}/statistics/token-costs": ("daily_statistics",),
}
# The other figures of the same feed, which are read the same way: only this feed is read here.
STATISTICS = tuple(
    f"GET /apps/{{id}}/{path}"
    for path in (
        *("statistics/daily-messages", "statistics/daily-conversations"),
        *("statistics/daily-end-users", "statistics/average-session-interactions"),
        *("statistics/user-satisfaction-rate", "statistics/average-response-time"),
        *("statistics/tokens-per-second", "workflow/statistics/daily-conversations"),
        *("workflow/statistics/daily-terminals", "workflow/statistics/token-costs"),
        "workflow/statistics/average-app-interactions",
    )
)
STATISTICS_TABLE = ("daily_statistics",)
# Routes of which others tell the same: nothing suffers without one of them.
REPLACEABLE = ("GET /ping", "POST /workspaces/current")
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
NOT_FOUND = "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n"


class TakenAway(httpx.BaseTransport):
    """A server without some routes, or a proxy that answers for them: the others are answered."""

    def __init__(
        self,
        inner: httpx.BaseTransport,
        routes: Sequence[str],
        status: int,
        *,
        is_of_dify: bool = True,
    ) -> None:
        self._kept = ("x-version", "date") if is_of_dify else ("date",)
        self._inner = inner
        self._routes = routes
        self._status = status
        self.asked: set[str] = set()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        answer = self._inner.handle_request(request)
        answer.read()
        path = ID.sub("{id}", request.url.path.removeprefix("/console/api"))
        route = f"{request.method} {path}"
        if route not in self._routes:
            return answer
        self.asked.add(route)
        headers = [(name, answer.headers[name]) for name in self._kept if name in answer.headers]
        if self._status == 404:
            return httpx.Response(404, headers=headers, html=NOT_FOUND)
        refusal = {"code": "method_not_allowed", "message": "not allowed", "status": 405}
        return httpx.Response(405, headers=headers, json=refusal)


def test_list_that_dify_took_away_lacks_nothing(workplace: Open) -> None:
    """A server of before lists an archived run, that of September 2026 has the list no more: the
    row stays, every night is proven, and an app can be deleted with what is read of it.
    """
    world = small_world()
    run_id = run(world, at=NOW - timedelta(days=9))
    world.archive_run(run_id, at=NOW - timedelta(days=2))
    place = workplace(world, "main-2026-08")
    feeds = ("apps", *RUNS, "archived_runs")
    place.read(feeds)
    held = "SELECT workflow_run_id, absent_since FROM raw.archived_runs"
    assert place.rows(held) == [(run_id, None)]
    place.server = SimulatedDify(world, "main-2026-09")
    place.pass_time(days=1)
    assert place.read(feeds)["archived_runs"].states == {"proven": 1}
    assert place.rows(held) == [(run_id, None)]
    with place.client() as dify:
        (found,) = [one for one in unreadable_feeds(dify) if one.feed == "archived_runs"]
    assert found.is_taken_away
    app_id = app_of(world, "workflow").id
    proof = LiveSyncProof(place.home, place.rules.zone, world.now())
    since = world.now() - timedelta(days=2)
    assert "archived_runs" not in repr(proof.proof_of(app_id, since=since, mode="workflow"))


@pytest.mark.parametrize(
    ("version", "status", "is_of_dify", "state"),
    [
        ("1.12.1", 404, True, "unproven"),
        ("1.16.1", 405, True, "unproven"),
        ("1.16.1", 404, False, "failed"),
    ],
)
def test_list_that_a_proxy_keeps_back_is_missed(
    version: str, status: int, is_of_dify: bool, state: str, workplace: Open
) -> None:
    """A release that has the list, another refusal, or a page that is not Dify's excuse nothing."""
    place = workplace(small_world(), version)
    place.attempts = 1
    route = "GET /apps/{id}/workflow-archived-logs"
    place.transport = TakenAway(
        httpx.WSGITransport(app=place.server), [route], status, is_of_dify=is_of_dify
    )
    assert place.read(("apps", "archived_runs"))["archived_runs"].states == {state: 1}


def small_world() -> World:
    """An app of each mode with a little of everything that a feed reads."""
    world = quiet_world(*MODES)
    for mode in MODES:
        if mode != "workflow":
            talk(world, at=NOW - timedelta(days=1), messages=1, mode=mode)
    run(world, at=NOW - timedelta(days=1))
    failing_document(world)
    return world


def read_without(
    workplace: Open, world: World, routes: Sequence[str], status: int, feeds: Sequence[str] = ()
) -> Workplace:
    """A workspace that was read once from a server without these routes."""
    place = workplace(world, "1.16.1")
    place.with_rules(segments=any(one.endswith("/segments") for one in routes)).attempts = 1
    transport = TakenAway(httpx.WSGITransport(app=place.server), routes, status)
    place.transport = transport
    place.read(feeds)
    assert transport.asked == set(routes), "some are not asked at all"
    return place


def world_for(route: str) -> Callable[[], World]:
    """A world in which that route is asked."""
    if route.startswith(("GET /agent/", "GET /apps/{id}/messages/")):
        return agent_world
    return brief_world if route.endswith("/agent/logs") else small_world


def independent_routes() -> list[tuple[str, ...]]:
    """All routes of NEEDED_BY in few groups: no table needs two routes of one group, so each is
    missed as if it were the only one. Those of agents tell one another's ids, and stand alone.
    """
    groups: list[list[str]] = []
    for route, tables in NEEDED_BY.items():
        for group in groups:
            needed = {name for other in group for name in NEEDED_BY[other]}
            is_like = world_for(route) is world_for(group[0]) is small_world
            if is_like and needed.isdisjoint(tables):
                group.append(route)
                break
        else:
            groups.append([route])
    return [tuple(group) for group in groups]


def test_tables_name_the_routes_that_tell_them() -> None:
    """What the data dictionary says of a table's source is what a sync asks for it."""
    for route, tables in NEEDED_BY.items():
        told = {
            re.sub(r"{[a-z_]+}", "{id}", f"GET {source}")
            for source in RAW_TABLES[tables[0]].sources
        }
        statistics = {one for one in told if one.endswith("…")}
        assert route in told or any(route.startswith(one[:-1]) for one in statistics), route


@pytest.mark.skipif("SOAK_ROUTES" not in os.environ, reason="`make soak`; below, a few at once")
@pytest.mark.parametrize("route", NEEDED_BY)
def test_only_what_needs_an_endpoint_suffers_without_it(workplace: Open, route: str) -> None:
    """All other tables equal the world, nothing is marked absent, and the ledger name the route."""
    place = read_without(workplace, world_for(route)(), [route], 404)

    assert_only_suffering(place, [route], tuple(EXPECTED))


@pytest.mark.parametrize("place_of_group", range(len(independent_routes())))
def test_only_what_needs_a_few_endpoints_suffers(workplace: Open, place_of_group: int) -> None:
    """The same for a few routes in one home, in turn unknown (404) and known for another method
    only (405): what is asked of one of them needs none of the others.
    """
    routes, status = independent_routes()[place_of_group], (404, 405)[place_of_group % 2]
    place = read_without(workplace, world_for(routes[0])(), routes, status)

    assert_only_suffering(place, routes, tuple(EXPECTED))


@pytest.mark.skipif("SOAK_ROUTES" not in os.environ, reason="`make soak`; below, all at once")
@pytest.mark.parametrize("route", STATISTICS)
def test_each_figure_is_missed_alone(workplace: Open, route: str) -> None:
    """Without one of Dify's figures the others are read, and the ledger name it."""
    feeds = ("apps", "daily_statistics")
    place = read_without(workplace, small_world(), [route], 404, feeds)

    assert_only_suffering(place, [route], feeds)
    held = {metric for (metric,) in place.rows("SELECT metric FROM raw.daily_statistics")}
    assert held == figures_of(place) - figures_at(route)


def figures_at(route: str) -> set[str]:
    """The figures that a route tells."""
    found = (metric for metric in StatisticMetric if route.endswith(f"/{{id}}/{metric.path}"))
    return {figure.metric for metric in found for figure in metric.figures}


def figures_of(place: Workplace) -> set[str]:
    """The figures that the world has on some day."""
    told = Told(place.world, version_of(place.version), place.rules.completion_detail)
    return {row["metric"] for row in told.rows(EXPECTED["daily_statistics"])}


def test_figures_whose_method_is_refused_are_missed(workplace: Open) -> None:
    """Without any of these figures (405) the apps are read, and the ledger name each of them."""
    feeds = ("apps", "daily_statistics")
    place = read_without(workplace, small_world(), STATISTICS, 405, feeds)

    assert_only_suffering(place, STATISTICS, feeds)


def assert_only_suffering(place: Workplace, routes: Sequence[str], tables: Sequence[str]) -> None:
    """What does not need the routes equals the world; what does is not proven and says why."""
    needing = {name for one in routes for name in NEEDED_BY.get(one, STATISTICS_TABLE)}
    assert differences(place, tuple(name for name in tables if name not in needing)) == []
    absent = place.answers([f"SELECT count(absent_since) FROM raw.{name}" for name in EXPECTED])
    assert [name for name, rows in zip(EXPECTED, absent, strict=True) if rows != [(0,)]] == []
    doubted = place.rows("SELECT DISTINCT feed, reason FROM ops.slices WHERE state <> 'proven'")
    for route in routes:
        path = re.escape(route.partition(" ")[2]).replace(re.escape("{id}"), ID.pattern)
        named = re.compile(rf"no such endpoint .*{path}(?![\w/-])")
        assert [feed for feed, reason in doubted if named.search(reason)], (route, doubted)


@pytest.mark.parametrize(("route", "status"), tuple(zip(REPLACEABLE, (404, 405), strict=True)))
def test_nothing_hangs_on_an_endpoint_that_others_can_replace(
    workplace: Open, route: str, status: int
) -> None:
    """Who answers, in which workspace, and which version can be learned from a second source."""
    place = read_without(workplace, small_world(), [route], status)

    assert differences(place) == []
