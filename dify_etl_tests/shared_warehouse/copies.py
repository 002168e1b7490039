"""Published copies for the shared warehouse: small ones by hand, and of three whole workspaces."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import duckdb

from dify_etl.assembly.night import read_night
from dify_etl.home import COPY
from dify_etl.sync.opening import open_home
from dify_etl.sync.run import SyncPlan
from dify_etl_tests.sync.small_worlds import shortened
from dify_etl_tests.sync.workplace import NOW, Workplace
from dify_simulated import WorldPlan, build_world

SERVER = "https://dify.test"
APPS, MONTHS = 2, 3


def small_copy(
    path: Path, workspace: str, version: int = 0, *, rows: int = 4, server: str = SERVER
) -> Path:
    """A copy of a few tables; every value that may change tells the version. It has `rows` messages
    per app and month, and one more for each version.
    """
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE SCHEMA raw; CREATE SCHEMA ops; CREATE SCHEMA staging; CREATE SCHEMA marts"
        )
        connection.execute(
            """CREATE TABLE ops.source AS SELECT ?::VARCHAR AS server_origin, ?::VARCHAR AS
            workspace_id, 'W' AS workspace_name, 'UTC' AS timezone, '1.16.1' AS server_version,
            'owner' AS role""",
            [server, workspace],
        )
        connection.execute(
            "CREATE TABLE ops.published AS SELECT now() AS published_at, 'run' AS run_id, "
            f"DATE '2026-03-01' AS through_date, {version} AS version"
        )
        connection.execute(
            f"""CREATE TABLE raw.apps AS SELECT 'app-' || a AS app_id, 'App of {version}' AS name
            FROM range({APPS}) r(a)"""
        )
        connection.execute(
            f"""CREATE TABLE raw.messages AS SELECT 'app-' || a AS app_id,
                a || '-' || m || '-' || i AS message_id,
                DATE '2026-01-05' + INTERVAL (m) MONTH + INTERVAL (i) HOUR AS created_at,
                CAST(DATE '2026-01-05' + INTERVAL (m) MONTH AS DATE) AS created_date,
                'asked of {version}' AS query, CAST('{{"v": {version}}}' AS JSON) AS extra,
                CAST(i / 3 AS DECIMAL(28, 10)) AS total_price
            FROM range({APPS}) r(a), range({MONTHS}) s(m), range({rows + version}) t(i)"""
        )
        connection.execute("COMMENT ON TABLE raw.messages IS 'One row per message.'")
        connection.execute("COMMENT ON COLUMN raw.messages.query IS 'What was asked.'")
        connection.execute(
            """CREATE TABLE marts.app_daily_usage AS SELECT ?::VARCHAR AS workspace_id, app_id,
            created_date AS usage_date, count(*) AS messages FROM raw.messages GROUP BY ALL""",
            [workspace],
        )
    return path


def change(copy: Path, *statements: str) -> Path:
    """Run statements on a copy."""
    with duckdb.connect(str(copy)) as connection:
        for one in statements:
            connection.execute(one)
    return copy


def messages_of(version: int, rows: int = 4) -> int:
    """How many messages a small copy of this version has."""
    return APPS * MONTHS * (rows + version)


def whole_copies(folder: Path) -> Sequence[Path]:
    """The copies of three workspaces: a simulated one that was read, with all models, and two that
    are made of it, with other ids, fewer rows and other texts.
    """
    world = shortened(
        build_world(
            WorldPlan(seed=3, apps=3, days=2, conversations_per_day=2, now=NOW, version="1.12.1")
        )
    )
    place = Workplace(world, folder / "home")
    with (
        place.client() as dify,
        open_home(
            dify,
            place.home,
            wait_seconds=1.0,
            rules=place.rules,
            run_id="night",
            watch=place.watch,
        ) as opened,
    ):
        assert read_night(opened, SyncPlan()).failure is None
    first = place.home / COPY
    return [first, *(_other(first, folder / f"{number}.duckdb", number) for number in (2, 3))]


def _other(first: Path, path: Path, number: int) -> Path:
    shutil.copy(first, path)
    with duckdb.connect(str(path)) as connection:
        columns = connection.execute(
            "SELECT schema_name, table_name, column_name FROM duckdb_columns() c "
            "SEMI JOIN duckdb_tables() t USING (schema_name, table_name) "
            "WHERE NOT c.internal AND regexp_matches(column_name, '_id$|^query$') "
            "AND data_type = 'VARCHAR'"
        ).fetchall()
        for schema, table, column in columns:
            connection.execute(
                f"UPDATE {schema}.{table} SET {column} = {column} || '-{number}' "
                f"WHERE {column} IS NOT NULL"
            )
        connection.execute(f"DELETE FROM raw.messages WHERE hash(message_id) % {number} = 0")
    return path
