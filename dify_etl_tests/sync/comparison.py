"""Compare every raw table with the world that it was read from, column by column."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from dify_etl.raw.tables import RAW_TABLES
from dify_etl_tests.sync import (
    expected_human_inputs,
    expected_runs,
    expected_statistics,
    expected_talk,
    expected_workspace,
)
from dify_etl_tests.sync.expected_values import Row, Told, version_of
from dify_etl_tests.sync.workplace import Workplace

# The rows that a world must give, by the raw table whose name the function has.
EXPECTED: dict[str, Callable[[Told], Iterator[Row]]] = {
    name: getattr(module, name)
    for module in (
        expected_workspace,
        expected_talk,
        expected_runs,
        expected_statistics,
        expected_human_inputs,
    )
    for name in RAW_TABLES
    if hasattr(module, name)
}

# What a simulated server says without having it in its world, or what every request moves.
NOT_OF_THE_WORLD = {
    "apps": {"has_draft_trigger", "access_mode", "create_user_name", "api_base_url", "tracing"}
    | {"deleted_tools", "permission_keys"},
    "members": {"last_login_at", "last_active_at"},
    "daily_statistics": {"unit", "currency", "account_timezone", "server_version", "read_at"}
    | {"extra"},
    "datasets": {"app_count", "is_embedding_available", "retrieval_model", "doc_metadata"}
    | {"summary_index_setting", "external_retrieval_model", "is_built_in_field_enabled"}
    | {"pipeline_id", "runtime_mode", "chunk_structure", "icon_info", "is_published"}
    | {"is_api_enabled", "is_multimodal", "maintainer_id", "permission_keys"},
    "documents": {"data_source_type", "data_source_detail", "process_rule", "created_from"}
    | {"doc_form", "doc_metadata", "completed_segments", "total_segments"}
    | {"summary_index_status", "need_summary"},
    "document_segments": {"index_node_id", "index_node_hash", "child_chunks", "attachments"},
    "messages": {"extra_contents"},
    "node_executions": {"extras"},
    # Which of them are told depends on when a run was read, not on the world alone.
    "human_inputs": {"human_input_id", "form_id", "asked_at", "is_submitted"},
    "app_triggers": {"icon"},
    "workflow_versions": {"features"},
}

# Documents of which the world has the important part only.
IN_PART = {("apps", "app_model_config"), ("apps", "site"), ("datasets", "external_knowledge_info")}
KEYS = {
    "daily_statistics": ("app_id", "statistic_date", "metric"),
    "messages": ("conversation_id", "query", "message_id"),
    "human_inputs": ("workflow_run_id", "node_execution_id"),
}
SIGNATURE = re.compile(r"\?timestamp=[^\"]*")


def differences(
    place: Workplace, tables: tuple[str, ...] = (), *, where: str = "true"
) -> list[str]:
    """What the raw tables hold otherwise than the world, in words; empty when all is equal.

    `where` (SQL) limits the rows of the warehouse that are looked at.
    """
    rules = place.rules
    told = Told(place.world, version_of(place.version), rules.completion_detail, rules.segments)
    names = tables or tuple(EXPECTED)
    found = []
    for name, held in zip(names, held_rows(place, names, where), strict=True):
        found += [f"{name} {line}" for line in _unequal(name, told.rows(EXPECTED[name]), held)]
    return found


def held_rows(place: Workplace, names: Sequence[str], where: str = "true") -> list[list[Row]]:
    """Per raw table the rows that Dify still has, as Python values."""
    answers = place.answers([_query(name, where) for name in names])
    return [[_plain(name, row) for row in rows] for name, rows in zip(names, answers, strict=True)]


def _columns(name: str) -> dict[str, str]:
    return {column.name: column.type for column in RAW_TABLES[name].table.columns}


def _query(name: str, where: str) -> str:
    listed = ", ".join(f'"{column}"' for column in _columns(name))
    latest = (
        "QUALIFY row_number() OVER (PARTITION BY app_id, statistic_date, metric "
        "ORDER BY read_at DESC) = 1"
        if name == "daily_statistics"
        else ""
    )
    return f"SELECT {listed} FROM raw.{name} WHERE absent_since IS NULL AND {where} {latest}"


def _plain(name: str, row: tuple[Any, ...]) -> Row:
    return {
        column: _value(kind, value)
        for (column, kind), value in zip(_columns(name).items(), row, strict=True)
    }


def _value(kind: str, value: Any) -> Any:
    if kind == "JSON" and value is not None:
        return json.loads(SIGNATURE.sub("", value))
    if kind == "DATE" and value is not None:
        return value.isoformat()
    return SIGNATURE.sub("", value) if isinstance(value, str) else value


def _unequal(name: str, expected: list[Row], held: list[Row]) -> Iterator[str]:
    wanted, found = _by_key(name, expected), _by_key(name, held)
    yield from (f"lacks {key}" for key in sorted(wanted.keys() - found.keys(), key=str))
    yield from (f"has {key} too much" for key in sorted(found.keys() - wanted.keys(), key=str))
    if len(wanted) != len(expected) or len(found) != len(held):
        yield f"has repeated keys: {len(expected)} expected, {len(held)} held"
    for key in wanted.keys() & found.keys():
        for column, value in wanted[key].items():
            if not _is_equal((name, column), value, found[key][column]):
                yield f"{key}: {column} is {found[key][column]!r}, expected {value!r}"


def _by_key(name: str, rows: list[Row]) -> dict[tuple[Any, ...], Row]:
    key = KEYS.get(name) or RAW_TABLES[name].table.key
    return {tuple(row[column] for column in key): row for row in rows}


def _is_equal(column: tuple[str, str], expected: Any, held: Any) -> bool:
    if column in IN_PART and isinstance(expected, dict):
        return isinstance(held, dict) and all(held[key] == expected[key] for key in expected)
    return bool(held == expected)
