"""Which rows of Dify's database are read tonight: whole local days, and older rows that moved.

A day is read whole in one snapshot: what it counts is what is there, and what is held of the day
and was not shown is there no more.
"""

from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import chain
from typing import TypeVar
from zoneinfo import ZoneInfo

import polars as pl

from dify_etl.dify.record import Rejected, lost
from dify_etl.dify_database.chunks import between, moment
from dify_etl.dify_database.connection import Snapshot
from dify_etl.dify_database.conversations import AppTables
from dify_etl.dify_database.errors import DatabaseError, DatabaseUnreachable
from dify_etl.raw.local_days import with_local_days
from dify_etl.raw.tables import raw_table
from dify_etl.sync.days import days_to_read, is_over
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.known_apps import KnownApp
from dify_etl.sync.report import Slice
from dify_etl.sync.run import Sync
from dify_etl.sync.windows import Window, windows_of
from dify_etl.time_zones import day_start
from dify_etl.warehouse.tables import quoted

COMMIT_BYTES = 256_000_000  # of rows as Arrow, of which a part waits in memory

Chunk = TypeVar("Chunk")


@dataclass
class SeenRows:
    """What a snapshot showed of an app: rows of a feed by local day, and the ids of the days read
    whole.
    """

    feed: str
    by_day: Counter[date] = field(default_factory=Counter)
    _ids: list[pl.Series] = field(default_factory=list)

    def note(self, sync: Sync, rows: pl.DataFrame, odd: Iterable[Rejected] = ()) -> None:
        """Count rows on the local day of their `created_at`; what is no record was shown, too."""
        table = raw_table(self.feed)
        dated = with_local_days(table, rows.select(self.key, "created_at"), sync.rules.zone)
        self.by_day.update(dict(dated["created_date"].value_counts().iter_rows()))
        # Copied: a column of what the driver handed over keeps the whole chunk in memory.
        self._ids.append(pl.Series(self.key, rows[self.key].to_list(), pl.String))
        ids = [one.record_id for one in lost(odd) if one.record_id]
        self._ids.append(pl.Series(self.key, ids, pl.String))

    @property
    def key(self) -> str:
        """The column of the ids."""
        return raw_table(self.feed).key[-1]

    @property
    def present(self) -> pl.DataFrame:
        """The ids."""
        nothing = pl.Series(self.key, [], pl.String)
        return pl.DataFrame({self.key: pl.concat([nothing, *self._ids])})


def _workspace_of(sync: Sync) -> str:
    """The workspace that this home belongs to."""
    return str(sync.database.value("SELECT workspace_id FROM ops.source"))


def dates_of(days: "DaysOfApp") -> str:
    """The days as a list in SQL."""
    return ", ".join(f"DATE '{day}'" for day in days.days)


@dataclass(frozen=True)
class DaysOfApp:
    """The days of one app that are read whole, and whether these are all days of its history.

    Rows of other days that were touched on one of these are read, too. A day is due until it was
    read a day after its end, by night or by window: so each touch is looked for once its day is
    over, however long nobody read.
    """

    app_id: str
    days: tuple[date, ...]
    windows: tuple[Window, ...]
    are_all: bool

    def within(self, column: str) -> str:
        """SQL: whether a time lies in these days."""
        return "(" + " OR ".join(between(column, w.start, w.end) for w in self.windows) + ")"

    def without(self, column: str) -> str:
        """SQL: whether it does not."""
        return f"NOT {self.within(column)}"

    def but(self, days: Collection[date], zone: ZoneInfo) -> "DaysOfApp":
        """These days without some; there may be none left."""
        left = tuple(day for day in self.days if day not in days)
        return replace(self, days=left, windows=tuple(windows_of(left, zone)))


Read = Callable[[FeedLoader, Snapshot, AppTables, "DaysOfApp"], None]


