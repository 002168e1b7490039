"""What differs between a DuckDB file and DuckLake: how each is attached, written by many processes,
partitioned, compacted and emptied of what must be gone. Everything else is the same SQL on both.

A file is swapped whole, as the copy for analysts is: a writer copies it, writes the copy, and puts
that in its place, under a lock file. Who has it open reads on. A lake takes many writers at once;
whoever meets the commit of another one runs its whole transaction again.
"""

import glob
import logging
import os
import random
import re
import shutil
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from dify_etl.home import give
from dify_etl.interrupts import check_interrupt
from dify_etl.private_files import LockHeld, private_files, process_lock, sync_to_disk
from dify_etl.shared_warehouse.errors import (
    SharedCatalogOfAnotherVersion,
    SharedWarehouseBusy,
    SharedWarehouseError,
    SharedWarehouseUnavailable,
)
from dify_etl.shared_warehouse.lake_files import (
    METADATA,
    claim_files,
    files_lost,
    lost_files,
    require_files,
)
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.warehouse.copying import copy_file
from dify_etl.warehouse.database import STORAGE_VERSION
from dify_etl.warehouse.published_copy import identifier
from dify_etl.warehouse.tables import quoted

NAME = "shared"  # of the attached warehouse; that of the published copy is `home`
MEMORY_LIMIT = "1GB"  # what needs more spills
# DuckDB holds a ten thousandth of it for every object that is being written to an S3, for each
# month of a table: 80 MB as it is set without us, 5 MB with the least that it takes.
LARGEST_OBJECT = "50GB"
MAX_TRIES = 40  # of a transaction that meets commits of others
LONGEST_PAUSE_SECONDS = 4.0
_CONFLICTS = (
    "transaction conflict",
    "exceeded the maximum retry count",  # of DuckLake's own tries to be the next snapshot
    "write-write conflict",
    "duplicate key value",
    "could not serialize access",
    "deadlock detected",
    "database is locked",
)
# A compaction deletes what it has merged, under the hands of who began before its commit.
_GONE = ("no such file", "404 (not found)", "http 404")
_LOCKED = ("could not set lock", "database is locked")
# Types that DuckLake stores, as it need not be asked.
_IN_A_LAKE = re.compile(
    r"BOOLEAN|INTEGER|(BIG|HUGE)INT|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)|VARCHAR|JSON|DATE|TIME"
    r"|TIMESTAMP( WITH TIME ZONE)?"
)
_BY_SCHEME = {"s3": "httpfs", "gs": "httpfs", "gcs": "httpfs", "r2": "httpfs", "az": "azure"}
_BY_CATALOG = {"postgres": "postgres_scanner", "sqlite": "sqlite_scanner"}
_OTHER_VERSION = re.compile(
    r"catalog version is (\S+), but the extension requires version ([\w.-]*\w)"
)
_SNAPSHOTS = f"FROM ducklake_snapshots('{NAME}')"
WORKSPACE = "workspace_id"
log = logging.getLogger(__name__)
LARGEST_TEXT = 8 * "\U0010ffff"  # no character comes after that one, and no text begins with it
R = TypeVar("R")


