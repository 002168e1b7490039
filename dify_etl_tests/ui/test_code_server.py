"""Runs whose process is gone do not stand in the way of every later night."""

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.tags import GRPC_INFO_TAG

from dify_etl.ui.code_server import end_gone_runs

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
    ended = end_gone_runs(instance)
    assert ended == ([run.run_id] if before is not after else [])
    assert status_of(instance, run) is after
    assert end_gone_runs(instance) == []


def test_other_runs_are_left_alone(instance: dg.DagsterInstance, tmp_path: Path) -> None:
    """Those of a code server that answers, and those that no code server launched."""
    path = tmp_path / "s"
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(path))
        server.listen()
        tags = {GRPC_INFO_TAG: json.dumps({"socket": str(path)})}
        runs = [a_run(instance, dg.DagsterRunStatus.STARTED, one) for one in (tags, {})]
        assert end_gone_runs(instance) == []
        assert {status_of(instance, run) for run in runs} == {dg.DagsterRunStatus.STARTED}
