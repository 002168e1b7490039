"""A night: read the feeds, build the models, publish the copy, judge the ledger.

The command line calls `read_night`. The assets of Dagster take the same steps one by one, since
each of them has an event, a retry and a colour of its own.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from dify_etl.assembly.shared_publication import bring_to_shared
from dify_etl.errors import is_interrupt
from dify_etl.feeds.reading import read_feeds
from dify_etl.feeds.table import FEEDS
from dify_etl.sync.opening import OpenHome
from dify_etl.sync.opt_in import is_read
from dify_etl.sync.report import FeedReport
from dify_etl.sync.run import SyncPlan
from dify_etl.sync.shared_note import forget_shared
from dify_etl.sync.verdict import Verdict, judge
from dify_etl.time_zones import local_date
from dify_etl.warehouse.database import Database
from dify_etl.warehouse.model_builds import build_all, forget_models
from dify_etl.warehouse.publish import left_copy, publish
from dify_etl.warehouse.sql_files import sql_files

if TYPE_CHECKING:
    from dify_etl.shared_warehouse.publication import Publication

FEED_ORDER = [feed.name for feed in FEEDS]
# What is watched beside feeds.
BUILDING, PUBLISHING, SHARING = "building models", "publishing", "shared warehouse"


@dataclass(frozen=True)
class NightResult:
    """What came of a night.

    `failure` is what ended it early: what was committed stays, and the next night reads the rest.
    """

    reports: tuple[FeedReport, ...]
    verdict: Verdict
    failure: Exception | None
    is_published: bool


@dataclass(frozen=True)
class Published:
    """The copy for analysts: its file, and the last local day that it holds."""

    path: Path
    through: date


def read_night(opened: OpenHome, plan: SyncPlan, feeds: Collection[str] = ()) -> NightResult:
    """Read all feeds that the settings ask for, or those of them that are named, into the open
    home; models, copy and verdict follow.

    What one app or feed meets is in the verdict. What concerns all of them (a lost session, a full
    disk, another source), and a bug, ends the night and is its `failure`. A shared warehouse that
    cannot be written is a failure of a night that is published. KeyboardInterrupt is raised.
    """
    failure: Exception | None = None
    is_published = False
    try:
        with opened.sync(plan, lists_apps=not feeds or "apps" in feeds) as sync:
            asked = [one for one in FEEDS if not feeds or one.name in feeds]
            asked = [one for one in asked if is_read(one.name, opened.rules)]
            read_feeds(sync, asked, opened.reports.append)
        build_models(opened)
        copy = publish_copy(opened)
        is_published = True
        publish_to_shared(opened, copy.path)
    except Exception as error:
        if is_interrupt(error):
            raise KeyboardInterrupt from error
        failure = error
    with opened.database() as database:
        reports = sorted(opened.reports, key=lambda one: FEED_ORDER.index(one.feed))
        return NightResult(tuple(reports), judge(database), failure, is_published)


def _fill_ops_tables(database: Database, home: Path) -> None:
    # It asks for audit and rotations, which nothing needs before Dify was read.
    from dify_etl.assembly.ops_copies import fill_ops_tables

    fill_ops_tables(database, home)


def build_models(opened: OpenHome) -> None:
    """Build every model; one that fails keeps its last table, and ops.models says so."""
    files = sql_files(own=opened.rules.models.own_sql)
    opened.watch.begins(BUILDING, len(files))
    with opened.database() as database:
        _fill_ops_tables(database, opened.path)
        for _ in build_all(database, files, run_id=opened.run_id):
            opened.watch.advances(BUILDING)
        forget_models(database, [one.qualified for one in files])
    opened.watch.is_done(BUILDING)


def publish_copy(opened: OpenHome) -> Published:
    """Swap the analysts' copy. WarehouseUnwritable or WarehouseBusy when that cannot be.

    A copy that an earlier setting left in the home is deleted, and the watcher told.
    """
    opened.watch.begins(PUBLISHING, 1)
    through = local_date(opened.began_at, opened.rules.zone)
    with opened.database() as database:
        _fill_ops_tables(database, opened.path)
    left = left_copy(opened.path, opened.copy) if opened.copy else None
    path = publish(
        opened.path,
        run_id=opened.run_id,
        through=through,
        wait_seconds=opened.wait_seconds,
        place=opened.copy,
    )
    opened.watch.advances(PUBLISHING)
    opened.watch.is_done(PUBLISHING)
    if left:
        opened.watch.tells(f"{left} was deleted: the copy for analysts is {path.absolute()} now.")
    return Published(path, through)


def publish_to_shared(opened: OpenHome, copy: Path) -> "Publication | None":
    """Bring the published copy into the shared warehouse; None where the settings name none.

    SharedWarehouseError when that cannot be: the home and its copy are published all the same, and
    the next night brings what is missing.
    """
    if opened.shared is None:
        forget_shared(opened.path)
        return None
    opened.watch.begins(SHARING, 1)
    done = bring_to_shared(opened.path, opened.shared, copy, run_id=opened.run_id)
    opened.watch.advances(SHARING)
    opened.watch.is_done(SHARING)
    return done
