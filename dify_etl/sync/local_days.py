"""The local days that the warehouse keeps: counted anew when the zone's rules are other ones, and
a calendar of them.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import polars as pl

from dify_etl.raw.local_days import with_local_days
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.sync.ledger import LOCAL_DAYS
from dify_etl.time_zones import (
    ONE_DAY,
    day_start,
    local_date,
    offsets_of_year,
    rules_digest,
    zone_names,
    zone_of,
)
from dify_etl.warehouse.database import ArrowStream, Database
from dify_etl.warehouse.tables import Table, frame

ROWS_AT_A_TIME = 200_000


def count_days_anew(database: Database) -> int:
    """Fill all local days and hours by the rules of now, unless they were made by these; answers
    how many rows of raw tables changed. Call it inside a transaction, with all tables in place.

    So it is for a home of version 0.1, which kept none, and after an update of tzdata. Where rows
    went to another day, both days are due once more; for a home of 0.1 its ledger tells which.
    """
    pinned = next(iter(database.rows("SELECT timezone, zone_rules FROM ops.source")), None)
    if pinned is None or pinned[0] not in zone_names():
        return 0
    name, held = pinned
    if held == rules_digest(name):
        return 0
    database.execute("CREATE OR REPLACE TEMP TABLE _moved (app_id VARCHAR, local_date DATE)")
    changed = sum(_fill(database, raw.table, zone_of(name)) for raw in RAW_TABLES.values())
    database.execute(
        "UPDATE ops.slices SET is_settled = false FROM _moved m "
        "WHERE slices.app_id = m.app_id AND slice_date = m.local_date"
    )
    if held is None:
        _let_days_of_unknown_rules_be_read(database, zone_of(name))
    database.execute("DELETE FROM ops.local_days")
    database.execute("UPDATE ops.source SET zone_rules = ?", [rules_digest(name)])
    return changed


def _let_days_of_unknown_rules_be_read(database: Database, zone: ZoneInfo) -> None:
    """Let be due the days of which the ledger of 0.1 holds other counts than there are rows:
    DuckDB's rules made them; and the statistics of days on which the clocks change, of which 0.1
    asked for a part.
    """
    counted = [name for name, raw in RAW_TABLES.items() if raw.table.day_column == "created_date"]
    for feed in counted:
        database.execute(
            f"""UPDATE ops.slices s SET is_settled = false FROM (
                SELECT x.app_id, x.slice_date FROM ops.slices x LEFT JOIN (
                    SELECT app_id, created_date, count(*) AS held,
                        count(*) FILTER (absent_since IS NULL) AS there
                    FROM raw.{feed} GROUP BY ALL
                ) n ON n.app_id = x.app_id AND n.created_date = x.slice_date
                WHERE x.feed = '{feed}' AND x.is_settled AND x.slice_date IS NOT NULL
                  AND x.rows NOT BETWEEN coalesce(n.there, 0) AND coalesce(n.held, 0)
            ) d WHERE s.feed = '{feed}' AND s.app_id = d.app_id AND s.slice_date = d.slice_date"""
        )
    statistics = "feed = 'daily_statistics' AND slice_date IS NOT NULL"
    first, last = database.rows(
        f"SELECT min(slice_date), max(slice_date) FROM ops.slices WHERE {statistics}"
    )[0]
    if first is not None:
        days = {local_date(at, zone) for at in _changes(zone, first, last)}
        database.execute(
            f"UPDATE ops.slices SET is_settled = false WHERE {statistics} "
            "AND list_contains(?::DATE[], slice_date)",
            [sorted(days)],
        )


def _fill(database: Database, table: Table, zone: ZoneInfo) -> int:
    """Fill the local days and hours of a table, some rows at a time; answers how many changed."""
    columns = [column.name for column in table.local_columns]
    if not columns:
        return 0
    instants = ", ".join(sorted({f'"{one.local_of}"' for one in table.local_columns}))
    differs = " OR ".join(f't."{name}" IS DISTINCT FROM n."{name}"' for name in columns)
    values = ", ".join(f'"{name}" = n."{name}"' for name in columns)
    last = database.value(f"SELECT max(rowid) FROM {table.qualified}")
    changed = 0
    for first in range(0, 0 if last is None else last + 1, ROWS_AT_A_TIME):
        some = f"rowid BETWEEN {first} AND {first + ROWS_AT_A_TIME - 1}"
        rows = database.frame(
            f"SELECT rowid AS _row, {instants} FROM {table.qualified} WHERE {some}"
        )
        rows = rows.with_columns(pl.col(pl.Datetime).dt.replace_time_zone("UTC"))
        fresh = with_local_days(table, rows, zone).select("_row", *columns)
        database.connection.register("_fresh", ArrowStream(fresh))
        database.execute(
            f"CREATE OR REPLACE TEMP TABLE _changed AS SELECT n.*, t.app_id AS _app, "
            f"{', '.join(f't.{name} AS _was_{name}' for name in columns)} "
            f"FROM {table.qualified} t JOIN _fresh n ON t.rowid = n._row WHERE {differs}"
        )
        database.connection.unregister("_fresh")
        database.execute(
            f"UPDATE {table.qualified} t SET {values} FROM _changed n WHERE t.rowid = n._row"
        )
        changed += int(database.value("SELECT count(*) FROM _changed"))
        _note_moved(database, [one.name for one in table.local_columns if one.type == "DATE"])
    return changed


def _note_moved(database: Database, dates: list[str]) -> None:
    """Remember the days that lost or got a row; a row that had no day was in none."""
    for name in dates:
        for day in (name, f"_was_{name}"):
            database.execute(
                f'INSERT INTO _moved SELECT DISTINCT _app, "{day}" FROM _changed '
                f'WHERE "_was_{name}" IS NOT NULL AND "_was_{name}" IS DISTINCT FROM "{name}"'
            )


def keep_calendar(database: Database, zone: ZoneInfo, first: date, today: date) -> None:
    """Have ops.local_days reach from `first` to the end of this year; call it in a transaction."""
    last = date(today.year, 12, 31)
    held = database.rows("SELECT min(local_date), max(local_date) FROM ops.local_days")[0]
    if held[0] is not None and held[0] <= first and held[1] >= last:
        return
    first = min(first, held[0] or first)
    rows = frame(LOCAL_DAYS, _calendar(zone, first, last))
    database.stage("_calendar", rows, LOCAL_DAYS)
    database.execute("DELETE FROM ops.local_days")
    database.execute("INSERT INTO ops.local_days BY NAME SELECT * FROM _calendar")


def _calendar(zone: ZoneInfo, first: date, last: date) -> Iterator[dict[str, object]]:
    """A row per local day; an end is the next day's begin, so a day may be without hours."""
    changes = _changes(zone, first, last)
    day, starts_at = first, day_start(first, zone)
    while day <= last:
        ends_at = day_start(day + ONE_DAY, zone)
        within = sum(starts_at <= at < ends_at for at in changes)
        yield {
            "local_date": day,
            "starts_at": starts_at,
            "ends_at": ends_at,
            "offset_changes": within,
        }
        day, starts_at = day + ONE_DAY, ends_at


def _changes(zone: ZoneInfo, first: date, last: date) -> list[datetime]:
    """When the clocks change from the year of `first` to that of `last` and one more beside both,
    UTC.
    """
    return [
        at.replace(tzinfo=UTC)
        for year in range(first.year - 1, last.year + 2)
        for at, _ in offsets_of_year(zone, year)[1:]
    ]
