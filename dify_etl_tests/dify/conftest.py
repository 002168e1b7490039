"""A real Redis server for the tests that need one, and a workspace to write in."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from dify_etl_tests.dify.pretend_workspace import quiet_world
from dify_simulated import World


@pytest.fixture
def world() -> World:
    """A small workspace to write in."""
    return quiet_world()


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The address of a Redis that keeps no session of the test server."""
    with redis.Redis.from_url(redis_server) as connection:
        for key in connection.scan_iter("dify-etl:session:https://dify.test:*"):
            connection.delete(key)
    return redis_server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """REDIS_URL, or a Redis of our own that lives as long as the tests."""
    if given := os.environ.get("REDIS_URL"):
        yield given
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [_binary(), "--port", str(port), "--save", "", "--bind", "127.0.0.1"],
        cwd=tmp_path_factory.mktemp("redis"),
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(timeout=10)


def _binary() -> Path:
    found = shutil.which("redis-server")
    assert found, "these tests need redis-server on the PATH"
    return Path(found)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    with redis.Redis(port=port) as connection:
        while time.monotonic() < deadline:
            try:
                connection.ping()
                return
            except redis.ConnectionError:
                time.sleep(0.02)
    raise AssertionError("redis-server did not start within 10 s")
