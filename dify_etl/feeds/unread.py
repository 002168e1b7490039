"""What was never read: feeds, apps and local days of which the ledger has no slice at all.

A slice that failed is told by the verdict. Of what nobody asked for, as after a run over one app or
a few days, the ledger says nothing: it follows from what Dify has and from the start date.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from dify_etl.dify.app_modes import CHAT_MODES, CHATFLOW_MODES, COMPLETION_MODES, WORKFLOW_MODES
from dify_etl.feeds.names import FEED_NAMES
from dify_etl.sync.known_apps import KnownApp
from dify_etl.sync.opt_in import Choice, is_read
from dify_etl.warehouse.database import Database

_TALKS = (*CHAT_MODES, *COMPLETION_MODES)
_RUNS = (*WORKFLOW_MODES, *CHATFLOW_MODES)
# Feeds that are read by local days, and the modes of the apps that have them; none: all.
MODES_OF_DAILY_FEEDS: Mapping[str, tuple[str, ...]] = {
    "daily_statistics": (),
    "conversations": _TALKS,
    "messages": _TALKS,
    "workflow_runs": _RUNS,
    "node_executions": _RUNS,
}


class UnreadApp(NamedTuple):
    """Local days of an app of Dify that were not read of every feed: how many, first and last.

    `is_new`: no day of it was ever read.
    """

    app_id: str
    app: str
    days: int
    first: date
    last: date
    feeds: list[str]
    is_new: bool


@dataclass(frozen=True)
class Unread:
    """Feeds that no run ever read, and days of apps."""

    feeds: tuple[str, ...] = ()
    apps: tuple[UnreadApp, ...] = ()

    @property
    def is_any(self) -> bool:
        """Whether anything was never read."""
        return bool(self.feeds or self.apps)


def read_unread(database: Database, choice: Choice, *, start: date, through: date) -> Unread:
    """What was never read, of the days from `start` to `through`, both included."""
    sql = "SELECT feed FROM ops.runs UNION SELECT feed FROM ops.slices"
    read = {feed for (feed,) in database.rows(sql)}
    missing = [name for name in FEED_NAMES if name not in read and is_read(name, choice)]
    # Of a feed that was never read every app lacks every day: it is told once, by its name.
    daily = [name for name in MODES_OF_DAILY_FEEDS if name in read]
    return Unread(tuple(missing), unread_apps(database, daily, start=start, through=through))


def unread_apps(
    database: Database, feeds: Collection[str], *, start: date, through: date
) -> tuple[UnreadApp, ...]:
    """Apps that Dify has, with days that were not read of one of these daily feeds; by name."""
    pairs = _pairs(database, feeds)
    rows = database.rows(
        """WITH asked AS (SELECT unnest($feeds) AS feed, unnest($apps) AS app_id),
        held AS (
            SELECT feed, app_id, count(*) AS slices,
                count(*) FILTER (slice_date BETWEEN $start AND $through) AS days
            FROM ops.slices WHERE slice_date IS NOT NULL GROUP BY feed, app_id
        ),
        lacking AS (
            SELECT feed, app_id FROM asked LEFT JOIN held USING (feed, app_id)
            WHERE coalesce(days, 0) <= date_diff('day', $start, $through)
        ),
        missing AS (
            FROM (SELECT feed, app_id, unnest(range(
                    $start::TIMESTAMP, ($through::DATE + 1)::TIMESTAMP, INTERVAL 1 DAY
                ))::DATE AS slice_date FROM lacking)
            ANTI JOIN ops.slices USING (feed, app_id, slice_date)
        )
        SELECT app_id, any_value(a.name), count(DISTINCT slice_date), min(slice_date),
            max(slice_date), list_sort(list(DISTINCT feed)),
            NOT EXISTS (SELECT 1 FROM held h WHERE h.app_id = missing.app_id)
        FROM missing JOIN raw.apps a USING (app_id) GROUP BY app_id ORDER BY 2, 1""",
        {
            "feeds": [feed for feed, _ in pairs],
            "apps": [app_id for _, app_id in pairs],
            "start": start,
            "through": through,
        },
    )
    return tuple(UnreadApp(*row) for row in rows)


def unread_by_day(
    database: Database, feed: str, days: Collection[date]
) -> Mapping[date, Sequence[str]]:
    """Of these days of a daily feed: the names of the apps that Dify has and that were not read."""
    rows = database.rows(
        """SELECT slice_date, list(name ORDER BY name) FROM raw.apps
        CROSS JOIN (SELECT unnest($days::DATE[]) AS slice_date)
        ANTI JOIN (SELECT app_id, slice_date FROM ops.slices WHERE feed = $feed)
            USING (app_id, slice_date)
        WHERE list_contains($apps, app_id) GROUP BY slice_date""",
        {
            "feed": feed,
            "days": sorted(days),
            "apps": [app_id for _, app_id in _pairs(database, [feed])],
        },
    )
    return dict(rows)


def unlisted_apps(
    database: Database, feed: str, is_for: Callable[[KnownApp], bool]
) -> Sequence[str]:
    """The names of the apps that Dify has whose list of a feed without days was never read."""
    rows = database.rows("SELECT app_id FROM ops.slices WHERE feed = ?", [feed])
    read = {app_id for (app_id,) in rows}
    return [app.name for app in _apps(database) if is_for(app) and app.app_id not in read]


def _apps(database: Database) -> list[KnownApp]:
    rows = database.rows(
        "SELECT app_id, name, mode, agent_id FROM raw.apps WHERE absent_since IS NULL ORDER BY name"
    )
    return [KnownApp(*row) for row in rows]


def _pairs(database: Database, feeds: Collection[str]) -> list[tuple[str, str]]:
    """Each of these feeds with each app of Dify that has it."""
    apps = _apps(database)
    return [
        (feed, app.app_id)
        for feed in feeds
        for app in apps
        if not (modes := MODES_OF_DAILY_FEEDS[feed]) or app.is_of(modes)
    ]
