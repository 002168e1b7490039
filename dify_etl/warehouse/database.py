"""One DuckDB file, opened for writing: wait for its lock, make its tables, commit or roll back."""

import random
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from dify_etl.errors import is_interrupt
from dify_etl.interrupts import check_interrupt
from dify_etl.private_files import private_files
from dify_etl.warehouse import errors
from dify_etl.warehouse.tables import (
    POLARS_TYPES,
    Column,
    Table,
    create_statement,
    quoted,
    table_comment,
)

# The newest format that tools with DuckDB 1.5 still open.
STORAGE_VERSION = "v1.5.0"
SCHEMAS = ("raw", "staging", "marts", "exports", "ops")
# What a night takes of a machine on which others, as Dify itself, may live. Ten million messages
# are built with it; what they sort and join beyond it spills beside the file.
MEMORY = "1.6GB"
# What it takes while it loads rows of usual length.
FRUGAL_MEMORY = "160MB"
# Frames that need more: DuckDB works on 2,048 rows at a time, and holds the texts of a commit. Half
# a million ids are as large, and need nothing.
LARGE_BYTES, MANY_BYTES = 1_000_000, 12_000_000
LONG_ROW, USUAL_ROW = 8_000, 1_000  # bytes

TABLE_CHANGES = Table(
    "ops",
    "table_changes",
    "One row per raw table that was ever written: models are built anew when it changes.",
    ("table_name",),
    (
        Column(
            "table_name",
            "VARCHAR",
            "The table, such as raw.messages; (rewritten): its last write that no time tells of, "
            "(measured): the last that ops.partitions knows.",
        ),
        Column("change_id", "VARCHAR", "New whenever the table was written since a model's build."),
    ),
    keeps_history=False,
)
# What tells of a changed row is looked at by builds in parts; other updates change all rows.
_TELLS = re.compile(r"\b(?:changed_at|absent_since)\s*=", re.IGNORECASE)
_NEW_ROWS = re.compile(r"\s*(?:INSERT|MERGE)\b", re.IGNORECASE)
_WRITES = re.compile(
    r"\s*(?:INSERT\s+INTO|UPDATE|DELETE\s+FROM|MERGE\s+INTO|ALTER\s+TABLE)\s+(raw\.\w+)",
    re.IGNORECASE,
)


