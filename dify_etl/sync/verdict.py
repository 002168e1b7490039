"""The verdict over the ledger: what is not whole, whoever read it last, and what was accepted.

A hole that somebody accepted (`dify-etl accept`) counts in no verdict and stays in the ledger; it
ends with any change of its slice.
"""

from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from dify_etl.sync.differing_figures import DifferingFigure, differing_figures
from dify_etl.sync.rights import NOT_SHOWN
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.database import Database
from dify_etl.warehouse.model_builds import BrokenModel, broken_models

# Whether an acceptance x is of the slice s as it is now, on the day $today.
_IS_ACCEPTED = """x.feed = s.feed AND x.app_id IS NOT DISTINCT FROM s.app_id
    AND x.slice_date IS NOT DISTINCT FROM s.slice_date AND x.ended_at IS NULL
    AND x.state = s.state AND x.reason IS NOT DISTINCT FROM s.reason
    AND x.rows IS NOT DISTINCT FROM s.rows AND x.expected IS NOT DISTINCT FROM s.expected"""
# Whether it counts on that day: it may end on one.
_IS_ACCEPTED_NOW = f"{_IS_ACCEPTED} AND (x.until_date IS NULL OR x.until_date >= $today)"
# Slices s that nobody accepted, as they are on the day $today.
IS_NOT_ACCEPTED = f"NOT EXISTS (SELECT 1 FROM ops.accepted_slices x WHERE {_IS_ACCEPTED_NOW})"
# An entry for a row that is loaded: its odd fields are no money, tokens, time or status, and leave
# its slice proven.
IS_MINOR = "(odd_fields IS NOT NULL AND coalesce(odd_figures, 0) = 0)"
_BAD = "s.state IN ('failed', 'incomplete')"
_DAYS = """coalesce(
    nullif(min(s.slice_date)::VARCHAR || '..' || max(s.slice_date)::VARCHAR,
           min(s.slice_date)::VARCHAR || '..' || min(s.slice_date)::VARCHAR),
    min(s.slice_date)::VARCHAR, 'whole list')"""


class BadSlice(NamedTuple):
    """Days of one feed and app with one state and reason; all of it is text to show."""

    feed: str
    app: str  # its name; `workspace` for feeds without apps
    days: str  # 2026-01-31, 2026-01-01..2026-01-31, or `whole list`
    state: str
    since: str  # the day on which the oldest of them went bad, UTC
    reason: str
    slices: int = 1
    app_id: str = ""

    @property
    def name(self) -> str:
        """What `dify-etl accept` takes for it."""
        parts = [self.feed]
        if self.app != "workspace":
            parts.append(self.app)
        return ":".join([*parts, self.days] if self.days != "whole list" else parts)


class HiddenFeed(NamedTuple):
    """What Dify does not show to this account: of so many apps (0: of the workspace), and why."""

    feed: str
    apps: int
    reason: str


class AcceptedHole(NamedTuple):
    """Slices whose hole was accepted: feed, app, days, why, and until when (empty: no end)."""

    feed: str
    app: str
    days: str
    why: str
    until: str


@dataclass(frozen=True)
class Verdict:
    """What the ledger says.

    `waiting` are objects in quarantine without which a slice is not proven, `odd` rows that are
    loaded without a field which is no figure, `broken` models not built.

    `differing` are figures of Dify's that the rows do not give: they are shown, and a check of
    Dagster fails, but the reading may be good all the same.
    """

    bad: list[BadSlice]
    accepted: list[AcceptedHole]
    hidden: list[HiddenFeed]
    waiting: int
    broken: list[BrokenModel]
    differing: list[DifferingFigure] = field(default_factory=list)
    odd: int = 0

    @property
    def is_good(self) -> bool:
        """All is proven, or unproven for a reason out of our reach, or accepted; and built."""
        return not self.bad and not self.waiting and not self.broken


def judge(database: Database) -> Verdict:
    """The verdict now. Acceptances of slices that changed are ended."""
    _end_acceptances(database)
    return read_verdict(database)


def read_verdict(database: Database) -> Verdict:
    """The verdict of a ledger that is only read, such as the published copy's."""
    today = utc_now().date()
    return Verdict(
        bad=_bad_slices(database, today),
        accepted=accepted_holes(database, today),
        hidden=_hidden_feeds(database),
        waiting=int(
            database.value(
                f"SELECT count(*) FROM ops.quarantine WHERE resolved_at IS NULL AND NOT {IS_MINOR}"
            )
        ),
        broken=broken_models(database),
        differing=differing_figures(database),
        odd=int(
            database.value(
                f"SELECT count(*) FROM ops.quarantine WHERE resolved_at IS NULL AND {IS_MINOR}"
            )
        ),
    )


def _bad_slices(database: Database, today: date) -> list[BadSlice]:
    rows = database.rows(
        f"""SELECT s.feed, coalesce(any_value(a.name), s.app_id, 'workspace'), {_DAYS}, s.state,
            strftime(min(coalesce(s.bad_since, s.read_at)), '%Y-%m-%d'), coalesce(s.reason, ''),
            count(*), coalesce(s.app_id, '')
        FROM ops.slices s LEFT JOIN raw.apps a USING (app_id)
        LEFT JOIN ops.accepted_slices x
            ON {_IS_ACCEPTED_NOW}
        WHERE {_BAD} AND x.feed IS NULL
        GROUP BY s.feed, s.app_id, s.state, s.reason ORDER BY s.state, s.feed, s.app_id""",
        {"today": today},
    )
    return [BadSlice(*row) for row in rows]


def accepted_holes(database: Database, today: date) -> list[AcceptedHole]:
    """Holes that count in no verdict on this day, by feed, app and why."""
    rows = database.rows(
        f"""SELECT s.feed, coalesce(any_value(a.name), s.app_id, 'workspace'), {_DAYS}, x.why,
            coalesce(x.until_date::VARCHAR, '')
        FROM ops.slices s LEFT JOIN raw.apps a USING (app_id)
        JOIN ops.accepted_slices x
            ON {_IS_ACCEPTED_NOW}
        WHERE {_BAD}
        GROUP BY s.feed, s.app_id, x.why, x.until_date ORDER BY ALL""",
        {"today": today},
    )
    return [AcceptedHole(*row) for row in rows]


def _hidden_feeds(database: Database) -> list[HiddenFeed]:
    rows = database.rows(
        """SELECT feed, count(DISTINCT app_id), reason FROM ops.slices
        WHERE state = 'unproven' AND starts_with(reason, ?)
        GROUP BY feed, reason ORDER BY feed, reason""",
        [NOT_SHOWN],
    )
    return [HiddenFeed(*row) for row in rows]


def _end_acceptances(database: Database) -> None:
    """A slice that is no more as it was accepted is judged anew."""
    database.execute(
        f"""UPDATE ops.accepted_slices x SET ended_at = $now WHERE x.ended_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM ops.slices s WHERE {_IS_ACCEPTED})""",
        {"now": utc_now()},
    )
