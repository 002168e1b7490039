"""Bring a home that was loaded by other rules of texts and people to those of now."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from dify_etl.assembly.ops_copies import OPS_TABLES, fill_ops_tables
from dify_etl.assembly.shared_publication import bring_to_shared
from dify_etl.home import Home
from dify_etl.raw.privacy import Privacy
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.report.writing import kept_reports
from dify_etl.sync.forgetting import known_forgotten
from dify_etl.sync.lock import home_lock
from dify_etl.sync.migrations import STEPS
from dify_etl.sync.privacy import note_rewritten, note_rules, rewrite
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.migrations import migrate_home
from dify_etl.warehouse.model_builds import build_all, drop_tables_not_built
from dify_etl.warehouse.publish import CopyPlace, publish
from dify_etl.warehouse.sql_files import sql_files
from dify_etl.warehouse.writing_anew import write_anew

if TYPE_CHECKING:
    from dify_etl.shared_warehouse.place import SharedPlace

LOCK_WAIT_SECONDS = 10.0


def rewrite_home(
    home: Path,
    privacy: Privacy,
    *,
    place: CopyPlace,
    tell: Callable[[str], None],
    compression: str = "auto",
    own_sql: Path | None = None,
    shared: "SharedPlace | None" = None,
) -> dict[str, int]:
    """Rewrite all rows by the rules, build the models, write the live file anew and publish. Tables
    of models that do not build, or are no more, are dropped: they hold rows of before.

    With a `shared` warehouse that is emptied of what it was before, too.
    Answers per table how many rows were changed; `compression` is DuckDB's, `own_sql` the folder of
    models of one's own. Whoever cuts it off
    calls it again: what was done stays. SourceChanged: the salt is another one. AnotherSync,
    WarehouseBusy, WarehouseUnwritable.
    """
    return rewrite_files(
        home,
        privacy,
        begin=lambda database: note_rules(database, privacy),
        done=note_rewritten,
        place=place,
        tell=tell,
        compression=compression,
        own_sql=own_sql,
        shared=shared,
    )


def rewrite_files(
    home: Path,
    privacy: Privacy,
    *,
    begin: Callable[[Database], None],
    done: Callable[[Database], None],
    place: CopyPlace,
    tell: Callable[[str], None],
    compression: str,
    own_sql: Path | None = None,
    shared: "SharedPlace | None" = None,
) -> dict[str, int]:
    """As `rewrite_home`: `begin` is called on the open file before any row is rewritten, and `done`
    when no file holds any more what was taken out, nor the shared warehouse.
    """
    live = Home(home).live.resolve()
    with home_lock(home, wait_seconds=LOCK_WAIT_SECONDS):
        migrate_home(home, STEPS, wait_seconds=LOCK_WAIT_SECONDS, tell=tell, place=place)
        with open_database(live, wait_seconds=LOCK_WAIT_SECONDS) as database:
            database.ensure(*(raw.table for raw in RAW_TABLES.values()), *OPS_TABLES)
            begin(database)
            privacy = replace(privacy, forgotten=known_forgotten(database, privacy))
            changed = rewrite(database, privacy)
            tell(f"{sum(changed.values())} rows rewritten; the files are written anew")
            run_id = str(uuid.uuid4())
            fill_ops_tables(database, home)
            # All are built anew: a query may hide what it reads.
            database.execute("UPDATE ops.models SET fingerprint = NULL")
            builds = build_all(database, sql_files(own=own_sql), run_id=run_id)
            built = {one.qualified for one, error in builds if error is None}
            if dropped := drop_tables_not_built(database, built):
                tell(f"{', '.join(dropped)}: dropped, since they are not built from these rows")
            through = _published_through(database)
            write_anew(database, live, compression=compression)
        publish(home, run_id=run_id, through=through, wait_seconds=LOCK_WAIT_SECONDS, place=place)
        if shared is not None:
            from dify_etl.shared_warehouse.errors import SharedTableRefused

            try:
                bring_to_shared(home, shared, place.path, run_id=run_id, is_purged=True)
            except SharedTableRefused as error:  # it holds nothing of before either
                tell(str(error))
            tell(f"{shared.name} holds the new rows alone: its older snapshots are gone")
        for report in kept_reports(home):
            report.unlink(missing_ok=True)
            tell(f"{report} was deleted: it was made of the rows of before")
        # Not before: until here a file held what was taken out.
        with open_database(live, wait_seconds=LOCK_WAIT_SECONDS) as database:
            done(database)
    return changed


def _published_through(database: Database) -> date:
    last = database.value("SELECT max(through_date) FROM ops.published")
    return utc_now().date() if last is None else last
