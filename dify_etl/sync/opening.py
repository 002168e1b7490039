"""Open a sync: hold the home's lock, open the live file with its tables, check the source."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dify_etl.dify.client import DifyClient
from dify_etl.normalise.raw_tables import RAW_TABLES
from dify_etl.sync.lock import home_lock
from dify_etl.sync.run import Sync, SyncPlan, SyncRules, Watcher
from dify_etl.sync.source import pin_source
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.ledger import OPS_TABLES
from dify_etl.warehouse.publish import LIVE

LOCK_WAIT_SECONDS = 60.0


@contextmanager
def open_sync(
    dify: DifyClient,
    home: Path,
    *,
    rules: SyncRules,
    plan: SyncPlan,
    run_id: str,
    watch: Watcher,
    wait_seconds: float = LOCK_WAIT_SECONDS,
) -> Iterator[Sync]:
    """A sync that may read and load. AnotherSync, WarehouseBusy, SourceChanged before any write."""
    with (
        home_lock(home, wait_seconds=wait_seconds),
        open_database(home / LIVE, wait_seconds=wait_seconds) as database,
    ):
        ensure_tables(database)
        pin_source(database, dify, rules)
        yield Sync(
            dify=dify,
            database=database,
            rules=rules,
            plan=plan,
            run_id=run_id,
            now=dify.server_time(),
            watch=watch,
        )


def ensure_tables(database: Database) -> None:
    """Make the raw tables and the books, with their comments."""
    with database.transaction():
        for raw in RAW_TABLES.values():
            database.ensure(raw.table)
        for table in OPS_TABLES:
            database.ensure(table)
