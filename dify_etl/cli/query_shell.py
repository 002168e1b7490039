"""A shell on the published copy: DuckDB's own where it is installed, else a plain one."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from dify_etl.cli.answer_tables import print_answer
from dify_etl.cli.error_messages import ErrorMessage, print_error
from dify_etl.cli.prompts import asked_line
from dify_etl.home import Home
from dify_etl.private_files import PRIVATE_FILE, private_files
from dify_etl.settings import home_of, load_settings
from dify_etl.warehouse.errors import QueryWrong
from dify_etl.warehouse.published_copy import opened_copy, statements_of

MOST_LINES = 1_000
_LEAVE = ("exit", "quit", ".exit", ".quit", ".q", "\\q")


def run_shell(console: Console, copy: Path) -> int:
    """Become DuckDB's shell, read-only and in UTC; without one, ask line by line."""
    duckdb = shutil.which("duckdb")
    if duckdb:
        arguments = [duckdb, "-readonly", str(copy)]
        os.execve(duckdb, arguments, {**os.environ, "TZ": "UTC"})  # nosec B606: found on PATH
    console.print(
        "A plain shell: end a query with ; and leave with exit or Ctrl-D. "
        "`pip install duckdb-cli` brings DuckDB's own, with completion and paging.",
        highlight=False,
        soft_wrap=True,
    )
    history = Home(home_of(load_settings())).query_history
    _read_history(history)
    try:
        _ask(console, copy)
    finally:
        _write_history(history)
    return 0


def _ask(console: Console, copy: Path) -> None:
    """Read and answer until the end of input; an error ends its query alone."""
    with opened_copy(copy) as connection:
        held = ""
        while True:
            try:
                line = asked_line("     > " if held else "dify > ")
            except EOFError:
                console.print()
                return
            except KeyboardInterrupt:
                console.print()
                held = ""
                continue
            if not held and line.strip().rstrip(";").lower() in _LEAVE:
                return
            held = f"{held}\n{line}" if held else line
            if not held.rstrip().endswith(";"):
                held = held if held.strip() else ""
                continue
            text, held = held, ""
            try:
                for statement in statements_of(connection, text, "query"):
                    print_answer(console, connection, statement, "query")
            except QueryWrong as error:
                print_error(console, ErrorMessage.of(error))
            except KeyboardInterrupt:
                console.print("Stopped.")


def _read_history(path: Path) -> None:
    with suppress(ImportError, OSError):  # a Python without readline, a home of somebody else
        import readline

        readline.set_history_length(MOST_LINES)
        readline.read_history_file(path)


def _write_history(path: Path) -> None:
    """For its owner alone: what is asked may name people."""
    with suppress(ImportError, OSError):
        import readline

        with private_files():
            readline.write_history_file(path)
        path.chmod(PRIVATE_FILE)