class ArrowStream:
    """Hands a Polars frame to DuckDB without a copy and without pyarrow."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


@dataclass(eq=False)
class Database:
    """An open live file. One thread owns it; hand it frames, not rows."""

    connection: duckdb.DuckDBPyConnection
    path: Path
    changed: set[str] = field(default_factory=set)  # raw tables, noted in ops.table_changes
    filled: set[str] = field(default_factory=set)  # tables that had rows when they were looked at
    _is_frugal: bool = False  # little memory, unless rows with long texts need more
    _has_room: bool = False  # it was given more, until what needs it is in the file

    def execute(
        self, sql: str, parameters: object = None, *, is_told: bool = False
    ) -> duckdb.DuckDBPyConnection:
        """Run one statement; a full disk or a read-only home becomes WarehouseUnwritable, and what
        DuckDB makes of Ctrl-C amid a query KeyboardInterrupt again.

        An update of raw rows moves their `changed_at` or `absent_since`, or `is_told` by a column
        of their digest (warehouse/partitions.py). After any other the models are built whole.
        """
        self._begin(sql, is_told=is_told)
        with self._translating():
            return self.connection.execute(sql, parameters)

    def _begin(self, sql: str, *, is_told: bool = False) -> None:
        check_interrupt()
        if written := _WRITES.match(sql):
            self._note_change(written[1])
            if not (is_told or _NEW_ROWS.match(sql) or _TELLS.search(sql)):
                self._note_change(f"{written[1]} (rewritten)")

    def _note_change(self, table: str) -> None:
        """Before the write, in its transaction: whoever is killed between both builds once more."""
        if table in self.changed:
            return
        with self._translating():
            self.connection.execute("DELETE FROM ops.table_changes WHERE table_name = ?", [table])
            self.connection.execute("INSERT INTO ops.table_changes VALUES (?, uuid())", [table])
        self.changed.add(table)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            check_interrupt()
            if is_interrupt(error):
                raise KeyboardInterrupt from None
            if not isinstance(error, duckdb.Error):
                raise
            # A full disk shows as several kinds, at COMMIT as well.
            known = errors.translated(self.path, error)
            if known is error:
                raise
            raise known from error

    def rows(self, sql: str, parameters: object = None) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with self._translating():
            return self.execute(sql, parameters).fetchall()

    def value(self, sql: str, parameters: object = None) -> Any:
        """The first value of the first row, None when there is no row."""
        # Fetched whole: an unfinished result would block the connection's next statement.
        found = self.rows(sql, parameters)
        return found[0][0] if found else None

    def frame(self, sql: str) -> pl.DataFrame:
        """The answer of a query as a Polars frame."""
        with self._translating():
            return pl.DataFrame(self.connection.sql(sql))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is committed together or not at all."""
        before = set(self.changed)
        self.execute("BEGIN TRANSACTION")
        try:
            yield
            self.execute("COMMIT")
            self._write_long_rows()
        except BaseException as error:
            # After a fatal error (disk full) DuckDB has rolled back by itself.
            with suppress(duckdb.Error):
                self.connection.execute("ROLLBACK")
            self.changed.intersection_update(before)
            is_known = isinstance(error, errors.WarehouseError)
            if self._is_frugal and not is_known and errors.lacks_memory(error):
                raise errors.out_of_memory(self.path, error) from error
            raise
        finally:
            self._take_room_back()

    @contextmanager
    def detached_at_the_end(self, catalog: str) -> Iterator[None]:
        """Detach a file that was attached beside the warehouse, after Ctrl-C too: whoever opens the
        warehouse next attaches one of the same name.
        """
        try:
            yield
        finally:
            with suppress(duckdb.Error):
                self.connection.execute("USE live")
                self.connection.execute(f"DETACH {catalog}")

    def stage(self, name: str, frame: pl.DataFrame, table: Table) -> None:
        """Put a frame into a temporary table with the column types of `table`."""
        rows = _rows_as(table, frame)
        self.execute_over(frame, f"CREATE OR REPLACE TEMP TABLE {name} AS {rows}")

    def merge(self, table: Table, frame: pl.DataFrame, clauses: str) -> None:
        """MERGE a frame into `table`, whose rows are `t` beside the frame's `s`, by `clauses` from
        ON: without a temporary table, which takes as long as the writing of a few rows.
        """
        rows = _rows_as(table, frame)
        self.execute_over(frame, f"MERGE INTO {table.qualified} t USING ({rows}) s {clauses}")

    def append(self, table: Table, frame: pl.DataFrame, **also: str) -> None:
        """Insert a frame's rows, whose keys the caller knows to be new: half of a MERGE's time.
        `also` is SQL for columns that the frame lacks.
        """
        into = ", ".join(f'"{name}"' for name in (*frame.columns, *also))
        rows = _rows_as(table, frame)
        if also:
            rows = f"SELECT *, {', '.join(also.values())} FROM ({rows})"
        self.execute_over(frame, f"INSERT INTO {table.qualified} ({into}) {rows}")

    def is_empty(self, table: Table) -> bool:
        """Whether a table has no row; of one that had some, nobody asks again."""
        if table.qualified in self.filled:
            return False
        if self.rows(f"SELECT 1 FROM {table.qualified} LIMIT 1"):
            self.filled.add(table.qualified)
            return False
        return True

    def execute_over(self, frame: pl.DataFrame, sql: str) -> None:
        """Run one statement that reads the frame under the name `_frame`."""
        self._begin(sql)
        # DuckDB finds it by its name here, where execute is called: to register it as a view first
        # takes longer than to load a few rows.
        self._make_room_for(frame)
        _frame = ArrowStream(frame)
        with self._translating():
            self.connection.execute(sql)

    def expect_large_commits(self) -> None:
        """For many rows at a time: each checkpoint writes the last rows of each table anew, and of
        a load of thousands per commit there would be one after a few.
        """
        self.execute("SET checkpoint_threshold = '256MB'")

    def expect_small_commits(self) -> None:
        """For many commits of few rows: a second thread costs them more than it gives, and every
        checkpoint writes the last rows of each table anew. What was loaded is not asked again soon,
        so little of it is kept in memory; what needs more spills beside the file.

        Long texts do not spill while they are loaded: frames of them get all of MEMORY.
        """
        self.execute("SET threads = 1")
        self.execute("SET checkpoint_threshold = '48MB'")
        self.execute(f"SET memory_limit = {quoted(FRUGAL_MEMORY)}")
        self._is_frugal = True

    def _make_room_for(self, frame: pl.DataFrame) -> None:
        size = int(frame.estimated_size())
        if not self._is_frugal or self._has_room or size < LARGE_BYTES:
            return
        if has_long_rows(frame) or (size >= MANY_BYTES and size >= USUAL_ROW * frame.height):
            self.bound_memory(MEMORY)
            self._is_frugal = self._has_room = True

    def _write_long_rows(self) -> None:
        """Into the file, while there is room: a checkpoint has their texts in memory, too."""
        if self._has_room:
            self.execute("CHECKPOINT live")

    def _take_room_back(self) -> None:
        if self._has_room:
            self._has_room = False
            with suppress(duckdb.Error):  # it is in use: there is room for the next one as well
                self.connection.execute(f"SET memory_limit = {quoted(FRUGAL_MEMORY)}")

    def bound_memory(self, most: str) -> None:
        """Let queries take so much memory, such as 2GB, or what DuckDB would take of a machine that
        has less; what needs more spills beside the file.
        """
        self._is_frugal = False
        self.free_memory()
        has = "parse_formatted_bytes(current_setting('memory_limit'))"
        if self.value(f"SELECT {has} > parse_formatted_bytes({quoted(most)})"):
            self.execute(f"SET memory_limit = {quoted(most)}")

    def free_memory(self) -> None:
        """Let queries take what the machine has: most of it, as DuckDB does by itself."""
        self.execute("RESET GLOBAL memory_limit")

    def ensure(self, *tables: Table) -> None:
        """Make the tables and comments as specified; new columns are added, none is dropped.

        What is as specified already is not touched: the file is not written anew for it.
        """
        held = self._comments()
        if missing := _missing(tables, held):
            self.execute(";\n".join(create_statement(table) for table in missing))
            held = self._comments()
        changes = [change for table in tables for change in _changes(table, held)]
        if changes:
            self.execute(";\n".join(changes))

    def lacks(self, *tables: Table) -> bool:
        """Whether `ensure` would make a table or add a column."""
        held = self._comments()
        columns = [
            (one.schema, one.name, column.name) for one in tables for column in one.all_columns
        ]
        return bool(_missing(tables, held)) or any(column not in held for column in columns)

    def _comments(self) -> dict[tuple[str, str, str | None], str | None]:
        """Comments by schema, table and column; those of the tables themselves under None."""
        return {
            (schema, name, column): comment
            for schema, name, column, comment in self.rows(
                "SELECT schema_name, table_name, column_name, comment FROM duckdb_columns() "
                "WHERE database_name = 'live' UNION ALL "
                "SELECT schema_name, table_name, NULL, comment FROM duckdb_tables() "
                "WHERE database_name = 'live'"
            )
        }


