"""The loader of one feed: load rows, write slices, quarantine, count, and report."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import date, datetime
from functools import cached_property
from types import TracebackType
from typing import Any, TypeVar

import polars as pl

from dify_etl.dify.app_modes import KNOWN_MODES
from dify_etl.dify.errors import AppGone, DifyError, Unforeseen
from dify_etl.dify.http.exact_json import decode
from dify_etl.dify.http.usage import Measure, Spent
from dify_etl.dify.json_text import JsonText
from dify_etl.dify.record import Record, Rejected, instant_of
from dify_etl.raw.frames import records_frame, unknown_fields, without_secrets_in
from dify_etl.raw.local_days import with_local_days
from dify_etl.raw.tables import raw_table
from dify_etl.sync.forgetting import note_rows, with_forgotten
from dify_etl.sync.ledger import (
    QUARANTINE,
    SCHEMA_DRIFT,
    SLICES,
    UNFORESEEN_ERRORS,
)
from dify_etl.sync.open_quarantine import (
    LOG_ID,
    open_entries,
    resolve_vanished,
    restate_slices,
    what_waits,
    with_waiting,
)
from dify_etl.sync.report import FeedReport, Slice
from dify_etl.sync.rights import why_not_shown
from dify_etl.sync.row_counts import RowCounts, write_run
from dify_etl.sync.run import Seen, Sync
from dify_etl.sync.source import check_source
from dify_etl.sync.turns import turn_kept, turns
from dify_etl.sync.unforeseen import BEGINNING, collected, digest_of
from dify_etl.time_zones import local_date, utc_now
from dify_etl.warehouse.tables import Table, frame, quoted
from dify_etl.warehouse.upsert import Changes, mark_absent, put, upsert

UNKNOWN_MODE = "dify-etl does not know apps of mode {mode!r}, and {where} does not answer for them"

APPS = "apps"
# What is wrong with a row whose id a row of another app has; its own fields are well.
FOREIGN = "(owner)"
OF_ANOTHER = "a row of another app, conversation, run or dataset has this id"
# The same of one that has the key of another row of its list.
REPEATED = "(key)"
OF_THE_SAME = "another row of the same message or run has this key, and is not the same"
# When an object was alive last, as Dify names it.
_LAST = {"conversations": "updated_at", "workflow_runs": "finished_at"}

T = TypeVar("T")
R = TypeVar("R")


# Per app and day that were failed or incomplete: reads in a row, and when the first of them was.
_Badness = dict[tuple[str | None, date | None], tuple[int, datetime]]


First = Callable[["FeedLoader"], None]  # what is read of a feed before the API is asked


def nothing_first(loader: "FeedLoader") -> None:
    """All of it is asked of the API."""


class FeedLoader:
    """A context for the read of one feed: everything that is loaded inside is counted here.

    The client's requests are counted under the feed's name; `spent_before` is what it had spent
    before the first of them, where some were made ahead.
    """

    def __init__(self, sync: Sync, feed: str, *, spent_before: Spent | None = None) -> None:
        self.sync = sync
        self.feed = feed
        self._spent_before = spent_before
        self.counts = RowCounts()
        self.quarantined = 0
        self._slices: list[Slice] = []
        self._slices_of_others: list[Slice] = []  # of feeds that come with this one
        self.loaded_bytes = 0  # of frames, as Arrow
        self._unforeseen: list[Unforeseen] = []
        self._is_given_up = False
        self._drift: set[str] = set()
        self._started_at = utc_now()
        self._clock = time.monotonic()

    def __enter__(self) -> "FeedLoader":
        self._open = ExitStack()
        self._open.enter_context(self.sync.dify.labelled(self.feed))
        self._open.enter_context(collected(self._unforeseen))
        self._usage = self._open.enter_context(
            self.sync.dify.usage.measure(self.feed, self._spent_before)
        )
        self.sync.watch.follows(self.feed, self._seen)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def expect(self, steps: int) -> None:
        """Tell the watcher how many steps this feed has."""
        self.sync.watch.begins(self.feed, steps)

    def step(self) -> None:
        """Tell the watcher that one more step is done."""
        self.sync.watch.advances(self.feed)

    def _seen(self) -> Seen:
        return Seen(self._usage.total.rows, self._usage.total.requests)

    @contextmanager
    def commit(self) -> Iterator[None]:
        """Rows, reads and slices of one step are committed together; or none is, nor counted."""
        slices, of_others = len(self._slices), len(self._slices_of_others)
        quarantined = self.quarantined
        try:
            with (
                self.counts.uncounted_by_an_error(),
                turn_kept(),
                self.sync.dify.pause_learning(),
                self.sync.database.transaction(),
            ):
                yield
        except BaseException:
            del self._slices[slices:], self._slices_of_others[of_others:]
            self.quarantined = quarantined
            raise

    def tell_others(self, apps: Iterable[str] = ()) -> None:
        """Feeds that are read beside this one may go on with what it has committed; `apps` are
        those of which all was listed.
        """
        if (found := turns()) is not None:
            found.tell(self.feed, frozenset(apps))

    def note_drift(self, records: Iterable[Record]) -> None:
        """Remember fields that no known version sends."""
        self.note_unknown(unknown_fields(records))

    def note_unknown(self, fields: Iterable[str]) -> None:
        """Remember these fields as unknown ones."""
        self._drift.update(fields)

    def load(self, name: str, record_class: type[Record], records: Sequence[Record]) -> None:
        """Upsert records of one kind into the raw table of that name."""
        table = raw_table(name)
        self.note_drift(records)
        self.load_frame(table, records_frame(table, record_class, records))

    def load_frame(self, table: Table, rows: pl.DataFrame, *, repeated: int = 0) -> Changes:
        """Upsert a frame into a table, as far as the settings keep texts and people; so many of its
        rows were received, and counted, before.

        Whatever made the frame, secrets do not pass here into a raw table.
        """
        privacy = self.sync.rules.privacy
        if table.schema == "raw":
            rows = without_secrets_in(table, rows)
        rows = privacy.rows(table, rows)
        rows = with_local_days(table, rows, self.sync.rules.zone)
        now = utc_now()
        self.loaded_bytes += int(rows.estimated_size())
        changes = upsert(self.sync.database, table, rows, now=now)
        self.counts.load(table, changes.new, now)
        if privacy.forgotten and table.schema == "raw":
            note_rows(self.sync.database, privacy, table, rows)
        self._resolve(table, rows)
        for row in changes.foreign:
            self._set_row_aside(table, row, FOREIGN, OF_ANOTHER)
        # Lists are asked more than once, and the later answer counts. What an object lists comes
        # with it, at once: two rows of one key are two, of which one would be lost unseen.
        for row in changes.overwritten if table.listed_by else ():
            self._set_row_aside(table, row, REPEATED, OF_THE_SAME)
        received = changes.new + changes.changed + changes.unchanged
        self.counts.add(table, Changes(unchanged=max(0, received - repeated)))
        return changes

    def _set_row_aside(
        self, table: Table, row: Mapping[str, Any], error_path: str, message: str
    ) -> None:
        """A row whose key another row has: which of them is it, nobody can say.

        What is a part of a row of this feed is known by that, too.
        """
        parent = row[table.listed_by] if table.listed_by else None
        ids = [row[name] for name in table.key if name != table.listed_by]
        rejected = Rejected(
            endpoint=table.qualified,
            position=0,
            record_id="/".join(map(str, ids if table.name == self.feed else [parent, *ids])),
            error_path=error_path,
            message=message,
        )
        at = row.get("message_created_at") or row.get("created_at")
        self.quarantine(row.get("app_id"), [rejected], parent_id=parent, at=at)

    def _resolve(self, table: Table, rows: pl.DataFrame) -> None:
        """What waited in quarantine and is loaded now waits no more."""
        ids = [name for name in _ids_of(table) if name in rows.columns]
        if not self._is_waiting or not ids or rows.is_empty():
            return
        loaded = pl.concat([rows[name].cast(pl.String) for name in ids]).drop_nulls().unique()
        self.sync.database.execute(
            "UPDATE ops.quarantine SET resolved_at = ? WHERE resolved_at IS NULL AND feed = ? "
            "AND run_id <> ? AND list_contains(?, record_id) "
            "AND (error_path <> ? OR list_contains(?, app_id))",
            [
                *(utc_now(), self.feed, self.sync.run_id, loaded.to_list()),
                *(FOREIGN, rows["app_id"].unique().to_list() if "app_id" in rows else []),
            ],
        )

    @cached_property
    def _is_waiting(self) -> bool:
        """Whether anything of this feed waited in quarantine when it was first asked."""
        return bool(
            self.sync.database.value(
                "SELECT count(*) FROM ops.quarantine WHERE feed = ? AND resolved_at IS NULL",
                [self.feed],
            )
        )

    def count_unchanged(self, name: str, rows: int) -> None:
        """Count rows that were received and are held already, but were not loaded again."""
        self.counts.add(raw_table(name), Changes(unchanged=rows))

    def mark_absent(self, table: Table, *, scope: str, present: pl.DataFrame) -> int:
        """Mark rows in `scope` (SQL over t) that are not in `present`; answers how many were new.

        SourceChanged when another workspace answers meanwhile: then nothing is marked.
        """
        with turn_kept():
            changes = mark_absent(
                self.sync.database,
                table,
                scope=scope,
                present=present,
                now=utc_now(),
                confirm=lambda: check_source(self.sync),
            )
        self.counts.add(table, changes)
        return changes.absent

    def quarantine(
        self,
        app_id: str | None,
        rejected: Iterable[Rejected],
        *,
        parent_id: str | None = None,
        at: datetime | None = None,
        tells_begin: bool = True,
    ) -> None:
        """Keep objects that are no valid records, with what is wrong, for `quarantine retry`.

        `parent_id` lists them, and `at` gives their day where they do not: their `created_at` is
        another's unless it `tells_begin`.
        """
        rows = [self._quarantine_row(app_id, one, parent_id, at, tells_begin) for one in rejected]
        if not rows:
            return
        self.quarantined += len(rows)
        put(self.sync.database, QUARANTINE, frame(QUARANTINE, rows))

    def read_anew(self, parent_ids: Iterable[str]) -> None:
        """What these list was read whole: what was set aside of it before is resolved.

        What is still odd is quarantined again after this.
        """
        listed = ", ".join(quoted(one) for one in parent_ids)
        if listed and self._waits_any():
            self.sync.database.execute(
                "UPDATE ops.quarantine SET resolved_at = ? WHERE resolved_at IS NULL "
                f"AND feed = ? AND parent_id IN ({listed})",
                [utc_now(), self.feed],
            )

    def close_slices(self, slices: Sequence[Slice], *, feed: str | None = None) -> None:
        """Write the ledger rows; call it in the transaction that loads their rows.

        A slice of which something waits in quarantine is not proven, and stays due.
        """
        feed = feed or self.feed
        # Reasons may quote a refusal of Dify, and go into the report and Dagster's events, too.
        message = self.sync.rules.privacy.message
        slices = [replace(one, reason=one.reason and message(one.reason)) for one in slices]
        slices = self._with_waiting(slices, feed)
        if self.sync.rules.privacy.forgotten:
            slices = with_forgotten(self.sync.database, raw_table(feed), slices)
        (self._slices if feed == self.feed else self._slices_of_others).extend(slices)
        held = self._bad_before(feed)
        read_at = self.sync.dify.earlier_time()
        rows = [
            {
                "feed": feed,
                "app_id": one.app_id,
                "slice_date": one.day,
                "state": one.state,
                "rows": one.rows,
                "expected": one.expected,
                "forgotten": one.forgotten,
                "requests": one.requests,
                "reason": one.reason,
                "in_quarantine": one.in_quarantine,
                **_badness(one, held, read_at),
                "is_settled": one.is_settled,
                "run_id": self.sync.run_id,
                "read_at": read_at,
                "deep_read_at": read_at if one.state in ("proven", "unproven") else None,
            }
            for one in slices
        ]
        put(self.sync.database, SLICES, frame(SLICES, rows))

    def fail(self, app_id: str | None, days: Iterable[date | None], error: DifyError) -> None:
        """The app's slices failed, or the account is not shown them; the others go on. The old rows
        stay.
        """
        with self.commit():
            self.close_slices([self.unread(app_id, day, error) for day in days])

    def give_up(self, error: Unforeseen, usage: Measure) -> FeedReport:
        """The read ended with a bug; `usage` is what it took. The feed as a whole is failed, until
        it is read to its end.
        """
        self._unforeseen.append(error)
        self._is_given_up = True
        self._usage = usage
        with self.commit():
            self.close_slices([Slice(None, None, "failed", reason=str(error))])
        return self.report()

    def unread(self, app_id: str | None, day: date | None, error: DifyError) -> Slice:
        """The slice of a read that ended with an error: unproven where this role is not shown it,
        and where an app of a mode that is not known has no such feed; else failed.
        """
        hidden = why_not_shown(self.sync, error)
        if isinstance(error, AppGone) and (mode := self._unknown_mode(app_id)) is not None:
            hidden = UNKNOWN_MODE.format(mode=mode, where=error.where)
        state = "unproven" if hidden else "failed"
        return Slice(app_id, day, state, reason=hidden or str(error))

    def _unknown_mode(self, app_id: str | None) -> str | None:
        known = ", ".join(f"'{mode}'" for mode in sorted(KNOWN_MODES))
        found = self.sync.database.rows(
            f"SELECT mode FROM raw.apps WHERE app_id = ? AND mode NOT IN ({known})", [app_id]
        )
        return found[0][0] if found else None

    def report(self) -> FeedReport:
        """Write the drift seen and the run's row per table touched; answer the feed's report."""
        if (found := turns()) is not None and self.feed != APPS:
            found.wait_for_end(APPS)  # what waits in quarantine concerns all of its feeds
        with self.commit():
            self._restate()
            self._write_unforeseen()
            if not self._is_given_up:
                self._forget_giving_up()
        usage = self._usage.total
        slices = [*self._slices, *self._slices_of_others]
        states = Counter(one.state for one in slices)
        report = FeedReport(
            feed=self.feed,
            table_changes=self.counts.by_table(self.sync, since=self._started_at),
            quarantined=self.quarantined,
            requests=usage.requests,
            retries=usage.retries,
            received_bytes=usage.bytes,
            seconds=time.monotonic() - self._clock,
            states=dict(states),
            failures=tuple(one for one in slices if one.state in ("failed", "incomplete")),
            is_given_up=self._is_given_up,
        )
        with self.commit():
            self._write_drift()
            write_run(self.sync, report, self._started_at)
        self.sync.watch.ends(report)
        return report

    def _bad_before(self, feed: str) -> _Badness:
        rows = self.sync.database.rows(
            "SELECT app_id, slice_date, tries, coalesce(bad_since, read_at) FROM ops.slices "
            "WHERE feed = ? AND tries > 0",
            [feed],
        )
        return {(app_id, day): (tries, since) for app_id, day, tries, since in rows}

    def _with_waiting(self, slices: Sequence[Slice], feed: str) -> list[Slice]:
        entries = open_entries(self.sync.database, feed)
        found = []
        for one in slices:
            waits = what_waits(entries, feed, one.app_id, one.day)
            state, reason = with_waiting(one.state, one.reason, waits)
            found.append(
                replace(
                    one,
                    state=state,
                    reason=reason,
                    in_quarantine=waits,
                    is_settled=one.is_settled and waits is None,
                )
                if waits
                else one
            )
        return found

    def _restate(self) -> None:
        """Slices that this run did not close, and objects that Dify has no more."""
        database = self.sync.database
        resolve_vanished(database, self.feed, run_id=self.sync.run_id, since=self._started_at)
        now = restate_slices(database, self.feed)
        for place, one in enumerate(self._slices):
            if (told := now.get((one.app_id, one.day))) is not None:
                self._slices[place] = replace(one, **told)

    def _forget_giving_up(self) -> None:
        """A read of all apps that came to its end says more than an earlier one that did not."""
        if not self.sync.plan.apps:
            self.sync.database.execute(
                "DELETE FROM ops.slices WHERE feed = ? AND app_id IS NULL AND slice_date IS NULL "
                "AND run_id <> ? AND starts_with(reason, ?)",
                [self.feed, self.sync.run_id, BEGINNING],
            )

    def _write_unforeseen(self) -> None:
        now = utc_now()
        rows = [
            {
                "error_id": f"{self.feed} {digest_of(one)}",
                "feed": self.feed,
                "kind": one.kind,
                "trace": one.trace,
                "run_id": self.sync.run_id,
                "seen_at": now,
            }
            for one in self._unforeseen
        ]
        if rows:
            put(self.sync.database, UNFORESEEN_ERRORS, frame(UNFORESEEN_ERRORS, rows))

    def _waits_any(self) -> bool:
        return bool(
            self.sync.database.rows(
                "SELECT 1 FROM ops.quarantine WHERE feed = ? AND resolved_at IS NULL LIMIT 1",
                [self.feed],
            )
        )

    def _local_date(self, seconds: object) -> date | None:
        """The local day of epoch seconds as Dify sends them; None when they are no time."""
        at = instant_of(seconds)
        return None if at is None else local_date(at, self.sync.rules.zone)

    def _days_of(
        self, one: Rejected, at: datetime | None, tells_begin: bool
    ) -> tuple[date | None, date | None]:
        """The local days on which a rejected row began and was alive last, as far as it tells."""
        if raw_table(self.feed).day_column is None:
            return None, None
        row: Any = decode(one.raw.encode()) if one.raw else one.times
        row = row if isinstance(row, Mapping) else {}
        run = row.get("workflow_run")
        row = run if isinstance(run, dict) else row  # a log row is of the day of its run
        first = self._local_date(row.get("created_at")) if tells_begin else None
        if first is None and at is not None:
            first = local_date(at, self.sync.rules.zone)
        return first, self._local_date(row.get(_LAST.get(self.feed, "created_at")))

    def _quarantine_row(
        self,
        app_id: str | None,
        one: Rejected,
        parent_id: str | None,
        at: datetime | None,
        tells_begin: bool,
    ) -> dict[str, object]:
        first, last = self._days_of(one, at, tells_begin)
        privacy = self.sync.rules.privacy
        known_by = one.record_id or one.raw or one.position
        identity = (self.feed, app_id, known_by, one.endpoint, one.error_path)
        return {
            "quarantine_id": hashlib.sha256(repr(identity).encode()).hexdigest()[:32],
            "feed": self.feed,
            "app_id": app_id,
            "record_id": one.record_id,
            "parent_id": parent_id,
            "slice_date": first,
            "last_date": last,
            "odd_fields": ",".join(one.odd_fields) or None,
            "odd_figures": one.odd_figures if one.odd_fields else None,
            "endpoint": one.endpoint,
            "position": one.position,
            "error_path": one.error_path,
            "message": privacy.message(one.message),
            "raw_json": privacy.odd_row(
                raw_table(self.feed), one.raw, [parent_id, one.record_id, dict(one.context)]
            ),
            "record_class": one.record_class,
            "context": JsonText.of(dict(one.context)),
            "run_id": self.sync.run_id,
            "seen_at": utc_now(),
            "resolved_at": None,
        }

    def _write_drift(self) -> None:
        seen: dict[str, str | datetime] = {
            "feed": self.feed,
            "server_version": self.sync.dify.server_version,
            "seen_at": utc_now(),
        }
        rows = [seen | {"field": field} for field in sorted(self._drift)]
        put(self.sync.database, SCHEMA_DRIFT, frame(SCHEMA_DRIFT, rows))


def _ids_of(table: Table) -> tuple[str, ...]:
    """The columns that may hold the id by which the quarantine knows an object of this table."""
    own = table.key if len(table.key) == 1 else ()
    return (*own, "message_id", LOG_ID)


def _badness(one: Slice, before: _Badness, read_at: datetime) -> dict[str, object]:
    """How often in a row, and since when, this slice is failed or incomplete."""
    if one.state not in ("failed", "incomplete"):
        return {"tries": 0, "bad_since": None}
    tries, since = before.get((one.app_id, one.day), (0, read_at))
    return {"tries": tries + 1, "bad_since": since}
