"""Published copies of a few tables, made by hand in no time."""

from pathlib import Path

import duckdb

SERVER = "https://dify.test"
APPS, MONTHS = 2, 3


def small_copy(
    path: Path, workspace: str, version: int = 0, *, rows: int = 4, server: str = SERVER
) -> Path:
    """A copy of a few tables; every value that may change tells the version. It has `rows` messages
    per app and month, and one more for each version.
    """
    for left in (path, path.with_name(f"{path.name}.wal")):  # of a killed process
        left.unlink(missing_ok=True)
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
