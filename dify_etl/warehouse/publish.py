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

from dify_etl.warehouse.database import open_database, utc_now
from dify_etl.warehouse.errors import WarehouseUnwritable, translated
from dify_etl.warehouse.ledger import PUBLISHED
from dify_etl.warehouse.tables import frame
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
        _without_raw_json(fresh)
        with fresh.open("rb") as written:
            os.fsync(written.fileno())
        fresh.replace(copy)
    except (OSError, duckdb.Error) as error:
        raise translated(copy, error) from error
    finally:
        fresh.unlink(missing_ok=True)


def _without_raw_json(path: Path) -> None:
    """Objects that failed validation may hold anything: only their error is published."""
    with duckdb.connect(str(path)) as connection:
        held = connection.execute(
            "SELECT count(*) FROM duckdb_tables() "
            "WHERE schema_name = 'ops' AND table_name = 'quarantine'"
        ).fetchone()
        if held and held[0]:
            connection.execute(
                "UPDATE ops.quarantine SET raw_json = NULL WHERE raw_json IS NOT NULL"
            )
        connection.execute("CHECKPOINT")


if __name__ == "__main__":
    copy_and_replace(Path(sys.argv[1]), Path(sys.argv[2]))
