"""Days of messages that are in Dify's database as they were read, and are held as they were loaded:
such a day is not read again.

The server makes a digest of all that a read of the day would show: every column and part of every
message that the console lists. It is kept beside a digest of the rows that were loaded. When both
are as they were, to read the day would change nothing; when either is not, it is read.
"""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib.metadata import version

from dify_etl.dify_database.connection import Snapshot
from dify_etl.dify_database.conversations import AppTables
from dify_etl.dify_database.messages import MessageDigests
from dify_etl.feeds.database_days import DaysOfApp
from dify_etl.feeds.message_parts import CHILDREN
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.ledger import DAY_DIGESTS
from dify_etl.sync.run import Sync
from dify_etl.sync.windows import Window, windows_of
from dify_etl.time_zones import day_start
from dify_etl.warehouse.tables import frame, quoted
from dify_etl.warehouse.upsert import put

FEED = "messages"
DAYS_AT_ONCE = 7  # of one statement, which has its time


@dataclass(frozen=True)
class ComparedDays:
    """By day the digest in Dify, of the days that were asked; and of those that are unchanged the
    messages that Dify has.
    """

    app_id: str
    digests: Mapping[date, str] = field(default_factory=dict)
    unchanged: Mapping[date, int] = field(default_factory=dict)

    def note(self, loader: FeedLoader) -> None:
        """Keep the digests of the days that were read; call it in the transaction that closes
        their slices.
        """
        read = self.digests.keys() - self.unchanged.keys()
        held = _held(loader.sync, self.app_id, read)
        rows = [
            {
                "feed": FEED,
                "app_id": self.app_id,
                "slice_date": day,
                "digest": self.digests[day],
                "held_digest": held[day],
            }
            for day in sorted(read)
        ]
        put(loader.sync.database, DAY_DIGESTS, frame(DAY_DIGESTS, rows))


def compare_days(sync: Sync, shot: Snapshot, app: AppTables, days: DaysOfApp) -> ComparedDays:
    """The days whose digests are worth to ask, which are read again and again; on a night alone.

    A first load asks for those of the look-back: all others are not read for weeks.
    """
    # Rows of people who were forgotten are not as they are in Dify.
    if not sync.is_night or sync.rules.privacy.forgotten:
        return ComparedDays(app.app_id)
    good = _read_well(sync, app.app_id)
    asked = [day for day in days.days if day in good or sync.lookback.has(day)]
    counts, digests = _asked(sync, shot, app, asked)
    kept = _kept(sync, app.app_id)
    likely = [
        day for day, told in digests.items() if day in good and kept.get(day, ("",))[0] == told
    ]
    held = _held(sync, app.app_id, likely)
    unchanged = {day: counts[day] for day in likely if held[day] == kept[day][1]}
    return ComparedDays(app.app_id, digests, unchanged)


def _read_well(sync: Sync, app_id: str) -> frozenset[date]:
    """The days that are proven; none while anything of the app waits in quarantine."""
    rows = sync.database.rows(
        """SELECT slice_date FROM ops.slices WHERE feed = $1 AND app_id = $2 AND state = 'proven'
            AND slice_date IS NOT NULL AND in_quarantine IS NULL AND NOT EXISTS (
                FROM ops.quarantine q WHERE q.feed = $1 AND q.resolved_at IS NULL
                    AND q.app_id IS NOT DISTINCT FROM $2)""",
        [FEED, app_id],
    )
    return frozenset(day for (day,) in rows)


def _kept(sync: Sync, app_id: str) -> dict[date, tuple[str, str]]:
    rows = sync.database.rows(
        "SELECT slice_date, digest, held_digest FROM ops.day_digests WHERE feed = ? AND app_id = ?",
        [FEED, app_id],
    )
    return {day: (digest, held) for day, digest, held in rows}


def _asked(
    sync: Sync, shot: Snapshot, app: AppTables, days: Iterable[date]
) -> tuple[dict[date, int], dict[date, str]]:
    """How many messages the snapshot has on each day, and the digests of them; of no further day
    once that takes the server too long: those are read.
    """
    server = MessageDigests(shot, app)
    rules = (_program(), sync.rules.privacy.text, sync.rules.privacy.people, server.rules)
    counts: dict[date, int] = {}
    digests: dict[date, str] = {}
    for window in _stretches(days, sync):
        starts = [day_start(day, sync.rules.zone) for day in window.days]
        found = server.by_bounds([*starts, window.end])
        if found is None:
            break
        for place, day in enumerate(window.days, 1):
            counts[day], digest = found.get(place, (0, ""))
            told = "\n".join((*rules, str(counts[day]), digest))
            digests[day] = hashlib.sha256(told.encode()).hexdigest()
    return counts, digests


def _stretches(days: Iterable[date], sync: Sync) -> Iterator[Window]:
    for window in windows_of(days, sync.rules.zone):
        for start in range(0, len(window.days), DAYS_AT_ONCE):
            some = window.days[start : start + DAYS_AT_ONCE]
            yield Window(some[0], some[-1], window.zone)


@cache
def _program() -> str:
    """Another version may make other rows of the same messages."""
    return version("dify-etl")


def _held(sync: Sync, app_id: str, days: Collection[date]) -> dict[date, str]:
    """What tells of each day whether any row of it was written since: its messages and their parts,
    with when each was changed or went.
    """
    if not days:
        return {}
    dates = ", ".join(f"DATE '{day}'" for day in sorted(days))
    written = "message_id, t.changed_at, t.absent_since"
    of_day = f"app_id = {quoted(app_id)} AND created_date IN ({dates})"
    parts = [
        f"""SELECT message_created_date, hash('{name}', t.{written}) FROM raw.{name} t
        WHERE app_id = {quoted(app_id)} AND message_created_date IN ({dates})"""
        for name in CHILDREN
    ]
    rows = sync.database.rows(
        f"""SELECT day, count(*), sum(written)::VARCHAR FROM (
            SELECT created_date AS day, hash('messages', t.{written}) AS written
            FROM raw.messages t WHERE {of_day}
            UNION ALL {" UNION ALL ".join(parts)}
            UNION ALL SELECT m.created_date, hash('human_inputs', t.{written})
            FROM raw.human_inputs t JOIN (SELECT message_id, created_date FROM raw.messages
                WHERE {of_day}) m USING (message_id)) GROUP BY day"""
    )
    found = {day: f"{count} {written}" for day, count, written in rows}
    return {day: found.get(day, "0") for day in days}