def has_long_rows(frame: pl.DataFrame) -> bool:
    """Whether rows are of 8 kB and more in the mean."""
    return frame.estimated_size() >= LONG_ROW * max(1, frame.height)


def _missing(
    tables: Iterable[Table], held: Mapping[tuple[str, str, str | None], str | None]
) -> list[Table]:
    return [table for table in tables if (table.schema, table.name, None) not in held]


def _rows_as(table: Table, frame: pl.DataFrame) -> str:
    """The query of a frame's rows under the name `_frame`, with the column types of `table`."""
    casts = ", ".join(
        f'CAST("{name}" AS {table.column(name).type}) AS "{name}"'
        for name, kind in frame.schema.items()
        if _needs_cast(table.column(name), kind)
    )
    return f"SELECT {f'* REPLACE ({casts})' if casts else '*'} FROM _frame"


def _needs_cast(column: Column, kind: pl.DataType) -> bool:
    """Whether DuckDB makes another type of the frame's than the table has. A cast costs more than
    to read a few rows, and so does every column that a statement names.
    """
    return column.type == "JSON" or kind != POLARS_TYPES[column.type]


def _changes(table: Table, held: Mapping[tuple[str, str, str | None], str | None]) -> Iterator[str]:
    """What makes a table as specified; `held` are the comments by schema, table and column."""
    for column in table.all_columns:
        key = (table.schema, table.name, column.name)
        if key not in held:
            yield f'ALTER TABLE {table.qualified} ADD COLUMN "{column.name}" {column.type}'
        if held.get(key) != column.description:
            target = f'{table.qualified}."{column.name}"'
            yield f"COMMENT ON COLUMN {target} IS {quoted(column.description)}"
    if held.get((table.schema, table.name, None)) != table_comment(table):
        yield f"COMMENT ON TABLE {table.qualified} IS {quoted(table_comment(table))}"


