"""A `dify-etl dev` of its own, with webserver and daemon, asked through GraphQL as by its UI."""

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

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
PATIENCE_SECONDS = 240
# It trusts nobody: to load the authorities takes longer than to ask a server here.
UNENCRYPTED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class RunningDagster:
    """The GraphQL API of `dify-etl dev`."""

    def __init__(self, port: int, home: Path) -> None:
        self._url = f"http://127.0.0.1:{port}/graphql"
        self.port = port
        self.home = home

    def ask(self, query: str, **variables: Any) -> Any:
        """The answer's data; fails on GraphQL errors."""
        asked = {"query": query, "variables": variables}
        answer = httpx.post(self._url, json=asked, timeout=60, verify=UNENCRYPTED).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def launch(self, assets: Sequence[Sequence[str]] = (), **execution: Any) -> str:
        """Launch the nightly job, or these assets of it; its status once it has ended."""
        selector = SELECTOR | (
            {"assetSelection": [{"path": one} for one in assets]} if assets else {}
        )
        params = {"selector": selector, **execution}
        run_id = self.ask(LAUNCH, params=params)["launchRun"]["run"]["runId"]

        def status() -> str:
            return str(self.ask(STATUS, id=run_id)["runOrError"]["status"])

        wait_until(lambda: status() in ("SUCCESS", "FAILURE", "CANCELED"))
        return status()

    def backfill(self, assets: Sequence[Sequence[str]], days: Sequence[str]) -> Any:
        """Status, number of partitions and runs of a backfill, once the daemon has ended it."""
        asked = {"assetSelection": [{"path": one} for one in assets], "partitionNames": days}
        launched = self.ask(BACKFILL, params=asked)["launchPartitionBackfill"]["backfillId"]

        def progress() -> Any:
            return self.ask(PROGRESS, id=launched)["partitionBackfillOrError"]

        wait_until(lambda: progress()["status"] not in ("REQUESTED", "COMPLETING"))
        return progress()

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


@contextmanager
def running_dagster(
    folder: Path, data: Path, *options: str, variables: Mapping[str, str], command: str = "dev"
) -> Iterator[RunningDagster]:
    """`dify-etl dev` (or `serve`) with these options and settings, ended by Ctrl-C; its files stand
    in `data`.

    Fails when a process of it stays behind.
    """
    port = free_port()
    inherited = {name: text for name, text in os.environ.items() if "DIFY" not in name}
    environment = inherited | dict(variables)
    environment["PATH"] = f"{Path(sys.executable).parent}:{inherited['PATH']}"
    with (folder / "log").open("w") as log:
        serving = subprocess.Popen(
            ["dify-etl", command, *options, "--port", str(port)],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        running = RunningDagster(port, data)
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
