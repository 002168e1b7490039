"""Take each endpoint away in turn, as a later Dify may: what does not need it does not suffer.

Dify removed endpoints before (`/workspaces/current`, `/info`). A route that a server does not know
is an HTML 404; a route that it knows for another method only is a 405.
"""

import re
from datetime import timedelta

import httpx
import pytest

from dify_etl.simulated import World
from dify_etl_tests.sync.comparison import EXPECTED, differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import failing_document, quiet_world, run, talk
from dify_etl_tests.sync.workplace import NOW, Workplace

MODES = ("chat", "agent-chat", "workflow", "completion", "advanced-chat")
TALKING = ("conversations", "messages", "message_feedbacks", "message_citations", "message_files")
PARTS = ("messages", "message_feedbacks", "message_citations", "message_files", "agent_thoughts")
RUNS = ("workflow_runs", "node_executions")

# Each route that a sync asks, and the tables that are allowed to suffer without it.
NEEDED_BY: dict[str, tuple[str, ...]] = {
    "GET /workspaces/current/members": ("members",),
    "GET /apps/{id}": ("apps",),
    "GET /apps/{id}/api-keys": ("app_api_keys",),
    "GET /datasets/api-keys": ("dataset_api_keys",),
    "GET /datasets": ("datasets", "documents"),
    "GET /datasets/{id}/documents": ("documents",),
    "GET /apps/{id}/annotations": ("annotations",),
    "GET /apps/{id}/feedbacks/export": ("message_feedbacks",),
    "GET /apps/{id}/chat-conversations": (*TALKING, "agent_thoughts"),
    "GET /apps/{id}/chat-messages": PARTS,
    "GET /apps/{id}/completion-conversations": TALKING,
    "GET /apps/{id}/workflow-app-logs": RUNS,
    "GET /apps/{id}/workflow-runs": RUNS,
    "GET /apps/{id}/advanced-chat/workflow-runs": RUNS,
    "GET /apps/{id}/workflow-runs/{id}": RUNS,
    "GET /apps/{id}/workflow-runs/{id}/node-executions": ("node_executions",),
    **{
        f"GET /apps/{{id}}/statistics/{metric}": ("daily_statistics",)
        for metric in (
            *("daily-messages", "daily-conversations", "daily-end-users", "token-costs"),
            *("average-session-interactions", "user-satisfaction-rate", "average-response-time"),
            "tokens-per-second",
        )
    },
    **{
        f"GET /apps/{{id}}/workflow/statistics/{metric}": ("daily_statistics",)
        for metric in (
            *("daily-conversations", "daily-terminals", "token-costs"),
            "average-app-interactions",
        )
    },
}
# Routes of which others tell the same: nothing suffers without one of them.
REPLACEABLE = ("GET /ping", "POST /workspaces/current", "GET /workspaces")
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
NOT_FOUND = "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n"


class TakenAway(httpx.BaseTransport):
    """A server without one route: the others are answered."""

    def __init__(self, inner: httpx.BaseTransport, route: str, status: int) -> None:
        self._inner = inner
        self._route = route
        self._status = status
        self.asked = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        answer = self._inner.handle_request(request)
        answer.read()
        path = ID.sub("{id}", request.url.path.removeprefix("/console/api"))
        if f"{request.method} {path}" != self._route:
            return answer
        self.asked += 1
        kept = ("x-version", "date")
        headers = [(name, answer.headers[name]) for name in kept if name in answer.headers]
        if self._status == 404:
            return httpx.Response(404, headers=headers, html=NOT_FOUND)
        refusal = {"code": "method_not_allowed", "message": "not allowed", "status": 405}
        return httpx.Response(405, headers=headers, json=refusal)


def small_world() -> World:
    """An app of each mode with a little of everything that a feed reads."""
    world = quiet_world(*MODES)
    for mode in MODES:
        if mode != "workflow":
            talk(world, at=NOW - timedelta(days=1), messages=1, mode=mode)
    run(world, at=NOW - timedelta(days=1))
    failing_document(world)
    return world


def read_without(workplace: Open, route: str, status: int) -> Workplace:
    """A workspace that was read once from a server without that route."""
    place = workplace(small_world(), "1.16.1").with_rules(
        start_date=NOW.date() - timedelta(days=3), completion_detail=False
    )
    place.attempts = 1
    transport = TakenAway(httpx.WSGITransport(app=place.server), route, status)
    place.transport = transport
    place.read()
    assert transport.asked, f"{route} is not asked at all"
    return place


@pytest.mark.parametrize("route", NEEDED_BY)
def test_only_what_needs_an_endpoint_suffers_without_it(workplace: Open, route: str) -> None:
    """All other tables equal the world, nothing is marked absent, and the books name the route."""
    place = read_without(workplace, route, 404)

    others = tuple(name for name in EXPECTED if name not in NEEDED_BY[route])
    assert differences(place, others) == []
    for name in EXPECTED:
        assert place.value(f"SELECT count(absent_since) FROM raw.{name}") == 0, name
    named = route.split(" ")[1].rsplit("/", 1)[-1].replace("{id}", "")
    doubted = place.rows("SELECT DISTINCT feed, reason FROM ops.slices WHERE state <> 'proven'")
    assert [feed for feed, reason in doubted if named in reason], doubted


@pytest.mark.parametrize("route", REPLACEABLE)
@pytest.mark.parametrize("status", [404, 405])
def test_nothing_hangs_on_an_endpoint_that_others_can_replace(
    workplace: Open, route: str, status: int
) -> None:
    """Who answers, in which workspace, and which version can be learned from a second source."""
    place = read_without(workplace, route, status)

    assert differences(place) == []
