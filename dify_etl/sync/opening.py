"""Open a home for a sync: hold its lock, open the live file with its tables, check the source."""

import gc
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dify_etl.background import in_background
from dify_etl.dify.app_records import App
from dify_etl.dify.client import DifyClient
from dify_etl.home import Home
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.suggestions import did_you_mean
from dify_etl.sync.ahead import AppsAhead, list_apps_ahead
from dify_etl.sync.clocks import clock_difference, heal_days_to_come
from dify_etl.sync.errors import WindowWrong
from dify_etl.sync.forgetting import known_forgotten
from dify_etl.sync.ledger import LEDGER
from dify_etl.sync.local_days import count_days_anew
from dify_etl.sync.lock import home_lock
from dify_etl.sync.migrations import STEPS
from dify_etl.sync.opt_in import leave_out
from dify_etl.sync.privacy import keep_privacy
from dify_etl.sync.report import FeedReport
from dify_etl.sync.run import Sync, SyncPlan, SyncRules, Watcher
from dify_etl.sync.source import Answering, ask_source, pin_source
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.migrations import holds_data, migrate_home, note_made_without
from dify_etl.warehouse.publish import CopyPlace

if TYPE_CHECKING:
    from concurrent.futures import Future

    from dify_etl.shared_warehouse.place import SharedPlace

LOCK_WAIT_SECONDS = 60.0
# Thresholds of the garbage collector while a sync runs.
RARE_COLLECTIONS = (500_000, 20, 50)


@dataclass
class OpenHome:
    """A home whose lock we hold for one run; the live file is open only while a feed loads."""

    dify: DifyClient
    path: Path
    rules: SyncRules
    run_id: str
    watch: Watcher
    wait_seconds: float = LOCK_WAIT_SECONDS
    copy: CopyPlace | None = None
    shared: "SharedPlace | None" = None
    started_at: datetime = field(default_factory=utc_now, init=False)
    reports: list[FeedReport] = field(default_factory=list, init=False)
    _began_at: datetime | None = field(default=None, init=False)
    _apps_ahead: AppsAhead | None = field(default=None, init=False)

    @property
    def began_at(self) -> datetime:
        """When the run began by the earlier of Dify's clock and ours; UTC."""
        return self._began_at or utc_now()

    @contextmanager
    def database(self) -> Iterator[Database]:
        """The live file with raw tables and ledger. WarehouseBusy when somebody holds it."""
        with self._opened() as database:
            if self._began_at is None:
                _ensure_tables(database, self.watch)
            yield database

    def _opened(self) -> AbstractContextManager[Database]:
        return open_database(Home(self.path).live, wait_seconds=self.wait_seconds)

    def check_source(self, *, lists_apps: bool = False) -> None:
        """Once per run, before any row is written: SourceChanged when something else answers,
        DatabaseWrong when the settings name a database that is not its own. With
        `lists_apps` the apps are listed meanwhile, for the first sync.
        """
        if self._began_at is None:
            asked = self._ask_source(lists_apps=lists_apps)
            with self._opened() as database:
                self._check_source(database, asked)

    def _ask_source(self, *, lists_apps: bool) -> "Future[Answering]":
        """Who answers is asked while the file is opened and its tables are made."""

        def ask() -> Answering:
            answering = ask_source(self.dify)
            if lists_apps:  # of the workspace that has just answered, and is asked again after it
                self._apps_ahead = list_apps_ahead(self.dify)
            return answering

        return in_background(ask)

    def _check_source(self, database: Database, asked: "Future[Answering]") -> None:
        _ensure_tables(database, self.watch)
        answering = asked.result()
        if self.rules.dify_database is not None:
            self.rules.dify_database.check(answering.workspace.workspace_id)
        began_at = self.dify.earlier_time()
        pin_source(database, self.dify, answering, self.rules, now=began_at)
        with database.transaction():
            keep_privacy(database, self.rules.privacy, self.watch.tells)
            leave_out(database, self.rules)
        self.rules = _with_forgotten(self.rules, database)
        self._mind_clocks(database)
        self._began_at = began_at

    def _mind_clocks(self, database: Database) -> None:
        """Say when the clocks disagree; undo what one that was ahead did to this home."""
        if told := clock_difference(self.dify.clock_ahead()):
            self.watch.tells(f"{told}; no day is proven that is not over by both")
        with database.transaction():
            healed = heal_days_to_come(database, self.rules, self.dify.later_time())
        if healed:
            self.watch.tells(f"{healed} slices were proven before their days were over; read anew")

    def listed_apps(self) -> Sequence[App]:
        """The apps that the console lists, those that are listed ahead where they are."""
        if self._apps_ahead is not None:
            return [*self._apps_ahead.listed.result().rows.records.values()]
        with self.dify.labelled("apps"):
            return list(self.dify.apps.list())

    @contextmanager
    def sync(self, plan: SyncPlan, *, lists_apps: bool = False) -> Iterator[Sync]:
        """A sync that may read and load; the run's first one checks the source before any write.
        With `lists_apps`, for a sync that reads them, it lists the apps meanwhile.

        SourceChanged when what answers is not what this home was loaded from.
        """
        asked = self._ask_source(lists_apps=lists_apps) if self._began_at is None else None
        with self._opened() as database:
            if asked is not None:
                self._check_source(database, asked)
            database.expect_small_commits()
            apps_ahead, self._apps_ahead = self._apps_ahead, None
            yield Sync(
                dify=self.dify,
                database=database,
                rules=self.rules,
                plan=plan,
                run_id=self.run_id,
                now=self.began_at,
                started_at=self.started_at,
                watch=self.watch,
                apps_ahead=apps_ahead,
            )


