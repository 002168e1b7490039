"""A running Dagster, asked through its GraphQL API as its UI does it."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from websockets import InvalidStatus, Origin, Subprotocol
from websockets.sync.client import connect

from dify_etl.feeds.table import FEEDS
from dify_etl_tests.defs.running_dagster import LAUNCH, SELECTOR, RunningDagster, running_dagster
from dify_etl_tests.ui.pages import look_at_pages

ROW_COUNTS = """query { assetNodeOrError(assetKey: {path: ["raw", "messages"]}) { ... on AssetNode {
    assetMaterializations(limit: 60) { partition metadataEntries {
    label ... on IntMetadataEntry { intValue } } } } } }"""
DAYS = 3


@pytest.fixture(scope="module")
def dagster_ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDagster]:
    """`dify-etl dev` on the last days of the simulated Dify."""
    folder = tmp_path_factory.mktemp("dagster_ui")
    first = datetime.now(UTC).date() - timedelta(days=DAYS)
    variables = {"DIFY_ETL_HOME": str(folder / "data"), "DIFY_ETL_START_DATE": first.isoformat()}
    data = folder / "data" / "demo"
    with running_dagster(folder, data, "--simulated", variables=variables) as running:
        yield running


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
    """A nightly run over the look-back passes, then three days as one run; rows per day show, and
    so do the pages in a browser.
    """
    today = datetime.now(UTC).date()
    days = [(today - timedelta(days=back)).isoformat() for back in range(DAYS - 1, -1, -1)]
    tags = {
        "dagster/asset_partition_range_start": days[-2],
        "dagster/asset_partition_range_end": days[-1],
    }
    config = {"resources": {"dify_home": {"config": {"catch_up": True}}}}
    told = {"tags": [{"key": key, "value": value} for key, value in tags.items()]}
    ended = dagster_ui.launch(runConfigData=config, executionMetadata=told)
    assert ended == "SUCCESS"
    daily = [["raw", name] for feed in FEEDS if feed.is_daily for name in feed.tables]
    filled = dagster_ui.backfill(daily, days)
    assert filled["status"] == "COMPLETED_SUCCESS"
    assert filled["numPartitions"] == DAYS
    assert [run["status"] for run in filled["runs"]] == ["SUCCESS"]

    shown = counted_rows(dagster_ui.ask(ROW_COUNTS)["assetNodeOrError"]["assetMaterializations"])
    assert {day: shown[day] for day in days} == held_rows(dagster_ui.home, days)
    look_at_pages(f"http://127.0.0.1:{dagster_ui.port}", dagster_ui.home.parent / "dagster")


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
