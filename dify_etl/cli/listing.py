"""Show what stands in the published copy."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import duckdb
from rich.console import Console

from dify_etl.assembly.connection import effective_settings
from dify_etl.cli.answer_tables import cell
from dify_etl.cli.json_answers import print_json
from dify_etl.cli.published import published_copy
from dify_etl.cli.shown_tables import ShownTable
from dify_etl.feeds.table import FEEDS
from dify_etl.sync.report import STATES
from dify_etl.time_zones import local_date
from dify_etl.warehouse.published_copy import (
    CopyTable,
    columns_of,
    find_table,
    opened_copy,
    tables_of,
)

EXAMPLE_CHARACTERS = 40
_ROWS_TO_CHOOSE_FROM = 50


def list_tables(console: Console, *, is_json: bool = False) -> int:
    """Schema, table, rows, state and grain of everything published. NothingPublished before that.

    "Last read whole" is of the slice for which it is longest ago: what Dify lets change without a
    sign, such as ratings and deletions, is proven through that day. A view has the state of its
    table; of a mart it is the local day on which it was built.
    """
    copy = published_copy()
    with opened_copy(copy) as connection:
        rows = list(_listed(connection, effective_settings().zone))
        if is_json:
            print_json([one._asdict() for one in rows])
        else:
            _show(console, connection, rows)
    return 0


def describe_table(console: Console, name: str, *, is_json: bool = False) -> int:
    """Grain, rows, state and columns of one table: type, a row as an example, and what it holds.

    QueryWrong: there is none of that name.
    """
    copy = published_copy()
    with opened_copy(copy) as connection:
        table = find_table(connection, name)
        if is_json:
            comments = _comments(connection, table)
            print_json(
                [
                    {"column": column, "type": kind, "comment": comments.get(column)}
                    for column, kind in columns_of(connection, table.sql)
                ]
            )
            return 0
        rows = connection.execute(f"SELECT count(*) FROM {table.sql}").fetchall()[0][0]
        states = _states(connection, effective_settings().zone)
        whole, read = states.get(table.qualified, ("", ""))
        told = f"{table.qualified}: {rows:,} rows"
        told += f", {whole}" if whole else ""
        told += f", last read whole {read}" if read else ""
        console.print(told, markup=False, highlight=False)
        console.print(table.grain, markup=False, highlight=False)
        console.print(_columns(connection, table), highlight=False)
        same = [one for one in tables_of(connection) if one.name == table.name != name]
        others = [one.qualified for one in same if one != table]
        if others and "." not in name:
            console.print(f"Also called so: {', '.join(others)}", markup=False, highlight=False)
    return 0


def _columns(connection: duckdb.DuckDBPyConnection, table: CopyTable) -> ShownTable:
    shown = ShownTable()
    shown.add_column("column", no_wrap=True)
    shown.add_column("type")
    shown.add_column("example", max_width=EXAMPLE_CHARACTERS, overflow="fold")
    shown.add_column("what it holds")
    comments = _comments(connection, table)
    columns = columns_of(connection, table.sql)
    example = _example(connection, table) or ("",) * len(columns)
    for (name, kind), value in zip(columns, example, strict=True):
        shown.add_row(
            name, kind, cell(value, width=EXAMPLE_CHARACTERS), cell(comments.get(name) or "")
        )
    return shown


def _comments(connection: duckdb.DuckDBPyConnection, table: CopyTable) -> dict[str, str | None]:
    return dict(
        connection.execute(
            "SELECT column_name, comment FROM duckdb_columns() "
            "WHERE schema_name = ? AND table_name = ? AND NOT internal",
            [table.schema, table.name],
        ).fetchall()
    )


def _example(connection: duckdb.DuckDBPyConnection, table: CopyTable) -> tuple[object, ...] | None:
    """Of the first rows the one that tells most: with the fewest nulls. None: there is no row."""
    rows = connection.execute(f"SELECT * FROM {table.sql} LIMIT {_ROWS_TO_CHOOSE_FROM}").fetchall()
    return max(rows, key=lambda row: sum(value is not None for value in row), default=None)


class ListedTable(NamedTuple):
    """One table or view: how many rows, how whole its feed is, and since when."""

    table: str
    rows: int
    state: str
    read_or_built: str
    grain: str


def _listed(connection: duckdb.DuckDBPyConnection, zone: ZoneInfo) -> Iterator[ListedTable]:
    states = _states(connection, zone)
    for one in tables_of(connection):
        rows = connection.execute(f"SELECT count(*) FROM {one.sql}").fetchall()[0][0]
        yield ListedTable(one.qualified, rows, *states.get(one.qualified, ("", "")), one.grain)


def _show(
    console: Console, connection: duckdb.DuckDBPyConnection, rows: Sequence[ListedTable]
) -> None:
    table = ShownTable(title=str(connection.execute("SELECT current_database()").fetchall()[0][0]))
    table.add_column("table", no_wrap=True)
    table.add_column("rows", justify="right")
    table.add_column("how whole")
    table.add_column("last read whole, or built")
    table.add_column("grain")
    for one in rows:
        table.add_row(one.table, f"{one.rows:,}", one.state, one.read_or_built, cell(one.grain))
    console.print(table)
    published = connection.execute(
        "SELECT max(published_at), max(through_date) FROM ops.published"
    ).fetchall()
    console.print(f"published {published[0][0]:%Y-%m-%d %H:%M} UTC, through {published[0][1]}")


def _states(connection: duckdb.DuckDBPyConnection, zone: ZoneInfo) -> dict[str, tuple[str, str]]:
    """By table: the states of its feed's slices with what waits in quarantine, and the local day
    before which nothing of it was read last; of a model that fails since when it does.
    """

    def day(at: datetime | None) -> str:
        return local_date(at, zone).isoformat() if at else "never"

    is_older = not connection.execute(
        "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'ops' AND table_name = 'models'"
    ).fetchall()
    if is_older:  # the copy is of a version that kept no such ledger
        return {}
    waiting = dict(
        connection.execute(
            "SELECT feed, count(*) FROM ops.quarantine WHERE resolved_at IS NULL GROUP BY feed"
        ).fetchall()
    )
    slices = connection.execute(
        """SELECT feed, map_from_entries(list((state, slices))), min(read_whole)
        FROM (SELECT feed, state, count(*) AS slices, min(deep_read_at) AS read_whole
            FROM ops.slices GROUP BY feed, state) GROUP BY feed"""
    ).fetchall()
    told = {}
    for feed, states, read_whole in slices:
        parts = [f"{states[one]} {one}" for one in STATES if states.get(one)]
        parts += [f"{waiting[feed]} in quarantine"] if feed in waiting else []
        whole = "proven" if set(states) == {"proven"} and len(parts) == 1 else ", ".join(parts)
        told[feed] = (whole, day(read_whole))
    found = {
        f"raw.{name}": told[feed.name]
        for feed in FEEDS
        for name in feed.tables
        if feed.name in told
    }
    found |= {name.replace("raw.", "staging.stg_"): state for name, state in found.items()}
    models = connection.execute(
        "SELECT model, failed_since, built_at FROM ops.models WHERE state = 'failed' "
        "OR model LIKE 'marts.%'"
    ).fetchall()
    return found | {
        model: (f"not built since {day(since)}" if since else "built", day(built))
        for model, since, built in models
    }
