"""What ops.slices proves about one app, for whoever wants to delete it."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from dify_etl.home import Home
from dify_etl.operations.sync_proof import Proof
from dify_etl.sync.rights import NOT_SHOWN
from dify_etl.warehouse.database import Database, open_database

# One of these holds what people said to the app; an app without them was never read.
TALK_FEEDS = ("conversations", "workflow_runs")
_TALKS, _RUNS = ("conversations", "messages"), ("workflow_runs", "node_executions")
# What holds all of an app, by its mode; of other modes at least one of TALK_FEEDS.
NEEDED_FEEDS = {
    "chat": _TALKS,
    "agent-chat": _TALKS,
    "agent": _TALKS,
    "completion": _TALKS,
    "advanced-chat": (*_TALKS, *_RUNS),
    "workflow": _RUNS,
}


@dataclass(frozen=True)
class LiveSyncProof:
    """The ledger of a home's live file. WarehouseBusy when somebody holds it."""

    home: Path
    zone: ZoneInfo
    now: datetime
    wait_seconds: float = 10.0

    def proof_of(self, app_id: str, *, since: datetime, mode: str) -> Proof:
        """What the slices say: every day of every feed of the app, since it was made.

        A feed that was never asked for it lacks, whatever the others say.
        """
        if not Home(self.home).live.exists():
            return Proof(("nothing was ever synced",), (), None)
        with open_database(Home(self.home).live, wait_seconds=self.wait_seconds) as database:
            slices = _slices(database, app_id)
        feeds = {feed for feed, *_ in slices}
        if not feeds & set(TALK_FEEDS):
            return Proof(("the app was never read",), (), None)
        first, last = (moment.astimezone(self.zone).date() for moment in (since, self.now))
        hidden = [one for one in slices if NOT_SHOWN in (one[3] or "")]
        shown = [one for one in slices if one not in hidden]
        lacking = [*_reasons_by_feed(slices, "failed"), *_reasons_by_feed(slices, "incomplete")]
        # Nobody may accept as read what this account was never shown.
        lacking += _reasons_by_feed(hidden, "unproven")
        lacking += _missing_days(slices, first, last)
        needed = NEEDED_FEEDS.get(mode, ())
        lacking += [f"{feed} never read" for feed in needed if feed not in feeds]
        newest = {
            feed: max(read_at for other, _, _, _, read_at in slices if other == feed)
            for feed in feeds
        }
        return Proof(
            tuple(lacking), tuple(_reasons_by_feed(shown, "unproven")), min(newest.values())
        )


_Slice = tuple[str, date | None, str, str | None, datetime]


def _slices(database: Database, app_id: str) -> list[_Slice]:
    has_books = database.value(
        "SELECT count(*) FROM duckdb_tables() WHERE schema_name = 'ops' AND table_name = 'slices'"
    )
    if not has_books:
        return []
    return database.rows(
        "SELECT feed, slice_date, state, reason, read_at FROM ops.slices WHERE app_id = ?",
        [app_id],
    )


def _reasons_by_feed(slices: list[_Slice], state: str) -> list[str]:
    """One line per feed and reason with this state."""
    counted: dict[tuple[str, str], int] = {}
    for feed, _, found, reason, _ in slices:
        if found == state:
            key = (feed, reason or "no reason told")
            counted[key] = counted.get(key, 0) + 1
    return [f"{feed} {state} on {days} days: {why}" for (feed, why), days in counted.items()]


def _missing_days(slices: list[_Slice], first: date, last: date) -> list[str]:
    days = {first + timedelta(days=number) for number in range((last - first).days + 1)}
    held: dict[str, set[date]] = {}
    for feed, day, *_ in slices:
        if day is not None:
            held.setdefault(feed, set()).add(day)
    return [
        f"{feed} not read on {len(days - read)} of {len(days)} days"
        for feed, read in sorted(held.items())
        if days - read
    ]
