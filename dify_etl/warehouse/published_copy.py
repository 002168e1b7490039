"""The published copy, opened to be asked: its tables by name, its apps by name or id, and queries.

Everything here only reads. Errors of SQL become QueryWrong, in one sentence.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb

from dify_etl.errors import is_interrupt
from dify_etl.suggestions import did_you_mean, nearest
from dify_etl.warehouse.errors import QueryWrong, WarehouseError, translated

# Where a name without a schema is looked for: what is made for people first.
SCHEMAS_BY_USE = ("exports", "marts", "staging", "raw", "ops")
# The day by which rows are chosen, when a table has several.
_DAYS = ("message_created_date", "created_date")
ANSWER = "answer"

Columns = Sequence[tuple[str, str]]  # name and type


@dataclass(frozen=True)
class CopyTable:
    """A table or view of the copy, with its grain."""

    schema: str
    name: str
    grain: str

    @property
    def qualified(self) -> str:
        """schema.name."""
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> str:
        """The same, as SQL wants it."""
        return f"{identifier(self.schema)}.{identifier(self.name)}"


@dataclass(frozen=True)
class RowChoice:
    """Which rows are wanted: of these apps (ids or names; none: all), of these local days."""

    apps: tuple[str, ...] = ()
    first: date | None = None
    last: date | None = None


@contextmanager
def opened_copy(path: Path, **config: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection that cannot write, in UTC. Whoever has it open keeps that copy: a sync that
    publishes meanwhile replaces the file and waits for nobody. WarehouseError: it cannot be opened.
    """
    try:
        connection = duckdb.connect(str(path), read_only=True, config=dict(config))
    except duckdb.Error as error:
        known = translated(path, error)
        if known is not error:
            raise known from error
        raise WarehouseError(
            f"{path.name} cannot be opened: {_first_line(error)}",
            where=str(path),
            hint="It may be of a newer DuckDB, or damaged: `dify-etl sync` makes it anew.",
        ) from error
    with connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


@contextmanager
def sql_errors(where: str) -> Iterator[None]:
    """What DuckDB says against a query becomes QueryWrong: one sentence, and a hint."""
    try:
        yield
    except (duckdb.InterruptException, RuntimeError) as error:
        if not (isinstance(error, duckdb.InterruptException) or is_interrupt(error)):
            raise
        raise KeyboardInterrupt from None
    except duckdb.Error as error:
        raise _query_wrong(error, where) from error


def statements_of(
    connection: duckdb.DuckDBPyConnection, sql: str, where: str
) -> list[duckdb.Statement]:
    """The statements of a text, at least one. QueryWrong when it is no SQL."""
    with sql_errors(where):
        found = connection.extract_statements(sql)
    if not found:
        raise QueryWrong(
            "there is no SQL in it", where=where, hint="Write a query, as `select 42`."
        )
    return list(found)


def make_answer(
    connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement, where: str
) -> str:
    """A temporary view of a query, so that it can be filtered and written; answers its name.

    QueryWrong when the statement is no SELECT.
    """
    if statement.type != duckdb.StatementType.SELECT:
        raise QueryWrong(
            "only a SELECT can be written into a file or a format",
            where=where,
            hint="Other statements are shown by `dify-etl query` as a table.",
        )
    with sql_errors(where):
        connection.execute(f"CREATE OR REPLACE TEMP VIEW {ANSWER} AS\n{statement.query}")
    return ANSWER


def columns_of(connection: duckdb.DuckDBPyConnection, source: str) -> list[tuple[str, str]]:
    """Names and types of a table's or view's columns."""
    with sql_errors(source):
        rows = connection.execute(f"DESCRIBE {source}").fetchall()
    return [(str(row[0]), str(row[1])) for row in rows]


def tables_of(connection: duckdb.DuckDBPyConnection) -> list[CopyTable]:
    """All tables and views of the copy, by schema and name."""
    rows = connection.execute(
        """SELECT schema_name, table_name, comment FROM duckdb_tables()
        WHERE NOT internal AND NOT temporary UNION ALL
        SELECT schema_name, view_name, comment FROM duckdb_views()
        WHERE NOT internal AND NOT temporary ORDER BY 1, 2"""
    ).fetchall()
    return [CopyTable(schema, name, comment or "") for schema, name, comment in rows]


