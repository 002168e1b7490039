"""Compare what a reader holds with the rows that the world has."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import duckdb

from benchmark.results import Losses

Held = Mapping[str, Sequence[str]]

_DIFY_ETL = {
    "conversations": "SELECT conversation_id FROM raw.conversations WHERE absent_since IS NULL",
    "messages": "SELECT message_id FROM raw.messages WHERE message_source = 'chat'",
    "runs": "SELECT workflow_run_id FROM raw.workflow_runs",
    "nodes": "SELECT node_execution_id FROM raw.node_executions",
}
_DLT = {
    "conversations": "SELECT id FROM dify.conversations UNION ALL SELECT id FROM dify.completions",
    "messages": "SELECT id FROM dify.messages",
}


def losses_of(expected: Iterable[tuple[str, str]], held: Held) -> dict[str, Losses]:
    """Per table that the reader holds: rows expected, lost, and held more than once."""
    wanted = defaultdict(set)
    for table, row_id in expected:
        wanted[table].add(row_id)
    return {
        table: Losses(
            expected=len(wanted[table]),
            lost=len(wanted[table].difference(ids)),
            duplicated=len(ids) - len(set(ids)),
        )
        for table, ids in held.items()
    }


def merged(ids: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The world's ids with the conversations of completion apps among the others."""
    return [("conversations" if table == "completions" else table, one) for table, one in ids]


def held_by_dify_etl(home: Path, tables: Sequence[str]) -> Held:
    """The ids in the live file."""
    return _held(home / "live.duckdb", {table: _DIFY_ETL[table] for table in tables})


def held_by_dlt(home: Path) -> Held:
    """The ids in dlt's file."""
    return _held(home / "dlt.duckdb", _DLT)


def held_by_seed_client(seen: Path) -> Held:
    """The ids that passed by."""
    held = defaultdict(list)
    for table, row_id in json.loads(seen.read_text()):
        held[table].append(row_id)
    return held


def _held(path: Path, queries: Mapping[str, str]) -> Held:
    with duckdb.connect(str(path), read_only=True) as file:
        return {
            table: [row[0] for row in file.execute(sql).fetchall()]
            for table, sql in queries.items()
        }