@dataclass(frozen=True)
class SharedWarehouse:
    """The attached warehouse, under the name `shared`; one thread owns it."""

    connection: duckdb.DuckDBPyConnection
    place: SharedPlace

    @property
    def is_lake(self) -> bool:
        """Whether it is a DuckLake."""
        return self.place.is_lake

    def execute(self, sql: str, parameters: object = None) -> duckdb.DuckDBPyConnection:
        """Run one statement. duckdb.Error as it comes: `transaction` and `clear` translate it."""
        check_interrupt()
        return self.connection.execute(sql, parameters)

    def rows(self, sql: str, parameters: object = None) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self.execute(sql, parameters).fetchall()

    def value(self, sql: str, parameters: object = None) -> Any:
        """The first value of the first row; None without a row."""
        found = self.rows(sql, parameters)
        return found[0][0] if found else None

    def transaction(self, work: Callable[[], R], *, message: str = "", mark: str = "") -> R:
        """Do `work` in one transaction, and again as a whole when another writer committed what it
        builds on. A lake's snapshot gets the message, and the mark as its extra information.

        What takes more memory than the bound is done once more with what the machine has.
        SharedWarehouseBusy when every try met another writer, SharedWarehouseUnavailable for what
        else DuckDB says.
        """
        for tries in range(1, MAX_TRIES + 1):
            try:
                self.execute("BEGIN TRANSACTION")
                if self.is_lake and message:
                    told = f"{quoted(NAME)}, 'dify-etl', {quoted(message)}"
                    self.execute(
                        f"CALL ducklake_set_commit_message({told}, extra_info => {quoted(mark)})"
                    )
                done = work()
                self.execute("COMMIT")
                return done
            except BaseException as error:
                with suppress(duckdb.Error):
                    self.connection.execute("ROLLBACK")
                if not isinstance(error, duckdb.Error):
                    raise
                if isinstance(error, duckdb.OutOfMemoryException) and self._take_all_memory():
                    continue
                if self.is_lake and _says(error, _GONE):
                    self._require_files()
                elif not _is_conflict(error):
                    raise self.clear(error) from None
            pause = min(LONGEST_PAUSE_SECONDS, 0.05 * 1.5**tries)
            time.sleep(pause * random.uniform(0.5, 1.5))  # nosec B311 # no secret
        raise self.busy()

    def _require_files(self) -> None:
        """SharedFilesLost when the newest snapshot names a file that is gone; else a new try of the
        transaction finds what took its place.
        """
        try:
            lost = lost_files(self)
        except duckdb.Error as error:
            raise self.clear(error) from None
        if lost:
            raise files_lost(self.place, lost)

    def _take_all_memory(self) -> bool:
        """Whether there is more than the bound, which is gone then."""
        most = _all_memory()
        held = "parse_formatted_bytes(current_setting('memory_limit'))"
        if not self.value(f"SELECT parse_formatted_bytes({quoted(most)}) > {held}"):
            return False
        log.warning("the shared warehouse takes more than %s of memory: all there is", MEMORY_LIMIT)
        self.execute(f"SET memory_limit = {quoted(most)}")
        return True

    def busy(self) -> SharedWarehouseBusy:
        """That others write all the time."""
        return SharedWarehouseBusy(
            f"{MAX_TRIES} tries in a row met commits of other writers; nothing was written",
            where=self.place.name,
            hint="Let fewer workspaces publish at once, then run `dify-etl warehouse publish`.",
        )

    def clear(self, error: duckdb.Error) -> SharedWarehouseError:
        """What DuckDB says, without secrets and with what to do."""
        return unavailable(self.place, error)

    def stored_type(self, kind: str) -> str:
        """The type in which a column of this type is kept: a lake has text for what it does not
        store, as ENUM, BIT, or an array of fixed length, within lists and structs too.
        """
        if not self.is_lake or _IN_A_LAKE.fullmatch(kind):
            return kind
        with closing(self.connection.cursor()) as aside:  # an error would end a transaction
            aside.execute("BEGIN TRANSACTION")
            try:
                aside.execute(f"CREATE TABLE {NAME}.main.{identifier(uuid.uuid4().hex)} (x {kind})")
            except (duckdb.NotImplementedException, duckdb.InvalidInputException):
                return "VARCHAR"
            finally:
                with suppress(duckdb.Error):
                    aside.execute("ROLLBACK")
        return kind

    def partition(self, table: str, day: str | None) -> None:
        """Have a new table's rows kept by workspace, and by month where they have a day."""
        if not self.is_lake:
            return
        by = [WORKSPACE]
        if day is not None:
            by += [f"year({identifier(day)})", f"month({identifier(day)})"]
        self.execute(f"ALTER TABLE {table} SET PARTITIONED BY ({', '.join(by)})")

    def widen(self, table: str, column: str, kind: str) -> None:
        """Give a column another type, whatever other workspaces have in it; where a value of theirs
        cannot be of that type, duckdb.ConversionException.

        DuckLake only widens some types in place: there the column is made anew.
        """
        name, spare = identifier(column), identifier(f"{column} (before)")
        if not self.is_lake:
            self.execute(f"ALTER TABLE {table} ALTER {name} SET DATA TYPE {kind}")
            return
        self.execute(f"ALTER TABLE {table} RENAME {name} TO {spare}")
        self.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")
        self.execute(f"UPDATE {table} SET {name} = CAST({spare} AS {kind})")
        self.execute(f"ALTER TABLE {table} DROP COLUMN {spare}")


