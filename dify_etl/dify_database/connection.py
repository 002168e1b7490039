"""Connections to Dify's PostgreSQL: read only, one snapshot at a time, bounded in time and load.

ADBC hands a result over as Arrow, which Polars takes without a copy and without pyarrow; a driver
of rows would make a Python object of every cell.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlsplit

import adbc_driver_manager
import adbc_driver_postgresql.dbapi
import polars as pl
from pydantic import SecretStr

from dify_etl.dify_database.errors import (
    SETTING,
    DatabaseError,
    DatabaseOdd,
    DatabaseRefused,
    DatabaseTooSlow,
    DatabaseWrong,
    translated,
)
from dify_etl.warehouse.tables import quoted

# One statement reads one chunk: minutes mean that the server has other work, or a lock is held.
STATEMENT_SECONDS, LOCK_SECONDS, IDLE_SECONDS = 120, 5, 600
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

# What a session may do is said four times: by its role (docs/database.md), by the session, by the
# transaction, and by what is sent. One process of the server works for it.
_SESSION = (
    "SET default_transaction_read_only = on",
    "SET TimeZone = 'UTC'",
    f"SET statement_timeout = '{STATEMENT_SECONDS}s'",
    f"SET lock_timeout = '{LOCK_SECONDS}s'",
    f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'",
    "SET max_parallel_workers_per_gather = 0",
    "SET jit = off",  # to compile a statement takes longer than the chunk that it answers
)
log = logging.getLogger(__name__)
_BEGIN = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"


@dataclass(frozen=True)
class DifyDatabase:
    """Where Dify's PostgreSQL is, and as whom it is read. Nothing is connected yet."""

    url: SecretStr = field(repr=False)

    def check(self, workspace_id: str) -> None:
        """DatabaseWrong when it is the database of another Dify, or of none. What may pass, as no
        connection, is left to those who read.
        """
        try:
            with self.snapshot(workspace_id):
                pass
        except DatabaseWrong:
            raise
        except DatabaseError as error:
            log.warning("whose database it is cannot be told yet: %s", type(error).__name__)

    @contextmanager
    def snapshot(self, workspace_id: str) -> Iterator["Snapshot"]:
        """One state of the database, of one workspace, until the block ends.

        DatabaseUnreachable, DatabaseRefused; DatabaseWrong when it has no such workspace.
        """
        address = self.url.get_secret_value()
        password = unquote(urlsplit(address).password or "") or None
        driver = None
        try:
            driver = adbc_driver_postgresql.dbapi.connect(
                address,
                autocommit=True,
            )
            shot = Snapshot(driver, workspace_id, password)
            for statement in (*_SESSION, _BEGIN):
                shot.run(statement)
            shot.check_workspace()
            yield shot
        except adbc_driver_manager.Error as error:
            raise translated(error, password) from None
        finally:
            if driver is not None:
                with suppress(adbc_driver_manager.Error), driver.cursor() as cursor:
                    cursor.execute("ROLLBACK")
                with suppress(adbc_driver_manager.Error):
                    driver.close()


