"""What goes wrong while a sync runs: it says so, keeps what it has, and the next run completes."""

import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import duckdb
import pytest

from dify_etl.home import COPY
from dify_etl_tests.cli.command_line import COMMAND, SECONDS, ServedDify, Shell
from dify_etl_tests.cli.small_servers import served, small_world, some_days_ago
from dify_simulated import Faults

ROOT = Path(__file__).resolve().parents[2]
SMALL_DISK = "4m"
STATES = "SELECT count(*) FROM ops.slices WHERE state IN ('failed', 'incomplete')"


@pytest.fixture
def own_dify() -> Iterator[ServedDify]:
    """A Dify that the test may change."""
    with served(small_world()) as server:
        yield server


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a disk of 4 MB on the folder; False when this machine does not let us."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK}", "tmpfs", str(folder)]
    mounted = False
    with suppress(FileNotFoundError):
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def limited(*command: str) -> tuple[str, ...]:
    """The command when no file may grow beyond 2 MB: the nearest thing to a full disk."""
    code = (
        "import os, resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        f"resource.setrlimit({resource.RLIMIT_FSIZE}, (2 << 20, 2 << 20));"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    return (sys.executable, "-c", code, *command)


def test_full_disk_is_named_and_repaired(shell: Shell) -> None:
    """One message, nothing published; with room again the next run reads the rest."""
    with small_disk(shell.home) as mounted:
        if not mounted:
            shell.command = limited(*COMMAND)
        assert_full(shell)
        shutil.copytree(shell.home, shell.folder / "big")
    shell.command = COMMAND
    roomy = Shell(shell.folder, {**shell.variables, "DIFY_ETL_HOME": str(shell.folder / "big")})
    assert roomy.run("sync").code == 0


def test_file_that_may_not_grow_is_named(shell: Shell) -> None:
    """A quota shows as a full disk does."""
    shell.command = limited(*COMMAND)
    assert_full(shell)


def assert_full(shell: Shell) -> None:
    """The sync ends with one message, however many steps met it, and publishes nothing."""
    answer = shell.run("sync")
    assert answer.code == 3
    assert answer.err.startswith("WarehouseUnwritable: ")
    assert "Free disk space" in answer.err
    assert len(answer.err.splitlines()) == 3
    assert not (shell.home / COPY).exists()


HEADER = "-- One row per app.\n-- app_id: the app\n"
BROKEN = {
    "no_syntax": HEADER + "select app_id frm raw.apps\n",
    "no_such_column": HEADER + "select app_identity from raw.apps\n",
    "no_header": "select app_id from raw.apps\n",
    "circle": HEADER + "select app_id from marts.circle\n",
}


OWN = {
    **BROKEN,
    "costs": HEADER + "select app_id from raw.apps\n",  # a mart that comes with dify-etl
    "no_such_file": HEADER + "select app_id from read_csv('/no/such/folder/apps.csv')\n",
    "my_apps": HEADER + "select app_id from raw.apps\n",
}


def test_broken_sql_files_fail_alone(own_copy: Shell, dify: ServedDify, tmp_path: Path) -> None:
    """All else is loaded, built and published, and the messages name each file; what is good of
    one's own is a table like any other.
    """
    own_copy.variables["DIFY_ETL_SQL"] = str(tmp_path / "own")
    (tmp_path / "own").mkdir()
    for name, text in OWN.items():
        (tmp_path / "own" / f"{name}.sql").write_text(text)
    reads = "SELECT count(DISTINCT run_id) FROM ops.runs WHERE feed = 'conversations'"
    answer = own_copy.run("sync")
    assert answer.code == 1
    failed = sorted([*BROKEN, "left_out_costs", "no_such_file"])
    named = [*BROKEN, "no_such_file"]
    assert [one for one in named if f"where: {one}.sql in the folder" not in answer.err] == []
    assert "marts.costs is a model of dify-etl" in answer.err
    assert answer.err.count("ModelBroken:") == len(failed)
    assert "This is a bug" not in answer.err
    assert own_copy.rows(reads) == [(2,)]
    broken = "SELECT model FROM ops.models WHERE state = 'failed' ORDER BY ALL"
    held = [re.sub("_[0-9a-f]{6}$", "", name) for (name,) in own_copy.rows(broken)]
    assert held == [f"marts.{name}" for name in failed]
    counts = "SELECT (SELECT count(*) FROM marts.my_apps), (SELECT count(*) FROM raw.apps)"
    assert len({*own_copy.rows(counts)[0]}) == 1
    assert "marts.my_apps" in own_copy.run("tables").out
    own_copy.variables["DIFY_ETL_SQL"] = str(tmp_path / "gone")
    assert "there is no such folder" in own_copy.run("sync").err


def test_app_deleted_during_the_run(own_dify: ServedDify, tmp_path: Path) -> None:
    """The other apps are read and published; the table names the app that went."""
    world = own_dify.world
    app = next(app for app in world.apps.values() if app.mode == "chat")

    def delete_once(number: int, method: str, path: str) -> None:
        if f"/apps/{app.id}/chat-conversations" in path and app.id in world.apps:
            world.delete_app(app.id)

    own_dify.server.faults = Faults(before_request=delete_once)
    shell = Shell(tmp_path, own_dify.variables(some_days_ago(3)))
    answer = shell.run("sync")
    assert answer.code == 1
    assert "the chat app" in answer.text
    assert "no such app" in answer.text
    assert shell.rows("SELECT count(*) FROM staging.stg_workflow_runs") == [(1,)]
    assert shell.run("sync").code == 0
    absent = f"SELECT count(*) FROM raw.apps WHERE absent_since IS NOT NULL AND app_id = '{app.id}'"
    assert shell.rows(absent) == [(1,)]


def test_analyst_with_the_copy_open_hinders_nobody(own_copy: Shell, dify: ServedDify) -> None:
    """A sync passes while the published copy is open; the analyst goes on with the old one."""
    published = "SELECT max(published_at) FROM ops.published"
    with duckdb.connect(own_copy.home / COPY, read_only=True) as analyst:
        before = analyst.execute(published).fetchall()
        assert own_copy.run("sync").code == 0
        assert analyst.execute(published).fetchall() == before
    assert own_copy.rows(published) > before


@pytest.mark.parametrize("feed", ["apps", "messages"])
def test_ctrl_c_stops_and_the_next_run_completes(shell: Shell, feed: str) -> None:
    """Exit code 130 and one line; what was committed is kept, and the next run reads the rest."""
    with shell.start("sync") as process:
        assert process.stdout is not None
        assert any(line.startswith(f"{feed}:") for line in process.stdout)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    assert errors == "Stopped. What was committed is kept; the next run reads the rest.\n"
    assert shell.run("sync").code == 0
    assert shell.rows(STATES) == [(0,)]


def test_changed_password_is_noticed_while_the_session_lives(own_copy: Shell) -> None:
    """Whoever changes it and makes a mistake learns that from the next sync."""
    answer = own_copy.run("sync", DIFY_PASSWORD="Wrong-pass-1")
    assert answer.code == 3, answer.text
    assert "LoginRefused" in answer.err
    assert own_copy.run("sync").code == 0


def test_ctrl_c_ends_the_wait_for_a_silent_server(shell: Shell) -> None:
    """At once, also when Polars was imported meanwhile, whose handler lets the kernel wait on."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with shell.start("sync", DIFY_BASE_URL=address) as process:
            connection, _ = silent.accept()
            with connection:
                deadline = time.monotonic() + SECONDS
                while not _has_loaded(process.pid, "polars") and time.monotonic() < deadline:
                    time.sleep(0.05)
                time.sleep(0.5)  # until its import is over
                process.send_signal(signal.SIGINT)
                _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Stopped." in errors


def _has_loaded(pid: int, library: str) -> bool:
    return library in Path(f"/proc/{pid}/maps").read_text()
