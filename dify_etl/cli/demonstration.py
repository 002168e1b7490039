"""What a newcomer sees after the demo: where the file is, one answer from it, and how to go on."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from rich.console import Console

from dify_etl.cli.answer_tables import print_answer
from dify_etl.cli.consoles import teller
from dify_etl.warehouse.published_copy import opened_copy, statements_of

# Each app of the demo has one currency.
QUESTION = """SELECT app_name AS app, sum(messages) AS messages,
    sum(total_price)::DECIMAL(18, 2) AS cost, max(currency) AS currency
FROM marts.costs WHERE is_in_dify_figure GROUP BY app_name ORDER BY messages DESC, app"""
UNPROVEN = "SELECT count(*), mode(reason) FROM ops.slices WHERE state = 'unproven'"


def show_demo(console: Console, copy: Path, report: Path) -> None:
    """The file, cost and messages per app, how to ask more, the report, and what `unproven` meant
    above.
    """
    tell = teller(console)
    tell(f"\nThe data is in {copy}: tables for SQL, in one DuckDB file. What it cost, by app:\n")
    with opened_copy(copy) as connection:
        (asked,) = statements_of(connection, QUESTION, "demo")
        print_answer(console, connection, asked, "demo")
        slices, reason = connection.execute(UNPROVEN).fetchall()[0]
    tell("\nAsk more:")
    for words in (
        "tables --simulated",
        "tables conversation_quality --simulated",
        'query --simulated "select * from marts.errors"',
    ):
        tell(f"  {program()} {words}")
    tell(f"\nLook at it: open {report.absolute()} in a browser.")
    if slices:
        tell(
            f"\n`unproven` ({slices} days of an app above): all was read that Dify shows, and "
            f"nothing shows that it is all. Mostly: {reason}. It is no failure."
        )
    tell(f"\nYour own Dify: {program()} init")


def program() -> str:
    """What to type for this command: its path, unless a shell finds it without."""
    if shutil.which("dify-etl"):
        return "dify-etl"
    return shlex.quote(os.path.relpath(sys.argv[0]))
