"""Show what stands in the published copy."""

from datetime import datetime
from zoneinfo import ZoneInfo

import duckdb
from rich.console import Console
from rich.table import Table as RichTable

from dify_etl.connection import DEMO_HOME, copy_place, effective_settings, home_of
from dify_etl.errors import ActionableError
from dify_etl.sync.feeds import FEEDS
from dify_etl.sync.report import STATES
from dify_etl.time_zones import local_date
from dify_etl.warehouse.errors import translated
from dify_etl.warehouse.publish import COPY


class NothingPublished(ActionableError):
    """No sync has made the analysts' copy yet."""


def list_tables(console: Console) -> int:
    """Schema, table, rows, state and grain of everything published. NothingPublished before that.

    "Last read whole" is of the slice for which it is longest ago: what Dify lets change without a
    sign, such as ratings and deletions, is proven through that day.
    """
    settings = effective_settings()
    copy = copy_place(settings).path
    if not copy.exists():
        is_demo = not settings.is_simulated and (home_of(settings) / DEMO_HOME / COPY).exists()
        demo = " The demo's tables: `dify-etl tables --simulated`." if is_demo else ""
        raise NothingPublished(
            "nothing is published yet", where=str(copy), hint=f"Run `dify-etl sync` first.{demo}"
        )
    try:
        with duckdb.connect(str(copy), read_only=True) as connection:
            _show(console, connection, settings.zone)
    except duckdb.Error as error:
        raise translated(copy, error) from error
    return 0


def _show(console: Console, connection: duckdb.DuckDBPyConnection, zone: ZoneInfo) -> None:
    table = RichTable(title=str(connection.execute("SELECT current_database()").fetchall()[0][0]))
    table.add_column("table", no_wrap=True)
    table.add_column("rows", justify="right")
    table.add_column("how whole")
    table.add_column("last read whole")
    table.add_column("grain")
    states = _states(connection, zone)
    found = connection.execute(
        """SELECT schema_name, table_name, comment FROM duckdb_tables() WHERE NOT internal
        UNION ALL SELECT schema_name, view_name, comment FROM duckdb_views() WHERE NOT internal
        ORDER BY 1, 2"""
    ).fetchall()
    for schema, name, comment in found:
        rows = connection.execute(f'SELECT count(*) FROM {schema}."{name}"').fetchall()[0][0]
        whole, read = states.get(f"{schema}.{name}", ("", ""))
        table.add_row(f"{schema}.{name}", f"{rows:,}", whole, read, comment or "")
    console.print(table)
    published = connection.execute(
        "SELECT max(published_at), max(through_date) FROM ops.published"
    ).fetchall()
    console.print(f"published {published[0][0]:%Y-%m-%d %H:%M} UTC, through {published[0][1]}")


def _states(connection: duckdb.DuckDBPyConnection, zone: ZoneInfo) -> dict[str, tuple[str, str]]:
    """By table: the states of its feed's slices with what waits in quarantine, and the local day
    before which nothing of it was read last; of a model that fails since when it does.
    """

    def day(at: datetime | None) -> str:
        return local_date(at, zone).isoformat() if at else "never"

    is_older = not connection.execute(
        "SELECT 1 FROM duckdb_tables() WHERE schema_name = 'ops' AND table_name = 'models'"
    ).fetchall()
    if is_older:  # the copy is of a version that kept no such books
        return {}
    waiting = dict(
        connection.execute(
            "SELECT feed, count(*) FROM ops.quarantine WHERE resolved_at IS NULL GROUP BY feed"
        ).fetchall()
    )
    slices = connection.execute(
        """SELECT feed, map_from_entries(list((state, slices))), min(read_whole)
        FROM (SELECT feed, state, count(*) AS slices, min(deep_read_at) AS read_whole
            FROM ops.slices GROUP BY feed, state) GROUP BY feed"""
    ).fetchall()
    told = {}
    for feed, states, read_whole in slices:
        parts = [f"{states[one]} {one}" for one in STATES if states.get(one)]
        parts += [f"{waiting[feed]} in quarantine"] if feed in waiting else []
        whole = "proven" if set(states) == {"proven"} and len(parts) == 1 else ", ".join(parts)
        told[feed] = (whole, day(read_whole))
    found = {
        f"raw.{name}": told[feed.name]
        for feed in FEEDS
        for name in feed.tables
        if feed.name in told
    }
    failed = connection.execute(
        "SELECT model, failed_since, built_at FROM ops.models WHERE state = 'failed'"
    ).fetchall()
    return found | {
        model: (f"not built since {day(since)}", day(built)) for model, since, built in failed
    }
