"""Ask the published copy: one query, a file of them, or a shell."""

import codecs
import sys
from itertools import takewhile
from pathlib import Path

import duckdb
from rich.console import Console

from dify_etl.cli.answer_tables import print_answer
from dify_etl.cli.prompts import standard_input
from dify_etl.cli.published import published_copy
from dify_etl.cli.query_format import QueryFormat
from dify_etl.cli.query_shell import run_shell
from dify_etl.cli.standard_streams import is_output_lost
from dify_etl.control_codes import harmless
from dify_etl.warehouse.errors import QueryWrong
from dify_etl.warehouse.published_copy import (
    columns_of,
    make_answer,
    opened_copy,
    sql_errors,
    statements_of,
)
from dify_etl.warehouse.writing_answers import finite_columns, streamed


def run_query(console: Console, sql: str | None, *, file: Path | None, form: QueryFormat) -> int:
    """Answer a query, or the last one of several; without any, a shell, or what stdin holds.

    QueryWrong: no SQL, or one that DuckDB refuses. NothingPublished before the first sync.
    """
    copy = published_copy()
    text, where = _text_of(sql, file)
    if text is None:
        return run_shell(console, copy)
    if form is QueryFormat.PARQUET and sys.stdout.isatty():
        raise QueryWrong(
            "Parquet is nothing to read on a terminal",
            where="--format",
            hint='Redirect it (> file.parquet), or `dify-etl export "select …" --to file.parquet`.',
        )
    with opened_copy(copy) as connection:
        *before, last = statements_of(connection, text, where)
        with sql_errors(where):
            for one in before:
                connection.execute(one)
        if form is QueryFormat.TABLE:
            print_answer(console, connection, last, where)
        else:
            _send(connection, last, form, where)
    return 0


def _text_of(sql: str | None, file: Path | None) -> tuple[str | None, str]:
    """The SQL and where it comes from; None: a person is to be asked."""
    if sql is not None and file is not None:
        raise QueryWrong("a query and a file of one", where="-f", hint="Give one of them.")
    if sql is not None:
        return sql, "query"
    if file is not None:
        try:
            return file.read_text(encoding="utf-8"), str(file)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise QueryWrong(
                f"{file.name} cannot be read: {reason}", where="-f", hint="Name a file of SQL."
            ) from None
    return (None, "query") if sys.stdin.isatty() else (standard_input(), "stdin")


def _send(
    connection: duckdb.DuckDBPyConnection,
    statement: duckdb.Statement,
    form: QueryFormat,
    where: str,
) -> None:
    """The answer to stdout, exact; on a terminal without what that would obey."""
    answer = make_answer(connection, statement, where)
    columns = columns_of(connection, answer)
    chosen = finite_columns(columns) if form is QueryFormat.JSON else "*"
    pieces = streamed(connection, f"SELECT {chosen} FROM {answer}", form.value)
    wanted = takewhile(lambda _: not is_output_lost(), pieces)  # `head` has enough, a disk is full
    try:
        with sql_errors(where):
            if sys.stdout.isatty():
                decoder = codecs.getincrementaldecoder("utf-8")()
                for piece in wanted:
                    sys.stdout.write(harmless(decoder.decode(piece)))
            else:
                for piece in wanted:
                    sys.stdout.buffer.write(piece)
    finally:
        pieces.close()