@dataclass(frozen=True)
class Figures:
    """How large it is: data files and their bytes, and snapshots (1: a file has but its last)."""

    files: int
    bytes: int
    snapshots: int


def figures(warehouse: SharedWarehouse) -> Figures:
    """How large the warehouse is now."""
    if not warehouse.is_lake:
        size = warehouse.value(
            "SELECT total_blocks * block_size FROM pragma_database_size() "
            f"WHERE database_name = '{NAME}'"
        )
        return Figures(1, int(size), 1)
    files, size = warehouse.rows(
        f"""SELECT coalesce(sum(file_count + delete_file_count), 0),
            coalesce(sum(file_size_bytes + delete_file_size_bytes), 0)
        FROM ducklake_table_info('{NAME}')"""
    )[0]
    return Figures(int(files), int(size), int(warehouse.value(f"SELECT count(*) {_SNAPSHOTS}")))


def compact(warehouse: SharedWarehouse, *, keep_days: int) -> None:
    """Merge small files of a lake, forget snapshots that are older than so many days, and delete
    the files that no snapshot has any more; what cut-off writers left behind as well, after a day.

    What a file has deleted is gone with its swap, see `opened`. Call it under the lock of upkeep.
    SharedFilesLost, before anything is done, when data files are gone.
    """
    if not warehouse.is_lake:
        return
    require_files(warehouse)
    old = f"older_than => now() - INTERVAL {int(keep_days)} DAY"
    for call in (
        f"ducklake_rewrite_data_files('{NAME}')",
        f"ducklake_merge_adjacent_files('{NAME}')",
        f"ducklake_expire_snapshots('{NAME}', {old})",
        f"ducklake_cleanup_old_files('{NAME}', cleanup_all => true)",
        f"ducklake_delete_orphaned_files('{NAME}', older_than => now() - INTERVAL 1 DAY)",
    ):
        _call(warehouse, call)


def purge(warehouse: SharedWarehouse) -> None:
    """Leave nothing of what was deleted from a lake: no older snapshot, no row in a file behind a
    list of deleted ones, and no text as the least or largest value of a column in the catalog.
    Readers of older snapshots end.
    """
    if not warehouse.is_lake:
        return
    for call in (
        f"ducklake_rewrite_data_files('{NAME}', delete_threshold => 0)",
        f"ducklake_expire_snapshots('{NAME}', older_than => now())",
        f"ducklake_cleanup_old_files('{NAME}', cleanup_all => true)",
    ):
        _call(warehouse, call)
    # DuckLake widens what it keeps of a whole column, and never narrows it. Without bounds it would
    # take the next rows' for those of all, and pass over the others: so these hold every text.
    warehouse.transaction(
        lambda: warehouse.execute(
            f"""UPDATE {METADATA}.ducklake_table_column_stats
            SET min_value = '', max_value = {quoted(LARGEST_TEXT)}
            WHERE (table_id, column_id) IN (SELECT (table_id, column_id)
                FROM {METADATA}.ducklake_column WHERE column_type IN ('varchar', 'json'))"""
        )
    )


def write_catalog_anew(place: SharedPlace) -> None:
    """A lake's catalog that is a file keeps what was deleted in free blocks: write it anew, while
    nobody has it open. SharedWarehouseBusy, SharedWarehouseUnavailable.
    """
    path = place.catalog_file
    if path is None:
        return
    if place.catalog == "sqlite":
        try:
            with closing(sqlite3.connect(path, timeout=place.wait_seconds)) as catalog:
                catalog.execute("VACUUM")
        except sqlite3.Error as error:
            raise held_by(place, str(error)) from None
        return
    anew = path.with_name(f".{path.name}.anew")
    try:
        with duckdb.connect() as connection:
            anew.unlink(missing_ok=True)
            _attach(connection, place, f"ATTACH {quoted(str(path))} AS {NAME}")
            connection.execute(f"ATTACH {quoted(str(anew))} AS anew")
            connection.execute(f"COPY FROM DATABASE {NAME} TO anew")
            connection.execute("DETACH anew")
            shutil.copymode(path, anew)
            sync_to_disk(anew)
            anew.replace(path)
    except (OSError, duckdb.Error) as error:
        raise unavailable(place, error) from None
    finally:
        anew.unlink(missing_ok=True)


