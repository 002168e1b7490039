"""Workflow runs, logs and nodes: absences are no rows, and nothing large or secret comes along."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from dify_etl.dify import DifyClient
from dify_etl.dify.errors import AppGone, NoSuchEndpoint
from dify_etl_tests.dify.pretend_server import PretendServer
from dify_etl_tests.dify.recordings import VERSIONS, Exchange, client, exchange


def playing(recorded: Exchange) -> DifyClient:
    return client(PretendServer(answer=lambda request: recorded.response()))


@pytest.mark.parametrize("version", VERSIONS)
def test_absent_run_is_none(version: str) -> None:
    """An object of nulls and a 404 with Dify's JSON are both no run."""
    recorded = exchange(version, "logs", "workflow-run-get-unknown")

    assert playing(recorded).workflows.run("a", "r") is None


@pytest.mark.parametrize("version", VERSIONS)
def test_id_that_is_none_is_no_route(version: str) -> None:
    """A 404 in HTML says nothing of a run, so none is concluded to be absent."""
    recorded = exchange(version, "logs", "workflow-run-get-non-uuid")

    with pytest.raises(NoSuchEndpoint):
        playing(recorded).workflows.run("a", "r")


def test_run_of_an_absent_app_is_an_error() -> None:
    """That the app is gone is not the same as that the run is."""
    recorded = exchange("1.12.1", "logs", "workflow-runs-on-chat-app")

    with pytest.raises(AppGone):
        playing(recorded).workflows.run("a", "r")


def test_run_without_id_is_no_absence() -> None:
    """An answer that is no run at all is reported, not taken for a missing one."""
    server = PretendServer(answer=lambda request: httpx.Response(200, json={"status": "ok"}))

    with pytest.raises(Exception, match="record without id"):
        client(server).workflows.run("a", "r")


@pytest.mark.parametrize("version", VERSIONS)
def test_detail_comes_without_its_graph(version: str) -> None:
    """The graph is large and belongs to the version; inputs and outputs stay."""
    recorded = exchange(version, "logs", "workflow-run-get-real-succeeded")

    run = playing(recorded).workflows.run("a", "r")

    assert run is not None
    assert run.inputs is not None
    assert run.inputs.load() == recorded.body["inputs"]
    assert "graph" not in run.model_dump()


@pytest.mark.parametrize("version", VERSIONS)
def test_log_whose_run_is_gone_stays_a_row(version: str) -> None:
    """A log row outlives its run; the columns of the run are null then."""
    recorded = exchange(version, "logs", "workflow-app-logs-limit100")
    gone = {row["id"] for row in all_logs(version) if row["workflow_run"] is None}

    found = [
        log
        for number in range(1, 6)
        for log in playing(
            exchange(version, "logs", f"workflow-app-logs-walk-page{number}")
        ).workflows.app_logs_page("a")
    ]

    assert recorded.status == 200
    assert gone
    assert {log.workflow_app_log_id for log in found if log.workflow_run_id is None} == gone


def all_logs(version: str) -> list[dict[str, Any]]:
    names = [f"workflow-app-logs-walk-page{number}" for number in range(1, 6)]
    return [row for name in names for row in exchange(version, "logs", name).body["data"]]


@pytest.mark.parametrize("version", VERSIONS)
def test_log_tells_its_own_time_and_the_runs(version: str) -> None:
    """created_at is the run's; log_created_at is what the time filters look at."""
    raw = all_logs(version)[0]
    recorded = exchange(version, "logs", "workflow-app-logs-walk-page1")

    log = playing(recorded).workflows.app_logs_page("a").records[0]

    assert log.log_created_at == datetime.fromtimestamp(raw["created_at"], UTC)
    assert log.created_at == datetime.fromtimestamp(raw["workflow_run"]["created_at"], UTC)


def test_runs_of_users_are_asked_for() -> None:
    """Dify's own default would list debugging runs only."""
    asked: list[httpx.QueryParams] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params)
        return httpx.Response(200, json={"limit": 100, "has_more": False, "data": []})

    workflows = client(PretendServer(answer=answer)).workflows
    list(workflows.runs("a"))
    list(workflows.chatflow_runs("a", triggered_from="debugging"))

    assert [query["triggered_from"] for query in asked] == ["app-run", "debugging"]


def test_log_window_is_told_in_utc() -> None:
    """Bounds of the logs are UTC with a Z, both inclusive."""
    asked: list[httpx.QueryParams] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params)
        return httpx.Response(200, json={"data": []})

    workflows = client(PretendServer(answer=answer)).workflows
    workflows.app_logs_page("a", created_after=datetime(2026, 11, 10, tzinfo=UTC))

    assert asked[0]["created_at__after"] == "2026-11-10T00:00:00Z"
    assert "created_at__before" not in asked[0]


@pytest.mark.parametrize("version", VERSIONS)
def test_price_of_nodes_has_its_currency(version: str) -> None:
    """Tokens and price of a node are lifted out of its metadata."""
    recorded = exchange(version, "logs", "node-executions-seeded-succeeded")
    priced = [row for row in recorded.body["data"] if "total_price" in row["execution_metadata"]]

    nodes = playing(recorded).workflows.node_executions("a", "r")

    assert [(str(node.total_price), node.currency) for node in nodes if node.total_price] == [
        (row["execution_metadata"]["total_price"], row["execution_metadata"]["currency"])
        for row in priced
    ]
    assert {node.workflow_run_id for node in nodes} == {"r"}


@pytest.mark.parametrize("body", [b"null", b'{"id": null, "graph": null}'])
def test_never_published_is_none(body: bytes) -> None:
    """Old servers answer an object of nulls, new ones null."""
    server = PretendServer(answer=lambda request: httpx.Response(200, content=body))

    assert client(server).workflows.published("a") is None


def test_values_of_environment_variables_are_dropped() -> None:
    """People keep keys in them; names and types are enough."""
    variable = {"id": "v", "name": "API_KEY", "value_type": "string", "value": "s3cret"}
    recorded = exchange("1.12.1", "apps", "published-get-workflow")
    body = {**recorded.body, "environment_variables": [variable]}
    server = PretendServer(answer=lambda request: httpx.Response(200, json=body))

    version = client(server).workflows.published("a")

    assert version is not None
    assert "API_KEY" in (version.environment_variables or "")
    assert "s3cret" not in version.model_dump_json()


def test_versions_are_read_page_by_page() -> None:
    """The list tells no total; has_more is followed to its end."""
    one = exchange("1.12.1", "apps", "workflows-list").body["items"][0]

    def answer(request: httpx.Request) -> httpx.Response:
        page = int(request.url.params["page"])
        items = [{**one, "id": f"version-{page}"}]
        body = {"items": items, "page": page, "limit": 100, "has_more": page < 3}
        return httpx.Response(200, json=body)

    versions = client(PretendServer(answer=answer)).workflows.versions("a")

    assert [version.workflow_id for version in versions] == ["version-1", "version-2", "version-3"]
