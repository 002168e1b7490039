"""Export a table, a view or a query of the published copy into a file."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
from rich.console import Console

from dify_etl.cli.json_answers import print_json
from dify_etl.cli.published import published_copy
from dify_etl.sync.errors import WindowWrong
from dify_etl.warehouse.errors import ExportRefused, QueryWrong
from dify_etl.warehouse.published_copy import (
    Columns,
    RowChoice,
    chosen_rows,
    columns_of,
    find_table,
    make_answer,
    opened_copy,
    statements_of,
)
from dify_etl.warehouse.spreadsheets import require_fitting, write_workbook
from dify_etl.warehouse.writing_answers import (
    copied_rows,
    finite_columns,
    harmless_columns,
    new_file,
    require_room,
)

ENDINGS = (".parquet", ".csv", ".xlsx", ".jsonl")
# Rows that are read by people come in the order in which they were said.
ORDERED_BY = {
    "exports.conversations": "app_name, app_id, conversation_created_at, conversation_id, "
    "created_at, message_id"
}
# What is sorted or joined beyond it is kept beside the file until it is written. Each thread sorts
# by itself, and with less a million talks cannot be sorted.
FRUGAL = {"memory_limit": "320MB", "threads": "1"}
_NAME = re.compile(r"\w+(\.\w+)?")


@dataclass(frozen=True)
class ExportRequest:
    """What is exported (a table's name or a SELECT), which rows of it, and whereto."""

    what: str
    target: Path
    choice: RowChoice
    may_replace: bool = False
    is_json: bool = False


def run_export(console: Console, request: ExportRequest) -> int:
    """Write the rows into the file whole, or not at all.

    QueryWrong, WindowWrong, ExportRefused: what was asked cannot be had; nothing was written.
    """
    target, choice = request.target, request.choice
    if target.suffix.lower() not in ENDINGS:
        raise ExportRefused(
            f"{target.name} does not say its format",
            where="--to",
            hint=f"End it in {', '.join(ENDINGS)}.",
        )
    if choice.first and choice.last and choice.last < choice.first:
        raise WindowWrong(
            "the end lies before the start",
            where="--from, --to-date",
            hint="Give --from the earlier day.",
        )
    copy = published_copy()
    require_room(target, may_replace=request.may_replace)
    told: list[str] = []

    def write(path: Path) -> int:
        try:
            return write_within(path, FRUGAL)
        except QueryWrong as error:
            if not isinstance(error.__cause__, duckdb.OutOfMemoryException):
                raise
        told.clear()
        return write_within(path, {})  # longer texts than most: with what the machine has

    def write_within(path: Path, bounds: dict[str, str]) -> int:
        with (
            TemporaryDirectory(dir=path.parent) as spill,
            opened_copy(copy, temp_directory=spill, **bounds) as connection,
        ):
            return _writer(connection, request, told)(path)

    rows = new_file(target, may_replace=request.may_replace, write=write)
    if request.is_json:
        print_json({"file": str(target), "rows": rows, "notes": told})
        return 0
    console.print(
        f"{rows:,} row{'' if rows == 1 else 's'} in {target}",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    for line in told:
        console.print(line, markup=False, highlight=False)
    return 0


def _writer(
    connection: duckdb.DuckDBPyConnection, request: ExportRequest, told: list[str]
) -> Callable[[Path], int]:
    source, order = _source(connection, request.what)
    columns = columns_of(connection, source)
    rows = f"FROM {source}{chosen_rows(connection, columns, request.choice)}{order}"
    form = request.target.suffix.lower().removeprefix(".")
    if form == "xlsx":
        return _workbook(connection, f"SELECT * {rows}", columns, told)
    chosen = {"csv": harmless_columns, "jsonl": finite_columns}.get(form, lambda _: "*")(columns)
    return copied_rows(connection, f"SELECT {chosen} {rows}", form, "export")


def _source(connection: duckdb.DuckDBPyConnection, what: str) -> tuple[str, str]:
    """What is selected from, and the order of its rows."""
    if _NAME.fullmatch(what.strip()):
        table = find_table(connection, what.strip())
        order = ORDERED_BY.get(table.qualified)
        return table.sql, f" ORDER BY {order}" if order else ""
    statements = statements_of(connection, what, "export")
    if len(statements) > 1:
        raise QueryWrong(
            "several statements make no one file", where="export", hint="Give one SELECT."
        )
    return make_answer(connection, statements[0], "export"), ""


def _workbook(
    connection: duckdb.DuckDBPyConnection, select: str, columns: Columns, told: list[str]
) -> Callable[[Path], int]:
    require_fitting(connection, select, columns)

    def write(path: Path) -> int:
        sheet = write_workbook(connection, select, columns, path)
        if sheet.cut:
            told.append(
                f"{sheet.cut:,} texts are longer than a cell of Excel and end with "
                "“… (cut)”; .parquet, .csv and .jsonl have them whole."
            )
        return sheet.rows

    return write