def _call(warehouse: SharedWarehouse, call: str) -> None:
    """A function of DuckLake that writes. Its rows hold instants, which not every Python gets."""
    warehouse.transaction(lambda: warehouse.value(f"SELECT count(*) FROM {call}"))


def delete_left_files(warehouse: SharedWarehouse, workspace_id: str) -> None:
    """Delete what cut-off writers of this workspace left behind in a lake. Call it under the lock
    of its home and that of upkeep, or files that are written now are gone. What is in an object
    store waits for `compact`.
    """
    if not warehouse.is_lake:
        return
    listed = f"ducklake_delete_orphaned_files('{NAME}', dry_run => true, cleanup_all => true)"
    for (path,) in warehouse.rows(
        f"SELECT path FROM {listed} WHERE contains(path, ?)", [f"/{WORKSPACE}={workspace_id}/"]
    ):
        if "://" not in path:
            Path(path).unlink(missing_ok=True)


@contextmanager
def opened(place: SharedPlace, *, is_anew: bool = False) -> Iterator[SharedWarehouse]:
    """Attach the warehouse for writing; it is made where it is missing.

    A file is swapped when the block ends without an error; `is_anew` leaves the blocks behind that
    hold what was deleted. SharedWarehouseBusy after `wait_seconds`, SharedWarehouseUnavailable.
    """
    with ExitStack() as stack:
        if not place.is_lake or not place.access.is_shared:
            stack.enter_context(private_files())
        connection = stack.enter_context(_connected(place))
        warehouse = SharedWarehouse(connection, place)
        if place.is_lake:
            _attach(connection, place, _lake_statement(place))
            try:
                claim_files(warehouse)
            except (OSError, duckdb.Error) as error:
                raise unavailable(place, error) from None
        else:
            stack.enter_context(_swapped(connection, place, is_anew=is_anew))
        yield warehouse


@contextmanager
def opened_to_read(place: SharedPlace) -> Iterator[SharedWarehouse]:
    """Attach it as analysts do, one snapshot for the whole block."""
    with _connected(place) as connection:
        if place.is_lake:
            _attach(connection, place, _lake_statement(place, "READ_ONLY"))
        else:
            _attach(connection, place, f"ATTACH {quoted(str(place.file))} AS {NAME} (READ_ONLY)")
        connection.execute("BEGIN TRANSACTION")
        yield SharedWarehouse(connection, place)


def attach_copy(warehouse: SharedWarehouse, copy: Path) -> None:
    """Attach a home's published copy beside it, as `home`, to be read."""
    try:
        warehouse.execute(f"ATTACH {quoted(str(copy))} AS home (READ_ONLY)")
    except duckdb.Error as error:
        raise SharedWarehouseUnavailable(
            f"the published copy cannot be opened: {_first_line(error)}",
            where=str(copy),
            hint="`dify-etl sync` makes it anew.",
        ) from None


def _all_memory() -> str:
    """What DuckDB takes of this machine by itself. A RESET tells this as well, but the DuckDB of
    lakes (1.5) keeps to the bound all the same.
    """
    with duckdb.connect() as fresh:
        ((most,),) = fresh.execute("SELECT current_setting('memory_limit')").fetchall()
    return str(most)


def unavailable(place: SharedPlace, error: Exception) -> SharedWarehouseError:
    """The error for what DuckDB or the disk says: SharedWarehouseUnavailable, or
    SharedCatalogOfAnotherVersion. Raise it `from None`: causes are shown with their
    messages, which quote the address with its password.
    """
    said = place.without_secrets(_first_line(error))
    if match := _OTHER_VERSION.search(said):
        return _other_version(place, *match.groups())
    if isinstance(error, duckdb.ConversionException):  # it quotes the value, somebody's text
        said = "a value cannot be of the type that a column has, or gets, there"
    todo = "Correct DIFY_ETL_WAREHOUSE or DIFY_ETL_LAKE_PATH, or what stands in the way (server, "
    todo += "rights, disk)"
    if isinstance(error, duckdb.OutOfMemoryException):
        todo = "Give this machine, or its container, more memory"
    return SharedWarehouseUnavailable(
        f"the shared warehouse cannot be used: {said}",
        where=place.name,
        hint=f"{todo}, then run `dify-etl warehouse publish`. The home has everything.",
    )


