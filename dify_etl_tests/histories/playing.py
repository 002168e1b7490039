"""Play a history: change the world, read it night by night, and look whether promises hold."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx

from dify_etl.assembly.ops_copies import OPS_TABLES
from dify_etl.dify.client import DifyClient
from dify_etl.feeds.reading import read_feeds
from dify_etl.feeds.table import FEEDS
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.sync.clocks import heal_days_to_come
from dify_etl.sync.run import NoWatcher, Sync, SyncPlan, SyncRules
from dify_etl.sync.source import ask_source, pin_source
from dify_etl.sync.verdict import judge
from dify_etl.time_zones import local_date, utc_now, zone_of
from dify_etl.warehouse.database import SCHEMAS, Database
from dify_etl_tests.histories.history import Change, History, Night, Verb
from dify_etl_tests.histories.promises import (
    UNJUDGED,
    NightBegun,
    Past,
    Truth,
    broken_promises,
    rows_in_dify,
    unlike_in_the_end,
)
from dify_etl_tests.histories.run_changes import RUNS
from dify_etl_tests.histories.talk_changes import TALK
from dify_etl_tests.histories.trouble_changes import TROUBLES
from dify_etl_tests.histories.troubles import TroubledAnswers, Troubles
from dify_etl_tests.histories.workspace_changes import WORKSPACE
from dify_etl_tests.sync.workplace import Workplace
from dify_simulated import World, WorldPlan, build_world
from dify_simulated.server.faults import Faults

VERBS: dict[str, Verb] = {**TALK, **RUNS, **WORKSPACE}
FEEDS_OF = {
    "talk": ("apps", "annotations", "conversations", "messages"),
    "runs": ("apps", "conversations", "messages", "workflow_runs", "node_executions"),
    "workspace": (
        *("apps", "members", "app_api_keys", "dataset_api_keys", "datasets", "documents"),
        *("annotations", "daily_statistics"),
    ),
}
# Requests that the database's thread makes by itself: they come at no fixed place.
UNCOUNTED = ("/account", "/workspaces", "/login", "/refresh-token", "/setup", "/ping")

# After the last change: messages settle, the weekly export comes, the deep read goes round.
REST_HOURS = (170.0, 24.0)


def memory_warehouse() -> Database:
    """A live database without a file, so that a night costs little."""
    connection = duckdb.connect(config={"threads": 1})
    connection.execute("ATTACH ':memory:' AS live")
    connection.execute("USE live")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("PRAGMA disable_optimizer")
    for schema in SCHEMAS:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    database = Database(connection, Path("memory"))
    for raw in RAW_TABLES.values():
        database.ensure(raw.table)
    for table in OPS_TABLES:
        database.ensure(table)
    return database


def emptied(database: Database) -> Database:
    """The same database without rows."""
    for table in (*(raw.table for raw in RAW_TABLES.values()), *OPS_TABLES):
        database.execute(f"TRUNCATE {table.qualified}")
    return database


@dataclass
class MemoryPlace(Workplace):
    """A workplace whose warehouse is in memory and whose client lives as long as the history."""

    database: Database = field(kw_only=True)
    troubles: Troubles = field(default_factory=lambda: Troubles("workspace"))

    def our_time(self) -> datetime:
        """Our clock, as the troubles have it."""
        return self.world.now() + self.troubles.ours_ahead

    def answers(self, queries: Any) -> list[list[tuple[Any, ...]]]:
        """What the warehouse answers to several queries."""
        return [self.database.rows(sql) for sql in queries]


class Player:
    """One history on its way. `changes` counts the changes that were made so far."""

    def __init__(self, history: History, database: Database) -> None:
        self.history = history
        self.troubles = Troubles(history.family)
        self.place = _place(history, emptied(database), self.troubles)
        self.place.transport = TroubledAnswers(
            httpx.WSGITransport(app=self.place.server), self.troubles, self.place.world
        )
        self.changes = 0
        self._asked = 0
        self._waiting: list[tuple[int, Change]] = []
        self._past = Past()
        self._nights: dict[str, NightBegun] = {}
        self._latest = history.began
        self._known: dict[str, object] = {}
        self.place.server.faults = Faults(before_request=self._before_request)

    @property
    def world(self) -> World:
        """The world that is read."""
        return self.place.world

    def play(self) -> None:
        """All nights, and the nights of rest. AssertionError for a broken promise."""
        with self.place.client() as dify:
            for number, night in enumerate(self.history.nights, 1):
                self.troubles.begin(number)
                self._pass_time(night)
                self._make(*night.before)
                self._night(dify, night.during)
            self.troubles.end()
            self.world.set_now(max(self._latest, self.world.now()))  # what was of days to come is
            for hours in self._rest():
                self._pass_time(Night(hours=hours))
                self._night(dify, ())
        left = unlike_in_the_end(self.place, self.history.family, self._past)
        assert left == [], "\n".join(left[:20])
        assert judge(self.place.database).is_good

    def _rest(self) -> tuple[float, ...]:
        """The nights of rest: one more where the first one's own reading marks logs as read."""
        return (*REST_HOURS, 24.0) if self.history.completion_detail else REST_HOURS

    def _night(self, dify: DifyClient, during: tuple[tuple[int, Change], ...]) -> None:
        before = Truth.of(self.place, self.history.family)
        moment = self._past.look(before.rows)
        self._asked, self._waiting = 0, sorted(during, key=lambda one: one[0])
        is_still = not during and not self.history.completion_detail
        untouched = self.world.snapshot() if is_still else {}
        with self._sync(dify) as sync:
            self._nights[sync.run_id] = NightBegun(moment, sync.now - UNJUDGED)
            self.read(sync)
        if is_still:
            assert self.world.snapshot() == untouched, "the reading has left a trace"
        self._make(*(change for _, change in self._waiting))
        self._waiting = []
        if _small_lists(self.world) != self._known:  # changed meanwhile, and maybe read halfway
            self._known = {}
        family = self.history.family
        self._past.look(rows_in_dify(self.place, family))
        wrong = broken_promises(self.place, family, before, self._past, self._nights)
        assert wrong == [], f"night {self.place.runs}:\n" + "\n".join(wrong[:20])

    def read(self, sync: Sync) -> None:
        """The feeds of the night, beside each other."""
        wanted = self._feeds()
        failed: list[str] = []
        feeds = [feed for feed in FEEDS if feed.name in wanted]
        read_feeds(sync, feeds, lambda report: failed.extend([report.feed] * report.is_given_up))
        assert failed == [], "met a bug, see ops.unforeseen_errors"

    def _feeds(self) -> set[str]:
        """The feeds of this night: for speed without lists of which nothing changed since."""
        feeds = set(FEEDS_OF[self.history.family])
        if self.history.family == "workspace":
            return feeds
        if self.troubles.is_any or self._waiting_troubles():
            self._known = {}
            return feeds
        known, self._known = self._known, _small_lists(self.world)
        return feeds - {name for name, rows in self._known.items() if known.get(name) == rows}

    @contextmanager
    def _sync(self, dify: DifyClient) -> Iterator[Sync]:
        self.place.runs += 1
        if self.place.runs == 1:
            pin_source(
                self.place.database,
                dify,
                ask_source(dify),
                self.place.rules,
                now=dify.earlier_time(),
            )
        else:
            dify.account.profile()  # tells Dify's clock
        self._heal(dify)
        yield Sync(
            dify=dify,
            database=self.place.database,
            rules=self.place.rules,
            plan=SyncPlan(),
            run_id=f"night {self.place.runs}",
            now=dify.earlier_time().replace(microsecond=0),
            started_at=utc_now(),
            watch=NoWatcher(),
        )

    def _heal(self, dify: DifyClient) -> None:
        """As every run does it when it opens a home."""
        database = self.place.database
        with database.transaction():
            heal_days_to_come(database, self.place.rules, dify.later_time())

    def _waiting_troubles(self) -> bool:
        return any(change.verb in TROUBLES for _, change in self._waiting)

    def _before_request(self, number: int, method: str, path: str) -> None:
        if path.removeprefix("/console/api").startswith(UNCOUNTED):
            return
        with self.world.lock:  # requests come from several threads, and each looks at the world
            while self._waiting and self._waiting[0][0] <= self._asked:
                self._make(self._waiting.pop(0)[1])
                if self._waiting:  # what the last change leaves is still there after the night
                    self._past.look(rows_in_dify(self.place, self.history.family))
            self._asked += 1

    def _make(self, *changes: Change) -> None:
        for change in changes:
            with self.world.lock:
                self.world.set_now(self.world.now() + timedelta(seconds=change.after))
                if change.verb in TROUBLES:
                    TROUBLES[change.verb](self.troubles, self.world, change)
                else:
                    VERBS[change.verb](self.world, change)
                self._latest = max(self._latest, self.world.now())
            self.changes += 1

    def _pass_time(self, night: Night) -> None:
        now = self.world.now() + timedelta(hours=night.hours)
        if night.to_midnight is not None:
            zone = zone_of(self.history.timezone)
            day = local_date(now, zone) + timedelta(days=1)
            now = datetime.combine(day, time.min, zone) + timedelta(seconds=night.to_midnight)
        self.world.set_now(now.astimezone(self.history.began.tzinfo))
        self._latest = max(self._latest, now)


def _small_lists(world: World) -> dict[str, object]:
    """What full lists of the talk would show now."""
    notes = {row.id: (row.content, row.question) for row in world.annotations.values()}
    return {"apps": set(world.apps), "annotations": notes}


def _place(history: History, database: Database, troubles: Troubles) -> MemoryPlace:
    plan = WorldPlan(
        seed=1,
        apps=0,
        days=1,
        conversations_per_day=0,
        now=history.began,
        timezone=history.timezone,
    )
    world = build_world(plan)
    for mode in history.modes:
        world.add_app(
            name=f"the {mode} app",
            mode=mode,
            at=history.began - timedelta(days=9),
            created_by=world.account_id,
            tenant_id=world.workspace_id,
        )
    zone = zone_of(history.timezone)
    rules = SyncRules(
        zone=zone,
        start_date=local_date(history.began, zone) - timedelta(days=2),
        lookback_days=history.lookback_days,
        deep_read_days=history.deep_read_days,
        completion_detail=history.completion_detail,
        workers=1,
    )
    return MemoryPlace(
        world, Path("memory"), history.version, rules, database=database, troubles=troubles
    )