@dataclass
class Snapshot:
    """A transaction that only reads. Two threads must not ask it at once."""

    driver: Any = field(repr=False)
    workspace_id: str
    password: str | None = field(default=None, repr=False)

    def run(self, sql: str) -> None:
        """A statement without an answer."""
        with self._cursor() as cursor:
            cursor.execute(sql)

    def frame(self, sql: str) -> pl.DataFrame:
        """The answer of a SELECT, all of it."""
        with self._cursor() as cursor:
            cursor.execute(sql)
            return pl.DataFrame(cursor.fetch_arrow())

    def try_frame(self, sql: str) -> pl.DataFrame | None:
        """The same; None when the statement takes too long or fails: the snapshot goes on."""
        self.run("SAVEPOINT tried")
        try:
            found = self.frame(sql)
        except (DatabaseTooSlow, DatabaseOdd) as error:
            log.warning("a statement is done without: %s", type(error).__name__)
            found = None
            self.run("ROLLBACK TO SAVEPOINT tried")
        self.run("RELEASE SAVEPOINT tried")
        return found

    @contextmanager
    def walk(self, sql: str) -> Iterator[Callable[[int], pl.DataFrame]]:
        """A function that answers the next rows of a SELECT, as many as it is asked for; one walk
        at a time.
        """
        self.run(f"DECLARE walk NO SCROLL CURSOR FOR {sql}")
        yield self._fetch
        self.run("CLOSE walk")

    def _fetch(self, rows: int) -> pl.DataFrame:
        with self._cursor() as cursor:
            # COPY, the driver's way with a SELECT, does not take a FETCH.
            cursor.adbc_statement.set_options(**{"adbc.postgresql.use_copy": "false"})
            cursor.execute(f"FETCH FORWARD {rows:d} FROM walk")
            return pl.DataFrame(cursor.fetch_arrow())

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        try:
            with self.driver.cursor() as cursor:
                yield cursor
        except (adbc_driver_manager.Error, pl.exceptions.ComputeError) as error:
            # What fails amid a result comes by Polars, which reads it.
            raise translated(error, self.password) from None

    def check_workspace(self) -> None:
        """DatabaseWrong unless it has the workspace that the API answers for."""
        workspace = quoted_uuid(self.workspace_id)
        found = self.frame(f"SELECT count(*) AS workspaces FROM tenants WHERE id = {workspace}")
        if not found.item():
            raise DatabaseWrong(
                f"the database has no workspace {self.workspace_id!r}, for which the API answers",
                where=SETTING,
                hint="Name the database of the Dify at DIFY_BASE_URL; nothing was read.",
            )

    @cached_property
    def columns(self) -> Mapping[str, frozenset[str]]:
        """The columns that this role may read, by table, as the server's catalogue has them."""
        rows = self.frame(
            "SELECT table_name::text AS name, column_name::text AS column_name "
            "FROM information_schema.columns WHERE table_schema = current_schema() AND "
            "has_column_privilege(format('%I.%I', table_schema, table_name), column_name, 'SELECT')"
        )
        found: dict[str, set[str]] = {}
        for table, column in rows.iter_rows():
            found.setdefault(table, set()).add(column)
        return {table: frozenset(names) for table, names in found.items()}

    def has(self, table: str, column: str = "id") -> bool:
        """Whether there is such a column, and this role may read it."""
        return column in self.columns.get(table, ())

    def may_order(self, table: str) -> bool:
        """Whether this role may ask for the place of rows; a GRANT of columns is no leave."""
        sql = f"SELECT has_table_privilege({quoted(table)}, 'SELECT') AS is_whole"
        return bool(self.frame(sql).item())

    def column(self, alias: str, table: str, name: str, cast: str = "") -> str:
        """`alias.name` as SQL; a null where this version has no such column."""
        if self.has(table, name):
            return f"{alias}.{name}{f'::{cast}' if cast else ''}"
        return f"NULL::{cast or 'text'}"

    def require(self, table: str, *names: str) -> None:
        """DatabaseRefused unless the role may read these columns, without which a row is none."""
        lacking = [name for name in names if not self.has(table, name)]
        if lacking:
            raise DatabaseRefused(
                f"the role of {SETTING} is not shown {table} ({', '.join(lacking)})",
                where=SETTING,
                hint="Grant it, as docs/database.md shows, or unset the setting to read by the "
                "API.",
            )


def quoted_uuid(text: str) -> str:
    """An id as a literal. ValueError when it is none: ids come from answers of a server."""
    if not _UUID.fullmatch(text):
        raise ValueError("it is no UUID")
    return quoted(text)


def uuids(ids: Any) -> str:
    """An array of ids, for `= ANY(…)`."""
    return f"'{{{','.join(quoted_uuid(one)[1:-1] for one in ids)}}}'::uuid[]"
