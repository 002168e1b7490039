"""What an agent said as a node of workflows: rows of its log with a source of type `workflow`.

They are no talks of the agent's own app. Up to 1.16 a row is a conversation of the chatflow whose
runs went through the node, later the execution of the node itself. No recording shows such a row:
keys and rules are those of Dify's source.
"""

from __future__ import annotations

from collections.abc import Iterator

from dify_simulated.server.calls import Call
from dify_simulated.server.presentation import epoch, known
from dify_simulated.server.time_windows import TimeWindow
from dify_simulated.world.rows import App, JsonObject, Message, NodeExecution, WorkflowRun

_PAUSED = ("paused", "pending", "running", "retry")
_FAILED = ("failed", "exception", "stopped")


def executions(call: Call) -> Iterator[tuple[WorkflowRun, NodeExecution]]:
    """The runs that went through a node of the call's agent, and the executions there."""
    world = call.world
    bound = {(node.app_id, node.node_id) for node in call.agent().nodes}
    for row in world.node_executions.values():
        if (row.app_id, row.node_id) in bound and row.app_id in world.apps:
            yield world.workflow_runs[row.workflow_run_id], row


def are_nodes(call: Call) -> bool:
    """Whether this server's log shows executions instead of the chatflow's conversations."""
    return call.version.since(1, 17)


def is_in(row: Message | NodeExecution, window: TimeWindow) -> bool:
    """Whether it began in the window; its end is left out."""
    at = row.created_at
    return not (
        (window.start is not None and at < window.start)
        or (window.end is not None and at >= window.end)
    )


def messages_through_nodes(
    call: Call, window: TimeWindow
) -> dict[tuple[str, str], tuple[JsonObject, list[Message]]]:
    """By conversation and id of the source: the source, and the messages whose runs went through
    it, oldest first; those of debugging are left out.
    """
    found: dict[tuple[str, str], tuple[JsonObject, list[Message]]] = {}
    for run, node in executions(call):
        message = call.world.messages.get(call.world.message_of_run.get(run.id, ""))
        if message is None or not is_in(message, window):
            continue
        talk = call.world.conversations[message.conversation_id]
        if talk.invoke_from == "debugger":
            continue
        source = source_of_node(run, node, call)
        _, messages = found.setdefault((talk.id, str(source["id"])), (source, []))
        messages.append(message)
    for _, messages in found.values():
        messages.sort(key=lambda one: one.created_at)
    return found


def source_of_node(run: WorkflowRun, node: NodeExecution, call: Call) -> JsonObject:
    """The app, the version of its graph and the node."""
    app = call.world.apps[run.app_id]
    return {
        **source_of_flow(app),
        "id": f"workflow:{app.id}:{run.workflow_id}:{run.version}:{node.node_id}",
        "workflow_id": run.workflow_id,
        "workflow_version": run.version,
        "node_id": node.node_id,
    }


def source_of_flow(app: App) -> JsonObject:
    """An app that uses the agent, as the list of sources tells it."""
    return {
        "id": f"workflow:{app.id}",
        "type": "workflow",
        "app_id": app.id,
        "app_name": app.name,
        "app_icon_type": app.icon_type or "emoji",
        "app_icon": app.icon,
        "app_icon_background": app.icon_background,
        "workflow_id": None,
        "workflow_version": None,
        "node_id": None,
    }


def execution_in_list(run: WorkflowRun, node: NodeExecution, call: Call) -> JsonObject:
    """An execution as a talk of one message."""
    return {
        "id": node.id,
        "conversation_id": node.id,
        "title": node.title,
        "end_user_id": node.created_by if node.created_by_role == "end_user" else None,
        "message_count": 1,
        "user_rate": None,
        "operation_rate": None,
        "unread": False,
        "source": source_of_node(run, node, call),
        "status": _status(node),
        "created_at": epoch(node.created_at),
        "updated_at": epoch(node.finished_at or node.created_at),
    }


def execution_as_message(node: NodeExecution, call: Call) -> JsonObject:
    """An execution as the only message of its talk; `messages/{id}` knows no such id."""
    told, newest = node.execution_metadata, call.version.since(1, 17)
    values: JsonObject = {
        "id": node.id,
        "message_id": node.id,
        "conversation_id": node.id,
        "query": node.title,
        "answer": str((node.outputs or {}).get("text", "")),
        "status": _status(node),
        "error": node.error,
        "from_end_user_id": node.created_by if node.created_by_role == "end_user" else None,
        "from_account_id": node.created_by if node.created_by_role == "account" else None,
        "feedback_enabled": False,
        "feedbacks": [],
        "message_tokens": 0,
        "answer_tokens": 0,
        "total_tokens": told.get("total_tokens", 0),
        "total_price": str(told.get("total_price", "0")),
        "currency": str(told.get("currency", "")),
        "latency": node.elapsed_time,
        "created_at": epoch(node.created_at),
        "updated_at": epoch(node.finished_at or node.created_at),
    }
    return known(values, feedback_enabled=newest, feedbacks=newest)


def _status(node: NodeExecution) -> str:
    if node.status in _FAILED:
        return "failed"
    return "paused" if node.status in _PAUSED else "success"
