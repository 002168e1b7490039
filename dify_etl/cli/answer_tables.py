"""Rows of a query on a terminal: texts of strangers are shown, and never obeyed."""

from collections.abc import Sequence
from typing import Any

import duckdb
from rich.console import Console
from rich.text import Text

from dify_etl.cli.shown_tables import ShownTable
from dify_etl.control_codes import harmless
from dify_etl.warehouse.published_copy import sql_errors

MOST_ROWS = 1_000
MOST_CHARACTERS = 400


def cell(value: Any, *, width: int = MOST_CHARACTERS) -> Text:
    """A value in at most `width` characters, without markup; null is told from an empty text."""
    if value is None:
        return Text("NULL", style="dim")
    text = str(value)
    return Text(harmless(text if len(text) <= width else text[: width - 1] + "…"))


def print_rows(console: Console, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A table; where the terminal is too narrow for its columns, lines `name value` by row."""
    shown = rows[:MOST_ROWS]
    table = ShownTable()
    for name in names:
        table.add_column(Text(harmless(name)))
    for row in shown:
        table.add_row(*map(cell, row))
    console.print(table, highlight=False)
    more = len(rows) > len(shown)
    told = f"the first {MOST_ROWS:,} rows; --format csv, or export, has all" if more else ""
    console.print(told or f"{len(rows):,} row{'' if len(rows) == 1 else 's'}", highlight=False)


def print_answer(
    console: Console,
    connection: duckdb.DuckDBPyConnection,
    statement: duckdb.Statement,
    where: str,
) -> None:
    """Run a statement and show what it answers. QueryWrong."""
    with sql_errors(where):
        found = connection.execute(statement)
        names = [str(column[0]) for column in found.description or ()]
        rows = found.fetchmany(MOST_ROWS + 1) if names else []
    print_rows(console, names, rows)
