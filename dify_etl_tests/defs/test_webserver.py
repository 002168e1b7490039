"""A running Dagster, asked through its GraphQL API as its UI does it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from websockets import InvalidStatus, Origin, Subprotocol
from websockets.sync.client import connect

from dify_etl.feeds.table import FEEDS

SELECTOR = {
    "repositoryLocationName": "dify_etl.definitions",
    "repositoryName": "__repository__",
    "pipelineName": "nightly_sync",
}
LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
STATUS = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
BACKFILL = """mutation($params: LaunchBackfillParams!) {
    launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""
PROGRESS = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status numPartitions runs(limit: 50) { status } } } }"""
ROW_COUNTS = """query { assetNodeOrError(assetKey: {path: ["raw", "messages"]}) { ... on AssetNode {
    assetMaterializations(limit: 60) { partition metadataEntries {
    label ... on IntMetadataEntry { intValue } } } } } }"""
PATIENCE_SECONDS = 240
DAYS = 10


class RunningDagster:
    """The GraphQL API of `dify-etl dev`."""

    def __init__(self, port: int, home: Path) -> None:
        self._url = f"http://127.0.0.1:{port}/graphql"
        self.port = port
        self.home = home

    def ask(self, query: str, **variables: Any) -> Any:
        """The answer's data; fails on GraphQL errors."""
        answer = httpx.post(
            self._url, json={"query": query, "variables": variables}, timeout=60
        ).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def is_up(self) -> bool:
        """Whether the code location is served."""
        with suppress(httpx.TransportError):
            return bool(self.ask("{ version }"))
        return False


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "it took too long"
        time.sleep(0.5)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def dagster_ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDagster]:
    """`dify-etl dev` on the simulated Dify, with its daemon, ended by Ctrl-C."""
    folder, port = tmp_path_factory.mktemp("dagster_ui"), free_port()
    inherited = {name: text for name, text in os.environ.items() if "DIFY" not in name}
    variables = inherited | {"DIFY_ETL_HOME": str(folder / "data")}
    variables["PATH"] = f"{Path(sys.executable).parent}:{inherited['PATH']}"
    with (folder / "log").open("w") as log:
        serving = subprocess.Popen(
            ["dify-etl", "dev", "--simulated", "--port", str(port)],
            cwd=folder,
            env=variables,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        running = RunningDagster(port, folder / "data" / "demo")
        try:
            wait_until(lambda: running.is_up() or serving.poll() is not None)
            assert serving.poll() is None, (folder / "log").read_text()
            yield running
        finally:
            started = descendants(serving.pid)
            serving.send_signal(signal.SIGINT)
            try:
                serving.wait(timeout=60)
            except subprocess.TimeoutExpired:
                serving.kill()
                serving.wait()
    # The root, as Ctrl-C ends it, takes everything with it.
    assert serving.returncode == 130, (folder / "log").read_text()
    assert len(started) >= 3
    assert [pid for pid in started if Path(f"/proc/{pid}").exists()] == []


def descendants(root: int) -> list[int]:
    """Ids of all processes that a process, or one of those, has started."""
    found = [root]
    for pid in found:
        for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
            found += [int(child) for child in tasks.read_text().split()]
    return found[1:]


def test_gate_stands_before_the_socket(dagster_ui: RunningDagster) -> None:
    """An image of a stranger launches nothing; the UI's websocket opens, a stranger's does not."""
    foreign = {"Origin": "http://evil.example"}
    address = f"127.0.0.1:{dagster_ui.port}"
    params = {"query": LAUNCH, "variables": json.dumps({"params": {"selector": SELECTOR}})}
    by_image = httpx.get(f"http://{address}/graphql", params=params, timeout=60)
    assert by_image.status_code == 405
    rebound = httpx.get(f"http://{address}/", headers={"Host": "evil.example"}, timeout=60)
    assert rebound.status_code == 421
    assert httpx.get(f"http://{address}/", timeout=60).headers["x-frame-options"] == "DENY"
    socket_address = f"ws://{address}/graphql"
    protocol = [Subprotocol("graphql-ws")]
    with pytest.raises(InvalidStatus) as refused:
        connect(socket_address, subprotocols=protocol, additional_headers=foreign)
    assert refused.value.response.status_code == 403
    with connect(socket_address, subprotocols=protocol, origin=Origin(f"http://{address}")) as ours:
        ours.send(json.dumps({"type": "connection_init"}))
        assert json.loads(ours.recv(timeout=60)) == {"type": "connection_ack"}
    assert dagster_ui.ask("{ runsOrError { ... on Runs { count } } }")["runsOrError"]["count"] == 0


def test_night_and_backfill_pass_through_the_api(dagster_ui: RunningDagster) -> None:
    """A nightly run over the look-back passes, then ten days as one run; rows per day show."""
    today = datetime.now(UTC).date()
    days = [(today - timedelta(days=back)).isoformat() for back in range(DAYS - 1, -1, -1)]
    tags = {
        "dagster/asset_partition_range_start": days[-3],
        "dagster/asset_partition_range_end": days[-1],
    }
    config = {"resources": {"dify_home": {"config": {"catch_up": True}}}}
    launched = dagster_ui.ask(
        LAUNCH,
        params={
            "selector": SELECTOR,
            "runConfigData": config,
            "executionMetadata": {"tags": [{"key": k, "value": v} for k, v in tags.items()]},
        },
    )["launchRun"]
    run_id = launched["run"]["runId"]
    over = ("SUCCESS", "FAILURE", "CANCELED")
    wait_until(lambda: dagster_ui.ask(STATUS, id=run_id)["runOrError"]["status"] in over)
    assert dagster_ui.ask(STATUS, id=run_id)["runOrError"]["status"] == "SUCCESS"

    daily = [{"path": ["raw", name]} for feed in FEEDS if feed.is_daily for name in feed.tables]
    asked = {"assetSelection": daily, "partitionNames": days}
    backfill_id = dagster_ui.ask(BACKFILL, params=asked)["launchPartitionBackfill"]["backfillId"]

    def progress() -> Any:
        return dagster_ui.ask(PROGRESS, id=backfill_id)["partitionBackfillOrError"]

    wait_until(lambda: progress()["status"] not in ("REQUESTED", "COMPLETING"))
    ended = progress()
    assert ended["status"] == "COMPLETED_SUCCESS"
    assert ended["numPartitions"] == DAYS
    assert [run["status"] for run in ended["runs"]] == ["SUCCESS"]

    shown = counted_rows(dagster_ui.ask(ROW_COUNTS)["assetNodeOrError"]["assetMaterializations"])
    assert {day: shown[day] for day in days} == held_rows(dagster_ui.home, days)


def counted_rows(materializations: list[Any]) -> dict[str, int]:
    """Partition -> rows, as the asset's page shows them."""
    return {
        one["partition"]: entry["intValue"]
        for one in materializations
        for entry in one["metadataEntries"]
        if entry["label"] == "dagster/partition_row_count"
    }


def held_rows(home: Path, days: list[str]) -> dict[str, int]:
    """Day -> rows of raw.messages in the live file."""
    with duckdb.connect(str(home / "live.duckdb"), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = dict(
            connection.execute(
                "SELECT created_at::DATE::VARCHAR, count(*) FROM raw.messages GROUP BY 1"
            ).fetchall()
        )
    return {day: rows.get(day, 0) for day in days}
