"""Swap the analysts' copy: checkpoint the live file, let a child process copy it, replace.

The child copies because opening and closing the live file inside the process that writes it
would drop that process's lock on it.
"""

import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import duckdb

from dify_etl.errors import ActionableError
from dify_etl.warehouse.database import STORAGE_VERSION, open_database, utc_now
from dify_etl.warehouse.errors import WarehouseUnwritable, translated
from dify_etl.warehouse.ledger import PUBLISHED
from dify_etl.warehouse.tables import frame, quoted
from dify_etl.warehouse.upsert import upsert

LIVE = "live.duckdb"
COPY = "dify.duckdb"


def publish(home: Path, *, run_id: str, through: date, wait_seconds: float = 60.0) -> Path:
    """Make `home/dify.duckdb` the state of `home/live.duckdb`; answers its path.

    Analysts with the old copy open keep reading it; whoever opens it afterwards sees the new one.
    WarehouseBusy, WarehouseUnwritable: the old copy stays.
    """
    live, copy = home / LIVE, home / COPY
    with open_database(live, wait_seconds=wait_seconds) as database:
        database.ensure(PUBLISHED)
        row = {"published_at": utc_now(), "run_id": run_id, "through_date": through}
        with database.transaction():
            upsert(database, PUBLISHED, frame(PUBLISHED, [row]), now=utc_now())
        database.execute("CHECKPOINT live")
        _copy_in_child(live, copy)
    return copy


def _copy_in_child(live: Path, copy: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "dify_etl.warehouse.publish", str(live), str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode:
        last = child.stderr.strip().splitlines()[-1:] or ["no message"]
        raise WarehouseUnwritable(
            f"the published copy was not made: {last[0]}",
            where=str(copy),
            hint="The old copy stays. Free disk space (a copy needs as much as the live file) "
            "and run again.",
        )


def copy_and_replace(live: Path, copy: Path) -> None:
    """The child's work: copy, take out what analysts must not get, fsync, rename onto the copy."""
    fresh = copy.with_name(f".{copy.name}.{os.getpid()}")
    try:
        with live.open("rb") as source, fresh.open("wb") as target:
            while block := source.read(8 << 20):
                target.write(block)
        _take_out_raw_json(fresh)
        with fresh.open("rb") as written:
            os.fsync(written.fileno())
        fresh.replace(copy)
    except (OSError, duckdb.Error) as error:
        raise translated(copy, error) from error
    finally:
        fresh.unlink(missing_ok=True)


def _take_out_raw_json(path: Path) -> None:
    """Objects that failed validation may hold anything: only their error is published.

    A value that is set to null stays in the file's free blocks: then the file is written anew.
    """
    with duckdb.connect(str(path)) as connection:
        if not _has_quarantine(connection):
            return
        connection.execute("UPDATE ops.quarantine SET raw_json = NULL")
    _write_anew(path)


def _has_quarantine(connection: duckdb.DuckDBPyConnection) -> bool:
    tables = connection.execute(
        "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'ops' AND table_name = 'quarantine'"
    ).fetchall()
    rows = connection.execute("SELECT 1 FROM ops.quarantine LIMIT 1").fetchall() if tables else []
    return bool(rows)


def _write_anew(path: Path) -> None:
    anew = path.with_name(f"{path.name}.anew")
    try:
        with duckdb.connect() as connection:
            connection.execute(f"ATTACH {quoted(str(path))} AS held (READ_ONLY)")
            connection.execute(
                f"ATTACH {quoted(str(anew))} AS anew (STORAGE_VERSION '{STORAGE_VERSION}')"
            )
            connection.execute("COPY FROM DATABASE held TO anew")
        anew.replace(path)
    finally:
        anew.unlink(missing_ok=True)


if __name__ == "__main__":
    try:
        copy_and_replace(Path(sys.argv[1]), Path(sys.argv[2]))
    except ActionableError as error:
        sys.exit(error.what)  # the parent adds where and what to do
