"""Bring a home that an earlier version made to what this one keeps: numbered steps, each run once.

A step and its row in ops.migrations are committed together, and files are swapped whole: whenever
it is cut off, the next start goes on where it stopped. New columns need no step, see
`Database.ensure`.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from dify_etl.home import Home, give
from dify_etl.private_files import private_files
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.errors import WarehouseNewer, translated
from dify_etl.warehouse.publish import CopyPlace, sweep_left_behind
from dify_etl.warehouse.tables import Column, Table, quoted
from dify_etl.warehouse.writing_anew import write_anew

MIGRATIONS = Table(
    "ops",
    "migrations",
    "One row per step that brought this file to what a newer version of dify-etl keeps.",
    ("number",),
    (
        Column("number", "BIGINT", "The step, from 1; steps run in this order."),
        Column("step", "VARCHAR", "What it does."),
        Column("rows", "BIGINT", "Rows that it changed; null: the file was made without need."),
        Column("applied_at", "TIMESTAMPTZ", "When it was done, UTC."),
        Column(
            "written_anew_at",
            "TIMESTAMPTZ",
            "When the file was written anew, so that what the step took out is nowhere in it, UTC; "
            "null where nothing had to be.",
        ),
    ),
    keeps_history=False,
)


@dataclass(frozen=True)
class Migration:
    """One step. `apply` runs inside a transaction and answers how many rows it changed.

    removes_text: what it takes out must be gone from the bytes as well, so files are written anew.
    is_for_copy: the published copy gets it at once; else it comes with the next publication.
    """

    number: int
    step: str
    apply: Callable[[Database], int]
    removes_text: bool = False
    is_for_copy: bool = False


def migrate_home(
    home: Path,
    migrations: Sequence[Migration],
    *,
    wait_seconds: float,
    tell: Callable[[str], None],
    compression: str = "auto",
    place: CopyPlace | None = None,
) -> None:
    """Run the steps that this home lacks on its live file and its published copy (`place`).

    Call it under the home's lock. Readers of the copy keep the old one until they open it anew.
    `tell` gets a line per step; `compression` is DuckDB's. WarehouseBusy, WarehouseUnwritable;
    WarehouseNewer, before anything is changed, when a step was done that nobody here knows.
    """
    try:
        live = Home(home).live.resolve()  # where a link stands, the file behind it is mended
        copy = (place or CopyPlace(home)).target
    except (OSError, RuntimeError) as error:  # a loop of links
        raise translated(Home(home).live, OSError(str(error))) from error
    for folder in {home, live.parent, copy.parent}:
        sweep_left_behind(folder)
    if live.exists():
        _migrate(live, live, migrations, wait_seconds, tell, compression)
    for_copy = [one for one in migrations if one.is_for_copy]
    if copy.exists() and _lacks(copy, for_copy):
        with _private_copy(copy) as fresh:
            _migrate(fresh, copy, for_copy, wait_seconds, tell, compression)
        give(copy, (place or CopyPlace(home)).access)


def holds_data(database: Database) -> bool:
    """Whether a sync ever made its tables here."""
    found = database.value(
        "SELECT count(*) FROM duckdb_tables() WHERE database_name = 'live' AND schema_name = 'raw'"
    )
    return bool(found)


def note_made_without(database: Database, migrations: Sequence[Migration]) -> None:
    """A new file needs no step: say so, inside the transaction that makes its tables."""
    for one in _missing(database, migrations):
        _note(database, one, None)


def waiting_steps(database: Database, migrations: Sequence[Migration]) -> list[str]:
    """The steps that the next sync will run on this file, in words; it is only looked at."""
    if not holds_data(database):
        return []
    if not _was_migrated(database):
        return [one.step for one in migrations]
    return [one.step for one in _missing(database, migrations)]


def _migrate(
    path: Path,
    target: Path,
    migrations: Sequence[Migration],
    wait_seconds: float,
    tell: Callable[[str], None],
    compression: str,
) -> None:
    """Run the steps on the file at `path`; it becomes `target` when it was written anew."""
    with open_database(path, wait_seconds=wait_seconds) as database:
        if path == target:  # the copy comes behind the live file
            refuse_newer(database, migrations, target)
        database.ensure(MIGRATIONS)
        if not holds_data(database):
            return
        done = set[Callable[[Database], int]]()
        for one in _missing(database, migrations):
            with database.transaction():
                # Steps of several versions that look for the same find it the first time.
                rows = 0 if one.apply in done else one.apply(database)
                _note(database, one, rows)
            done.add(one.apply)
            tell(f"{target.name}: {one.step}: {rows} rows")
        removing = [str(one.number) for one in migrations if one.removes_text]
        unwritten = (
            f"written_anew_at IS NULL AND rows IS NOT NULL AND number IN ({_or_none(removing)})"
        )
        if database.value(f"SELECT count(*) FROM ops.migrations WHERE {unwritten}"):
            tell(f"{target.name}: written anew, so that nothing of what was removed is left in it")
            moment = utc_now().isoformat()
            write_anew(
                database,
                target,
                last=f"UPDATE anew.ops.migrations SET written_anew_at = TIMESTAMPTZ '{moment}' "
                f"WHERE {unwritten}",
                compression=compression,
            )
        elif path != target:
            database.execute("CHECKPOINT live")
            path.replace(target)


def refuse_newer(database: Database, migrations: Sequence[Migration], target: Path) -> None:
    """WarehouseNewer when a step was done to the open file, at `target`, that nobody here knows."""
    if not _was_migrated(database):
        return
    newest = database.value("SELECT max(number) FROM ops.migrations")
    if newest is not None and newest > max(one.number for one in migrations):
        (step,) = database.rows("SELECT step FROM ops.migrations WHERE number = ?", [newest])[0]
        raise WarehouseNewer(
            f"a newer version of dify-etl wrote this file (step {newest}: {step})",
            where=str(target),
            hint="Install that version again; or restore a backup of before the upgrade, as "
            "docs/running.md says. Nothing was changed.",
        )


def _was_migrated(database: Database) -> bool:
    made = "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'ops' AND table_name = ?"
    return bool(database.rows(made, [MIGRATIONS.name]))


def _or_none(numbers: Sequence[str]) -> str:
    return ", ".join(numbers) or "NULL"


@contextmanager
def _private_copy(copy: Path) -> Iterator[Path]:
    """The published copy's bytes under a name of our own; what stands there at the end is gone."""
    fresh = copy.with_name(f".{copy.name}.{os.getpid()}")
    try:
        try:
            with private_files(), copy.open("rb") as source, fresh.open("wb") as written:
                while block := source.read(8 << 20):
                    written.write(block)
        except OSError as error:
            raise translated(copy, error) from error
        yield fresh
    finally:
        for left in (fresh, fresh.with_name(f"{fresh.name}.wal")):
            left.unlink(missing_ok=True)


def _lacks(path: Path, migrations: Sequence[Migration]) -> bool:
    """Whether a step was not done to a file, or was done and the file not written anew."""
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH {quoted(str(path))} AS held (READ_ONLY)")
        made = "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'ops' AND table_name = ?"
        if not connection.execute(made, [MIGRATIONS.name]).fetchall():
            return True
        done = connection.execute("SELECT number FROM held.ops.migrations").fetchall()
    return not {one.number for one in migrations} <= {number for (number,) in done}


def _missing(database: Database, migrations: Sequence[Migration]) -> list[Migration]:
    done = {number for (number,) in database.rows("SELECT number FROM ops.migrations")}
    return sorted((one for one in migrations if one.number not in done), key=lambda one: one.number)


def _note(database: Database, one: Migration, rows: int | None) -> None:
    database.execute(
        "INSERT INTO ops.migrations (number, step, rows, applied_at) VALUES (?, ?, ?, ?)",
        [one.number, one.step, rows, utc_now()],
    )
