"""What waits in quarantine, and what it says of slices: the one place that decides it.

A slice is proven only when all that Dify told for it is in its table. So rows that were set aside
leave it unproven, and so do the app, conversation, run or dataset that it hangs on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import TypedDict

from dify_etl.raw.tables import RAW_TABLES
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.database import Database
from dify_etl.warehouse.tables import quoted

LOG_ID = "workflow_app_log_id"

# What hangs on these is shown no more.
_GONE = {
    "messages": "SELECT conversation_id FROM raw.conversations WHERE absent_since IS NOT NULL "
    "UNION ALL SELECT message_id FROM raw.messages WHERE absent_since IS NOT NULL",
    "node_executions": "SELECT workflow_run_id FROM raw.workflow_runs "
    "WHERE absent_since IS NOT NULL",
    "document_segments": "SELECT document_id FROM raw.documents "
    "LEFT JOIN raw.datasets s USING (dataset_id) "
    "WHERE documents.absent_since IS NOT NULL OR s.absent_since IS NOT NULL",
}


@dataclass(frozen=True)
class Waiting:
    """One open entry. `first` and `last` are the local days that it speaks of; None: not known.

    `figures` counts the odd fields that are money, tokens, time or status; None: the object itself
    was set aside. A log of a completion app is the row of its message, too.
    """

    feed: str
    app_id: str | None
    known_by: str
    first: date | None
    last: date | None
    figures: int | None
    is_log: bool = False

    def is_of(self, feed: str) -> bool:
        """Whether it is a row of this feed, or an odd field of one."""
        is_message = self.is_log and self.figures is not None and feed == "messages"
        return self.feed == feed or is_message

    def begins_on(self, day: date | None) -> bool:
        """Whether it is a row of this day."""
        return day is None or self.first is None or self.first == day

    def lives_on(self, day: date | None) -> bool:
        """Whether rows of this day may hang on it."""
        if day is None or self.first is None:
            return True
        return self.first <= day and (self.last is None or day <= self.last)


def open_entries(database: Database, feed: str) -> list[Waiting]:
    """What may speak of slices of this feed: its own entries, and those of what it hangs on."""
    names = {feed, "apps", *RAW_TABLES[feed].hangs_on}
    if not _is_open(database, *names):
        return []
    feeds = ", ".join(quoted(one) for one in names)
    rows = database.rows(
        f"""SELECT feed, app_id, coalesce(record_id, quarantine_id), slice_date, last_date,
            CASE WHEN odd_fields IS NULL THEN NULL ELSE odd_figures END,
            coalesce(record_class = 'CompletionConversation', false)
        FROM ops.quarantine WHERE resolved_at IS NULL AND feed IN ({feeds})
        ORDER BY seen_at, quarantine_id"""
    )
    return [Waiting(*row) for row in rows]


def _is_open(database: Database, *feeds: str) -> bool:
    """Whether anything of these feeds waits: of most it is nothing, and to ask that is quick."""
    listed = ", ".join(quoted(one) for one in feeds)
    return bool(
        database.rows(
            f"SELECT 1 FROM ops.quarantine WHERE resolved_at IS NULL AND feed IN ({listed}) LIMIT 1"
        )
    )


def what_waits(
    entries: Sequence[Waiting], feed: str, app_id: str | None, day: date | None
) -> str | None:
    """What of this slice is in quarantine, in words; None: nothing that is missing in its table."""
    if not entries:
        return None
    own = [
        one for one in entries if one.is_of(feed) and one.app_id == app_id and one.begins_on(day)
    ]
    aside = len({one.known_by for one in own if one.figures is None})
    odd = sum(one.figures for one in own if one.figures is not None)
    told = [f"{aside} in quarantine"] if aside else []
    told += [f"{odd} fields odd" if odd > 1 else "1 field odd"] if odd else []
    told += _above(entries, feed, app_id, day)
    return "; ".join(told) or None


def _above(
    entries: Iterable[Waiting], feed: str, app_id: str | None, day: date | None
) -> list[str]:
    """The objects in quarantine on which rows of the slice hang."""
    parents = RAW_TABLES[feed].hangs_on
    found = []
    for one in entries:
        if one.figures is not None:
            continue
        if one.feed in parents and one.app_id == app_id and one.lives_on(day):
            if "/" not in one.known_by or one.feed != "messages":  # nothing hangs on their parts
                found.append(f"{parents[one.feed]} {one.known_by} in quarantine")
        elif one.feed == "apps" != feed and app_id is not None and one.known_by == app_id:
            found.append(f"app {app_id} in quarantine")
    more = [f"and {len(found) - 3} more"] if len(found) > 3 else []
    return [*found[:3], *more]


def with_waiting(state: str, reason: str | None, waits: str | None) -> tuple[str, str | None]:
    """State and reason of a slice of which something waits."""
    if waits is None:
        return state, reason
    return (
        "unproven" if state == "proven" else state,
        f"{reason}; {waits}" if reason else waits,
    )


class Restated(TypedDict):
    """What a slice tells now."""

    state: str
    reason: str | None
    in_quarantine: str | None
    is_settled: bool


def restate_slices(database: Database, feed: str) -> dict[tuple[str | None, date | None], Restated]:
    """Say anew of every slice of a feed what waits of it; call it inside a transaction. Answers by
    app and day those that are told otherwise now.

    Days that the run did not close may hold a row that was set aside or loaded meanwhile. A slice
    that is whole again stays unsettled, so that the next night reads it once more.
    """
    entries = open_entries(database, feed)
    concerned = "in_quarantine IS NOT NULL"
    if entries:
        apps = {one.app_id for one in entries} | {one.known_by for one in entries}
        listed = ", ".join(quoted(app) for app in apps if app is not None) or "''"
        concerned += f" OR app_id IS NULL OR app_id IN ({listed})"
    rows = database.rows(
        f"""SELECT app_id, slice_date, state, reason, in_quarantine FROM ops.slices
        WHERE feed = ? AND ({concerned})""",
        [feed],
    )
    found: dict[tuple[str | None, date | None], Restated] = {}
    for app_id, day, state, reason, told in rows:
        waits = what_waits(entries, feed, app_id, day)
        if waits == told:
            continue
        own_state, own_reason = _without(state, reason, told)
        new_state, new_reason = with_waiting(own_state, own_reason, waits)
        database.execute(
            """UPDATE ops.slices SET state = ?, reason = ?, in_quarantine = ?, is_settled = false
            WHERE feed = ? AND app_id IS NOT DISTINCT FROM ? AND slice_date IS NOT DISTINCT FROM ?
            """,
            [new_state, new_reason, waits, feed, app_id, day],
        )
        found[app_id, day] = {
            "state": new_state,
            "reason": new_reason,
            "in_quarantine": waits,
            "is_settled": False,
        }
    return found


def _without(state: str, reason: str | None, told: str | None) -> tuple[str, str | None]:
    """State and reason as the read itself left them."""
    if told is None or reason is None:
        return state, reason
    if reason == told:
        return "proven" if state == "unproven" else state, None
    return state, reason.removesuffix(f"; {told}")


def resolve_vanished(database: Database, feed: str, *, run_id: str, since: datetime) -> None:
    """A doubt dies with its object; call it inside a transaction, when the feed was read.

    What a list that this run read whole, `since` then, did not bring again, Dify has no more. Rows
    that only their parent lists go with it.
    """
    if not _is_open(database, feed):
        return
    if feed in _GONE:
        condition, given = f"parent_id IN ({_GONE[feed]})", []
    else:
        # An object without a readable time may be of any day: all of them must have been read.
        own = """FROM ops.slices s WHERE s.feed = q.feed AND s.app_id IS NOT DISTINCT FROM q.app_id
            AND (q.slice_date IS NULL OR s.slice_date = q.slice_date)"""
        is_read = "s.run_id = ? AND (s.state = 'proven' OR s.reason = s.in_quarantine)"
        condition = f"""(seen_at < ? AND EXISTS (SELECT 1 {own})
            AND NOT EXISTS (SELECT 1 {own} AND NOT coalesce({is_read}, false)))"""
        given = [since, run_id]
        table = RAW_TABLES[feed].table
        # A row that is held, and that a list since then showed no more; runs are known by their
        # log, too.
        for name in ({*table.key} if len(table.key) == 1 else set()) | (table.names & {LOG_ID}):
            condition += f""" OR record_id IN (
                SELECT "{name}" FROM {table.qualified} WHERE absent_since IS NOT NULL)"""
    database.execute(
        f"""UPDATE ops.quarantine q SET resolved_at = ?
        WHERE resolved_at IS NULL AND feed = ? AND ({condition})""",
        [utc_now(), feed, *given],
    )
