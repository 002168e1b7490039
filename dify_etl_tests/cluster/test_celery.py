"""Two workers that execute the nights of two workspaces, with a real PostgreSQL and a real Redis.

Only in `make soak` (SOAK_CLUSTER=1): it takes minutes.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from dify_etl_tests.cli.command_line import COMMAND, Shell
from dify_etl_tests.cli.small_servers import served, small_world, some_days_ago
from dify_etl_tests.cluster.packages import ROOT, with_cluster_packages
from dify_etl_tests.conftest import Tell
from dify_etl_tests.defs.running_dagster import (
    LAUNCH,
    STATUS,
    RunningDagster,
    descendants,
    free_port,
    wait_until,
)
from dify_etl_tests.dify.conftest import redis_server
from dify_etl_tests.duckdb_files import opened_to_read
from dify_etl_tests.postgres import serving_postgres
from dify_simulated import World

pytestmark = pytest.mark.skipif("SOAK_CLUSTER" not in os.environ, reason="only in make soak")
__all__ = ["redis_server"]

SETTINGS = ROOT / "deploy" / "cluster" / "celery" / "dagster.yaml"
NAMES = ("sales", "support")
PER_SECOND = {"sales": 4, "support": 100}  # a night of sales takes some 15 s
LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries {
    name loadStatus locationOrLoadError { __typename } } } } }"""
ENDED = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status tags { key value } } } }"
CONFIG = {
    "resources": {"dify_home": {"config": {"catch_up": True}}},
    "loggers": {"console": {"config": {}}},
}
QUEUE = "dagster-celery/queue"
TERMINATE = """mutation($id: String!) { terminateRun(runId: $id) {
    __typename ... on PythonError { message } } }"""


@dataclass
class Machine:
    """A machine of the cluster: a folder with the home of one workspace, its code server and its
    worker.
    """

    name: str
    shell: Shell
    port: int
    worker: "subprocess.Popen[bytes] | None" = None

    def code_server(self) -> "subprocess.Popen[bytes]":
        """The code server, as docs/cluster.md starts it."""
        return self._start(
            *("-m", "dagster", "api", "grpc", "-m", "dify_etl.definitions", "--location-name"),
            *(self.name, "--host", "127.0.0.1", "--port", str(self.port)),
        )

    def start_worker(self) -> None:
        """The worker, as docs/cluster.md starts it."""
        self.worker = self._start(
            *("-m", "celery", "-A", "dify_etl.cluster.celery_worker", "worker", "-Q", self.name),
            *("-n", f"{self.name}@%h", "--concurrency", "1", "--max-tasks-per-child", "1"),
            *("--loglevel", "info"),
        )

    def kill(self) -> None:
        """The power fails."""
        assert self.worker is not None
        for pid in (self.worker.pid, *descendants(self.worker.pid)):
            os.kill(pid, signal.SIGKILL)
        self.worker.wait()

    def end(self) -> None:
        if self.worker is not None and self.worker.poll() is None:
            self.worker.terminate()
            self.worker.wait(timeout=60)

    def log(self) -> str:
        return (self.shell.folder / "log").read_text()

    def questions(self) -> list[str]:
        with opened_to_read(self.shell.folder / f"{self.name}-home" / "dify.duckdb") as copy:
            rows = copy.execute("SELECT query FROM raw.messages ORDER BY query").fetchall()
        return [row[0] for row in rows]

    def _start(self, *words: str) -> "subprocess.Popen[bytes]":
        with (self.shell.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *words],
                cwd=self.shell.folder,
                env=self.shell.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )


class Cluster:
    """Two machines, and a third one that serves the UI and decides what runs."""

    def __init__(self, dagster: RunningDagster, machines: dict[str, Machine]) -> None:
        self.dagster = dagster
        self.machines = machines

    def launch(self, name: str) -> str:
        """Launch a night of a workspace; the id of the run."""
        selector = {
            "repositoryLocationName": name,
            "repositoryName": "__repository__",
            "pipelineName": "nightly_sync",
        }
        params = {"selector": selector, "runConfigData": CONFIG}
        launched = self.dagster.ask(LAUNCH, params=params)["launchRun"]
        return str(launched["run"]["runId"])

    def status(self, run_id: str) -> str:
        return str(self.dagster.ask(STATUS, id=run_id)["runOrError"]["status"])

    def tags(self, run_id: str) -> dict[str, str]:
        tags = self.dagster.ask(ENDED, id=run_id)["runOrError"]["tags"]
        return {one["key"]: one["value"] for one in tags}

    def health(self) -> str:
        """What the control machine says of UI, daemon and storage."""
        return httpx.get(f"http://127.0.0.1:{self.dagster.port}/healthz", timeout=30).text.strip()

    def wait_for_start(self, run_id: str) -> None:
        """Until the run is in the middle of its reading."""
        wait_until(lambda: self.status(run_id) == "STARTED")
        time.sleep(3)
        assert self.status(run_id) == "STARTED"

    def ended(self, run_id: str) -> str:
        wait_until(lambda: self.status(run_id) in ("SUCCESS", "FAILURE", "CANCELED"))
        return self.status(run_id)


