"""Swap the analysts' copy: checkpoint the live file, let a child process copy it, replace.

The child copies because opening and closing the live file inside the process that writes it
would drop that process's lock on it.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb

from dify_etl.home import COPY, Access, Home, give
from dify_etl.private_files import sync_to_disk
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.database import STORAGE_VERSION, Database, open_database
from dify_etl.warehouse.errors import WarehouseError, WarehouseUnwritable
from dify_etl.warehouse.tables import Column, Table, frame, quoted
from dify_etl.warehouse.upsert import put

PUBLISHED = Table(
    "ops",
    "published",
    "One row per published copy.",
    ("published_at",),
    (
        Column("published_at", "TIMESTAMPTZ", "When the copy was made, UTC."),
        Column("run_id", "VARCHAR", "The run that made it."),
        Column("through_date", "DATE", "The last local day that the copy covers."),
        Column("live_bytes", "BIGINT", "Bytes of the live file then: how the warehouse grows."),
    ),
    keeps_history=False,
)


# What a killed copy or rewriting leaves behind: nobody reads it, and it may hold anything.
_LEFT_BEHIND = re.compile(
    r"\.dify\.duckdb\.(\d+)(\.anew)?(\.wal|\.tmp)?|(live|dify)\.duckdb\.anew(\.wal|\.tmp)?"
)
IDLE_SECONDS = 3600.0  # a copy that is being made is written to all the time


@dataclass(frozen=True)
class CopyPlace:
    """Where the copy for analysts stands, and who may read it."""

    folder: Path
    access: Access = field(default_factory=Access)

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / COPY

    @property
    def target(self) -> Path:
        """What is replaced: where the operator made a link, the file behind it. OSError: a loop."""
        return self.path.resolve() if self.path.is_symlink() else self.path


def publish(
    home: Path,
    *,
    run_id: str,
    through: date,
    wait_seconds: float = 60.0,
    place: CopyPlace | None = None,
) -> Path:
    """Make `dify.duckdb` (in the home, or at `place`) the state of `home/live.duckdb`; answers its
    path.

    Analysts with the old copy open keep reading it; whoever opens it afterwards sees the new one.
    With the copy elsewhere, one that was left in the home is deleted once the new one stands.
    Call it under the home's lock. WarehouseBusy, WarehouseUnwritable: the old copy stays.
    """
    live, place = Home(home).live, place or CopyPlace(home)
    try:
        target = place.target
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep_left_behind(target.parent)
    except (OSError, RuntimeError) as error:  # Python before 3.13 tells a loop of links so
        raise _not_made(str(error), place.path) from error
    with open_database(live, wait_seconds=wait_seconds) as database:
        database.ensure(PUBLISHED)
        size = live.stat().st_size
        row: dict[str, object] = {"published_at": utc_now(), "run_id": run_id}
        row |= {"through_date": through, "live_bytes": size}
        with database.transaction():
            put(database, PUBLISHED, frame(PUBLISHED, [row]))
        database.execute("CHECKPOINT live")
        try:
            _copy_and_replace(database, live, target, place.access)
        except BaseException:
            # Where even that fails, the copy's own rows tell that it was not made.
            with suppress(duckdb.Error, WarehouseError), database.transaction():
                database.execute(
                    "DELETE FROM ops.published WHERE published_at = ?", [row["published_at"]]
                )
            raise
    if (old := left_copy(home, place)) is not None:
        for path in (old, old.with_name(f"{old.name}.wal")):
            path.unlink(missing_ok=True)
    return place.path


def left_copy(home: Path, place: CopyPlace) -> Path | None:
    """The copy that an earlier setting left in the home, when `place` is elsewhere: all
    conversations, as of then. A link is the operator's, and no such copy.
    """
    old = Home(home).copy
    is_left = old.is_file() and not old.is_symlink() and place.folder.resolve() != home.resolve()
    return old if is_left else None


def sweep_left_behind(folder: Path) -> tuple[int, int]:
    """Delete what killed copies and rewritings left in a folder; answers files and bytes.

    Call it under the home's lock. What a living process wrote to within the hour stays.
    """
    files = size = 0
    for path in folder.iterdir() if folder.is_dir() else ():
        found = _LEFT_BEHIND.fullmatch(path.name)
        if not found or path.is_symlink() or _is_in_use(path, found[1]):
            continue
        parts = [one for one in (path, *path.rglob("*")) if one.is_file()]
        files, size = files + len(parts), size + sum(one.stat().st_size for one in parts)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return files, size


def _is_in_use(path: Path, process: str | None) -> bool:
    """Whether the process that makes a copy still does; None: no process is told."""
    if process is None or int(process) == os.getpid():
        return False
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # somebody else's process
    # A number comes again, in containers every night: then only the file tells.
    return time.time() - path.stat().st_mtime < IDLE_SECONDS


def _copy_and_replace(database: Database, live: Path, copy: Path, access: Access) -> None:
    """Copy, take out what analysts must not get, fsync, rename onto the copy.

    Until the last step the file is its owner's alone.
    """
    fresh = copy.with_name(f".{copy.name}.{os.getpid()}")
    try:
        _copy_in_child(live, fresh)
        _take_out_raw_json(database, fresh)
        give(fresh, access)
        sync_to_disk(fresh)
        fresh.replace(copy)
    except WarehouseError as error:
        raise _not_made(error.what, copy) from error
    except (OSError, duckdb.Error) as error:
        raise _not_made(str(error).splitlines()[0], copy) from error
    finally:
        for path in (fresh, fresh.with_name(f"{fresh.name}.wal")):
            path.unlink(missing_ok=True)


def _copy_in_child(live: Path, fresh: Path) -> None:
    child = subprocess.run(  # nosec B603 # a module of ours, with paths of the settings
        [sys.executable, "-m", "dify_etl.warehouse.copying", str(live), str(fresh)],
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode:
        told = child.stderr.strip().splitlines()[-1:] or ["no message"]
        raise OSError(told[0])


def _not_made(reason: str, copy: Path) -> WarehouseUnwritable:
    return WarehouseUnwritable(
        f"the published copy was not made: {reason}",
        where=str(copy),
        hint="The old copy stays. Free disk space (a copy needs as much as the live file), or "
        "correct DIFY_ETL_COPY, DIFY_ETL_COPY_GROUP or what stands in the way, and run again.",
    )


def _take_out_raw_json(database: Database, fresh: Path) -> None:
    """Objects that failed validation may hold anything: only their error is published.

    A value that is set to null stays in the file's free blocks: then the file is written anew.
    duckdb.Error, before anything stands in the copy's place, when the file is no database.
    """
    is_any = _holds_quarantine(database)
    anew = fresh.with_name(f"{fresh.name}.anew")
    database.execute(f"ATTACH {quoted(str(fresh))} AS copied{'' if is_any else ' (READ_ONLY)'}")
    try:
        with database.detached_at_the_end("copied"):
            if is_any:
                database.execute("UPDATE copied.ops.quarantine SET raw_json = NULL")
                database.execute(
                    f"ATTACH {quoted(str(anew))} AS anew (STORAGE_VERSION '{STORAGE_VERSION}')"
                )
                with database.detached_at_the_end("anew"):
                    database.execute("COPY FROM DATABASE copied TO anew")
        if is_any:
            anew.replace(fresh)
    finally:
        anew.unlink(missing_ok=True)


def _holds_quarantine(database: Database) -> bool:
    tables = database.rows(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = 'live' AND schema_name = 'ops' "
        "AND table_name = 'quarantine'"
    )
    return bool(tables and database.rows("SELECT 1 FROM ops.quarantine LIMIT 1"))
