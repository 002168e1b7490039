"""The published copy is whole, is swapped under its readers, and stays when publishing fails."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dify_etl.home import Access
from dify_etl.sync.ledger import QUARANTINE
from dify_etl.warehouse import publish as publishing
from dify_etl.warehouse.database import open_database
from dify_etl.warehouse.errors import WarehouseBusy, WarehouseUnwritable
from dify_etl.warehouse.publish import CopyPlace, publish

THROUGH = date(2026, 3, 2)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home whose live file has one note and a view over it."""
    write(tmp_path, "CREATE TABLE raw.notes AS SELECT 1 AS id")
    write(tmp_path, "CREATE VIEW staging.stg_notes AS SELECT id AS note_id FROM raw.notes")
    return tmp_path


def write(home: Path, sql: str) -> None:
    """A transaction in the live file."""
    with open_database(home / "live.duckdb") as database, database.transaction():
        database.execute(sql)


def published(home: Path) -> Path:
    """Publish and answer the copy."""
    return publish(home, run_id="run", through=THROUGH, wait_seconds=0.2)


@contextmanager
def reader(copy: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """An analyst with the copy open."""
    with duckdb.connect(str(copy), read_only=True) as connection:
        yield connection


def count(connection: duckdb.DuckDBPyConnection) -> int:
    """Notes that a reader sees."""
    row = connection.execute("SELECT count(*) FROM staging.stg_notes").fetchone()
    assert row is not None
    return int(row[0])


def test_copy_is_whole_and_dated(home: Path) -> None:
    """Tables and views are in the copy, and when it was made, by which run, through which day."""
    with reader(published(home)) as connection:
        assert count(connection) == 1
        rows = connection.execute("SELECT run_id, through_date FROM ops.published").fetchall()
    assert rows == [("run", THROUGH)]


def test_reader_of_the_old_copy_goes_on(home: Path) -> None:
    """Who has the old copy open keeps reading it; who opens it afterwards sees the new one."""
    with reader(published(home)) as old:
        write(home, "INSERT INTO raw.notes VALUES (2)")
        copy = published(home)
        assert count(old) == 1
        # Another process: inside this one DuckDB shares the file that is open under that path.
        seen = subprocess.run(
            [sys.executable, "-c", COUNT_NOTES, str(copy)], capture_output=True, check=True
        )
    assert int(seen.stdout) == 2


COUNT_NOTES = """
import duckdb, sys
with duckdb.connect(sys.argv[1], read_only=True) as connection:
    print(connection.execute("SELECT count(*) FROM staging.stg_notes").fetchone()[0])
"""


def test_rows_committed_just_before_are_in(home: Path) -> None:
    """Rows that a crash left in the write-ahead log are copied too, all of them."""
    crash = [sys.executable, "-c", COMMIT_AND_CRASH, str(home / "live.duckdb")]
    assert subprocess.run(crash, check=False).returncode == 9
    assert (home / "live.duckdb.wal").stat().st_size > 0
    with reader(published(home)) as connection:
        assert count(connection) == 1000


COMMIT_AND_CRASH = """
import duckdb, os, sys
connection = duckdb.connect(sys.argv[1])
connection.execute("INSERT INTO raw.notes SELECT range FROM range(2, 1001)")
os._exit(9)
"""


def test_views_work_under_any_name(home: Path) -> None:
    """An analyst may attach the copy under a name of their own."""
    copy = published(home)
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{copy}' AS mine (READ_ONLY)")
        assert connection.execute("SELECT note_id FROM mine.staging.stg_notes").fetchall() == [(1,)]


def test_copy_has_no_raw_json(home: Path) -> None:
    """What failed validation may hold anything: its error is published, the object is not."""
    with open_database(home / "live.duckdb") as database, database.transaction():
        database.ensure(QUARANTINE)
        database.execute(
            "INSERT INTO ops.quarantine (quarantine_id, message, raw_json) "
            "VALUES ('q', 'id is missing', '{\"answer\": \"only-for-us\"}')"
        )
    copy = published(home)
    with reader(copy) as connection:
        rows = connection.execute("SELECT message, raw_json FROM ops.quarantine").fetchall()
        comments = connection.execute(
            "SELECT comment FROM duckdb_tables() WHERE table_name = 'quarantine'"
        ).fetchall()
        assert connection.execute("SELECT note_id FROM staging.stg_notes").fetchall() == [(1,)]
    assert rows == [("id is missing", None)]
    assert comments[0][0].startswith(QUARANTINE.grain)
    assert b"only-for-us" not in copy.read_bytes()
    with open_database(home / "live.duckdb") as database:
        assert "only-for-us" in database.value("SELECT raw_json FROM ops.quarantine")


def test_copy_opens_with_older_clients(home: Path) -> None:
    """The copy has the storage format of DuckDB 1.5."""
    with reader(published(home)) as connection:
        row = connection.execute(
            "SELECT tags FROM duckdb_databases() WHERE NOT internal"
        ).fetchone()
    assert row is not None
    assert "v1.5" in str(row[0])


def test_failure_keeps_the_old_copy(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not open as a database is never put in the place of the old copy."""
    copy = published(home)
    before = copy.read_bytes()
    monkeypatch.setattr(
        publishing, "_copy_in_child", lambda live, fresh: fresh.write_bytes(b"half a file")
    )
    with pytest.raises(WarehouseUnwritable, match="not made"):
        published(home)
    assert copy.read_bytes() == before
    assert not list(home.glob(".dify*"))


def test_killed_publication_leaves_nothing_for_long(home: Path) -> None:
    """A copy that is being made is its owner's alone; killed, the next publication sweeps it, with
    all that stands beside it; other files stay.
    """
    published(home)
    pipe = home / "slow"
    os.mkfifo(pipe)
    run = subprocess.Popen([sys.executable, "-c", ""])
    run.wait()  # as a run that was killed with its child
    fresh = home / f".dify.duckdb.{run.pid}"
    command = [sys.executable, "-m", "dify_etl.warehouse.copying", str(pipe), str(fresh)]
    with subprocess.Popen(command) as child, pipe.open("wb") as source:
        source.write(b"raw rows")
        source.flush()
        wait_until(lambda: fresh.exists())
        assert stat.S_IMODE(fresh.stat().st_mode) == 0o600
        child.kill()
        child.wait()
    for name in (".anew", ".wal", ".tmp"):
        fresh.with_name(fresh.name + name).write_bytes(b"raw rows")
    (home / ".dify.duckdb.mine").write_text("stays")
    published(home)
    assert [path.name for path in home.glob(".dify*")] == [".dify.duckdb.mine"]


def test_number_of_a_process_that_came_again_saves_no_stray(home: Path) -> None:
    """In a container the same numbers run every night: what is old is swept all the same."""
    published(home)
    stray = home / f".dify.duckdb.{os.getppid()}"
    stray.write_bytes(b"raw rows")
    published(home)
    assert stray.exists()  # it may be of somebody who publishes now
    os.utime(stray, (0, 0))
    published(home)
    assert not stray.exists()


def wait_until(holds: Callable[[], bool]) -> None:
    """Poll, ten seconds at most."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_link_in_place_of_the_copy_stays_one(home: Path, tmp_path_factory: Any) -> None:
    """The file behind it is replaced, where the operator wants the copy to be."""
    elsewhere = tmp_path_factory.mktemp("analysts") / "dify.duckdb"
    (home / "dify.duckdb").symlink_to(elsewhere)
    copy = published(home)
    assert copy.is_symlink()
    assert not elsewhere.is_symlink()
    with reader(elsewhere) as connection:
        assert count(connection) == 1


def test_loop_of_links_is_refused(home: Path) -> None:
    """One clear error."""
    (home / "dify.duckdb").symlink_to(home / "dify.duckdb")
    with pytest.raises(WarehouseUnwritable, match="not made"):
        published(home)


@pytest.mark.parametrize(("mode", "is_elsewhere"), [(0o600, False), (0o640, False), (0o644, True)])
def test_copy_is_for_whom_it_is_meant(home: Path, mode: int, is_elsewhere: bool) -> None:
    """Its folder, mode and group are those of the place."""
    folder = home / "analysts" if is_elsewhere else home
    place = CopyPlace(folder, Access(mode, os.getegid()))
    copy = publish(home, run_id="run", through=THROUGH, place=place)
    assert copy == folder / "dify.duckdb"
    assert stat.S_IMODE(copy.stat().st_mode) == mode
    assert copy.stat().st_gid == os.getegid()
    assert stat.S_IMODE((home / "live.duckdb").stat().st_mode) == 0o600


def test_copy_that_cannot_be_replaced_says_so(home: Path) -> None:
    """A failure of the last step is one clear error, and leaves nothing beside the live file."""
    (home / "dify.duckdb").mkdir()
    with pytest.raises(WarehouseUnwritable) as caught:
        published(home)
    assert "old copy stays" in caught.value.hint
    assert not list(home.glob(".dify*"))


def test_copy_that_is_not_made_is_not_noted(home: Path) -> None:
    """`ops.published` has a row per copy: one that fails takes its row out again."""
    published(home)
    (home / "dify.duckdb").unlink()
    (home / "dify.duckdb").mkdir()
    with pytest.raises(WarehouseUnwritable):
        published(home)
    with open_database(home / "live.duckdb") as database:
        assert database.value("SELECT count(*) FROM ops.published") == 1


def test_held_live_file_keeps_the_old_copy(home: Path) -> None:
    """While another process writes, nothing is published and the old copy is readable."""
    copy = published(home)
    hold = "import duckdb,sys;c=duckdb.connect(sys.argv[1]);print(1,flush=True);sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(home / "live.duckdb")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        holder.stdout.readline()
        with pytest.raises(WarehouseBusy):
            published(home)
        holder.stdin.close()
    with reader(copy) as connection:
        assert count(connection) == 1


def test_home_without_a_live_file_publishes_an_empty_copy(tmp_path: Path) -> None:
    """A home that was never loaded is no error: the copy says when it was made."""
    with reader(published(tmp_path)) as connection:
        assert connection.execute("SELECT count(*) FROM ops.published").fetchone() == (1,)
