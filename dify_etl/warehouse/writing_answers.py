"""Rows of the copy as bytes: csv, JSON and Parquet, written by DuckDB while it reads.

Nothing is held whole: a file of a million rows takes the memory of some thousands.
"""

import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import duckdb

from dify_etl.private_files import PRIVATE_FILE, private_files, sync_to_disk
from dify_etl.warehouse.errors import ExportRefused
from dify_etl.warehouse.published_copy import Columns, identifier, literal, sql_errors

FORMATS = {
    "csv": "FORMAT csv, HEADER true",
    "json": "FORMAT json, ARRAY true",
    "jsonl": "FORMAT json",
    # Small groups: one is held until it is written.
    "parquet": "FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 4096",
}
# What Excel, LibreOffice and Google Sheets may take for the begin of a formula, also in full width.
FORMULA_SIGNS = "=+-@\t\r\n＝＋－＠"
_ERRNO = re.compile(r"\berrno\W+(\d+)")
_NO_TEXT = ("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT",
            "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DATE", "TIME",
            "TIMESTAMP")  # fmt: skip

WriteRows = Callable[[Path], int]  # into this file; answers the number of rows


def is_text(kind: str) -> bool:
    """Whether a type of DuckDB stands in a cell as text that somebody may have written."""
    plain = kind.split("(")[0].split(" ")[0]
    return kind.endswith("]") or not (plain in _NO_TEXT or plain.startswith(("DEC", "TIMESTAMP")))


def copy_statement(select: str, target: str, form: str) -> str:
    """The statement by which DuckDB writes a query's rows into a file or pipe."""
    return f"COPY ({select}) TO {literal(target)} ({FORMATS[form]}, USE_TMP_FILE false)"


def finite_columns(columns: Columns) -> str:
    """The columns for JSON, which knows neither NaN nor infinity: they become null."""
    return ", ".join(
        f"CASE WHEN isfinite({name}) THEN {name} END AS {name}"
        if kind in ("DOUBLE", "FLOAT")
        else name
        for name, kind in ((identifier(name), kind) for name, kind in columns)
    )


def harmless_columns(columns: Columns) -> str:
    """The columns for a spreadsheet's CSV: a text that it would run gets an apostrophe before it.

    Numbers stay: a negative one is no formula.
    """
    signs = ", ".join(f"chr({ord(sign)})" for sign in FORMULA_SIGNS)
    return ", ".join(
        f"CASE WHEN left({name}::VARCHAR, 1) IN ({signs}) THEN '''' || {name}::VARCHAR "
        f"ELSE {name}::VARCHAR END AS {alias}"
        if is_text(kind)
        else f"{name} AS {alias}"
        for name, alias, kind in (
            (identifier(name), identifier(harmless_cell(name)), kind) for name, kind in columns
        )
    )


def harmless_cell(text: str) -> str:
    """A text as a spreadsheet's CSV may hold it."""
    return f"'{text}" if text[:1] and text[0] in FORMULA_SIGNS else text


def copied_rows(
    connection: duckdb.DuckDBPyConnection, select: str, form: str, where: str
) -> WriteRows:
    """What writes a query's rows by DuckDB's own COPY."""

    def write(path: Path) -> int:
        with sql_errors(where):
            _try(connection, select)
        with sql_errors(where), _ending_at_once(path.parent), _disk_errors():
            done = connection.execute(copy_statement(select, str(path), form)).fetchall()
        return int(done[0][0])

    return write


def _try(connection: duckdb.DuckDBPyConnection, select: str) -> None:
    """Read all rows once, and hold none: what fails amid them fails here. A COPY of DuckDB 2.0
    often never ends when its query fails.
    """
    connection.execute(f"SELECT bit_xor(hash(t)) FROM ({select}) t").fetchall()


@contextmanager
def _disk_errors() -> Iterator[None]:
    """What DuckDB says when a file takes no more, as an OSError: the query is right."""
    try:
        yield
    except duckdb.IOException as error:
        told = str(error).splitlines()[0]
        if found := _ERRNO.search(told):
            raise OSError(int(found[1]), os.strerror(int(found[1]))) from error
        raise OSError(told) from error


@contextmanager
def _ending_at_once(folder: Path) -> Iterator[None]:
    """While DuckDB writes into a folder of ours, Ctrl-C removes it and ends the process, exit 130:
    a COPY of DuckDB 2.0 that is interrupted often never ends.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        os.write(2, b"Stopped; nothing was written.\n")
        os._exit(130)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def streamed(
    connection: duckdb.DuckDBPyConnection, select: str, form: str
) -> Generator[bytes, None, None]:
    """A query's rows in a format, in pieces, exact. Raises what DuckDB raises.

    DuckDB writes into a pipe: to open /dev/stdout would cut off a file that is appended to.
    """
    _try(connection, select)
    reading, writing = os.pipe()
    errors: list[Exception] = []

    def write() -> None:
        try:
            connection.execute(copy_statement(select, f"/dev/fd/{writing}", form))
        except Exception as error:
            errors.append(error)
        finally:
            os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        while piece := os.read(reading, 1 << 16):
            yield piece
    finally:
        os.close(reading)  # whoever stopped early: the writer ends at its next write
        thread.join()
    if errors:
        raise errors[0]


def new_file(target: Path, *, may_replace: bool, write: Callable[[Path], int]) -> int:
    """Let `write` fill a file, and put it at `target` when it is whole; answers its rows.

    Only its owner may read it. ExportRefused: something stands there, or the folder cannot be
    written; whatever goes wrong, `target` is as it was.
    """
    require_room(target, may_replace=may_replace)
    try:
        with (
            private_files(),
            TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder,
        ):
            fresh = Path(folder, target.name)
            rows = write(fresh)
            fresh.chmod(PRIVATE_FILE)
            sync_to_disk(fresh)
            require_room(target, may_replace=may_replace)  # it may have come meanwhile
            fresh.replace(target)
    except OSError as error:
        raise _not_written(target, error.strerror or str(error)) from error
    return rows


def require_room(target: Path, *, may_replace: bool) -> None:
    """ExportRefused when no file may be put there."""
    if not target.parent.is_dir():
        raise _not_written(target, "its folder does not exist")
    if target.is_symlink() or (target.exists() and not target.is_file()):
        raise _not_written(target, "a link, a folder or a device stands there")
    if target.exists() and not may_replace:
        raise ExportRefused(
            f"{target.name} exists already",
            where=str(target),
            hint="Add --force to replace it, or name another file.",
        )


def _not_written(target: Path, reason: str) -> ExportRefused:
    return ExportRefused(
        f"{target.name} cannot be written: {reason}",
        where=str(target),
        hint="Name a file in a folder that you may write, on a disk with room.",
    )
