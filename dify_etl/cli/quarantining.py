"""Show what waits in quarantine, and bring back what can be read by now."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from dify_etl.assembly.connection import (
    copy_place,
    effective_settings,
    home_of,
    open_dify,
    rules_of,
)
from dify_etl.cli.consoles import err, teller
from dify_etl.cli.json_answers import print_json
from dify_etl.cli.shown_tables import ShownTable
from dify_etl.feeds.quarantine import Quarantined, retry_quarantine, waiting_objects
from dify_etl.home import Home
from dify_etl.sync.ledger import QUARANTINE
from dify_etl.sync.opening import LOCK_WAIT_SECONDS, open_home
from dify_etl.sync.run import NoWatcher, Sync, SyncPlan
from dify_etl.warehouse.database import open_to_read


def list_quarantine(console: Console, *, is_json: bool = False) -> int:
    """One row per object that was no valid record; 1 when any waits. Dify is not asked."""
    waiting = _waiting(Home(home_of(effective_settings())).live)
    if is_json:
        names = ("feed", "record", "field", "message", "endpoint")
        print_json([dict(zip(names, _cells(one), strict=True)) for one in waiting])
        return 1 if waiting else 0
    if not waiting:
        console.print("Nothing waits in quarantine.")
        return 0
    table = ShownTable(title=f"{len(waiting)} objects in quarantine", title_justify="left")
    for heading in ("feed", "record", "field", "what is wrong", "endpoint"):
        table.add_column(heading, overflow="fold")
    for one in waiting:
        table.add_row(*(escape(text) for text in _cells(one)))
    console.print(table)
    console.print("`dify-etl quarantine retry` loads those that this version can read.")
    return 1


def retry_waiting(console: Console) -> int:
    """Parse the objects again and load the good ones; 1 when some are still wrong."""
    with _opened() as sync:
        retried = retry_quarantine(sync)
    console.print(f"{retried.loaded} loaded, {retried.wrong} still wrong", highlight=False)
    if retried.without_object:
        console.print(
            f"{retried.without_object} were kept without their object, as all keys are; "
            "the next sync lists them anew",
            highlight=False,
        )
    return 1 if retried.wrong else 0


def _cells(one: Quarantined) -> tuple[str, ...]:
    held = one.rejected
    return (
        one.feed,
        held.record_id or f"no id, row {held.position}",
        held.error_path,
        held.message,
        held.endpoint,
    )


def _waiting(live: Path) -> list[Quarantined]:
    """What the live file holds; a home without one holds nothing. WarehouseBusy."""
    if not live.exists():
        return []
    with open_to_read(live, QUARANTINE, wait_seconds=LOCK_WAIT_SECONDS) as database:
        return waiting_objects(database)


@contextmanager
def _opened() -> Iterator[Sync]:
    settings = effective_settings()
    with (
        open_dify(settings, tell=teller(err)) as dify,
        open_home(
            dify,
            home_of(settings),
            rules=rules_of(settings),
            run_id=str(uuid.uuid4()),
            watch=NoWatcher(),
            copy=copy_place(settings),
        ) as home,
        home.sync(SyncPlan()) as sync,
    ):
        yield sync
