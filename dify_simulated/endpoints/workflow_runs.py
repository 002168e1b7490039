"""Runs of workflows and chatflows: lists by cursor, counts, details, node executions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from re import fullmatch

from dify_simulated.endpoints.apps import WORKFLOW_MODES
from dify_simulated.server.calls import Call, Route
from dify_simulated.server.errors import invalid_param, not_found, plugin_daemon_down
from dify_simulated.server.paging import LIMIT
from dify_simulated.server.parameters import BadValue, Choice, Identifier, Parameter
from dify_simulated.server.presentation import account_brief, creators, epoch, known
from dify_simulated.world.indexes import Entry, page_of
from dify_simulated.world.rows import JsonObject, NodeExecution, WorkflowRun

_STATUSES = ("running", "succeeded", "failed", "stopped", "partial-succeeded")
_STATUS = Choice("status", choices=_STATUSES)
_TRIGGERED_FROM = Choice("triggered_from", "debugging", choices=("debugging", "app-run"))
_UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}


@dataclass(frozen=True)
class TimeRange(Parameter):
    """A stretch of time up to now: 7d, 4h, 30m, 30s."""

    def read(self, raw: str) -> object:
        """The text itself."""
        if not fullmatch(r"\d+[dhms]", raw):
            text = "Invalid format. Use: 7d, 4h, 30m, 30s"
            raise BadValue("value_error", f"Value error, {text}", text)
        return raw


def list_runs(call: Call) -> object:
    """GET /apps/{id}/workflow-runs: debugging runs unless triggered_from=app-run (from 1.9.2)."""
    return _list(call, with_message=False)


def list_chatflow_runs(call: Call) -> object:
    """GET /apps/{id}/advanced-chat/workflow-runs: the same with conversation and message."""
    return _list(call, with_message=True)


def _list(call: Call, *, with_message: bool) -> JsonObject:
    """Strictly older than the second cursor run, by microseconds; ties with it are skipped."""
    newer = (_STATUS, _TRIGGERED_FROM) if call.version.lists_app_runs else ()
    asked = call.query("WorkflowRunListQuery", Identifier("last_id"), LIMIT, *newer)
    limit, status = asked.whole("limit"), asked.text("status")
    index = call.world.runs_of_app[call.app.id, asked.text("triggered_from") or "debugging"]
    high = len(index)
    last_id = asked.text("last_id")
    if last_id is not None:
        high = index.between(None, _cursor(last_id, call).created_at, end_inclusive=False)[1]
    entries = index.entries[:high]
    if status is not None:
        entries = [entry for entry in entries if _run(entry, call).status == status]
    ids = page_of(entries, low=0, high=len(entries), offset=0, limit=limit, descending=True)
    rows = [call.world.workflow_runs[run_id] for run_id in ids]
    older = bool(rows) and len(rows) == limit and entries[0][0] < rows[-1].created_at
    data = [_in_list(row, with_message, call) for row in rows]
    return {"limit": limit, "has_more": older, "data": data}


def _run(entry: Entry, call: Call) -> WorkflowRun:
    return call.world.workflow_runs[entry[1]]


def _cursor(last_id: str, call: Call) -> WorkflowRun:
    row = call.world.workflow_runs.get(last_id)
    if row is None or row.app_id != call.app.id:
        raise invalid_param("Last workflow run not exists")
    return row


def _in_list(row: WorkflowRun, with_message: bool, call: Call) -> JsonObject:
    """Runs of end users show no creator here."""
    by_account = row.created_by_role == "account"
    values: JsonObject = {
        "id": row.id,
        **(_message_ids(row, call) if with_message else {}),
        "version": row.version,
        "status": row.status,
        "elapsed_time": row.elapsed_time,
        "total_tokens": row.total_tokens,
        "total_steps": row.total_steps,
        "created_by_account": account_brief(call, row.created_by) if by_account else None,
        "created_at": epoch(row.created_at),
        "finished_at": epoch(row.finished_at),
        "exceptions_count": row.exceptions_count,
        "retry_index": None if call.version.since(1, 7) else 0,
        "sequence_number": row.sequence_number,
    }
    return known(values, sequence_number=not call.version.since(1, 7))


def _message_ids(row: WorkflowRun, call: Call) -> JsonObject:
    message = call.world.messages.get(call.world.message_of_run.get(row.id, ""))
    return {
        "conversation_id": None if message is None else message.conversation_id,
        "message_id": None if message is None else message.id,
    }


def count_runs(call: Call) -> object:
    """GET /apps/{id}/workflow-runs/count and …/advanced-chat/… (from 1.9.2)."""
    asked = call.query("WorkflowRunCountQuery", _STATUS, TimeRange("time_range"), _TRIGGERED_FROM)
    index = call.world.runs_of_app[call.app.id, asked.text("triggered_from") or "debugging"]
    start = None
    stretch = asked.text("time_range")
    if stretch:
        start = call.at - timedelta(**{_UNITS[stretch[-1]]: int(stretch[:-1])})
    low, high = index.between(start, None, end_inclusive=False)
    statuses = [_run(entry, call).status for entry in index.entries[low:high]]
    only = asked.text("status")
    if only is not None:
        statuses = [status for status in statuses if status == only]
    counts = {status.replace("-", "_"): statuses.count(status) for status in _STATUSES}
    return {"total": len(statuses), **counts}


def get_run(call: Call) -> object:
    """GET /apps/{id}/workflow-runs/{id}: 404 for no such run; 200 full of nulls up to 1.15."""
    row = _run_of_path(call)
    if row is None and call.version.answers_by_models:
        raise not_found("Workflow run not found")
    values = _nothing() if row is None else _detail(row, call)
    return known(values, sequence_number=not call.version.since(1, 7))


def _run_of_path(call: Call) -> WorkflowRun | None:
    row = call.world.workflow_runs.get(call.path["run_id"])
    return row if row is not None and row.app_id == call.app.id else None


def _nothing() -> JsonObject:
    return dict.fromkeys(
        (
            "id",
            "version",
            "graph",
            "inputs",
            "status",
            "outputs",
            "error",
            "elapsed_time",
            "total_tokens",
            "total_steps",
            "created_by_role",
            "created_by_account",
            "created_by_end_user",
            "created_at",
            "finished_at",
            "exceptions_count",
            "sequence_number",
        )
    )


def _detail(row: WorkflowRun, call: Call) -> JsonObject:
    workflow = call.world.workflows.get(row.workflow_id)
    return {
        "id": row.id,
        "version": row.version,
        "graph": {} if workflow is None else workflow.graph,
        "inputs": row.inputs,
        "status": row.status,
        "outputs": row.outputs,
        "error": row.error,
        "elapsed_time": row.elapsed_time,
        "total_tokens": row.total_tokens,
        "total_steps": row.total_steps,
        "created_by_role": row.created_by_role,
        **creators(call, row.created_by_role, row.created_by),
        "created_at": epoch(row.created_at),
        "finished_at": epoch(row.finished_at),
        "exceptions_count": row.exceptions_count,
        "sequence_number": row.sequence_number,
    }


def list_nodes(call: Call) -> object:
    """GET /apps/{id}/workflow-runs/{id}/node-executions: [] for an unknown run.

    Ascending from 1.9, descending before. Up to 1.15 a tool node needs the plugin daemon for its
    icon.
    """
    row = _run_of_path(call)
    ids = [] if row is None else call.world.nodes_of_run.get(row.id, [])
    nodes = [call.world.node_executions[node_id] for node_id in ids]
    asks_daemon = call.switches.plugin_daemon_down and not call.version.answers_by_models
    if asks_daemon and any(node.node_type == "tool" for node in nodes):
        raise plugin_daemon_down(call.tenant_id, "tool")
    nodes.sort(key=lambda node: node.index, reverse=not call.version.since(1, 9))
    return {"data": [_node(node, call) for node in nodes]}


def _node(row: NodeExecution, call: Call) -> JsonObject:
    metadata: JsonObject | None = row.execution_metadata
    if not metadata and not call.version.since(1, 7):
        metadata = None
    values: JsonObject = {
        "id": row.id,
        "index": row.index,
        "predecessor_node_id": row.predecessor_node_id,
        "node_id": row.node_id,
        "node_type": row.node_type,
        "title": row.title,
        "inputs": row.inputs,
        "process_data": row.process_data,
        "outputs": row.outputs,
        "status": row.status,
        "error": row.error,
        "elapsed_time": row.elapsed_time,
        "execution_metadata": metadata,
        "extras": {"icon": "http://dify.test/icons/tool"} if row.node_type == "tool" else {},
        "created_at": epoch(row.created_at),
        "created_by_role": row.created_by_role,
        **creators(call, row.created_by_role, row.created_by),
        "finished_at": epoch(row.finished_at),
        "inputs_truncated": row.inputs_truncated,
        "outputs_truncated": row.outputs_truncated,
        "process_data_truncated": row.process_data_truncated,
    }
    truncates = call.version.since(1, 9)
    return known(
        values,
        inputs_truncated=truncates,
        outputs_truncated=truncates,
        process_data_truncated=truncates,
    )


_RUNS = "/apps/<uuid:app_id>/workflow-runs"
_CHATFLOW_RUNS = "/apps/<uuid:app_id>/advanced-chat/workflow-runs"

ROUTES = (
    Route("GET", _RUNS, list_runs, modes=WORKFLOW_MODES),
    Route("GET", f"{_RUNS}/count", count_runs, modes=WORKFLOW_MODES, since=(1, 9, 2)),
    Route("GET", f"{_RUNS}/<uuid:run_id>", get_run, modes=WORKFLOW_MODES),
    Route("GET", f"{_RUNS}/<uuid:run_id>/node-executions", list_nodes, modes=WORKFLOW_MODES),
    Route("GET", _CHATFLOW_RUNS, list_chatflow_runs, modes=("advanced-chat",)),
    Route("GET", f"{_CHATFLOW_RUNS}/count", count_runs, modes=("advanced-chat",), since=(1, 9, 2)),
)