def _with_forgotten(rules: SyncRules, database: Database) -> SyncRules:
    """The rules with the people whom this home has forgotten: only its ledger knows them."""
    forgotten = known_forgotten(database, rules.privacy)
    return replace(rules, privacy=replace(rules.privacy, forgotten=forgotten))


@contextmanager
def open_home(
    dify: DifyClient,
    path: Path,
    *,
    rules: SyncRules,
    run_id: str,
    watch: Watcher,
    wait_seconds: float = LOCK_WAIT_SECONDS,
    file_seconds: float | None = None,
    copy: CopyPlace | None = None,
    shared: "SharedPlace | None" = None,
) -> Iterator[OpenHome]:
    """Hold the home's lock for a run. AnotherSync names who else holds it after the wait.

    Who holds the live file meanwhile only reads it: that is waited for `file_seconds`, None: as
    long as another run.

    `copy` is where the copy for analysts stands, None: in the home. `shared` is the warehouse that
    several workspaces share, None: there is none.

    A home that an earlier version made is mended first, see `sync.migrations`.
    """
    with home_lock(path, wait_seconds=wait_seconds), _rare_collections():
        patience = wait_seconds if file_seconds is None else file_seconds
        migrate_home(path, STEPS, wait_seconds=patience, tell=watch.tells, place=copy)
        yield OpenHome(dify, path, rules, run_id, watch, patience, copy, shared)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Records hold no cycles, but the collector would look through millions of them for some:
    with its usual thresholds it takes as long as the parsing itself.
    """
    before = gc.get_threshold()
    gc.set_threshold(*RARE_COLLECTIONS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


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
    lists_apps: bool = False,
) -> Iterator[Sync]:
    """Home and sync at once, for a single feed or a test; `lists_apps` as there."""
    with (
        open_home(
            dify, home, rules=rules, run_id=run_id, watch=watch, wait_seconds=wait_seconds
        ) as opened,
        opened.sync(plan, lists_apps=lists_apps) as sync,
    ):
        yield sync


def _ensure_tables(database: Database, watch: Watcher) -> None:
    """Make the raw tables and the ledger, with their comments; local days by the rules of now."""
    with database.transaction():
        is_new = not holds_data(database)
        database.ensure(*(raw.table for raw in RAW_TABLES.values()), *LEDGER)
        if is_new:
            note_made_without(database, STEPS)
        if changed := count_days_anew(database):
            watch.tells(f"local days are counted by the rules of now: {changed} rows")


def check_apps(opened: OpenHome, asked: Sequence[str]) -> None:
    """WindowWrong, before anything is read, when a name or id is none of Dify's apps."""
    if not asked:
        return
    opened.check_source()
    listed = [(app.app_id, app.name) for app in opened.listed_apps()]
    for text in asked:
        if not any(text in app for app in listed):
            raise WindowWrong(
                f"Dify has no app with the id or name {text!r}",
                where="--app, or apps in the run's config",
                hint=f"{did_you_mean(text, [name for _, name in listed])}`dify-etl apps list` "
                "shows ids and names. A deleted app keeps its rows but cannot be read any more.",
            )
