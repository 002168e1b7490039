"""A backfill that the UI starts and the daemon runs, while one app of the workspace fails."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from werkzeug.wrappers import Response

from dify_etl_tests.cli.small_servers import small_world, some_days_ago
from dify_etl_tests.defs.running_dagster import RunningDagster, running_dagster
from dify_simulated import SimulatedDify, serve

DAYS = [some_days_ago(number) for number in (2, 1)]
STATES = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
    assetMaterializations(limit: 50) { partition }
    assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization {
        status evaluation { success severity metadataEntries {
            ... on TextMetadataEntry { text } ... on MarkdownMetadataEntry { mdStr }
            ... on TableMetadataEntry { table { records } } } } } } } } } } }"""
DAILY = [["raw", name] for name in ("conversations", "workflow_runs", "messages")]


class FailingApp:
    """A simulated Dify that answers 403 to what an app's pages of conversations ask."""

    def __init__(self, inner: SimulatedDify, app_id: str) -> None:
        self._inner, self._app_id = inner, app_id
        self.fails = True

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        if self.fails and f"/apps/{self._app_id}/chat-conv" in environ["PATH_INFO"]:
            refusal = Response('{"code": "forbidden", "message": "no", "status": 403}', 403)
            refusal.content_type = "application/json"
            return refusal(environ, start)
        return self._inner(environ, start)


@pytest.mark.skipif(
    "SOAK_DAEMON" not in os.environ, reason="minutes of a waiting daemon: make soak"
)
def test_backfill_with_a_failing_app_ends_and_heals(tmp_path: Path) -> None:
    """Its days are not told as materialised, a check names the app, other assets have theirs; the
    next backfill tells them.
    """
    world = small_world()
    (chat,) = [app for app in world.apps.values() if app.mode == "chat"]
    dify = FailingApp(SimulatedDify(world, "1.16.1"), chat.id)
    with serve(dify) as server:
        variables = {
            "DIFY_BASE_URL": server.base_url,
            "DIFY_EMAIL": world.account.email,
            "DIFY_PASSWORD": str(world.account.password),
            "DIFY_ETL_START_DATE": DAYS[0],
            "DIFY_ETL_HOME": str(tmp_path / "data"),
        }
        with running_dagster(tmp_path, tmp_path / "data", variables=variables) as dagster:
            assert dagster.launch([["raw", "apps"]]) == "SUCCESS"
            bad = dagster.backfill(DAILY, DAYS)
            seen_bad = [told(dagster, name) for name in ("conversations", "workflow_runs")]
            dify.fails = False
            good = dagster.backfill(DAILY, DAYS)
            seen_good = told(dagster, "conversations")
    assert [run["status"] for run in (*bad["runs"], *good["runs"])] == ["SUCCESS", "SUCCESS"]
    # Days that were asked for and not materialised make a backfill a failed one.
    assert (bad["status"], good["status"]) == ("COMPLETED_FAILED", "COMPLETED_SUCCESS")
    (days, conversations), (run_days, runs) = seen_bad
    assert days == []
    assert conversations["success"] is False
    assert conversations["severity"] == "ERROR"
    assert chat.name in str(conversations["metadataEntries"])
    assert run_days == DAYS
    assert runs["success"] is True
    assert seen_good[0] == DAYS
    assert seen_good[1]["success"] is True
    with duckdb.connect(str(tmp_path / "data" / "live.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT count(*) FROM raw.conversations").fetchone()
    assert rows == (2,)


def told(dagster: RunningDagster, name: str) -> tuple[list[str], dict[str, Any]]:
    """The days of a raw asset that were materialised, and what its check of wholeness says."""
    node = dagster.ask(STATES, key={"path": ["raw", name]})["assetNodeOrError"]
    checks = {one["name"]: one for one in node["assetChecksOrError"]["checks"]}
    days = {one["partition"] for one in node["assetMaterializations"]}
    return sorted(days), checks["is_whole"]["executionForLatestMaterialization"]["evaluation"]
