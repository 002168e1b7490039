"""A simulated Dify, a client of it and a home: one night after another, as a test wants them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from dify_etl.dify.client import Credentials, DifyClient
from dify_etl.dify.http.auth import PasswordCredentials
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.session import RetryPolicy
from dify_etl.dify.http.tokens import TokenStore
from dify_etl.feeds.table import FEEDS
from dify_etl.home import LIVE
from dify_etl.sync.opening import open_sync
from dify_etl.sync.opt_in import is_read
from dify_etl.sync.report import FeedReport
from dify_etl.sync.run import NoWatcher, Sync, SyncPlan, SyncRules, Watcher
from dify_etl.sync.windows import Window
from dify_etl.time_zones import zone_of
from dify_etl_tests.duckdb_files import opened_to_read
from dify_simulated import SimulatedDify, World, serve
from dify_simulated.server.app import RecordedRequest

NOW = datetime(2026, 3, 12, 15, 30, 20, tzinfo=UTC)
ZONE = zone_of("UTC")
RULES = SyncRules(zone=ZONE, start_date=NOW.date() - timedelta(days=60), workers=4)
ORIGIN = "http://dify.test"

# Enough to read conversations and their messages.
TALK = ("apps", "conversations", "messages")
# Enough to read runs and their nodes.
RUNS = ("apps", "workflow_runs", "node_executions")


def patient_clock(now: Callable[[], datetime]) -> Clock:
    """A clock that tells this time; waits cost nothing."""
    return Clock(now=now, monotonic=lambda: now().timestamp(), sleep=lambda seconds: None)


@dataclass
class Workplace:
    """A world, the server over it, and the home that it is read into."""

    world: World
    home: Path
    version: str = "1.12.1"
    rules: SyncRules = RULES
    base_url: str = ORIGIN
    transport: httpx.BaseTransport | None = None
    token_store: TokenStore | None = None
    credentials: Credentials | None = None
    attempts: int = 2
    ours_ahead: timedelta = timedelta(0)  # of the world's clock, which Dify tells
    watch: Watcher = field(default_factory=NoWatcher)
    server: SimulatedDify = field(init=False)
    runs: int = 0

    def __post_init__(self) -> None:
        self.server = SimulatedDify(self.world, self.version)

    @contextmanager
    def client(self) -> Iterator[DifyClient]:
        """A client of its own; it logs in anew unless the token store has a session."""
        account = self.world.account
        password = PasswordCredentials(account.email, SecretStr(account.password or ""))
        with DifyClient(
            self.base_url,
            credentials=self.credentials or password,
            token_store=self.token_store,
            transport=self.transport or self._transport(),
            clock=patient_clock(self.our_time),
            retry=RetryPolicy(attempts=self.attempts),
            fingerprint_key=b"a key of the tests",
        ) as dify:
            yield dify

    def our_time(self) -> datetime:
        """What our own clock tells."""
        return self.world.now() + self.ours_ahead

    def _transport(self) -> httpx.BaseTransport | None:
        """In process, unless a server listens at the address."""
        return httpx.WSGITransport(app=self.server) if self.base_url == ORIGIN else None

    @contextmanager
    def listening(self) -> Iterator["Workplace"]:
        """Serve on a real socket while the block runs."""
        with serve(self.server) as running:
            self.base_url = running.base_url
            yield self

    @contextmanager
    def opened(
        self, plan: SyncPlan | None = None, *, dify: DifyClient | None = None
    ) -> Iterator[Sync]:
        """An open sync, by a client of its own unless one is given."""
        self.runs += 1
        with self.client() as own:
            settings: dict[str, Any] = {"rules": self.rules, "run_id": f"run {self.runs}"}
            with open_sync(
                dify or own,
                self.home,
                plan=plan or SyncPlan(),
                watch=self.watch,
                wait_seconds=1.0,
                **settings,
            ) as sync:
                # It takes an eighth of a small sync. Nights, commands and the demo run with it.
                sync.database.execute("PRAGMA disable_optimizer")
                yield sync

    def read(
        self,
        feeds: Sequence[str] = (),
        plan: SyncPlan | None = None,
        *,
        dify: DifyClient | None = None,
    ) -> dict[str, FeedReport]:
        """One run: these feeds (all that the rules ask for when none is named) in their order, and
        what they report.
        """
        with self.opened(plan, dify=dify) as sync:
            asked = [one for one in FEEDS if one.name in feeds or not feeds]
            chosen = [one for one in asked if is_read(one.name, self.rules)]
            return {feed.name: feed.read(sync) for feed in chosen}

    def read_days(self, first: date, last: date, feeds: Sequence[str] = ()) -> None:
        """One run over these local days."""
        self.read(feeds, SyncPlan(window=Window(first, last, self.rules.zone)))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What the warehouse answers."""
        return self.answers([sql])[0]

    def answers(self, queries: Sequence[str]) -> list[list[tuple[Any, ...]]]:
        """What the warehouse answers to several queries, in one opening of the file."""
        with opened_to_read(self.home / LIVE) as connection:
            return [connection.execute(sql).fetchall() for sql in queries]

    def value(self, sql: str) -> Any:
        """The first value of the first row."""
        return self.rows(sql)[0][0]

    def pass_time(self, **span: float) -> datetime:
        """Move the world's clock on; answers its new time."""
        now = self.world.now() + timedelta(**span)
        self.world.set_now(now)
        return now

    def with_rules(self, **changes: Any) -> "Workplace":
        """The same server and home under other rules."""
        self.rules = replace(self.rules, **changes)
        return self

    @contextmanager
    def requests(self) -> Iterator[list[RecordedRequest]]:
        """The requests that arrive while the block runs, filled in at its end."""
        found: list[RecordedRequest] = []
        before = len(self.server.requests)
        yield found
        found.extend(self.server.requests[before:])
