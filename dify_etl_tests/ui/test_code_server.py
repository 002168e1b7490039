"""Runs whose process is gone do not stand in the way of every later night."""

import errno
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import GRPC_INFO_TAG

from dify_etl.sync.lock import home_lock
from dify_etl.ui.code_server import end_gone_runs
from dify_etl.ui.marks import HOME_TAG, answers, is_deserted

HOME = Path("/home/of/nobody")
GONE = {GRPC_INFO_TAG: json.dumps({"host": "localhost", "socket": "/nowhere/socket"})}


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance"))) as instance:
        yield instance


@dg.job
def night() -> None:
    """Does nothing."""


def a_run(
    instance: dg.DagsterInstance, status: dg.DagsterRunStatus, tags: dict[str, str]
) -> dg.DagsterRun:
    return instance.create_run_for_job(night, status=status, tags=tags)


def status_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.FAILURE),
        (dg.DagsterRunStatus.CANCELING, dg.DagsterRunStatus.CANCELED),
        (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.NOT_STARTED),
        (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.SUCCESS),
    ],
)
def test_run_of_a_dead_code_server_is_ended(
    instance: dg.DagsterInstance, before: dg.DagsterRunStatus, after: dg.DagsterRunStatus
) -> None:
    """After a power failure; what waits in the queue goes on, and what is over stays."""
    run = a_run(instance, before, GONE)
    ended = end_gone_runs(instance, HOME)
    assert ended == ([run.run_id] if before is not after else [])
    assert status_of(instance, run) is after
    assert end_gone_runs(instance, HOME) == []


def test_other_runs_are_left_alone(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Those of a code server that answers, and those that no code server launched."""
    path = tmp_path / "s"
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(path))
        server.listen()
        tags = {GRPC_INFO_TAG: json.dumps({"socket": str(path)})}
        runs = [a_run(instance, dg.DagsterRunStatus.STARTED, one) for one in (tags, {})]
        assert end_gone_runs(instance, HOME) == []
        assert {status_of(instance, run) for run in runs} == {dg.DagsterRunStatus.STARTED}


def test_sync_that_was_killed_is_ended_when_nobody_holds_its_home(
    instance: dg.DagsterInstance, tmp_path: Path
) -> None:
    """`dify-etl sync` records its run by itself: the home's lock tells whether it lives."""
    run = a_run(instance, dg.DagsterRunStatus.STARTED, {HOME_TAG: str(tmp_path)})
    other = a_run(instance, dg.DagsterRunStatus.STARTED, {HOME_TAG: "/another"})
    with home_lock(tmp_path, wait_seconds=0.0):
        end_gone_runs(instance, tmp_path)
        assert status_of(instance, run) is dg.DagsterRunStatus.STARTED
    assert end_gone_runs(instance, tmp_path) == [run.run_id]
    assert status_of(instance, run) is dg.DagsterRunStatus.FAILURE
    assert status_of(instance, other) is dg.DagsterRunStatus.STARTED


def test_socket_that_may_not_be_asked_is_no_dead_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Another user's, or one in a folder that only its unit sees as such."""
    assert is_deserted(tmp_path / "nowhere")
    monkeypatch.setattr(socket.socket, "connect_ex", lambda *_: errno.EACCES)
    assert not is_deserted(tmp_path / "nowhere")
    assert not answers(tmp_path / "nowhere")