def find_table(connection: duckdb.DuckDBPyConnection, name: str) -> CopyTable:
    """The table of that name: `schema.name`, or a name alone, which is looked for in exports,
    marts, staging, raw and ops, in this order. QueryWrong: there is none.
    """
    tables = tables_of(connection)
    wanted = name.lower()
    found = [one for one in tables if wanted in (one.qualified, one.name)]
    if found:
        return min(found, key=_by_use)
    names = {word: one.qualified for one in tables for word in (one.name, one.qualified)}
    close = dict.fromkeys(names[one] for one in nearest(wanted, names))
    hint = f"Did you mean {' or '.join(close)}? " if close else ""
    raise QueryWrong(
        f"the copy has no table {name!r}",
        where="NAME",
        hint=f"{hint}`dify-etl tables` lists them; what an update of dify-etl adds comes with the "
        "next sync.",
    )


def find_app(connection: duckdb.DuckDBPyConnection, app: str) -> str:
    """The id of the app of that id or name. QueryWrong: there is none, or several."""
    rows = connection.execute("SELECT app_id, name FROM raw.apps ORDER BY 1").fetchall()
    if any(app_id == app for app_id, _ in rows):
        return app
    found = [app_id for app_id, name in rows if name == app]
    if len(found) == 1:
        return str(found[0])
    if found:
        raise QueryWrong(
            f"several apps are called {app!r}",
            where="--app",
            hint=f"Name one by its id: {' or '.join(found)}.",
        )
    hint = did_you_mean(app, [str(name) for _, name in rows])
    raise QueryWrong(
        f"there is no app {app!r} in the copy",
        where="--app",
        hint=f'{hint}`dify-etl query "select app_id, name from raw.apps"` lists them.',
    )


def chosen_rows(connection: duckdb.DuckDBPyConnection, columns: Columns, choice: RowChoice) -> str:
    """The WHERE of a choice, empty for all rows. Rows without a day are in no choice of days.

    QueryWrong when the columns have no app or no day to choose by.
    """
    names = {name for name, _ in columns}
    found = []
    if choice.apps:
        if "app_id" not in names:
            raise QueryWrong(
                "these rows have no column app_id",
                where="--app",
                hint="Leave --app out, or put the condition into a query.",
            )
        ids = ", ".join(literal(find_app(connection, app)) for app in choice.apps)
        found.append(f"app_id IN ({ids})")
    if choice.first or choice.last:
        day = identifier(_day_column(columns))
        found += [f"{day} >= DATE {literal(choice.first.isoformat())}"] if choice.first else []
        found += [f"{day} <= DATE {literal(choice.last.isoformat())}"] if choice.last else []
    return f" WHERE {' AND '.join(found)}" if found else ""


def identifier(name: str) -> str:
    """A name, quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text, quoted for SQL."""
    return "'" + text.replace("'", "''") + "'"


def _day_column(columns: Columns) -> str:
    days = [name for name, kind in columns if kind == "DATE"]
    preferred = [name for name in _DAYS if name in days]
    if preferred or len(days) == 1:
        return (preferred or days)[0]
    told = f"several local days: {', '.join(days)}" if days else "no local day (DATE)"
    raise QueryWrong(
        f"these rows have {told}",
        where="--from, --to-date",
        hint="Put the condition into a query: \"select … where usage_date >= '2026-01-01'\".",
    )


def _by_use(table: CopyTable) -> tuple[int, str]:
    known = table.schema in SCHEMAS_BY_USE
    return (SCHEMAS_BY_USE.index(table.schema) if known else len(SCHEMAS_BY_USE), table.schema)


def _first_line(error: duckdb.Error) -> str:
    return next(iter(str(error).strip().splitlines()), "no message")


def _query_wrong(error: duckdb.Error, where: str) -> QueryWrong:
    """DuckDB's sentence; what it adds ("Did you mean …") goes into the hint."""
    what, *more = str(error).strip().split("\n\n")[0].splitlines() or ["no message"]
    advice = " ".join(line.strip() for line in more if not line.startswith(("LINE", " ")))
    hint = "`dify-etl tables` lists the tables, `dify-etl tables NAME` the columns of one."
    if "read-only" in what:
        hint = "The published copy is only read; make a TEMP TABLE, or write files with `export`."
    return QueryWrong(what.rstrip("!. "), where=where, hint=f"{advice} {hint}".strip())
