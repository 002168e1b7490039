"""What a feed did to the rows of raw tables: counted while it loads, and told in ops.runs."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from dify_etl.sync.ledger import RUNS
from dify_etl.sync.report import STATES, FeedReport
from dify_etl.sync.run import Sync
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.tables import Table, frame
from dify_etl.warehouse.upsert import Changes, put


class RowCounts:
    """Per raw table what one feed received, marked absent and added; other schemas do not count."""

    def __init__(self) -> None:
        # The rows received (as unchanged) and marked absent, until the report.
        self._received: dict[str, Changes] = {}
        self._new: Counter[str] = Counter()
        self._loaded_at: dict[str, list[datetime]] = {}

    def add(self, table: Table, changes: Changes) -> None:
        """Count rows that came, or are gone."""
        if table.schema == "raw":
            self._received[table.name] = self._received.get(table.name, Changes()) + changes

    def load(self, table: Table, new: int, now: datetime) -> None:
        """Note that rows were loaded at this moment, so many of them new."""
        if table.schema == "raw":
            self._new[table.name] += new
            self._loaded_at.setdefault(table.name, []).append(now)

    @contextmanager
    def uncounted_by_an_error(self) -> Iterator[None]:
        """What is counted inside is not counted when it ends with an error: it is rolled back."""
        received, new = {**self._received}, self._new.copy()
        loads = {name: len(moments) for name, moments in self._loaded_at.items()}
        try:
            yield
        except BaseException:
            self._received, self._new = received, new
            for name, moments in self._loaded_at.items():
                del moments[loads.get(name, 0) :]
            raise

    def by_table(self, sync: Sync, *, since: datetime) -> dict[str, Changes]:
        """What the read did: a row counts once, however often it was received."""
        if not self._received:
            return {}
        # By the moments of its own loads: another feed may load the same table meanwhile.
        counts = " UNION ALL ".join(
            f"""SELECT '{name}', count(*) FROM raw.{name}
                WHERE changed_at >= $1 AND loaded_at < $2
                    AND changed_at IN (SELECT unnest(${place}::TIMESTAMPTZ[]))"""
            for place, name in enumerate(self._received, start=3)
        )
        moments = (self._loaded_at.get(name, []) for name in self._received)
        changed = dict(sync.database.rows(counts, [since, sync.started_at, *moments]))
        return {
            name: _counted(received, self._new[name], changed[name])
            for name, received in self._received.items()
        }


def _counted(received: Changes, new: int, changed: int) -> Changes:
    """Rows as they were are what was received besides: some came several times."""
    return Changes(new, changed, max(0, received.unchanged - new - changed), received.absent)


def write_run(sync: Sync, report: FeedReport, started_at: datetime) -> None:
    """Write the rows of ops.runs: of the feed, and of each table that it loaded besides."""
    own = {
        "rows_quarantined": report.quarantined,
        "requests": report.requests,
        "retries": report.retries,
        "received_bytes": report.received_bytes,
        "seconds": report.seconds,
    } | {f"slices_{state}": report.states.get(state, 0) for state in STATES}
    times = {"started_at": started_at, "ended_at": utc_now()}
    before = _counted_before(sync)
    rows = []
    for feed in {report.feed, *report.table_changes}:
        changes = report.table_changes.get(feed, Changes()) + before.get(feed, Changes())
        rows.append(
            {
                "run_id": sync.run_id,
                "feed": feed,
                "rows_new": changes.new,
                "rows_changed": changes.changed,
                "rows_unchanged": changes.unchanged,
                "rows_absent": changes.absent,
            }
            | (times if feed == report.feed or feed not in before else {})
            | (own if feed == report.feed else {})
        )
    for names in {tuple(row) for row in rows}:  # times and costs are the feed's own to tell
        alike = [row for row in rows if tuple(row) == names]
        new = [row for row in alike if row["feed"] not in before]
        held = [row for row in alike if row["feed"] in before]
        if new:
            sync.database.append(RUNS, frame(RUNS, new, names))
        if held:
            put(sync.database, RUNS, frame(RUNS, held, names))


def _counted_before(sync: Sync) -> dict[str, Changes]:
    """What this run has done to tables so far: lists of completions bring messages, too."""
    rows = sync.database.rows(
        "SELECT feed, rows_new, rows_changed, rows_unchanged, rows_absent FROM ops.runs "
        "WHERE run_id = ?",
        [sync.run_id],
    )
    return {feed: Changes(*counts) for feed, *counts in rows}