def _other_version(place: SharedPlace, held: str, ours: str) -> SharedCatalogOfAnotherVersion:
    is_older = _numbers(held) <= _numbers(ours)  # 0.4-dev1 is before 0.4
    older = (
        "`dify-etl warehouse upgrade` brings it to this version, once and for all: from then on "
        f"analysts, and other homes, need DuckDB {duckdb.__version__} or newer. Back the catalog "
        "up first."
    )
    newer = "A newer DuckDB upgraded it: upgrade dify-etl here, as in the home that did so."
    return SharedCatalogOfAnotherVersion(
        f"the catalog of the lake is of DuckLake {held}, that of DuckDB {duckdb.__version__} is "
        f"{ours}",
        where=place.name,
        hint=older if is_older else newer,
    )


def _numbers(version: str) -> list[int]:
    return [int(one) for one in re.findall(r"\d+", version)][:2]


def upgrade_catalog(place: SharedPlace) -> str:
    """Bring a lake's catalog to the version of DuckLake that this DuckDB has; answers which that
    is. An older DuckDB opens it no more. SharedWarehouseBusy, SharedWarehouseUnavailable,
    SharedCatalogOfAnotherVersion: it is newer.
    """
    with _connected(place) as connection:
        try:
            _attach(connection, place, _lake_statement(place))
        except SharedCatalogOfAnotherVersion as error:
            try:
                _attach(connection, place, _lake_statement(place, "AUTOMATIC_MIGRATION TRUE"))
            except SharedWarehouseUnavailable as failed:
                if "are supported" not in failed.what:
                    raise
                raise error from None
        version = "SELECT value FROM {}.ducklake_metadata WHERE key = 'version'"
        return str(SharedWarehouse(connection, place).value(version.format(METADATA)))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), "no message")


def _is_conflict(error: duckdb.Error) -> bool:
    return not _says(error, ("permission denied",)) and _says(error, _CONFLICTS)


def _says(error: duckdb.Error, signs: Iterable[str]) -> bool:
    said = str(error).lower()
    return any(sign in said for sign in signs)


@contextmanager
def _connected(place: SharedPlace) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET memory_limit = '{MEMORY_LIMIT}'")
        connection.execute(f"SET temp_directory = {quoted(str(place.spill))}")
        # Rows are inserted in the order that is asked for, and others need none.
        connection.execute("SET preserve_insertion_order = false")
        extensions = _extensions(place)
        for extension in extensions:
            load_extension(connection, extension)
        if "httpfs" in extensions:
            connection.execute(f"SET s3_uploader_max_filesize = {quoted(LARGEST_OBJECT)}")
        try:
            yield connection
        finally:
            # A lake outlives its connection at times, with all files that it has attached.
            for statement in ("ROLLBACK", "DETACH home", f"DETACH {NAME}"):
                with suppress(duckdb.Error):
                    connection.execute(statement)


def _extensions(place: SharedPlace) -> list[str]:
    if not place.is_lake:
        return []
    found = ["ducklake"]
    if place.catalog in _BY_CATALOG:
        found.append(_BY_CATALOG[place.catalog])
    scheme, is_address, _ = (place.data_path or "").partition("://")
    if is_address:
        found.append(_BY_SCHEME.get(scheme, "httpfs"))
    return found


def load_extension(connection: duckdb.DuckDBPyConnection, extension: str) -> None:
    """Load an extension: from its Python package, from DuckDB's folder, or from the network."""
    try:
        if (packaged := _packaged(extension)) is not None:
            connection.execute(f"LOAD {quoted(str(packaged))}")
            return
        try:
            connection.execute(f"LOAD {extension}")
        except duckdb.Error:
            connection.execute(f"INSTALL {extension}")
            connection.execute(f"LOAD {extension}")
    except duckdb.Error as error:
        package = f"duckdb-extension-{extension.replace('_', '-')}"
        raise SharedWarehouseUnavailable(
            f"DuckDB {duckdb.__version__} has no extension {extension}: {_first_line(error)}",
            where="DIFY_ETL_WAREHOUSE",
            hint=f"Once, with a network: `INSTALL {extension}` in DuckDB of this version; or "
            f"`pip install {package}=={duckdb.__version__}`, where there is one.",
        ) from None


