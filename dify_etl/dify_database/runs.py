"""Runs of workflows and chatflows with their nodes, as the console tells them, from Dify's tables.

What the server offloaded (since 1.9) stands in no table: as in the console, the cut copy is told.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from dify_etl.dify.app_modes import CHATFLOW_MODES, WORKFLOW_MODES
from dify_etl.dify.http.server import Version
from dify_etl.dify.record import JsonRow
from dify_etl.dify_database.chunks import Selection, in_chunks, seconds
from dify_etl.dify_database.connection import Snapshot, quoted_uuid, uuids
from dify_etl.dify_database.conversations import AppTables, json_of
from dify_etl.dify_database.messages import form_rows, instant

RUNS = "workflow_runs (database)"
LOGS = "workflow_app_logs (database)"
NODES = "workflow_node_executions (database)"
TRIGGERS_SINCE = (1, 10, 0)
LISTS_RUNS_SINCE = (1, 9, 2)  # with the message of each; before, messages alone name runs
TRUNCATES_SINCE = (1, 9, 0)
EMPTY_METADATA_SINCE = (1, 7, 0)
# Later servers call every end user known, and the old name of callers by its new one; seen on
# 1.16.1, and not yet on 1.12.1.
NAMED_SINCE = (1, 13, 0)
FORM_NODE = "human-input"
TOOLS = frozenset({"tool", "agent", "datasource", "trigger-plugin"})

_RUN = (
    *("version", "triggered_from", "status", "error", "elapsed_time", "created_by_role"),
    *("inputs", "outputs"),
)
_NODE = (
    *("node_id", "node_type", "title", "status", "error", "elapsed_time", "created_by_role"),
    *("inputs", "process_data", "outputs", "execution_metadata", "predecessor_node_id"),
)
_CREATOR = (
    "a.id::text AS account_id, a.name AS account_name, a.email AS account_email, "
    "e.id::text AS end_user_id, e.type AS end_user_type, e.is_anonymous, e.session_id"
)


@dataclass(frozen=True)
class RunChunk:
    """Some runs: their details, their log rows, and by workflow_run_id the message of each."""

    details: list[JsonRow]
    logs: list[JsonRow]
    messages: pl.DataFrame


@dataclass(frozen=True)
class NodeChunk:
    """Some nodes by their run, and the forms that runs without a message wait for."""

    nodes: list[JsonRow]
    waiting: list[JsonRow]


def _creator(alias: str) -> str:
    """SQL that joins who began it."""
    return (
        f"LEFT JOIN accounts a ON {alias}.created_by_role = 'account' "
        f"AND a.id = {alias}.created_by "
        f"LEFT JOIN end_users e ON {alias}.created_by_role = 'end_user' "
        f"AND e.id = {alias}.created_by"
    )


def _creators(row: JsonRow, version: Version) -> JsonRow:
    account = end_user = None
    if row["account_id"] is not None:
        account = {
            "id": row["account_id"],
            "name": row["account_name"],
            "email": row["account_email"],
        }
    if row["end_user_id"] is not None:
        end_user = {
            "id": row["end_user_id"],
            "type": row["end_user_type"],
            "is_anonymous": False if version >= NAMED_SINCE else row["is_anonymous"],
            "session_id": row["session_id"],
        }
        if version >= NAMED_SINCE and end_user["type"] == "service_api":
            end_user["type"] = "service-api"
    return {"created_by_account": account, "created_by_end_user": end_user}


def of_app(shot: Snapshot, app: AppTables, alias: str) -> str:
    """SQL: whether a row of runs or nodes is of the app; both ids, as the indexes begin."""
    return (
        f"{alias}.tenant_id = {quoted_uuid(shot.workspace_id)} "
        f"AND {alias}.app_id = {quoted_uuid(app.app_id)}"
    )


def runs(shot: Snapshot, app: AppTables, where: str) -> Iterator[RunChunk]:
    """Runs of an app, whatever started them; `where` is SQL over workflow_runs r."""
    has = shot.column
    selection = Selection(
        (
            "r.id::text AS id",
            *(f"r.{name}" for name in _RUN),
            "r.total_tokens::bigint AS total_tokens",
            "r.total_steps::bigint AS total_steps",
            f"{has('r', 'workflow_runs', 'exceptions_count', 'bigint')} AS exceptions_count",
            f"{has('r', 'workflow_runs', 'sequence_number', 'bigint')} AS sequence_number",
            f"{seconds('r.created_at')} AS created_at",
            f"{seconds('r.finished_at')} AS finished_at",
            _CREATOR,
        ),
        f"workflow_runs r {_creator('r')}",
        f"{of_app(shot, app, 'r')} AND ({where})",
        at="r.created_at",
        key="r.id",
    )
    return in_chunks(shot, selection, _RunReader(shot, app).complete)


class _RunReader:
    """Adds to runs what stands in other tables: the log row, and the message of a chatflow."""

    def __init__(self, shot: Snapshot, app: AppTables) -> None:
        self._shot = shot
        self._app = app

    def complete(self, frame: pl.DataFrame) -> RunChunk:
        ids = uuids(frame["id"])
        rows = {row["id"]: row for row in frame.iter_rows(named=True)}
        details = [self._detail(row) for row in rows.values()]
        logs = self._logs(ids, rows) if self._app.mode in WORKFLOW_MODES else []
        return RunChunk(details, logs, self._messages(ids))

    def _detail(self, row: JsonRow) -> JsonRow:
        kept = {key: row[key] for key in row if key not in _OF_CREATOR}
        if row["sequence_number"] is None:
            del kept["sequence_number"]
        return {
            **kept,
            **_creators(row, self._app.version),
            "inputs": json_of(row["inputs"]) if row["inputs"] else {},
            "outputs": json_of(row["outputs"]) if row["outputs"] else {},
        }

    def _messages(self, ids: str) -> pl.DataFrame:
        names = ("workflow_run_id", "conversation_id", "message_id")
        if self._app.mode not in CHATFLOW_MODES or self._app.version < LISTS_RUNS_SINCE:
            return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
        return self._shot.frame(
            f"""SELECT DISTINCT ON (m.workflow_run_id) m.workflow_run_id::text AS workflow_run_id,
            m.conversation_id::text AS conversation_id, m.id::text AS message_id
            FROM messages m WHERE m.app_id = {quoted_uuid(self._app.app_id)}
            AND m.workflow_run_id IN (SELECT r.id FROM workflow_runs r
                WHERE r.id = ANY({ids}) AND r.triggered_from = 'app-run')
            ORDER BY m.workflow_run_id, m.created_at, m.id"""
        )

    def _logs(self, ids: str, rows: dict[str, JsonRow]) -> list[JsonRow]:
        triggers, metadata = "", "NULL::text"
        if self._shot.has("workflow_trigger_logs", "trigger_metadata"):
            metadata = "t.trigger_metadata"
            triggers = "LEFT JOIN workflow_trigger_logs t ON t.workflow_run_id = l.workflow_run_id"
        found = self._shot.frame(
            f"""SELECT DISTINCT ON (l.id) l.id::text AS id, l.workflow_run_id::text AS run_id,
            l.created_from, l.created_by_role, {seconds("l.created_at")} AS created_at,
            {metadata} AS metadata, {_CREATOR}
            FROM workflow_app_logs l {triggers} {_creator("l")}
            WHERE {of_app(self._shot, self._app, "l")} AND l.workflow_run_id = ANY({ids})
            ORDER BY l.id"""
        )
        return [self._log(row, rows[row["run_id"]]) for row in found.iter_rows(named=True)]

    def _log(self, row: JsonRow, run: JsonRow) -> JsonRow:
        told = {key: run[key] for key in _OF_LOGGED_RUN}
        log = {
            "id": row["id"],
            "workflow_run": told,
            "created_from": row["created_from"],
            "created_by_role": row["created_by_role"],
            **_creators(row, self._app.version),
            "created_at": row["created_at"],
        }
        if self._app.version >= TRIGGERS_SINCE:
            log["details"] = {"trigger_metadata": json_of(row["metadata"]) or {}}
        return log


_OF_CREATOR = frozenset(
    {"account_id", "account_name", "account_email", "end_user_id", "end_user_type"}
    | {"is_anonymous", "session_id"}
)
_OF_LOGGED_RUN = (
    *("id", "version", "status", "triggered_from", "error", "elapsed_time", "total_tokens"),
    *("total_steps", "created_at", "finished_at", "exceptions_count"),
)


def nodes(shot: Snapshot, app: AppTables, where: str) -> Iterator[NodeChunk]:
    """Nodes of runs of an app; `where` is SQL over workflow_node_executions n. Steps that somebody
    tried alone are of no run.
    """
    has = shot.column
    selection = Selection(
        (
            "n.id::text AS id",
            "n.workflow_run_id::text AS run_id",
            *(f"n.{name}" for name in _NODE),
            "n.index::bigint AS index",
            f"{has('n', 'workflow_node_executions', 'retry_index', 'bigint')} AS retry_index",
            f"{seconds('n.created_at')} AS created_at",
            f"{seconds('n.finished_at')} AS finished_at",
            _CREATOR,
        ),
        f"workflow_node_executions n {_creator('n')}",
        f"{run_nodes(shot, app)} AND ({where})",
        at="n.created_at",
        key="n.id",
    )
    return in_chunks(shot, selection, _NodeReader(shot, app).complete)


def answered_forms(shot: Snapshot, app: AppTables) -> pl.DataFrame:
    """The forms of an app that were sent in: by whom and when, which no console tells."""
    names = ("form_id", "workflow_run_id", "node_id", "answered_by", "answered_by_id")
    if not shot.has("human_input_forms", "submitted_at"):
        kinds = dict.fromkeys(names, pl.String)
        return pl.DataFrame(schema={**kinds, "submitted_at": pl.Datetime("us", "UTC")})
    found = shot.frame(
        f"""SELECT f.id::text AS form_id, f.workflow_run_id::text AS workflow_run_id, f.node_id,
        coalesce(a.name, e.session_id) AS answered_by, coalesce(f.submission_user_id,
            f.submission_end_user_id)::text AS answered_by_id,
        {seconds("f.submitted_at")} AS submitted_at
        FROM human_input_forms f LEFT JOIN accounts a ON a.id = f.submission_user_id
        LEFT JOIN end_users e ON e.id = f.submission_end_user_id
        WHERE f.app_id = {quoted_uuid(app.app_id)} AND f.submitted_at IS NOT NULL"""
    )
    return found.with_columns(instant("submitted_at"))


def run_nodes(shot: Snapshot, app: AppTables) -> str:
    """SQL: whether a row of workflow_node_executions n is of a run of the app."""
    return (
        f"{of_app(shot, app, 'n')} AND n.triggered_from = 'workflow-run' "
        "AND n.workflow_run_id IS NOT NULL"
    )


class _NodeReader:
    """Adds to nodes which of their texts were cut, and the forms that they wait at."""

    def __init__(self, shot: Snapshot, app: AppTables) -> None:
        self._shot = shot
        self._app = app

    def complete(self, frame: pl.DataFrame) -> NodeChunk:
        cut = self._cut(frame)
        found = [self._node(row, cut) for row in frame.iter_rows(named=True)]
        return NodeChunk(found, self._waiting(frame))

    def _node(self, row: JsonRow, cut: set[tuple[str, str]]) -> JsonRow:
        metadata = json_of(row["execution_metadata"])
        if not metadata:
            metadata = {} if self._app.version >= EMPTY_METADATA_SINCE else None
        node: JsonRow = {
            **{key: row[key] for key in row if key not in _OF_CREATOR},
            **_creators(row, self._app.version),
            "inputs": json_of(row["inputs"]),
            "process_data": json_of(row["process_data"]),
            "outputs": json_of(row["outputs"]),
            "execution_metadata": metadata,
        }
        # The icon of a tool is looked up by the server.
        if row["node_type"] not in TOOLS:
            node["extras"] = {}
        del node["retry_index"]
        if row["retry_index"] is not None:
            node["retry_index"] = row["retry_index"]
        if self._app.version >= TRUNCATES_SINCE:
            for part in ("inputs", "process_data", "outputs"):
                node[f"{part}_truncated"] = (row["id"], part) in cut
        node["workflow_run_id"] = node.pop("run_id")
        return node

    def _cut(self, frame: pl.DataFrame) -> set[tuple[str, str]]:
        if not self._shot.has("workflow_node_execution_offload", "type"):
            return set()
        rows = self._shot.frame(
            "SELECT o.node_execution_id::text AS id, o.type FROM workflow_node_execution_offload o "
            f"WHERE o.node_execution_id = ANY({uuids(frame['id'])})"
        )
        return set(rows.iter_rows())

    def _waiting(self, frame: pl.DataFrame) -> list[JsonRow]:
        """The forms of runs whose nodes wait for a person."""
        waits = (pl.col("node_type") == FORM_NODE) & (pl.col("status") == "paused")
        run_ids = frame.filter(waits)["run_id"].unique().to_list()
        if not run_ids or not self._shot.has("human_input_forms", "workflow_run_id"):
            return []
        return [
            {
                "workflow_run_id": row["workflow_run_id"],
                "node_id": row["node_id"],
                "node_title": (json_of(row["form_definition"]) or {}).get("node_title"),
                "pause_type": {"form_id": row["form_id"]},
            }
            for row in form_rows(self._shot, run_ids)
            if row["submitted_at"] is None
        ]
