"""One sync per home; whoever waits in vain is told who holds it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dify_etl.sync.errors import AnotherSync
from dify_etl.sync.lock import holder, home_lock
from dify_etl_tests.sync.workplace import TALK, Workplace

HOLDING = """
import sys
from pathlib import Path
from dify_etl.sync.lock import home_lock
with home_lock(Path(sys.argv[1]), wait_seconds=0):
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def another_process(home: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the lock of a home."""
    command = [sys.executable, "-c", HOLDING, str(home)]
    with subprocess.Popen(
        command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_second_sync_is_told_who_holds_the_home(tmp_path: Path) -> None:
    """The error names the PID and the command of the sync that runs."""
    with (
        another_process(tmp_path) as process,
        pytest.raises(AnotherSync, match=rf"PID {process.pid} \(-c "),
        home_lock(tmp_path, wait_seconds=0.1),
    ):
        pass


def test_sync_does_not_begin_while_another_runs(chat: Workplace) -> None:
    """Nothing is asked of Dify and nothing written while the home is held."""
    with another_process(chat.home), pytest.raises(AnotherSync):
        chat.read(TALK)
    assert chat.server.requests == []
    assert chat.rows("SELECT * FROM ops.source") == []


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    """The lock dies with its holder: no file has to be removed by hand."""
    with another_process(tmp_path) as process:
        process.kill()
        process.wait()
        with home_lock(tmp_path, wait_seconds=1.0):
            assert f"PID {os.getpid()}" in (holder(tmp_path) or "")


def test_lock_is_waited_for(tmp_path: Path) -> None:
    """A sync that ends within the wait lets the next one in."""
    with another_process(tmp_path) as process:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        with home_lock(tmp_path, wait_seconds=30.0):
            assert holder(tmp_path) is not None


def test_nobody_holds_a_home_that_is_idle(tmp_path: Path) -> None:
    """The doctor is told of no holder before, and after, a sync."""
    assert holder(tmp_path) is None
    with home_lock(tmp_path, wait_seconds=0):
        pass
    assert holder(tmp_path) is None