def read_apps(loader: FeedLoader, apps: Sequence[KnownApp], read: Read) -> None:
    """Read what is due of these apps from one snapshot.

    An app that fails costs its own days, and the others a snapshot of their own; what concerns all
    of them, as no connection, costs the days of all. The run goes on.
    """
    sync, database = loader.sync, loader.sync.rules.dify_database
    assert database is not None
    modes = {app.app_id: app.mode for app in apps}
    waiting = deque(days_in_database(sync, loader.feed, tuple(modes)))
    loader.expect(len(waiting))
    sync.database.expect_large_commits()
    while waiting:
        begun: DaysOfApp | None = None
        try:
            with database.snapshot(_workspace_of(sync)) as shot:
                while waiting:
                    begun = waiting[0]
                    tables = AppTables(begun.app_id, modes[begun.app_id], sync.dify.version)
                    read(loader, shot, tables, begun)
                    waiting.popleft()
                    loader.step()
        except DatabaseError as error:
            is_of_all = begun is None or isinstance(error, DatabaseUnreachable)
            failed = list(waiting) if is_of_all else [waiting[0]]
            for one in failed:
                waiting.popleft()
                _fail(loader, one, error)
                loader.step()


def load_chunks(
    loader: FeedLoader, app: AppTables, chunks: Iterable[Chunk], load: Callable[[Chunk], None]
) -> None:
    """Load chunk after chunk; many of them in one transaction, where nothing of the app is held.

    What fills a row group is written to the file at once, where the rows of small commits are
    written to its log first. Rows that change stay in memory until they are committed: where any
    may, each chunk is committed alone.
    """
    held = f"SELECT 1 FROM raw.{loader.feed} WHERE app_id = {quoted(app.app_id)} LIMIT 1"
    most = 0 if loader.sync.database.rows(held) else COMMIT_BYTES
    rest = iter(chunks)
    while (first := next(rest, None)) is not None:
        loaded = loader.loaded_bytes
        with loader.commit():
            for chunk in chain([first], rest):
                load(chunk)
                if loader.loaded_bytes - loaded >= most:
                    break


def _fail(loader: FeedLoader, days: "DaysOfApp", error: DatabaseError) -> None:
    """Its days were not read; what an earlier run loaded of them is still there."""
    with loader.commit():
        loader.close_slices(
            [Slice(days.app_id, day, "failed", reason=str(error)) for day in days.days]
        )


def days_in_database(sync: Sync, feed: str, app_ids: Sequence[str]) -> Iterator[DaysOfApp]:
    """The days to read of each app, as the ledger has them."""
    for one in days_to_read(sync, feed, tuple(app_ids)):
        if one.all:
            windows = tuple(windows_of(one.all, sync.rules.zone))
            are_all = len(one.all) > (sync.today - sync.rules.start_date).days
            yield DaysOfApp(one.app_id, one.all, windows, are_all)


def counted_by_day(
    sync: Sync, shot: Snapshot, days: DaysOfApp, column: str, source: str
) -> Counter[date]:
    """How many rows of `source` (SQL from FROM on, without its WHERE's time) the snapshot has on
    each day, by the bounds of our own rules of zones.
    """
    found: Counter[date] = Counter()
    for window in days.windows:
        starts = [day_start(day, sync.rules.zone) for day in window.days]
        bounds = ", ".join(moment(at) for at in starts)
        rows = shot.frame(
            f"SELECT width_bucket({column}, ARRAY[{bounds}]) AS day, count(*) AS rows {source} "
            f"AND {between(column, window.start, window.end)} GROUP BY 1"
        )
        found.update({window.days[day - 1]: count for day, count in rows.iter_rows()})
    return found


def slices_of_days(
    sync: Sync,
    days: DaysOfApp,
    received: Counter[date],
    counted: Counter[date],
    doubts: Iterable[str] = (),
) -> Iterator[Slice]:
    """The ledger rows of days that were read from one snapshot."""
    doubt = next(iter(doubts), None)
    for day in days.days:
        rows, expected = received[day], counted[day]
        missing = None if rows == expected else f"{rows} of {expected} rows of the snapshot"
        yield Slice.judged(
            *(days.app_id, day, rows),
            missing=missing,
            doubt=doubt,
            expected=expected,
            is_settled=is_over(sync, day),
        )