def _packaged(extension: str) -> Path | None:
    """The file of an extension that was installed as a Python package of this DuckDB's version."""
    found = find_spec(f"duckdb_extension_{extension}")
    for folder in (found.submodule_search_locations or ()) if found else ():
        file = f"extensions/v{duckdb.__version__}/{extension}.duckdb_extension"
        if (path := Path(folder, file)).exists():
            return path
    return None


def _lake_statement(place: SharedPlace, *options: str) -> str:
    # Small inserts stay out of the catalog: what is forgotten must be gone with its file.
    options = (*options, "DATA_INLINING_ROW_LIMIT 0")
    if place.data_path is not None:
        options = (*options, f"DATA_PATH {quoted(place.data_path)}")
    return f"ATTACH {quoted(place.target.get_secret_value())} AS {NAME} ({', '.join(options)})"


def _attach(connection: duckdb.DuckDBPyConnection, place: SharedPlace, statement: str) -> None:
    """Attach, and wait while another process holds the file of a catalog."""
    deadline = time.monotonic() + place.wait_seconds
    while True:
        check_interrupt()
        try:
            connection.execute(statement)
            return
        except duckdb.Error as error:
            said = str(error).lower()
            # Of two that make a new catalog at once, one finds half of it.
            is_passing = any(sign in said for sign in _LOCKED) or _is_conflict(error)
            is_passing |= "already exists" in said and place.is_lake
            if not is_passing:
                raise unavailable(place, error) from None
            if time.monotonic() >= deadline:
                raise held_by(place, place.without_secrets(_first_line(error))) from None
        time.sleep(random.uniform(0.02, 0.1))  # nosec B311 # no secret


def held_by(place: SharedPlace, holder: str) -> SharedWarehouseBusy:
    """That somebody else has it, in words."""
    return SharedWarehouseBusy(
        f"another process holds it: {holder}; waited {place.wait_seconds:g} s",
        where=place.name,
        hint="Let it end, then run `dify-etl warehouse publish`; several writers at once take a "
        "lake with its catalog in PostgreSQL.",
    )


@contextmanager
def _swapped(
    connection: duckdb.DuckDBPyConnection, place: SharedPlace, *, is_anew: bool
) -> Iterator[None]:
    """Attach a copy of the file, and put it in the file's place at the end."""
    target = place.file.resolve()

    def refused(error: OSError | LockHeld) -> Exception:
        is_held = isinstance(error, LockHeld)
        return held_by(place, str(error)) if is_held else unavailable(place, error)

    lock = target.with_name(f"{target.name}.lock")
    with process_lock(lock, wait_seconds=place.wait_seconds, refused=refused):
        for left in target.parent.glob(f".{glob.escape(target.name)}.*"):
            left.unlink(missing_ok=True)  # of a writer that was killed: the lock is ours
        fresh = target.with_name(f".{target.name}.{os.getpid()}")
        anew = fresh.with_name(f"{fresh.name}.anew")
        try:
            if target.exists():
                copy_file(target, fresh)
            _attach_file(connection, fresh, NAME)
            yield
            if is_anew:
                _attach_file(connection, anew, "anew")
                connection.execute(f"COPY FROM DATABASE {NAME} TO anew")
                connection.execute("DETACH anew")
                fresh, spare = anew, fresh
                spare.unlink()
            connection.execute(f"CHECKPOINT {NAME}")
            connection.execute(f"DETACH {NAME}")
            give(fresh, place.access)
            sync_to_disk(fresh)
            fresh.replace(target)
        except (OSError, duckdb.Error) as error:
            raise unavailable(place, error) from None
        finally:
            with suppress(duckdb.Error):
                connection.execute(f"DETACH {NAME}")
            for left in target.parent.glob(f".{glob.escape(target.name)}.*"):
                left.unlink(missing_ok=True)


def _attach_file(connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    connection.execute(
        f"ATTACH {quoted(str(path))} AS {name} (STORAGE_VERSION '{STORAGE_VERSION}')"
    )
