"""Checks of raw assets: whole by the ledger, unique by key, read in time, nothing in quarantine.

The step that reads a feed brings them along: checks in steps of their own would be skipped with
the output of a feed that failed, and would keep the colour of the last good night. They can be run
alone all the same; then nothing is read.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeAlias

import dagster as dg

from dify_etl.defs.check_help import with_help
from dify_etl.defs.location import Location
from dify_etl.defs.markdown import plain
from dify_etl.feeds.table import Feed
from dify_etl.raw.tables import raw_table
from dify_etl.sync.causes import cause_of, some_of
from dify_etl.sync.verdict import IS_MINOR, IS_NOT_ACCEPTED, AcceptedHole, accepted_holes
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.database import Database

# A night may be missed by some hours, not by a day.
FRESH_WITHIN = timedelta(hours=36)
IS_WHOLE = "is_whole"
IS_FRESH = "is_fresh"
KEY_IS_UNIQUE = "key_is_unique"
NOTHING_IN_QUARANTINE = "nothing_in_quarantine"
SHOWN_LINES = 20
# Labels of what a check and an event say of holes.
MISSING = "missing"
ACCEPTED = "accepted"
# Rows that wait in quarantine are missing in their day as well.
BAD = """(state IN ('failed', 'incomplete')
    OR (state = 'unproven' AND in_quarantine IS NOT NULL))"""

# As text: Dagster has this name for type checkers only.
Metadata: TypeAlias = "Mapping[str, dg.RawMetadataValue]"
Finding: TypeAlias = tuple[bool, Metadata]


def check_specs(feed: Feed, at: Location, *, is_read: bool = True) -> list[dg.AssetCheckSpec]:
    """Every raw table is whole and unique by key; its feed is fresh, unless the settings leave it
    out, and keeps nothing back.
    """
    hours = FRESH_WITHIN.total_seconds() / 3600
    fresh = dg.AssetCheckSpec(
        IS_FRESH,
        asset=at.raw(feed.name),
        description=with_help(
            IS_FRESH,
            f"A read of {feed.name} that brought what Dify has ended within the last "
            f"{hours:.0f} hours. Reads that failed do not count.",
        ),
    )
    specs = [
        *([fresh] if is_read else []),
        dg.AssetCheckSpec(
            NOTHING_IN_QUARANTINE,
            asset=at.raw(feed.name),
            description=with_help(
                NOTHING_IN_QUARANTINE,
                f"No record of {feed.name} waits in ops.quarantine; a warning when only odd fields "
                "do, which leave their rows proven.",
            ),
        ),
    ]
    for name in feed.tables:
        key = ", ".join(raw_table(name).key)
        specs += [
            dg.AssetCheckSpec(
                IS_WHOLE,
                asset=at.raw(name),
                description=with_help(
                    IS_WHOLE,
                    "No slice of its feed failed, is incomplete or waits in quarantine, on any day "
                    "since the start date, but for holes that somebody accepted. Days that Dagster "
                    "shows as materialised may have been good earlier: this is what holds now.",
                ),
            ),
            dg.AssetCheckSpec(
                KEY_IS_UNIQUE,
                asset=at.raw(name),
                description=with_help(KEY_IS_UNIQUE, f"No two rows of raw.{name} share {key}."),
            ),
        ]
    return specs


def judged(
    database: Database, feed: Feed, chosen: Iterable[dg.AssetCheckKey]
) -> Iterator[dg.AssetCheckResult]:
    """What the chosen checks find in the warehouse. Nothing is asked of Dify."""
    for key in sorted(chosen):
        passed, metadata = _JUDGES[key.name](database, feed, key.asset_key.path[-1])
        is_minor = key.name == NOTHING_IN_QUARANTINE and not _withheld(database, feed)
        yield dg.AssetCheckResult(
            passed=passed,
            asset_key=key.asset_key,
            check_name=key.name,
            severity=dg.AssetCheckSeverity.WARN if is_minor else dg.AssetCheckSeverity.ERROR,
            metadata=metadata,
        )


@dataclass(frozen=True)
class Missing:
    """Slices of a feed that are not whole for one cause, of one or several apps (or the workspace);
    `tries` is of the app that failed most often.
    """

    app: str
    first: str | None  # local days; None for lists without days
    last: str | None
    days: int  # of the app with most of them
    state: str
    tries: int
    since: str
    reason: str

    def line(self) -> str:
        """A line of Markdown; names and reasons are texts of strangers."""
        often = f"since {self.since}, {self.tries} reads in a row"
        days = f"{self.first} to {self.last} ({self.days} days)" if self.first else "whole list"
        return f"- {plain(self.app)}, {days}: {self.state} {often}. {plain(self.reason)}"


def missing_slices(database: Database, feed: str) -> list[Missing]:
    """What the ledger says is missing of a feed, whichever run read it last, by cause; without the
    holes that somebody accepted, as in the verdict.
    """
    rows = database.rows(
        f"""SELECT coalesce(any_value(a.name), s.app_id, 'workspace'),
            min(slice_date)::VARCHAR, max(slice_date)::VARCHAR, count(slice_date),
            s.state, max(s.tries), strftime(min(coalesce(s.bad_since, s.read_at)), '%Y-%m-%d'),
            coalesce(s.reason, 'no reason was told')
        FROM (SELECT * FROM ops.slices WHERE feed = $feed AND {BAD}) s
        LEFT JOIN raw.apps a USING (app_id)
        WHERE {IS_NOT_ACCEPTED}
        GROUP BY s.app_id, s.state, s.reason ORDER BY max(s.tries) DESC, s.app_id, s.reason""",
        {"feed": feed, "today": utc_now().date()},
    )
    groups: dict[tuple[str, str], list[Missing]] = {}
    for one in (Missing(*row) for row in rows):
        groups.setdefault((one.state, cause_of(one.reason)), []).append(one)
    return [_together(group) for group in groups.values()]


def _together(group: Sequence[Missing]) -> Missing:
    """Apps that miss something for one cause, as one."""
    return replace(
        group[0],
        app=some_of(one.app for one in group),
        first=min((one.first for one in group if one.first), default=None),
        last=max((one.last for one in group if one.last), default=None),
        days=max(one.days for one in group),
        since=min(one.since for one in group),
    )


def missing_lines(missing: list[Missing]) -> str:
    """At most 20 lines: which apps and days, how often tried, why, and what to do."""
    most = SHOWN_LINES - 2
    lines = [one.line() for one in missing[:most]]
    if len(missing) > most:
        lines.append(f"- and {len(missing) - most} more, see ops.slices")
    lines.append(
        "- What to do: mend what the reasons name; every night and `dify-etl sync` try it."
    )
    return "\n".join(lines)


def holes_of(database: Database, feed: str) -> Metadata:
    """What is missing of a feed and what of it was accepted, each where there is any."""
    told: dict[str, dg.RawMetadataValue] = {}
    if missing := missing_slices(database, feed):
        told[MISSING] = dg.MetadataValue.md(missing_lines(missing))
    accepted = [one for one in accepted_holes(database, utc_now().date()) if one.feed == feed]
    if accepted:
        told[ACCEPTED] = dg.MetadataValue.md(_accepted_lines(accepted))
    return told


def _accepted_lines(accepted: Sequence[AcceptedHole]) -> str:
    lines = [
        f"- {plain(one.app)}, {one.days}: {plain(one.why)}"
        + (f" (until {one.until})" if one.until else "")
        for one in accepted[:SHOWN_LINES]
    ]
    more = len(accepted) - SHOWN_LINES
    return "\n".join([*lines, *([f"- and {more} more, see `dify-etl accept`"] if more > 0 else [])])


def _whole(database: Database, feed: Feed, table: str) -> Finding:
    holes = holes_of(database, feed.name)
    return MISSING not in holes, holes


def _fresh(database: Database, feed: Feed, table: str) -> Finding:
    read_at = database.value(
        "SELECT max(ended_at) FROM ops.runs WHERE feed = ? "
        "AND (slices_proven > 0 OR slices_failed + slices_incomplete = 0)",
        [feed.name],
    )
    is_fresh = read_at is not None and utc_now() - read_at < FRESH_WITHIN
    return is_fresh, {"last good read": str(read_at or "never")}


def _unique(database: Database, feed: Feed, table: str) -> Finding:
    spec = raw_table(table)
    key = ", ".join(spec.key)
    rows = database.rows(
        f"SELECT {key}, count(*) FROM {spec.qualified} GROUP BY {key} HAVING count(*) > 1 LIMIT 10"
    )
    found = [str(row[:-1]) for row in rows]
    return not rows, ({"keys": dg.MetadataValue.json(found)} if found else {})


def _withheld(database: Database, feed: Feed) -> bool:
    """Whether anything waits without which a slice is not proven."""
    return bool(
        database.value(
            "SELECT count(*) FROM ops.quarantine "
            f"WHERE feed = ? AND resolved_at IS NULL AND NOT {IS_MINOR}",
            [feed.name],
        )
    )


def _none_quarantined(database: Database, feed: Feed, table: str) -> Finding:
    waiting = database.value(
        "SELECT count(*) FROM ops.quarantine WHERE feed = ? AND resolved_at IS NULL", [feed.name]
    )
    told: dict[str, dg.RawMetadataValue] = {"records": waiting}
    if waiting:
        told["what to do"] = "`dify-etl quarantine list` shows them, `quarantine retry` tries them."
    return not waiting, told


_JUDGES: Mapping[str, Callable[[Database, Feed, str], Finding]] = {
    IS_WHOLE: _whole,
    IS_FRESH: _fresh,
    KEY_IS_UNIQUE: _unique,
    NOTHING_IN_QUARANTINE: _none_quarantined,
}
