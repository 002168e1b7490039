"""Commands that only read: they keep no sync from its work, and need no right to write."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dify_etl.sync.ledger import QUARANTINE
from dify_etl.warehouse.database import open_database, open_to_read
from dify_etl.warehouse.errors import WarehouseBusy, own_command
from dify_etl_tests.cli.command_line import Shell

# A `status` that takes its time.
SLOW_READER = (
    "import sys, time; from pathlib import Path;"
    "from dify_etl.warehouse.database import open_to_read\n"
    "with open_to_read(Path(sys.argv[-1]), wait_seconds=1.0):\n"
    "    print('open', flush=True); time.sleep(float(sys.argv[-2]))"
)


@contextmanager
def reader(live: Path, seconds: float, *words: str) -> Iterator[int]:
    """A process with the live file open; answers its number."""
    command = [sys.executable, "-c", SLOW_READER, *words, str(seconds), str(live)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


def test_a_sync_that_waits_for_no_other_waits_for_a_reader(own_copy: Shell) -> None:
    """`--wait 0` in cron skips a night when another one runs, not when somebody looks."""
    with reader(own_copy.home / "live.duckdb", 2.0):
        answer = own_copy.run("sync", "--wait", "0")
    assert answer.code == 0, answer.err


def test_what_an_earlier_version_lacks_is_made(tmp_path: Path) -> None:
    """A file without a table, or without a column of it, is opened for writing once."""
    live = tmp_path / "live.duckdb"
    with open_database(live):
        pass
    count = "SELECT count(*) FROM ops.quarantine WHERE resolved_at IS NULL"
    with open_to_read(live, QUARANTINE, wait_seconds=1.0) as database:
        assert database.value(count) == 0
    with open_database(live) as database:
        database.execute("ALTER TABLE ops.quarantine DROP COLUMN resolved_at")
    for _ in range(2):
        with open_to_read(live, QUARANTINE, wait_seconds=1.0) as database:
            assert database.value(count) == 0


def test_the_holder_is_named_by_its_command(tmp_path: Path) -> None:
    """Program and subcommand; what else it was called with may name a person."""
    live = tmp_path / "live.duckdb"
    with open_database(live):
        pass
    with (
        reader(live, 30.0, "/somewhere/dify-etl", "forget", "ann@example.com") as pid,
        pytest.raises(WarehouseBusy) as caught,
        open_database(live, wait_seconds=0.0),
    ):
        pass
    assert f"held by PID {pid} (dify-etl forget); waited" in str(caught.value)
    assert "ann@" not in str(caught.value)


def test_a_command_of_others_is_not_called_ours(tmp_path: Path) -> None:
    """Nor is a word shown that is no subcommand."""
    with subprocess.Popen(["sleep", "30"]) as other:
        assert own_command(other.pid) is None
        other.kill()
    with open_database(tmp_path / "live.duckdb"):
        pass
    with reader(tmp_path / "live.duckdb", 30.0, "dify-etl", "sk-123") as pid:
        assert own_command(pid) == "dify-etl"


def test_readers_do_not_wait_for_one_another(tmp_path: Path) -> None:
    """Two may have the live file open at once."""
    live = tmp_path / "live.duckdb"
    with open_database(live):
        pass
    with reader(live, 30.0), open_to_read(live, wait_seconds=0.0) as database:
        assert database.value("SELECT 42") == 42


@pytest.fixture
def read_only(own_copy: Shell, tmp_path: Path) -> Iterator[Shell]:
    """A home on a disk that is mounted read-only."""
    bind = ["mount", "--bind", str(own_copy.home), str(own_copy.home)]
    if not shutil.which("mount") or subprocess.run(bind, capture_output=True).returncode:
        pytest.skip("nobody but root may mount a disk")
    try:
        remount = ["mount", "-o", "remount,ro,bind", str(own_copy.home)]
        subprocess.run(remount, check=True)
        yield own_copy
    finally:
        subprocess.run(["umount", str(own_copy.home)], check=True)


@pytest.mark.parametrize(
    "words", [("status",), ("privacy",), ("quarantine", "list"), ("forget",), ("tables",)]
)
def test_a_home_that_may_not_be_written_can_be_read(
    read_only: Shell, loaded: Shell, words: tuple[str, ...]
) -> None:
    """The same answer as where one may write."""
    answer = read_only.run(*words, "--json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith(("{", "["))
