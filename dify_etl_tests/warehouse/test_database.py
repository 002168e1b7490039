"""Opening the live file: locks, read-only homes, comments, added columns."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from dify_etl import interrupts
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.errors import WarehouseBusy, WarehouseUnwritable
from dify_etl.warehouse.tables import Column, Table

ONE = Table("raw", "one", "One row per thing.", ("a",), (Column("a", "VARCHAR", "It's an a."),))


def test_held_file_names_its_holder(tmp_path: Path) -> None:
    """When another process has the file open, the error says which, after the deadline."""
    path = tmp_path / "live.duckdb"
    hold = (
        "import duckdb,sys;c=duckdb.connect(sys.argv[1]);print('open',flush=True);sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        with pytest.raises(WarehouseBusy) as caught, open_database(path, wait_seconds=0.1):
            pass
        assert f"PID {holder.pid}" in caught.value.what
        holder.stdin.close()


def test_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    """A home that cannot be written gives one clear error."""
    (tmp_path / "home").write_text("not a folder")
    with (
        pytest.raises(WarehouseUnwritable),
        open_database(tmp_path / "home" / "live.duckdb"),
    ):
        pass


def test_comments_and_new_columns_follow_the_specification(tmp_path: Path) -> None:
    """Tables and columns carry their comments; a column added later arrives without a rebuild."""
    path = tmp_path / "live.duckdb"
    wider = Table("raw", "one", ONE.grain, ONE.key, (*ONE.columns, Column("b", "BIGINT", "A b.")))
    with open_database(path) as database:
        database.ensure(ONE)
        database.execute("INSERT INTO raw.one (a) VALUES ('x')")
        database.ensure(wider)
        assert database.rows("SELECT a, b FROM raw.one") == [("x", None)]
        comments = database.rows("SELECT column_name, comment FROM duckdb_columns() ORDER BY 1")
    assert ("a", "It's an a.") in comments
    assert ("b", "A b.") in comments


def test_file_is_readable_by_older_clients(tmp_path: Path) -> None:
    """The file is written in the storage format of DuckDB 1.5."""
    with open_database(tmp_path / "live.duckdb") as database:
        database.ensure(ONE)
    with duckdb.connect(str(tmp_path / "live.duckdb"), read_only=True) as connection:
        tags = connection.execute(
            "SELECT tags FROM duckdb_databases() WHERE NOT internal"
        ).fetchone()
    assert tags is not None
    assert "v1.5" in str(tags[0])


@pytest.mark.parametrize("ask", [Database.rows, Database.execute])
def test_ctrl_c_amid_a_query_is_no_bug(
    tmp_path: Path, ask: Callable[[Database, str], object]
) -> None:
    """DuckDB ends the query with a plain RuntimeError; whoever asked gets KeyboardInterrupt."""
    endless = "SELECT count(*) FROM range(100000000) AS a, range(1000) AS b"
    press = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    with open_database(tmp_path / "live.duckdb") as database:
        database.expect_small_commits()  # of several threads DuckDB waits for all, for seconds
        press.start()
        with pytest.raises(KeyboardInterrupt):
            ask(database, endless)
        assert database.value("SELECT 1") == 1


def test_ctrl_c_leaves_nothing_attached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opens the warehouse next in this process attaches a file of the same name."""
    path, pressed = tmp_path / "live.duckdb", threading.Event()
    monkeypatch.setattr(interrupts, "_pressed", pressed)

    def end_amid_a_build() -> None:
        with open_database(path) as database:
            database.execute("ATTACH ':memory:' AS part")
            with database.detached_at_the_end("part"):
                pressed.set()
                database.execute("SELECT 1")

    with pytest.raises(KeyboardInterrupt):
        end_amid_a_build()
    pressed.clear()
    with open_database(path) as database:
        database.execute("ATTACH ':memory:' AS part")
        database.execute("DETACH part")
