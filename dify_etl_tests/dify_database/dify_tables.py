"""Dify's tables in a PostgreSQL, by the columns of real servers; filled with a simulated world.

`columns/<version>.tsv` has the table, column, type, nullable and default of running servers.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from dify_etl_tests.postgres import Postgres
from dify_simulated import World
from dify_simulated.versions import ServerVersion

COLUMNS = Path(__file__).parent / "columns"
KNOWN = ("1.0.0", "1.12.1", "1.16.1", "main-2026-08")
# By Dify's own model of all these versions: it was not among the tables that were looked at.
TOOL_FILES = {
    "id": "uuid",
    "user_id": "uuid",
    "tenant_id": "uuid",
    "conversation_id": "uuid",
    "file_key": "varchar(255)",
    "mimetype": "varchar(255)",
    "original_url": "varchar(2048)",
    "name": "varchar",
    "size": "integer",
}
Row = dict[str, Any]


@cache
def columns_of(version: str) -> Mapping[str, Mapping[str, str]]:
    """Types by table and column, of this version or the last one before it that was looked at."""
    number = ServerVersion(version).number
    fitting = [one for one in KNOWN if ServerVersion(one).number <= number]
    found: dict[str, dict[str, str]] = {"tool_files": TOOL_FILES}
    with (COLUMNS / f"{fitting[-1]}.tsv").open() as file:
        for table, column, kind, *_ in csv.reader(file, delimiter="\t"):
            found.setdefault(table, {})[column] = kind.replace("varchar()", "varchar") or "numeric"
    return found


def make_tables(postgres: Postgres, database: str, version: str) -> None:
    """A new database with the tables of a version, and the indexes that reading leans on."""
    postgres.execute(f"CREATE DATABASE {database}")
    made = []
    for table, columns in columns_of(version).items():
        listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
        made.append(f"CREATE TABLE {table} ({listed})")
    made += [
        "CREATE INDEX ON messages (app_id, created_at)",
        "CREATE INDEX ON messages (conversation_id)",
    ]
    postgres.execute("; ".join(made), database)


def put_rows(cursor: Any, table: str, held: list[Row], kinds: Mapping[str, str]) -> None:
    """Rows into a table of these columns; what the version has no column for is left out."""
    if not held:
        return
    names = [name for name in kinds if name in held[0]]
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_MINIMAL)
    for row in held:
        writer.writerow([_cell(row.get(name), kinds[name]) for name in names])
    text.seek(0)
    listed = ", ".join(f'"{name}"' for name in names)
    cursor.copy_expert(f"COPY {table} ({listed}) FROM STDIN (FORMAT csv, NULL '\\N')", text)


def _kinds(postgres: Postgres, database: str) -> Mapping[str, Mapping[str, str]]:
    rows = postgres.execute(
        "SELECT table_name, column_name, data_type FROM information_schema.columns "
        "WHERE table_schema = 'public' ORDER BY ordinal_position",
        database,
    )
    found: dict[str, dict[str, str]] = {}
    for table, column, kind in rows:
        found.setdefault(table, {})[column] = kind
    return found


def _cell(value: Any, kind: str) -> Any:
    if value is None:
        return "\\N"
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ")
    if isinstance(value, dict | list | tuple) or kind in ("json", "jsonb"):
        return json.dumps(value)
    if isinstance(value, bool):
        return "t" if value else "f"
    return value if isinstance(value, Decimal | float | int) else str(value)


def fill(postgres: Postgres, database: str, world: World, version: str) -> None:
    """All rows of a world, in place of those that the tables had."""
    known = columns_of(version)
    with world.lock:
        rows = {
            table: list(found)
            for table, found in _rows(world, ServerVersion(version))
            if table in known
        }
    # Asked once, on one connection: PostgreSQL takes longer to tell its columns than to fill them.
    kinds = _kinds(postgres, database)
    with postgres.connected(database) as cursor:
        cursor.execute(f"TRUNCATE {', '.join(known)}")
        for table, found in rows.items():
            put_rows(cursor, table, found, kinds[table])


def _rows(world: World, version: ServerVersion) -> Iterator[tuple[str, Iterator[Row]]]:
    yield "tenants", map(_plain, world.workspaces.values())
    yield (
        "accounts",
        ({**_plain(one), "password": "hash-of-password"} for one in world.accounts.values()),
    )
    yield "tenant_account_joins", map(_plain, world.members.values())
    yield "end_users", map(_plain, world.end_users.values())
    yield "apps", map(_app, world.apps.values())
    yield (
        "app_model_configs",
        (
            _config(one.app_model_config, one.id)
            for one in world.apps.values()
            if one.app_model_config
        ),
    )
    yield "api_tokens", map(_plain, world.api_keys.values())
    yield "conversations", map(_plain, world.conversations.values())
    yield "messages", (_message(one, version) for one in world.messages.values())
    yield (
        "message_agent_thoughts",
        (
            {
                **_plain(one),
                "tool_labels_str": _labels(one.tool),
                "tool_meta_str": _meta(one),
                "created_by_role": "account",
            }
            for message in world.messages.values()
            for one in message.agent_thoughts
        ),
    )
    yield (
        "message_files",
        (
            {
                **_plain(one),
                "message_id": message.id,
                **_place_of(one),
                "created_at": message.created_at,
            }
            for message in world.messages.values()
            for one in message.message_files
        ),
    )
    yield (
        "tool_files",
        (
            {
                "id": one.upload_file_id,
                "tenant_id": world.workspace_id,
                "conversation_id": message.conversation_id,
                "file_key": f"tools/{world.workspace_id}/{one.upload_file_id}.png",
                "mimetype": one.mime_type,
                "name": one.filename,
                "size": one.size,
            }
            for message in world.messages.values()
            for one in message.message_files
            if one.transfer_method == "tool_file"
        ),
    )
    yield (
        "upload_files",
        (
            {
                "id": _upload(one.upload_file_id),
                "name": one.filename,
                "size": one.size,
                "mime_type": one.mime_type,
            }
            for message in world.messages.values()
            for one in message.message_files
            if one.upload_file_id and one.transfer_method != "tool_file"
        ),
    )
    yield "message_feedbacks", map(_plain, world.feedbacks.values())
    yield "message_annotations", map(_plain, world.annotations.values())
    yield "app_annotation_hit_histories", map(_plain, world.annotation_hits.values())
    yield "workflow_runs", map(_plain, world.workflow_runs.values())
    yield (
        "workflow_app_logs",
        (_log(one, world, version) for one in world.workflow_app_logs.values()),
    )
    yield (
        "workflow_node_executions",
        (
            {**_plain(one), "triggered_from": "workflow-run", "tenant_id": world.workspace_id}
            for one in world.node_executions.values()
        ),
    )
    yield (
        "workflow_trigger_logs",
        (
            {
                "id": str(uuid5(NAMESPACE_OID, one.id)),
                "tenant_id": one.tenant_id,
                "app_id": one.app_id,
                "workflow_run_id": one.workflow_run_id,
                "trigger_metadata": json.dumps(one.trigger_metadata),
            }
            for one in world.workflow_app_logs.values()
            if one.trigger_metadata
        ),
    )
    yield (
        "workflow_node_execution_offload",
        (
            {
                "id": str(uuid5(NAMESPACE_OID, one.id + part)),
                "node_execution_id": one.id,
                "type": part,
            }
            for one in world.node_executions.values()
            for part in ("inputs", "outputs", "process_data")
            if getattr(one, f"{part}_truncated")
        ),
    )
    yield "human_input_forms", (_form(one, world) for one in world.human_input_forms.values())
    yield (
        "human_input_form_recipients",
        (
            {
                "id": str(uuid5(NAMESPACE_OID, one.id)),
                "form_id": one.id,
                "access_token": one.form_token[:32],
                "recipient_payload": "{}",
            }
            for one in world.human_input_forms.values()
        ),
    )
    yield "datasets", map(_plain, world.datasets.values())
    yield "documents", map(_plain, world.documents.values())
    yield "document_segments", map(_plain, world.document_segments.values())


def _plain(row: Any) -> Row:
    return {field.name: getattr(row, field.name) for field in fields(row)}


def _place_of(file: Any) -> Row:
    """Which file it is: one that a tool made is named by its address until somebody opens it."""
    if file.transfer_method == "tool_file":
        return {"url": f"/files/tools/{file.upload_file_id}.png", "upload_file_id": None}
    upload = file.upload_file_id and _upload(file.upload_file_id)
    return {"url": file.remote_url or None, "upload_file_id": upload}


def _upload(name: str) -> str:
    return name if len(name) == 36 else str(uuid5(NAMESPACE_OID, name))


def _app(app: Any) -> Row:
    config = app.app_model_config
    return {**_plain(app), "app_model_config_id": config and config.id, "status": "normal"}


def _config(config: Any, app_id: str) -> Row:
    return {
        "id": config.id,
        "app_id": app_id,
        "model": json.dumps(config.model),
        "pre_prompt": config.pre_prompt,
        "created_at": config.created_at,
    }


def _message(message: Any, version: ServerVersion) -> Row:
    metadata = message.message_metadata
    if not version.since(1, 4):  # such a server writes neither
        metadata = {key: one for key, one in metadata.items() if one and key != "usage"}
    return {
        **_plain(message),
        "message_metadata": json.dumps(metadata),
        "message_unit_price": Decimal("0.0010"),
        "message_price_unit": Decimal("0.0010000"),
        "answer_unit_price": Decimal("0.0020"),
        "answer_price_unit": Decimal("0.0010000"),
    }


def _meta(thought: Any) -> str:
    told = {"time_cost": thought.latency, "error": thought.error}
    return json.dumps({tool: told for tool in thought.tool.split(";") if tool})


def _log(log: Any, world: World, version: ServerVersion) -> Row:
    """Older servers write the line at the end of the run, and not before."""
    if version.logs_runs_at_start:
        return _plain(log)
    return {**_plain(log), "created_at": world.ends_of_logs.get(log.id, log.created_at)}


def _labels(tools: str) -> str:
    return json.dumps({tool: {"en_US": tool, "zh_Hans": tool} for tool in tools.split(";") if tool})


def _form(form: Any, world: World) -> Row:
    definition = {
        "form_content": form.form_content,
        "inputs": list(form.inputs),
        "user_actions": list(form.actions),
        "node_title": form.node_title,
        "display_in_ui": True,
        "default_values": {},
    }
    return {
        **_plain(form),
        "form_kind": "runtime",
        "form_definition": json.dumps(definition),
        "rendered_content": form.rendered_content,
        "status": "submitted" if form.submitted_at else "waiting",
        "selected_action_id": form.action_id,
        "submitted_data": json.dumps(form.submitted_data) if form.submitted_at else None,
        "submission_user_id": world.account_id if form.submitted_at else None,
        "tenant_id": world.workspace_id,
    }
