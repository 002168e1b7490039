"""No secret is in any word, log, event, file or row, whatever goes wrong."""

import logging
import secrets as chance
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dify_etl_tests.cli.command_line import Shell
from dify_etl_tests.cli.small_servers import some_days_ago
from dify_etl_tests.crashes.marked_secrets import LeakyDify, MarkedSecrets, mark_world
from dify_etl_tests.crashes.stages import small_past
from dify_simulated import SimulatedDify, serve
from dify_simulated.server.faults import Faults

FAULTS = Faults(seed=4, server_errors=0.01, truncated=0.01, html=0.01, resets=0.01)


@pytest.fixture
def marked() -> MarkedSecrets:
    """The secrets of one test."""
    return MarkedSecrets()


@contextmanager
def redis_with_password(folder: Path, password: str) -> Iterator[str]:
    """A Redis of our own that asks for a password; answers its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir()
    command = [str(shutil.which("redis-server")), "--port", str(port), "--save", ""]
    process = subprocess.Popen(
        [*command, "--requirepass", password, "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        yield f"redis://:{password}@127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError("redis-server does not answer")


@contextmanager
def leaky_shell(folder: Path, marked: MarkedSecrets, faults: Faults) -> Iterator[Shell]:
    """A folder with DAGSTER_HOME whose settings reach a Dify full of marked secrets."""
    world = small_past()
    mark_world(world, marked)
    server = LeakyDify(SimulatedDify(world, faults=faults), marked)
    (folder / "dagster").mkdir()
    with serve(server) as running:
        yield Shell(
            folder,
            {
                "DIFY_BASE_URL": running.base_url,
                "DIFY_EMAIL": world.account.email,
                "DIFY_PASSWORD": str(world.account.password),
                "DIFY_ETL_START_DATE": some_days_ago(4),  # the older the more events of Dagster
                "DAGSTER_HOME": str(folder / "dagster"),
            },
        )


def test_whole_run_with_faults_leaks_nothing(tmp_path: Path, marked: MarkedSecrets) -> None:
    """Neither streams nor Dagster's storage, logs, warehouse or published copy hold a secret."""
    folder = tmp_path / "run"
    folder.mkdir()
    with (
        leaky_shell(folder, marked, FAULTS) as shell,
        redis_with_password(tmp_path / "redis", marked.mark("redis password")) as url,
    ):
        answer = shell.run("sync", "--debug", REDIS_URL=url)
    assert "annotations" in answer.text
    assert (shell.home / "dify.duckdb").exists(), answer.text
    apart = "SELECT count(*) FROM ops.quarantine WHERE feed = 'app_api_keys' GROUP BY app_id"
    assert shell.rows(apart) == [(4,)] * 4
    forms = "SELECT count(*) > 0 FROM raw.messages WHERE extra_contents::VARCHAR LIKE '%(secret)%'"
    assert shell.rows(forms) == [(True,)]
    forms = "SELECT DISTINCT feed FROM ops.quarantine WHERE raw_json LIKE '%(secret)%' ORDER BY ALL"
    assert shell.rows(forms, file="live.duckdb") == [("messages",), ("node_executions",)]
    assert marked.found_in((answer.out + answer.err).encode()) == []
    assert marked.found_in_files(folder) == []
    assert any("access_token" in name for name in marked.values)


@pytest.mark.parametrize(
    "changed",
    [
        {"REDIS_URL": "redis://:{secret}@127.0.0.1:1/0"},
        {"DIFY_PASSWORD": "{secret}", "DIFY_TOKEN_STORE": "memory"},
        {"DIFY_TOKEN_STORE": "{secret}"},
        {"DIFY_BASE_URL": "http://somebody:{secret}@127.0.0.1:1"},
    ],
    ids=["Redis is down", "wrong password", "wrong store", "password in the address"],
)
def test_run_that_cannot_begin_tells_no_secret(
    changed: dict[str, str], tmp_path: Path, marked: MarkedSecrets
) -> None:
    """The error names the setting or place, never its value."""
    secret = marked.mark("secret of the setting")
    with leaky_shell(tmp_path, marked, Faults()) as shell:
        settings = {name: text.format(secret=secret) for name, text in changed.items()}
        answer = shell.run("sync", "--debug", **settings)
    assert answer.code != 0
    assert marked.found_in((answer.out + answer.err).encode()) == []
    assert marked.found_in_files(tmp_path) == []


def test_search_finds_a_token_in_a_log_line(tmp_path: Path, marked: MarkedSecrets) -> None:
    """The search itself would notice: in a log, and in a row of a warehouse."""
    token = marked.mark(f"token {chance.token_hex(4)}")
    log = logging.getLogger("a careless one")
    log.addHandler(handler := logging.FileHandler(tmp_path / "careless.log"))
    log.warning("logging in with %s", token)
    handler.close()
    log.removeHandler(handler)
    assert len(marked.found_in_files(tmp_path)) == 1
