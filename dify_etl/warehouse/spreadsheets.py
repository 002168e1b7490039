"""Rows as an Excel workbook, written row by row.

A sheet holds 1,048,576 rows, a cell 32,767 characters, a number 15 digits. What is longer than a
number stays exact as text; a longer text is cut and says so. No cell holds a formula.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from pathlib import Path
from typing import Any

import duckdb
import xlsxwriter
from xlsxwriter.exceptions import XlsxFileError

from dify_etl.lossy_files import LossyFile
from dify_etl.warehouse.errors import ExportRefused
from dify_etl.warehouse.published_copy import Columns, identifier, sql_errors
from dify_etl.warehouse.writing_answers import FORMULA_SIGNS, is_text

MOST_ROWS = 1_048_576 - 1  # the first one holds the names
MOST_COLUMNS = 16_384
MOST_CHARACTERS = 32_767
MOST_DIGITS = 15
_CUT = "… (cut)"
_FIRST_DAY = date(1900, 3, 1)  # before it Excel's calendar is wrong
_ROWS_AT_ONCE = 2_000


@dataclass
class Sheet:
    """What was written of a query: rows, and texts that did not fit into their cell."""

    rows: int = 0
    cut: int = 0


def require_fitting(connection: duckdb.DuckDBPyConnection, select: str, columns: Columns) -> None:
    """ExportRefused when the rows or columns are more than a sheet holds."""
    if len(columns) > MOST_COLUMNS:
        raise _too_large(f"{len(columns):,} columns are more than the {MOST_COLUMNS:,}")
    with sql_errors("export"):
        (rows,) = connection.execute(
            f"SELECT count(*) FROM (SELECT 1 FROM ({select}) LIMIT {MOST_ROWS + 1})"
        ).fetchall()[0]
    if rows > MOST_ROWS:
        raise _too_large(f"there are more than the {MOST_ROWS:,} rows")


def write_workbook(
    connection: duckdb.DuckDBPyConnection, select: str, columns: Columns, path: Path
) -> Sheet:
    """Write a query's rows into a workbook; its folder takes what is written meanwhile.

    Instants are UTC without a zone. SQL errors are QueryWrong. OSError: the disk is full, say.
    """
    with LossyFile(path) as file:
        failure = None
        try:
            sheet = _write(connection, select, columns, file, path.parent)
        except XlsxFileError as error:
            failure = _disk_error(error)
        # By now the archive that a failed workbook leaves open is gone, before its file: it would
        # print a traceback of its own.
        if failure := failure or file.failure:
            raise failure
    return sheet


def _write(
    connection: duckdb.DuckDBPyConnection,
    select: str,
    columns: Columns,
    file: LossyFile,
    folder: Path,
) -> Sheet:
    sheet = Sheet()
    options = {"constant_memory": True, "tmpdir": str(folder), "use_zip64": True}
    with xlsxwriter.Workbook(file, options) as workbook:
        page = workbook.add_worksheet("export")
        write = _cell_writer(workbook, page, sheet)
        page.freeze_panes(1, 0)
        for place, (_, kind) in enumerate(columns):
            page.set_column(place, place, _width(kind))
        for place, (name, _) in enumerate(columns):
            write(0, place, name)
        for row in _rows(connection, f"SELECT {_cells(columns)} FROM ({select})"):
            sheet.rows += 1
            if sheet.rows > MOST_ROWS:
                raise _too_large(f"there are more than the {MOST_ROWS:,} rows")
            for place, value in enumerate(row):
                if value is not None:
                    write(sheet.rows, place, value)
    return sheet


def _disk_error(error: XlsxFileError) -> OSError:
    """The OSError, such as that of a full disk, of which a workbook makes its own."""
    cause = error.__context__
    return OSError(cause.errno, cause.strerror) if isinstance(cause, OSError) else OSError(error)


def _rows(connection: duckdb.DuckDBPyConnection, select: str) -> Iterator[tuple[Any, ...]]:
    with sql_errors("export"):
        found = connection.execute(select)
        while some := found.fetchmany(_ROWS_AT_ONCE):
            yield from some


def _cells(columns: Columns) -> str:
    """The columns as Python takes them: instants without their zone (the session's is UTC), text
    for all that no cell holds otherwise.
    """

    def cell(name: str, kind: str) -> str:
        if kind == "TIMESTAMP WITH TIME ZONE":
            return f"{name}::TIMESTAMP AS {name}"
        if is_text(kind) or (kind.startswith("TIME") and not kind.startswith("TIMESTAMP")):
            return f"{name}::VARCHAR AS {name}"
        return name

    return ", ".join(cell(identifier(name), kind) for name, kind in columns)


def _width(kind: str) -> int:
    """Characters that a column shows."""
    return {"DATE": 11, "BOOLEAN": 8, "VARCHAR": 24}.get(kind, 19 if "TIMESTAMP" in kind else 12)


def _cell_writer(workbook: Any, page: Any, sheet: Sheet) -> Callable[[int, int, Any], None]:
    day = workbook.add_format({"num_format": "yyyy-mm-dd"})
    instant = workbook.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    # Excel's own mark of a text that looks like a formula: also after an edit it stays a text.
    quoted = workbook.add_format({"quote_prefix": True})

    def text(row: int, place: int, value: str) -> None:
        if _length(value) > MOST_CHARACTERS:
            sheet.cut += 1
            value = _cut(value)
        is_formula = value[:1] != "" and value[0] in FORMULA_SIGNS
        page.write_string(row, place, value, quoted if is_formula else None)

    def write(row: int, place: int, value: Any) -> None:
        if isinstance(value, bool):
            page.write_boolean(row, place, value)
        elif isinstance(value, (int, Decimal, float)) and _fits(value):
            page.write_number(row, place, float(value))
        elif isinstance(value, date) and _fits_calendar(value):
            form = instant if isinstance(value, datetime) else day
            page.write_datetime(row, place, value, form)
        else:
            text(row, place, str(value))

    return write


def _fits(number: int | Decimal | float) -> bool:
    """Whether Excel, which counts in doubles and shows 15 digits, holds it exactly."""
    if isinstance(number, float):
        return isfinite(number)
    if isinstance(number, int):
        return len(str(abs(number))) <= MOST_DIGITS
    # DuckDB's decimals are finite; zeros at the end are no digits that Excel would have to show.
    return len(number.normalize().as_tuple().digits) <= MOST_DIGITS


def _fits_calendar(value: date) -> bool:
    return (value.date() if isinstance(value, datetime) else value) >= _FIRST_DAY


def _length(text: str) -> int:
    """Characters as Excel counts them, in UTF-16."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le")) // 2


def _cut(text: str) -> str:
    kept = text.encode("utf-16-le")[: 2 * (MOST_CHARACTERS - len(_CUT))]
    return kept.decode("utf-16-le", "ignore") + _CUT


def _too_large(what: str) -> ExportRefused:
    return ExportRefused(
        f"{what} that an Excel sheet holds",
        where="--to",
        hint="Export into .parquet or .csv, or choose fewer with --app, --from and --to-date.",
    )
