"""What `GET /healthz` tells, to whom, and of which part."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster._daemon.types import DaemonHeartbeat
from starlette.types import Receive, Scope, Send

from dify_etl.ui.gate import Gate
from dify_etl.ui.health import KEPT_SECONDS, PATH, HealthEndpoint
from dify_etl.ui.liveness import SILENT_SECONDS, DagsterParts
from dify_etl.ui.marks import Marks
from dify_etl_tests.ui.in_process import Client


class Part:
    """Answers what it is told to, after a while."""

    def __init__(self, failing: str | None, seconds: float = 0.0) -> None:
        self.word = failing
        self.seconds = seconds
        self.looks = 0

    @property
    def asked(self) -> str:
        return "storage"

    def failing(self) -> str | None:
        self.looks += 1
        time.sleep(self.seconds)
        return self.word


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise AssertionError("the application behind is not asked")


def endpoint(part: Part, wait_seconds: float = 8.0) -> HealthEndpoint:
    gate = Gate(nothing, password="secret")
    return HealthEndpoint(gate, part, wait_seconds=wait_seconds)


@pytest.mark.parametrize(
    ("failing", "status", "text"), [(None, 200, "ok\n"), ("daemon", 503, "daemon\n")]
)
def test_strangers_get_one_word(failing: str | None, status: int, text: str) -> None:
    """Under any name and without the password, as a container's check asks; and nothing else."""
    for host in ("localhost", "10.1.2.3:3000", "evil.example"):
        answer = Client(endpoint(Part(failing)), host).get(PATH)
        assert (answer.status_code, answer.text) == (status, text)
        told = {"x-frame-options", "x-content-type-options", "cross-origin-resource-policy"}
        told |= {"referrer-policy", "cache-control", "content-type", "content-length"}
        assert set(answer.headers) == told


def test_all_else_meets_the_gate() -> None:
    """Also paths that begin alike; and nothing is sent to the endpoint."""
    client = Client(endpoint(Part(None)), "localhost")
    assert [client.get(f"{PATH}{more}").status_code for more in ("/", "2", "/../")] == [401] * 3
    assert client.post(PATH, json={}).status_code == 405
    assert client.request("HEAD", PATH).text == ""


def test_a_storm_of_questions_is_one_look() -> None:
    """The storage is no stranger's to keep busy."""
    part, now = Part(None), [0.0]
    health = HealthEndpoint(nothing, part, clock=lambda: now[0])

    async def storm() -> None:
        for moment in (0.0, KEPT_SECONDS, KEPT_SECONDS * 2 + 0.1):
            now[0] = moment
            assert await asyncio.gather(*(health.failing() for _ in range(20))) == [None] * 20

    asyncio.run(storm())
    assert part.looks == 2


def test_a_part_that_does_not_answer_does_not_live() -> None:
    """It is named, and the answer comes in time."""
    began = time.monotonic()
    answer = Client(endpoint(Part(None, seconds=1.0), wait_seconds=0.1), "localhost").get(PATH)
    assert (answer.status_code, answer.text) == (503, "storage\n")
    assert time.monotonic() - began < 5


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def beat(instance: dg.DagsterInstance, moment: float) -> None:
    """All threads of the daemon that the instance needs write their heartbeat."""
    for kind in instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(moment, kind, "a daemon"))


class CodeThatLoads(DagsterParts):
    """With a code location that answers: the real one is asked in the tests of a running UI."""

    def _code_lives(self) -> bool:
        return True


def test_daemon_lives_by_heartbeats_since_its_start(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """No heartbeat, one of the process before, one that is old: none of them will do."""
    marks = Marks(tmp_path)
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context:
        parts = CodeThatLoads(context, marks)
        assert parts.failing() == "daemon"  # nobody started it
        beat(instance, time.time() - 1)
        marks.daemon.touch()
        assert parts.failing() == "daemon"  # that was another one
        beat(instance, time.time() + 1)
        assert parts.failing() is None
        marks.daemon.unlink()
        assert parts.failing() == "daemon"
        assert DagsterParts(context, marks).failing() == "code"


def test_daemon_that_fell_silent_does_not_live(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """Its process is there, and does nothing."""
    marks = Marks(tmp_path)
    marks.daemon.touch()
    os.utime(marks.daemon, (0, 0))
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context:
        beat(instance, time.time() - SILENT_SECONDS - 1)
        assert CodeThatLoads(context, marks).failing() == "daemon"
        beat(instance, time.time() - SILENT_SECONDS + 60)
        assert CodeThatLoads(context, marks).failing() is None


def test_storage_that_fails_is_named(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Whatever its error is, which nobody is told."""
    with WorkspaceProcessContext(instance, EmptyWorkspaceTarget()) as context:
        parts = CodeThatLoads(context, Marks(tmp_path))
        for file in tmp_path.rglob("*.db*"):
            file.unlink()
        instance.run_storage.dispose()
        assert parts.failing() == "storage"
