"""What a running webserver answers about assets, checks and days after bad and good nights."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dagster as dg
import httpx

from dify_etl.defs.location import ALONE
from dify_etl_tests.defs.running_dagster import UNENCRYPTED, free_port
from dify_etl_tests.defs.test_colours import DAYS, Nights
from dify_etl_tests.sync.small_worlds import quiet_world, talk
from dify_etl_tests.sync.workplace import NOW, Workplace

STATES = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
    assetMaterializations(limit: 1) { runId metadataEntries {
        label ... on TextMetadataEntry { text } } }
    assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } }
    assetChecksOrError { ... on AssetChecks { checks { name
        executionForLatestMaterialization { status evaluation { success severity } } } } } } } }"""


# Enough of the night to see colours; the whole of it takes many times longer.
CHOSEN = [
    *(key for feed in ("apps", "conversations") for key in (ALONE.raw(feed), ALONE.feed(feed))),
    ALONE.published_copy,
    ALONE.sync_verdict,
]


@contextmanager
def webserver(home: Path, settings: dict[str, str]) -> Iterator[str]:
    """A webserver of its own process on loopback, over an instance; yields its GraphQL address."""
    port = free_port()
    inherited = {name: text for name, text in os.environ.items() if "DIFY" not in name}
    command = ["-m", "dagster_webserver", "-m", "dify_etl.definitions", "-h", "127.0.0.1"]
    with (home / "log").open("w") as log:
        serving = subprocess.Popen(
            [sys.executable, *command, "-p", str(port)],
            cwd=home,
            env=inherited | settings | {"DAGSTER_HOME": str(home)},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}/graphql"
            deadline = time.monotonic() + 120
            while not _is_up(url):
                assert serving.poll() is None, (home / "log").read_text()
                assert time.monotonic() < deadline, (home / "log").read_text()
                time.sleep(0.3)
            yield url
        finally:
            serving.terminate()
            try:
                serving.wait(timeout=20)
            except subprocess.TimeoutExpired:
                serving.kill()
                serving.wait()


def _is_up(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.post(url, json={"query": "{ version }"}, verify=UNENCRYPTED).is_success
    return False


class Page:
    """An asset's page."""

    def __init__(self, url: str, *path: str) -> None:
        asked = {"query": STATES, "variables": {"key": {"path": list(path)}}}
        answer = httpx.post(url, json=asked, timeout=60, verify=UNENCRYPTED).json()
        assert "errors" not in answer, answer
        self._node: Any = answer["data"]["assetNodeOrError"]

    def day(self, day: str) -> str:
        """The colour of a day."""
        ranges = self._node["assetPartitionStatuses"]["ranges"]
        found = [one["status"] for one in ranges if one["startKey"] <= day <= one["endKey"]]
        return str(found[0]) if found else "MISSING"

    def passed(self, name: str) -> bool:
        """Whether a check is green."""
        (found,) = [
            one for one in self._node["assetChecksOrError"]["checks"] if one["name"] == name
        ]
        execution = found["executionForLatestMaterialization"]
        return bool(execution and execution["evaluation"] and execution["evaluation"]["success"])

    def metadata(self, label: str) -> str:
        """A text of the newest materialisation."""
        entries = self._node["assetMaterializations"][0]["metadataEntries"]
        return next(str(entry["text"]) for entry in entries if entry["label"] == label)


def test_colours_after_a_server_died_and_came_back(tmp_path: Path) -> None:
    """Good, then dead in the middle of a night, then good: days, checks and verdict follow."""
    world = quiet_world("chat")
    talk(world, at=NOW)
    instance_home = tmp_path / "instance"
    instance_home.mkdir()
    with dg.DagsterInstance.local_temp(str(instance_home)) as instance:
        nights = Nights(Workplace(world, tmp_path / "home"), instance)
        variables = {
            "DIFY_ETL_HOME": str(tmp_path / "home"),
            "DIFY_ETL_START_DATE": nights.settings.start_date.isoformat(),
        }
        with webserver(instance_home, variables) as url:
            assert nights.run(asset_selection=CHOSEN).success
            assert Page(url, "raw", "conversations").day(DAYS[-1]) == "MATERIALIZED"

            is_dead = False

            def dies(path: str) -> int | None:
                nonlocal is_dead
                is_dead = is_dead or "chat-conversations" in path
                return 503 if is_dead else None

            nights.refuse = dies
            nights.run(asset_selection=CHOSEN)
            talks = Page(url, "raw", "conversations")
            assert (talks.day(DAYS[-1]), talks.passed("is_whole")) == ("FAILED", False)
            assert Page(url, "raw", "apps").passed("is_whole")
            verdict = Page(url, "sync_verdict")
            assert not verdict.passed("everything_was_read")
            assert "could not be read whole" in verdict.metadata("verdict")

            nights.refuse = lambda path: None
            last = nights.run(asset_selection=CHOSEN)
            assert last.success, [
                (event.step_key, event.event_specific_data)
                for event in last.all_events
                if event.is_failure
            ]
            talks = Page(url, "raw", "conversations")
            assert (talks.day(DAYS[-1]), talks.passed("is_whole")) == ("MATERIALIZED", True)
            assert Page(url, "sync_verdict").passed("everything_was_read")
