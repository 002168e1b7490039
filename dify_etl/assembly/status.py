"""One glance at a home: what is proven through which day, what is red and since when, what waits.

Nothing is asked of Dify. The live file is read where nobody writes into it, else the published
copy, which is as old as the last good run. What is published, the copy itself tells: a run that is
killed while it copies has noted its publication in the live file already.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import duckdb

from dify_etl.assembly.connection import home_of
from dify_etl.assembly.night_times import next_night, nights_due
from dify_etl.assembly.same_workspace import homes_of_same_workspace
from dify_etl.feeds.unread import Unread, read_unread
from dify_etl.home import COPY, Home
from dify_etl.operations.keys.states import OVER
from dify_etl.settings import Settings, copy_folder_of
from dify_etl.sync.lock import holder
from dify_etl.sync.migrations import STEPS
from dify_etl.sync.shared_note import SharedBehind, shared_behind
from dify_etl.sync.verdict import Verdict, read_verdict
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.database import Database, open_to_read
from dify_etl.warehouse.errors import NothingPublished, WarehouseBusy, WarehouseError
from dify_etl.warehouse.migrations import refuse_newer
from dify_etl.warehouse.published_copy import opened_copy

# A night that is this late did not happen.
GRACE = timedelta(hours=6)
GROWTH_DAYS = 28
_LIVE_WAIT_SECONDS = 0.5


class FeedStatus(NamedTuple):
    """One feed over all its apps. Dates are local days; null for lists without days.

    `proven_through` is the newest day up to which every day of every app that is in Dify is proven,
    `whole_through` that up to which none is failed, incomplete or was never read: what Dify cannot
    show, or not to this account, holds back the first alone.
    """

    feed: str
    read_at: datetime
    whole_through: date | None
    proven_through: date | None
    slices: int
    bad: int
    unproven: int
    waiting: int


class LastRun(NamedTuple):
    """The run that began last and read anything; whether it read every feed of the ledger, as a
    night does, or some of them, as whoever materialises a raw asset in Dagster.
    """

    run_id: str
    started_at: datetime
    ended_at: datetime
    requests: int
    rows_new: int
    reads_all_feeds: bool


class Documents(NamedTuple):
    """Documents of all datasets that wait for somebody; those being indexed for over a day are
    stuck.
    """

    failed: int
    stuck: int
    paused: int


class Rotations(NamedTuple):
    """Rotations of API keys that are under way, and those of them that wait for a person; keys that
    are older than the policy allows.
    """

    under_way: int
    need_a_person: int
    keys_over_age: int


class Size(NamedTuple):
    """Bytes of both files; bytes a day that the live file grew by of late, None: not known yet."""

    live: int
    copy: int
    daily_growth: int | None


@dataclass(frozen=True)
class Status:
    """What one look tells. Instants are UTC; `as_of` is when the rows that tell it were written."""

    workspace: str | None
    is_live: bool
    as_of: datetime
    last_run: LastRun | None
    published_at: datetime | None
    published_through: date | None
    next_run: datetime
    missed_run: datetime | None  # the newest scheduled time after which no whole run came
    is_unpublished: bool  # the copy for analysts is older than what the last run read, or missing
    shared_behind: SharedBehind | None  # the shared warehouse lacks what was published
    other_homes: tuple[str, ...]  # they hold the same workspace
    feeds: tuple[FeedStatus, ...]
    verdict: Verdict
    unread: Unread  # from the start date to the day of the last publication
    documents: Documents
    rotations: Rotations
    size: Size

    @property
    def is_good(self) -> bool:
        """Whether the verdict is, no night is missing, and what was read is published, in the
        shared warehouse too. What was never read is left to the next night: when that does not
        come, it is missing.
        """
        is_published = not self.is_unpublished and self.shared_behind is None
        return self.verdict.is_good and self.missed_run is None and is_published


def read_status(settings: Settings, *, now: datetime | None = None) -> Status:
    """The status of the settings' home. NothingPublished before the first sync; WarehouseNewer: a
    newer version wrote it; WarehouseError; SettingWrong: DIFY_ETL_SCHEDULE is no cron expression.
    """
    now = now or utc_now()
    home, copy = Home(home_of(settings)), copy_folder_of(settings) / COPY
    with _opened(home.live, copy) as (database, is_live):
        last_run = _last_run(database)
        is_running = holder(home.path) is not None
        noted = _newest_publication(database)
        published = _publication_of(copy) if is_live else noted
        return Status(
            workspace=database.value("SELECT max(workspace_name) FROM ops.source"),
            is_live=is_live,
            as_of=now if is_live or published is None else published[0],
            last_run=last_run,
            published_at=published and published[0],
            published_through=published and published[1],
            next_run=next_night(settings, now),
            missed_run=missed_run(settings, _all_read_at(database), now),
            is_unpublished=_is_unpublished(last_run, noted, published) and not is_running,
            shared_behind=None if is_running else _shared_behind(settings),
            other_homes=tuple(map(str, homes_of_same_workspace(home.path))),
            feeds=_feeds(database),
            verdict=read_verdict(database),
            unread=_unread(database, settings, noted),
            documents=_documents(database),
            rotations=_rotations(database),
            size=Size(_bytes(home.live), _bytes(copy), _daily_growth(database)),
        )


def missed_run(settings: Settings, read_at: datetime | None, now: datetime) -> datetime | None:
    """The newest time of DIFY_ETL_SCHEDULE after which nothing was read of some app, once it is six
    hours late; UTC. `read_at` is that of the app that was read longest ago. None before the first
    run: who never synced has no schedule yet.
    """
    due = nights_due(settings, now - GRACE).last
    return due if read_at is not None and read_at < due else None


def _shared_behind(settings: Settings) -> SharedBehind | None:
    """What the home remembers, as long as the settings name a shared warehouse."""
    return shared_behind(home_of(settings)) if settings.warehouse is not None else None


@contextmanager
def _opened(live: Path, copy: Path) -> Iterator[tuple[Database, bool]]:
    """The live file, or the copy while a sync holds that; and whether it is the live file."""
    if live.exists():
        try:
            with open_to_read(live, wait_seconds=_LIVE_WAIT_SECONDS) as database, _of_today(live):
                refuse_newer(database, STEPS, live)
                yield database, True
                return
        except WarehouseBusy:
            if not copy.exists():
                raise
    if not copy.exists():
        raise NothingPublished(
            "nothing was read yet", where=str(live), hint="Run `dify-etl sync` first."
        )
    with opened_copy(copy) as connection, _of_today(copy):
        database = Database(connection, copy)
        refuse_newer(database, STEPS, copy)
        yield database, False


@contextmanager
def _of_today(path: Path) -> Iterator[None]:
    """NothingPublished: the ledger lacks a table or column, since an earlier version made it."""
    try:
        yield
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        raise NothingPublished(
            "the home was written by an earlier version, or nothing was read into it yet",
            where=str(path),
            hint="Run `dify-etl sync` once: it brings the home up to date.",
        ) from error


def _newest_publication(database: Database) -> tuple[datetime, date] | None:
    """When the newest copy was made, and the last local day that it covers."""
    rows = database.rows(
        "SELECT published_at, through_date FROM ops.published ORDER BY published_at DESC LIMIT 1"
    )
    return (rows[0][0], rows[0][1]) if rows else None


def _publication_of(copy: Path) -> tuple[datetime, date] | None:
    """The same, as the copy tells it of itself; None: there is none, or it cannot be read."""
    if not copy.exists():
        return None
    try:
        with opened_copy(copy) as connection:
            return _newest_publication(Database(connection, copy))
    except (WarehouseError, duckdb.Error):
        return None


def _last_run(database: Database) -> LastRun | None:
    rows = database.rows(
        """SELECT run_id, min(started_at), max(ended_at), sum(requests)::BIGINT,
            sum(rows_new)::BIGINT,
            list_has_all(list(feed), (SELECT list(DISTINCT feed) FROM ops.slices
                WHERE feed IN (SELECT feed FROM ops.runs)))
        FROM ops.runs GROUP BY run_id ORDER BY min(started_at) DESC LIMIT 1"""
    )
    return LastRun(*rows[0]) if rows else None


def _is_unpublished(
    last_run: LastRun | None,
    noted: tuple[datetime, date] | None,
    published: tuple[datetime, date] | None,
) -> bool:
    """`noted` is the newest publication by the file that was read, `published` that of the copy."""
    if published is None:
        return last_run is not None or noted is not None
    wanted = [*([last_run.started_at] if last_run else []), *([noted[0]] if noted else [])]
    return any(published[0] < at for at in wanted)


def _all_read_at(database: Database) -> datetime | None:
    """When that app of Dify was read last which was read longest ago; None before the first run.

    A run over a few apps leaves the others as they were; every night reads the newest days of each.
    One that was never read is told as such: who reads some apps alone misses no night.
    """
    read_at = database.value(
        """SELECT min(s.read_at) FROM raw.apps a JOIN (
            SELECT app_id, max(read_at) AS read_at FROM ops.slices
            WHERE slice_date IS NOT NULL GROUP BY app_id) s USING (app_id)
        WHERE a.absent_since IS NULL"""
    )
    if read_at is None:  # a workspace without apps
        read_at = database.value("SELECT max(read_at) FROM ops.slices")
    return read_at if isinstance(read_at, datetime) else None


def _unread(database: Database, settings: Settings, noted: tuple[datetime, date] | None) -> Unread:
    """Days after the newest publication, and after all that were read, are those to come."""
    newest = database.value("SELECT max(slice_date) FROM ops.slices")
    days = [day for day in (newest, noted and noted[1]) if day is not None]
    through = max(days, default=settings.start_date)
    return read_unread(database, settings, start=settings.start_date, through=through)


def _feeds(database: Database) -> tuple[FeedStatus, ...]:
    rows = database.rows(
        """WITH days AS (
            SELECT *, lead(slice_date) OVER (PARTITION BY feed, app_id ORDER BY slice_date)
                > slice_date + 1 AS is_before_gap
            FROM ops.slices
        ), by_app AS (
            SELECT feed, app_id, max(read_at) AS read_at, max(slice_date) AS read_through,
                count(*) AS slices, count(*) FILTER (state IN ('failed', 'incomplete')) AS bad,
                count(*) FILTER (state = 'unproven') AS unproven,
                least(min(slice_date) FILTER (state IN ('failed', 'incomplete')),
                    min(slice_date + 1) FILTER (is_before_gap)) AS first_bad,
                least(min(slice_date) FILTER (state <> 'proven'),
                    min(slice_date + 1) FILTER (is_before_gap)) AS first_open
            FROM days GROUP BY feed, app_id
        ), apps AS (
            SELECT app_id, absent_since IS NOT NULL AS is_gone FROM raw.apps
        ), waiting AS (
            SELECT feed, count(*) AS waiting FROM ops.quarantine WHERE resolved_at IS NULL
            GROUP BY feed
        )
        SELECT feed, max(read_at),
            min(coalesce(first_bad - 1, read_through)) FILTER (is_gone IS NOT true),
            min(coalesce(first_open - 1, read_through)) FILTER (is_gone IS NOT true),
            sum(slices)::BIGINT, sum(bad)::BIGINT, sum(unproven)::BIGINT,
            coalesce(max(waiting), 0)
        FROM by_app LEFT JOIN apps USING (app_id) LEFT JOIN waiting USING (feed)
        GROUP BY feed ORDER BY feed"""
    )
    return tuple(FeedStatus(*row) for row in rows)


def _documents(database: Database) -> Documents:
    if not _has(database, "marts.document_health"):
        return Documents(0, 0, 0)
    rows = database.rows(
        """SELECT coalesce(sum(failed_documents), 0)::BIGINT,
            coalesce(sum(stuck_documents), 0)::BIGINT, coalesce(sum(paused_documents), 0)::BIGINT
        FROM marts.document_health"""
    )
    return Documents(*rows[0])


def _rotations(database: Database) -> Rotations:
    under_way = need_a_person = over_age = 0
    if _has(database, "ops.key_rotations"):
        ((under_way, need_a_person),) = database.rows(
            """SELECT count(*), count(*) FILTER (needs_person) FROM ops.key_rotations
            WHERE NOT list_contains(?, state)""",
            [sorted(OVER)],
        )
    if _has(database, "marts.api_key_posture"):
        sql = "SELECT count(*) FROM marts.api_key_posture WHERE is_over_age"
        over_age = int(database.value(sql))
    return Rotations(under_way, need_a_person, over_age)


def _has(database: Database, table: str) -> bool:
    return bool(
        database.value(
            """SELECT count(*) FROM duckdb_tables() WHERE database_name = current_database()
            AND schema_name || '.' || table_name = ?""",
            [table],
        )
    )


def _daily_growth(database: Database) -> int | None:
    """Bytes a day between the first and the last publication of the last four weeks, when there is
    a day between them.
    """
    growth = database.value(
        f"""WITH held AS (
            SELECT published_at, live_bytes FROM ops.published WHERE live_bytes IS NOT NULL
            AND published_at > (
                SELECT max(published_at) - INTERVAL '{GROWTH_DAYS} days' FROM ops.published)
        ), span AS (
            SELECT max_by(live_bytes, published_at) - min_by(live_bytes, published_at) AS grown,
                (epoch(max(published_at)) - epoch(min(published_at))) / 86400 AS days FROM held
        )
        SELECT (grown / days)::BIGINT FROM span WHERE days >= 1
        UNION ALL SELECT NULL LIMIT 1"""
    )
    return None if growth is None else int(growth)


def _bytes(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
