"""A stage for crashes: a Dify behind a socket, a home loaded from its past, and what must come.

Every run begins in a copy of that home and reads what has happened since.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from dify_etl.home import LIVE
from dify_etl.raw.tables import RAW_TABLES
from dify_etl_tests.crashes.short_runs import ShortRun
from dify_etl_tests.sync.small_worlds import run, talk
from dify_simulated import SimulatedDify, World, WorldPlan, build_world, serve
from dify_simulated.server.faults import Faults

MODES = ("chat", "workflow", "completion", "advanced-chat")
# What differs between two good runs: our own clock, and links signed anew.
OF_THE_RUN = ("loaded_at", "changed_at", "read_at", "url")

Dump = dict[str, set[tuple[Any, ...]]]


@dataclass
class Stage:
    """The server's world, the home before the run, and the rows that a run must bring."""

    world: World
    folder: Path
    port: int = 0
    wanted: Dump | None = None
    seconds: float = 0.0
    requests: int = 0

    @contextmanager
    def served(self, faults: Faults | None = None) -> Iterator[SimulatedDify]:
        """The server, on the same port every time."""
        server = SimulatedDify(self.world, faults=faults)
        with serve(server, self.port) as running:
            self.port = running.port
            yield server

    def run(self, name: str, **changed: Any) -> ShortRun:
        """A run into a fresh copy of the home."""
        home = self.folder / name
        if (self.folder / "before").exists() and not home.exists():
            shutil.copytree(self.folder / "before", home)
        account = self.world.account
        settled = ShortRun(
            base_url=f"http://127.0.0.1:{self.port}",
            email=account.email,
            password=str(account.password),
            home=home,
            start_date=self.start_date,
        )
        return replace(settled, **changed)

    @property
    def start_date(self) -> date:
        """Some days before the world's now."""
        return (self.world.now() - timedelta(days=5)).date()


def small_past(now: datetime | None = None) -> World:
    """Four apps, some talks and runs of the last days, one dataset with documents."""
    at = (now or datetime.now(UTC)).replace(microsecond=0)
    world = build_world(WorldPlan(seed=5, apps=0, days=1, conversations_per_day=0, now=at))
    for mode in MODES:
        app = world.add_app(
            name=f"the {mode} app",
            mode=mode,
            at=at - timedelta(days=4),
            created_by=world.account_id,
            tenant_id=world.workspace_id,
        )
        world.add_api_key(tenant_id=app.tenant_id, at=at - timedelta(days=4), app_id=app.id)
    go_on(world, at - timedelta(days=3), talks=3)
    return world


def go_on(world: World, at: datetime, *, talks: int) -> None:
    """Life goes on: talks and runs, a minute apart."""
    for number in range(talks):
        then = at + timedelta(minutes=number)
        row = talk(world, at=then, messages=3)
        message = next(iter(world.messages_of_conversation[row.id]))
        world.give_feedback(message, "like", at=then)
        talk(world, at=then, messages=1, mode="completion")
        talk(world, at=then, messages=2, mode="advanced-chat")
        run(world, at=then)


def dump(home: Path) -> Dump:
    """All raw rows without what differs between two good runs; absent or not, not since when."""
    found: Dump = {}
    with duckdb.connect(home / LIVE, read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, raw in RAW_TABLES.items():
            columns = [c.name for c in raw.table.columns if c.name not in OF_THE_RUN]
            listed = ", ".join(f'"{column}"::VARCHAR' for column in columns)
            sql = f"SELECT {listed}, absent_since IS NULL FROM raw.{name}"
            rows = connection.execute(sql).fetchall()
            found[name] = set(rows)
            assert len(found[name]) == len(rows), f"{name} holds a row twice"
        slices = "SELECT feed, app_id, slice_date::VARCHAR, state, reason FROM ops.slices"
        found["slices"] = set(connection.execute(slices).fetchall())
    return found


def lost(wanted: Dump, found: Dump) -> int:
    """How many rows are missing or otherwise."""
    return sum(len(wanted[name] - found[name]) for name in wanted)


def doubled(wanted: Dump, found: Dump) -> int:
    """How many rows are too many."""
    return sum(len(found[name] - wanted[name]) for name in wanted)