@contextmanager
def running_cluster(folder: Path, redis: str, worlds: dict[str, World]) -> Iterator[Cluster]:
    """The cluster of deploy/cluster/celery on loopback, until the block ends."""
    with ExitStack() as stack:
        postgres = stack.enter_context(serving_postgres(log_statement="none"))
        of_all = {
            "DAGSTER_POSTGRES_URL": postgres.url(),
            "DAGSTER_CELERY_BROKER_URL": redis,
            "DIFY_ETL_START_DATE": some_days_ago(2),
            **with_cluster_packages(),
        }
        tables = ""
        for name, world in worlds.items():
            dify = stack.enter_context(served(world))
            tables += f'[workspaces.{name}]\nbase_url = "{dify.base_url}"\n'
            tables += f'email = "{world.account.email}"\npassword_env = "{name.upper()}_PASSWORD"\n'
            tables += f'home = "{name}-home"\nrequests_per_second = {PER_SECOND[name]}\n'
        machines: dict[str, Machine] = {}
        for name in NAMES:
            place = folder / name
            variables = of_all | {
                "DAGSTER_HOME": str(place / "dagster"),
                "DIFY_ETL_WORKSPACE": name,
                f"{name.upper()}_PASSWORD": str(worlds[name].account.password),
            }
            (place / "dagster").mkdir(parents=True)
            shutil.copy(SETTINGS, place / "dagster")
            (place / "workspaces.toml").write_text(tables)
            machines[name] = Machine(name, Shell(place, variables), free_port())
        control = Shell(folder / "control", of_all | {"DAGSTER_HOME": str(folder / "control")})
        control.folder.mkdir()
        shutil.copy(SETTINGS, control.folder)
        places = "".join(
            f"- grpc_server: {{location_name: {name}, host: 127.0.0.1, port: {one.port}}}\n"
            for name, one in machines.items()
        )
        (control.folder / "workspace.yaml").write_text(f"load_from:\n{places}")
        for one in machines.values():
            started = one.code_server()
            stack.callback(started.wait, timeout=60)
            stack.callback(started.terminate)
            one.start_worker()
            stack.callback(one.end)
        port = free_port()
        with (control.folder / "log").open("w") as log:
            serving = subprocess.Popen(
                [*COMMAND, "serve", "--code-servers", "workspace.yaml", "--port", str(port)],
                cwd=control.folder,
                env=control.environment(),
                stdout=log,
                stderr=log,
            )
        stack.callback(serving.wait, timeout=60)
        stack.callback(serving.terminate)
        cluster = Cluster(RunningDagster(port, control.folder), machines)
        wait_until(lambda: _is_up(cluster) or serving.poll() is not None)
        assert serving.poll() is None, (control.folder / "log").read_text()
        yield cluster


def _is_up(cluster: Cluster) -> bool:
    if not cluster.dagster.is_up():
        return False
    entries: Any = cluster.dagster.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
    return [one["locationOrLoadError"]["__typename"] for one in entries] == [
        "RepositoryLocation"
    ] * 2


def test_nights_run_on_their_workers_and_a_dead_one_is_noticed(
    tmp_path: Path, redis_server: str, tell: Tell
) -> None:
    """Each on the machine of its home. One is killed in its middle: within a minute its run is
    failed, and the next one reads what is missing. One that is told to end ends its run first.
    """
    worlds = {name: small_world() for name in NAMES}
    with running_cluster(tmp_path, redis_server, worlds) as cluster:
        sales, support = (cluster.machines[name] for name in NAMES)
        wait_until(lambda: cluster.health() == "ok")
        runs = {name: cluster.launch(name) for name in NAMES}
        assert cluster.ended(runs["support"]) == "SUCCESS", support.log()
        assert support.questions() == questions(worlds["support"])
        assert cluster.tags(runs["support"])[QUEUE] == "support"
        assert cluster.tags(runs["sales"])[QUEUE] == "sales"
        assert not (support.shell.folder / "sales-home").exists()

        cluster.wait_for_start(runs["sales"])
        sales.kill()
        died = time.monotonic()
        sales.start_worker()  # as systemd does at once
        assert cluster.ended(runs["sales"]) == "FAILURE"
        noticed = time.monotonic() - died
        assert noticed < 60
        tell(f"a killed worker's run was marked as failed after {noticed:.0f} s")
        add_question(worlds["sales"], "asked after the worker died")
        assert cluster.ended(cluster.launch("sales")) == "SUCCESS", sales.log()
        assert sales.questions() == questions(worlds["sales"])

        canceled = cluster.launch("sales")
        cluster.wait_for_start(canceled)
        asked = time.monotonic()
        assert cluster.dagster.ask(TERMINATE, id=canceled)["terminateRun"] == {
            "__typename": "TerminateRunSuccess"
        }
        assert cluster.ended(canceled) == "CANCELED", sales.log()
        tell(f"canceled after {time.monotonic() - asked:.0f} s")
        assert time.monotonic() - asked < 60  # by the run itself, not by a timeout of Dagster's

        add_question(worlds["sales"], "asked before the worker was told to end")
        last = cluster.launch("sales")
        cluster.wait_for_start(last)
        assert sales.worker is not None
        sales.worker.terminate()
        assert cluster.ended(last) == "SUCCESS", sales.log()
        sales.worker.wait(timeout=60)
        assert sales.questions() == questions(worlds["sales"])


def questions(world: World) -> list[str]:
    return sorted(message.query for message in world.messages.values())


def add_question(world: World, query: str) -> None:
    app = next(app for app in world.apps.values() if app.mode == "chat")
    talk = world.add_conversation(app.id, at=world.now())
    world.add_message(talk.id, at=world.now(), query=query)
