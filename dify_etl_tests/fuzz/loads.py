"""One world that is read again and again into an empty warehouse, with other answers each time."""

import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx

from dify_etl.feeds.reading import read_feed
from dify_etl.feeds.table import FEEDS
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.sync.run import NoWatcher, Sync, SyncPlan
from dify_etl.sync.source import ask_source, pin_source
from dify_etl.sync.verdict import Verdict, judge
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.database import Database
from dify_etl.warehouse.upsert import SIGNATURE
from dify_etl_tests.fuzz.altered_answers import AlteredAnswers, Case, Heard
from dify_etl_tests.fuzz.objects import Found
from dify_etl_tests.histories.playing import MemoryPlace, emptied
from dify_etl_tests.sync.workplace import RULES
from dify_simulated import World

Row = dict[str, Any]
Key = tuple[Any, ...]
Slot = tuple[str, str | None, date | None]

# What differs between two reads of the same answers.
_OF_THE_RUN = ("loaded_at", "changed_at", "read_at", "detail_of")


@dataclass(frozen=True)
class Load:
    """What one read left: rows by table and key, slices, what waits in quarantine, the verdict."""

    rows: Mapping[str, Mapping[Key, Row]]
    slices: Mapping[Slot, tuple[str, str | None]]
    expected: Mapping[Slot, int | None]
    waiting: Sequence[Row]
    verdict: Verdict
    raised: str | None = None
    unforeseen: Sequence[str] = ()
    met: frozenset[Case] = frozenset()


@dataclass
class Loads:
    """A world and the server over it; `judge` gives the verdict over the ledger."""

    world: World
    version: str
    database: Database
    heard: Heard = field(default_factory=Heard)
    judge: Callable[[Database], Verdict] = judge
    feeds: tuple[str, ...] = tuple(feed.name for feed in FEEDS)

    def __post_init__(self) -> None:
        rules = replace(RULES, workers=1, start_date=RULES.start_date + timedelta(days=50))
        self.place = MemoryPlace(
            self.world, Path("memory"), self.version, rules, database=self.database
        )
        self._runs = 0

    @cached_property
    def clean(self) -> Load:
        """What is loaded when every answer is well."""
        return self.load(())

    @cached_property
    def objects(self) -> list[Found]:
        """Every object that may be touched."""
        assert self.clean.raised is None
        return self.heard.objects()

    def load(self, cases: Iterable[Case], *, anew: bool = True) -> Load:
        """Read the world once; into an empty warehouse unless told otherwise."""
        inner = httpx.WSGITransport(app=self.place.server)
        transport = AlteredAnswers(inner, self.heard, cases)
        self.place.transport = transport
        if anew:
            emptied(self.database)
        self._runs += 1
        raised = None
        with self.place.client() as dify:
            if anew:
                pin_source(
                    self.database,
                    dify,
                    ask_source(dify),
                    self.place.rules,
                    now=dify.earlier_time(),
                )
            sync = Sync(
                dify=dify,
                database=self.database,
                rules=self.place.rules,
                plan=SyncPlan(),
                run_id=f"run {self._runs}",
                now=dify.earlier_time(),
                started_at=utc_now(),
                watch=NoWatcher(),
            )
            for feed in (one for one in FEEDS if one.name in self.feeds):
                try:
                    read_feed(sync, feed)
                except Exception:
                    raised = f"{feed.name}: {traceback.format_exc()}"
                    break
        return self._left(raised, frozenset(transport.met))

    def _left(self, raised: str | None, met: frozenset[Case]) -> Load:
        slices = self.database.rows(
            "SELECT feed, app_id, slice_date, state, reason, expected FROM ops.slices"
        )
        names = (
            "feed",
            "app_id",
            "record_id",
            "parent_id",
            "odd_fields",
            "odd_figures",
            "raw_json",
        )
        waiting = self.database.rows(
            f"SELECT {', '.join(names)} FROM ops.quarantine WHERE resolved_at IS NULL"
        )
        return Load(
            rows={name: self._rows(name) for name in RAW_TABLES},
            slices={(feed, app, day): (state, why) for feed, app, day, state, why, _ in slices},
            expected={(feed, app, day): count for feed, app, day, *_, count in slices},
            waiting=[dict(zip(names, row, strict=True)) for row in waiting],
            verdict=self.judge(self.database),
            raised=raised,
            unforeseen=[
                f"{feed} {kind}: {trace}"
                for feed, kind, trace in self.database.rows(
                    "SELECT feed, kind, trace FROM ops.unforeseen_errors"
                )
            ],
            met=met,
        )

    def _rows(self, name: str) -> dict[Key, Row]:
        table = RAW_TABLES[name].table
        columns = [one.name for one in table.columns if one.name not in _OF_THE_RUN]
        key = [column for column in table.key if column in columns]
        listed = ", ".join(f'"{column}"' for column in columns)
        found = self.database.rows(f"SELECT {listed} FROM raw.{name} WHERE absent_since IS NULL")
        rows = (dict(zip(columns, map(_unsigned, row), strict=True)) for row in found)
        return {tuple(row[column] for column in key): row for row in rows}


def _unsigned(value: Any) -> Any:
    """A link without what Dify signs anew on every read."""
    return re.sub(SIGNATURE, "", value) if isinstance(value, str) and "sign=" in value else value
