"""`dify-etl status`: the status of the home, for people and as JSON."""

from dataclasses import asdict
from typing import Any

from rich.console import Console

from dify_etl.assembly.connection import effective_settings
from dify_etl.assembly.status import Status, read_status
from dify_etl.assembly.status_lines import (
    FEED_HEADINGS,
    feed_cells,
    headline,
    size,
    times,
    unread,
    waiting,
)
from dify_etl.cli.consoles import teller
from dify_etl.cli.error_messages import print_error
from dify_etl.cli.json_answers import print_json
from dify_etl.cli.shown_tables import ShownTable
from dify_etl.cli.summary import broken_messages, show_verdict
from dify_etl.cli.verdict_json import verdict_object


def run_status(console: Console, *, is_json: bool) -> int:
    """Show it; 1 when something is red or a night is missing. NothingPublished, SettingWrong."""
    status = read_status(effective_settings())
    if is_json:
        print_json(as_json_object(status))
    else:
        show_status(console, status)
    return 0 if status.is_good else 1


def as_json_object(status: Status) -> dict[str, Any]:
    """The status as `--json` has it; instants are UTC."""
    return {
        **asdict(status),
        "is_good": status.is_good,
        "last_run": status.last_run and status.last_run._asdict(),
        "feeds": [one._asdict() for one in status.feeds],
        "documents": status.documents._asdict(),
        "rotations": status.rotations._asdict(),
        "size": status.size._asdict(),
        "unread": {
            "feeds": status.unread.feeds,
            "apps": [one._asdict() for one in status.unread.apps],
        },
        "verdict": verdict_object(status.verdict),
    }


def show_status(console: Console, status: Status) -> None:
    """What a person sees: the answer first, then feeds, what is red, what waits, and size."""
    tell = teller(console)
    for line in (headline(status), *unread(status), *times(status)):
        tell(line)
    table = ShownTable()
    for place, heading in enumerate(FEED_HEADINGS):
        is_count = place > FEED_HEADINGS.index("proven through")
        table.add_column(heading, justify="right" if is_count else "left", no_wrap=not place)
    for one in status.feeds:
        table.add_row(*feed_cells(one))
    console.print(table)
    show_verdict(console, status.verdict)
    for message in broken_messages(status.verdict):
        print_error(console, message)
    for line in (*waiting(status), size(status)):
        tell(line)
