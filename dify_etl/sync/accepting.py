"""Accept holes in the ledger: slices that stay failed or incomplete and that nobody can mend."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from dify_etl.sync.errors import WindowWrong
from dify_etl.sync.ledger import ACCEPTED_SLICES
from dify_etl.warehouse.database import Database
from dify_etl.warehouse.tables import frame
from dify_etl.warehouse.upsert import put

_DAYS = re.compile(r"(\d{4}-\d\d-\d\d)(?:\.\.(\d{4}-\d\d-\d\d))?", re.ASCII)
GRAMMAR = "FEED, FEED:APP or FEED:APP:DAY, where DAY is 2026-01-31 or 2026-01-01..2026-01-31"


@dataclass(frozen=True)
class SliceName:
    """What a user calls slices: a feed, an app by id or name (None: any), days (None: all)."""

    feed: str
    app: str | None = None
    first: date | None = None
    last: date | None = None

    @classmethod
    def of(cls, text: str) -> "SliceName":
        """Read `FEED[:APP][:DAY]`; names of apps may hold colons. WindowWrong when it is none."""
        feed, *rest = text.split(":")
        days = _DAYS.fullmatch(rest[-1]) if rest else None
        app = ":".join(rest[:-1] if days else rest) or None
        if not feed:
            raise _wrong(text, "it names no feed")
        if days is None:
            return cls(feed, app)
        try:
            first, last = (date.fromisoformat(one) for one in (days[1], days[2] or days[1]))
        except ValueError:
            raise _wrong(text, f"{rest[-1]} is no date") from None
        return cls(feed, app, first, last)


@dataclass(frozen=True)
class BadRow:
    """A slice that is failed or incomplete."""

    feed: str
    app_id: str | None
    app_name: str | None
    day: date | None
    state: str
    reason: str | None
    rows: int | None
    expected: int | None

    @property
    def name(self) -> str:
        """As a user calls it."""
        parts = (self.feed, self.app_name or self.app_id, self.day and self.day.isoformat())
        return ":".join(part for part in parts if part)

    def is_of(self, name: SliceName) -> bool:
        """Whether this name means it, too."""
        if self.feed != name.feed or (name.app not in (None, self.app_id, self.app_name)):
            return False
        if name.first is None or name.last is None:
            return True
        return self.day is not None and name.first <= self.day <= name.last


def find_bad(database: Database, names: Sequence[str]) -> list[BadRow]:
    """The slices that these names mean, each once, by feed, app and day.

    WindowWrong for a name that is none, for one that means no slice that is failed or incomplete
    (there is nothing to accept), and for the name of several apps.
    """
    rows = [
        BadRow(*row)
        for row in database.rows(
            """SELECT s.feed, s.app_id, a.name, s.slice_date, s.state, s.reason, s.rows, s.expected
            FROM ops.slices s LEFT JOIN raw.apps a USING (app_id)
            WHERE s.state IN ('failed', 'incomplete') ORDER BY 1, 3, 4"""
        )
    ]
    found: dict[str, list[BadRow]] = {
        text: [row for row in rows if row.is_of(SliceName.of(text))] for text in names
    }
    for text, some in found.items():
        if not some:
            raise _wrong(text, "none of its slices is failed or incomplete")
        apps = {row.app_id for row in some}
        if SliceName.of(text).app is not None and len(apps) > 1:
            ids = ", ".join(sorted(str(app_id) for app_id in apps))
            raise _wrong(text, f"several apps are called so; name one by its id ({ids})")
    return list(dict.fromkeys(row for some in found.values() for row in some))


def accept(
    database: Database,
    rows: Sequence[BadRow],
    *,
    why: str,
    until: date | None,
    by: str,
    now: datetime,
) -> None:
    """Note that these holes are accepted as they are now; call it inside a transaction."""
    accepted = [
        {
            "feed": row.feed,
            "app_id": row.app_id,
            "slice_date": row.day,
            "why": why,
            "until_date": until,
            "accepted_at": now,
            "accepted_by": by,
            "state": row.state,
            "reason": row.reason,
            "rows": row.rows,
            "expected": row.expected,
            "ended_at": None,
        }
        for row in rows
    ]
    put(database, ACCEPTED_SLICES, frame(ACCEPTED_SLICES, accepted))


def _wrong(text: str, reason: str) -> WindowWrong:
    return WindowWrong(
        f"{text!r} cannot be accepted: {reason}",
        where="SLICE",
        hint=f"Write it as {GRAMMAR}. `dify-etl accept` without a slice lists what is not whole.",
    )
