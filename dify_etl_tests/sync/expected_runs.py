"""The rows of runs and of their nodes that a world must give."""

from collections.abc import Iterator
from typing import Any

from dify_etl_tests.sync.expected_values import Row, Told, money, second
from dify_simulated.world.rows import NodeExecution, WorkflowAppLog, WorkflowRun
from dify_simulated.world.tables import whole_second


def visible_runs(told: Told) -> list[WorkflowRun]:
    """Runs that a list shows or a message names."""
    return [row for row in told.world.workflow_runs.values() if _is_visible(told, row)]


def _is_visible(told: Told, row: WorkflowRun) -> bool:
    if row.triggered_from == "debugging":
        return True
    if told.mode(row.app_id) == "workflow":
        is_listed = row.triggered_from == "app-run" and told.since(1, 9, 2)
        return is_listed or _log_of(told, row) is not None
    return told.since(1, 9, 2) or row.id in told.world.message_of_run


def _log_of(told: Told, row: WorkflowRun) -> WorkflowAppLog | None:
    """The log row, which servers before 1.9 write when the run has ended."""
    log = told.world.workflow_app_logs.get(told.world.log_of_run.get(row.id, ""))
    return log if told.since(1, 9) or row.finished_at is not None else None


def workflow_runs(told: Told) -> Iterator[Row]:
    """raw.workflow_runs."""
    for row in visible_runs(told):
        yield {
            **told.creator(row.created_by_role, row.created_by),
            "app_id": row.app_id,
            "workflow_run_id": row.id,
            "workflow_version": row.version,
            "triggered_from": _triggered_from(told, row),
            "status": row.status,
            "elapsed_seconds": row.elapsed_time,
            "total_tokens": row.total_tokens,
            "total_steps": row.total_steps,
            "exceptions_count": row.exceptions_count,
            "retry_index": 0 if not told.since(1, 7) and _is_listed_run(row) else None,
            "sequence_number": None if told.since(1, 7) else row.sequence_number,
            "created_at": second(row.created_at),
            "finished_at": second(row.finished_at),
            "error": row.error,
            "inputs": row.inputs,
            "outputs": row.outputs,
            "detail_extra": None,
            "extra": None,
            **_log_columns(told, row),
            **_message_columns(told, row),
        }


def _is_listed_run(row: WorkflowRun) -> bool:
    return row.triggered_from == "debugging"


def _triggered_from(told: Told, row: WorkflowRun) -> str | None:
    """Log rows tell it since 1.10; a chatflow's run that only a message names does not."""
    if told.mode(row.app_id) == "workflow" and row.triggered_from != "debugging":
        return row.triggered_from if told.since(1, 10) else "app-run"
    is_known = row.triggered_from == "debugging" or told.since(1, 9, 2)
    return row.triggered_from if is_known else None


def _log_columns(told: Told, row: WorkflowRun) -> Row:
    log = _log_of(told, row) if told.mode(row.app_id) == "workflow" else None
    at = log and (row.finished_at if not told.since(1, 9) else row.created_at)
    return {
        "workflow_app_log_id": log and log.id,
        "created_from": log and log.created_from,
        "log_created_at": whole_second(at) if at else None,
        **_trigger(log.trigger_metadata if log and told.since(1, 10) else None),
    }


def _trigger(metadata: dict[str, Any] | None) -> Row:
    found = metadata or {}
    return {
        "details": None if metadata is None else {"trigger_metadata": metadata},
        "trigger_type": found.get("type"),
        "trigger_endpoint_id": found.get("endpoint_id"),
        "trigger_event_name": found.get("event_name"),
        "trigger_provider_id": found.get("provider_id"),
        "trigger_plugin": found.get("plugin_unique_identifier"),
    }


def _message_columns(told: Told, row: WorkflowRun) -> Row:
    is_listed = row.triggered_from != "debugging" and told.since(1, 9, 2)
    message = told.world.messages.get(told.world.message_of_run.get(row.id, ""))
    shown = message if is_listed else None
    return {
        "conversation_id": shown and shown.conversation_id,
        "message_id": shown and shown.id,
    }


def node_executions(told: Told) -> Iterator[Row]:
    """raw.node_executions: the nodes of those runs."""
    for run in visible_runs(told):
        for node_id in told.world.nodes_of_run.get(run.id, ()):
            yield _node(told, told.world.node_executions[node_id])


def _node(told: Told, row: NodeExecution) -> Row:
    metadata: dict[str, Any] = row.execution_metadata
    truncates = told.since(1, 9)
    return {
        **told.creator(row.created_by_role, row.created_by),
        "app_id": row.app_id,
        "workflow_run_id": row.workflow_run_id,
        "node_execution_id": row.id,
        "node_index": row.index,
        "predecessor_node_id": row.predecessor_node_id,
        "node_id": row.node_id,
        "node_type": row.node_type,
        "title": row.title,
        "inputs": row.inputs,
        "process_data": row.process_data,
        "outputs": row.outputs,
        "is_inputs_truncated": row.inputs_truncated if truncates else None,
        "is_process_data_truncated": row.process_data_truncated if truncates else None,
        "is_outputs_truncated": row.outputs_truncated if truncates else None,
        "status": row.status,
        "error": row.error,
        "elapsed_seconds": row.elapsed_time,
        "total_tokens": metadata.get("total_tokens"),
        "total_price": money(metadata.get("total_price")),
        "currency": metadata.get("currency"),
        "iteration_id": metadata.get("iteration_id"),
        "iteration_index": metadata.get("iteration_index"),
        "loop_id": metadata.get("loop_id"),
        "loop_index": metadata.get("loop_index"),
        "execution_metadata": metadata if metadata or told.since(1, 7) else None,
        "retry_index": metadata.get("retry_index"),
        "tool_provider_type": metadata.get("tool_info", {}).get("provider_type"),
        "tool_provider_id": metadata.get("tool_info", {}).get("provider_id"),
        "created_at": second(row.created_at),
        "finished_at": second(row.finished_at),
        "extra": None,
    }