@contextmanager
def open_database(path: Path, *, wait_seconds: float = 60.0) -> Iterator[Database]:
    """Open the live file for writing, with the schemas in place.

    Waits for another process's lock with jittered polling of 20-100 ms, up to `wait_seconds`;
    then WarehouseBusy with the holder. WarehouseUnwritable when the home cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise errors.translated(path, error) from error
    with private_files():  # the log and what spills beside the file as well
        yield from _opened(path, wait_seconds)


@contextmanager
def open_to_read(path: Path, *tables: Table, wait_seconds: float) -> Iterator[Database]:
    """Open a live file that is there without a right to write, beside others who read; a writer is
    waited for as by `open_database`.

    A file of an earlier version that lacks one of the `tables` gets it, by being opened for writing
    once. Raises as `open_database`.
    """
    with private_files():
        yield from _opened(path, wait_seconds, needs=tables)


def _opened(
    path: Path, wait_seconds: float, needs: Sequence[Table] | None = None
) -> Iterator[Database]:
    """With `needs`, to read."""
    instance = _IDLE.pop() if _IDLE else duckdb.connect()
    connection = instance.cursor()
    try:
        may_write = needs is None
        _attach(connection, path, wait_seconds, may_write=may_write)
        database = Database(connection, path)
        if needs and database.lacks(*needs):
            connection.execute("DETACH live")
            _attach(connection, path, wait_seconds)
            may_write = True
        database.execute("USE live")
        database.execute("SET TimeZone = 'UTC'")
        database.execute(f"SET temp_directory = {quoted(f'{path}.tmp')}")
        if may_write:
            for schema in SCHEMAS:
                database.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            database.execute(create_statement(TABLE_CHANGES))
            database.ensure(*needs or ())
        yield database
    finally:
        _close(instance, connection)


# DuckDB without a file. To start it takes longer than to open a file, and a night opens the live
# file again for every step; whoever takes one out has it alone.
_IDLE: list[duckdb.DuckDBPyConnection] = []
_OF_THE_FILE = ("threads", "checkpoint_threshold", "memory_limit", "temp_directory")


def _close(instance: duckdb.DuckDBPyConnection, connection: duckdb.DuckDBPyConnection) -> None:
    """Close the file, which frees its lock; what is as new afterwards waits for the next one."""
    try:
        connection.execute("USE memory")
        connection.execute("DETACH live")
        for setting in _OF_THE_FILE:
            connection.execute(f"RESET GLOBAL {setting}")
    except duckdb.Error:  # never attached, amid a transaction, or out of disk
        connection.close()
        instance.close()
    else:
        connection.close()
        _IDLE.append(instance)


def _attach(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    wait_seconds: float,
    *,
    may_write: bool = True,
) -> None:
    how = f"STORAGE_VERSION '{STORAGE_VERSION}'" if may_write else "READ_ONLY"
    statement = f"ATTACH {quoted(str(path))} AS live ({how})"
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            connection.execute(statement)
            return
        except duckdb.IOException as error:
            if not errors.is_locked(error):
                raise errors.translated(path, error) from error
            if time.monotonic() >= deadline:
                raise errors.busy(path, error, wait_seconds) from error
            time.sleep(random.uniform(0.02, 0.1))  # nosec B311 # no secret
