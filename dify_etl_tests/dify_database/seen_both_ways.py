"""Two homes of one world, one read by the API and one from the database, cell by cell."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb

from dify_etl.home import LIVE
from dify_etl.raw.tables import CHARGED_COLUMNS, RAW_TABLES, raw_table

READ = ("conversations", "messages", "workflow_runs", "node_executions")
TABLES = (
    *READ,
    *("message_feedbacks", "message_citations", "message_files", "agent_thoughts"),
    *("agent_tool_calls", "human_inputs"),
)
CHARGED = {column.name for column in CHARGED_COLUMNS}
# Only the database tells these.
ADDED: Mapping[str, set[str]] = {
    "messages": CHARGED,
    "conversations": {"invoke_from"},
    "human_inputs": {"answered_by", "answered_by_id", "submitted_at"},
}
# A link is made on every read; icons are looked up; places in a list mean nothing.
LOOKED_UP: Mapping[str, set[str]] = {
    "message_files": {"url"},
    "node_executions": {"extras"},
    "message_feedbacks": {"position"},
}
Differences = dict[tuple[str, str], list[tuple[Any, ...]]]


def differences(by_api: Path, from_database: Path) -> Differences:
    """What the homes hold otherwise, by table and column: key, by the API, from the database.

    Rows of which one home alone knows stand under the columns `(API)` and `(database)`.
    """
    found: Differences = {}
    with duckdb.connect() as connection:
        for name, home in (("a", by_api), ("b", from_database)):
            connection.execute(f"ATTACH '{home / LIVE}' AS {name} (READ_ONLY)")
        for table in TABLES:
            _compare(connection, table, found)
    return found


def _compare(connection: duckdb.DuckDBPyConnection, table: str, found: Differences) -> None:
    known = raw_table(table)
    key = [f'"{name}"' for name in known.key]
    same = " AND ".join(f"a.{name} IS NOT DISTINCT FROM b.{name}" for name in key)
    left_out = ADDED.get(table, set()) | LOOKED_UP.get(table, set())
    for column in (one.name for one in known.columns if one.name not in left_out):
        rows = connection.execute(
            f'SELECT {", ".join(f"a.{name}" for name in key)}, a."{column}", b."{column}" '
            f"FROM a.raw.{table} a JOIN b.raw.{table} b ON {same} "
            f'WHERE a."{column}" IS DISTINCT FROM b."{column}" ORDER BY ALL'
        ).fetchall()
        if rows:
            found[table, column] = rows
    for one, other, told in (("a", "b", "(API)"), ("b", "a", "(database)")):
        rows = connection.execute(
            f"SELECT {', '.join(f'{one}.{name}' for name in key)} FROM {one}.raw.{table} {one} "
            f"WHERE NOT EXISTS (SELECT 1 FROM {other}.raw.{table} {other} WHERE {same}) "
            "ORDER BY ALL"
        ).fetchall()
        if rows:
            found[table, told] = rows


def moved(home: Path, since: str) -> dict[str, int]:
    """Rows per raw table that are new, changed or absent since then, where there are any."""
    with duckdb.connect(str(home / LIVE), read_only=True) as connection:
        counts = {
            name: connection.execute(
                f"SELECT count(*) FROM raw.{name} "
                "WHERE greatest(loaded_at, changed_at, absent_since) > ?",
                [since],
            ).fetchone()
            for name in RAW_TABLES
        }
    return {name: count[0] for name, count in counts.items() if count and count[0]}
