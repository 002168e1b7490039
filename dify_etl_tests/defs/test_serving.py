"""`dify-etl serve` for real, minutes long: parts are killed, runs are stopped, PostgreSQL is used.

Only in `make soak` (SOAK_SERVE=1). PostgreSQL's programs are taken from the PATH or
Debian's folder.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import httpx
import pytest

from dify_etl_tests.cli.command_line import Shell
from dify_etl_tests.cli.small_servers import some_days_ago
from dify_etl_tests.defs.running_dagster import (
    LAUNCH,
    SELECTOR,
    RunningDagster,
    descendants,
    free_port,
    wait_until,
)
from dify_etl_tests.postgres import serving_postgres

pytestmark = pytest.mark.skipif("SOAK_SERVE" not in os.environ, reason="only in make soak")
NIGHT = {"selector": SELECTOR, "runConfigData": {"loggers": {"console": {"config": {}}}}}
RUNS = "{ runsOrError { ... on Runs { results { runId status } } } }"


class Serving:
    """A running `dify-etl serve --simulated`."""

    def __init__(self, process: "subprocess.Popen[str]", port: int, folder: Path) -> None:
        self.process = process
        self.port = port
        self.dagster = RunningDagster(port, folder)
        self.log = folder / f"log-{port}"

    def health(self) -> tuple[int, str]:
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=30)
        except httpx.TransportError:
            return 0, "web"
        return answer.status_code, answer.text.strip()

    def is_without(self, word: str) -> bool:
        return self.health() == (503, word)

    def part(self, words: str) -> int:
        """The process id of a part, by its command."""
        return next(
            pid
            for pid in descendants(self.process.pid)
            if words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        )

    def statuses(self) -> list[str]:
        return [one["status"] for one in self.dagster.ask(RUNS)["runsOrError"]["results"]]


def is_there(pid: int) -> bool:
    """Whether a process runs; one that was killed and waits for its parent does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@contextmanager
def serving(folder: Path, **variables: str) -> Iterator[Serving]:
    """Serve, and end it by SIGTERM unless the block did; nobody stays behind."""
    port = free_port()
    shell = Shell(folder, {"DIFY_ETL_START_DATE": some_days_ago(2), **variables})
    with (folder / f"log-{port}").open("w") as log:
        process = subprocess.Popen(
            [*shell.command, "serve", "--simulated", "--port", str(port)],
            cwd=folder,
            env=shell.environment(),
            stdout=log,
            stderr=log,
            text=True,
        )
        served = Serving(process, port, folder)
        try:
            wait_until(lambda: served.health() == (200, "ok") or process.poll() is not None)
            yield served
        finally:
            left = descendants(process.pid)
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)
    wait_until(lambda: not any(is_there(pid) for pid in left))


def test_what_dies_comes_back_and_health_says_so(tmp_path: Path) -> None:
    """Daemon and code location by their names; of the web application clients only wait."""
    with serving(tmp_path) as served:
        for words, word in (("dagster._daemon", "daemon"), ("ui.code_server", "code")):
            os.kill(served.part(words), signal.SIGKILL)
            wait_until(partial(served.is_without, word))
            wait_until(lambda: served.health() == (200, "ok"))
        os.kill(served.part("ui.webserver"), signal.SIGKILL)
        wait_until(lambda: served.health() == (200, "ok"))
    assert served.process.returncode == 0
    lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    told = [line["event"] for line in lines if line["logger"] == "dify-etl"]
    assert sum("was killed by SIGKILL; it is started again in 1 s" in one for one in told) == 3


def test_stop_interrupts_a_run_and_a_hard_one_is_cleared_up(tmp_path: Path) -> None:
    """SIGTERM tells the run; after SIGKILL of all the next start does."""
    with serving(tmp_path) as served:
        launch_and_wait_for_start(served)
        began = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        served.process.wait(timeout=60)
        assert time.monotonic() - began < 40
    with serving(tmp_path) as served:
        assert served.statuses() == ["FAILURE"]
        launch_and_wait_for_start(served)
        for pid in (served.process.pid, *descendants(served.process.pid)):
            os.kill(pid, signal.SIGKILL)
    with serving(tmp_path) as served:
        assert served.statuses() == ["FAILURE", "FAILURE"]


def launch_and_wait_for_start(served: Serving) -> None:
    before = len(served.statuses())
    served.dagster.ask(LAUNCH, params=NIGHT)
    wait_until(lambda: len(served.statuses()) > before and served.statuses()[0] == "STARTED")


def test_runs_are_kept_in_postgresql(tmp_path: Path) -> None:
    """A run that the UI starts, as one of the command line (cli/test_postgresql.py)."""
    with serving_postgres() as postgres:
        (tmp_path / "storage").write_text(postgres.url())
        with serving(tmp_path, DIFY_ETL_DAGSTER_STORAGE_FILE="storage") as served:
            assert served.dagster.launch([["raw", "apps"]]) == "SUCCESS"
        assert postgres.execute("SELECT status FROM runs") == [("SUCCESS",)]
    assert list((tmp_path / "home" / "dagster").rglob("*.db")) == []
