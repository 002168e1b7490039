"""/agent/logs of agent apps and /conversation-variables of chatflows."""

from __future__ import annotations

from json import JSONDecodeError, loads

from dify_etl.time_zones import zone_of
from dify_simulated.server.calls import Call, Route
from dify_simulated.server.errors import invalid_param, plugin_daemon_down
from dify_simulated.server.parameters import Identifier
from dify_simulated.server.presentation import account_name
from dify_simulated.world.rows import AgentThought, JsonObject, Message


def get_agent_logs(call: Call) -> object:
    """GET /apps/{id}/agent/logs: one message's steps; times are ISO text, the start in the zone."""
    asked = call.query(
        "AgentLogQuery",
        Identifier("message_id", required=True),
        Identifier("conversation_id", required=True),
    )
    message = _message(asked.text("conversation_id") or "", asked.text("message_id") or "", call)
    if call.switches.plugin_daemon_down:
        raise plugin_daemon_down(call.tenant_id, "tool")
    thoughts = message.agent_thoughts
    return {
        "meta": _meta(message, call),
        "iterations": [_iteration(thought) for thought in thoughts],
        "files": [],
    }


def _message(conversation_id: str, message_id: str, call: Call) -> Message:
    conversation = call.world.conversations.get(conversation_id)
    if conversation is None or conversation.app_id != call.app.id:
        raise invalid_param(f"Conversation not found: {conversation_id}")
    message = call.world.messages.get(message_id)
    if message is None or message.conversation_id != conversation_id:
        raise invalid_param(f"Message not found: {message_id}")
    return message


def _meta(message: Message, call: Call) -> JsonObject:
    config = call.app.app_model_config
    user = call.world.end_users.get(message.from_end_user_id or "")
    executor = account_name(call, message.from_account_id) or (user.session_id if user else None)
    start = message.created_at.astimezone(zone_of(call.account.timezone))
    return {
        "status": "success",
        "executor": executor or "Unknown",
        "start_time": start.isoformat(),
        "elapsed_time": message.provider_response_latency,
        "total_tokens": message.message_tokens + message.answer_tokens,
        "agent_mode": config.agent_mode.get("strategy", "react") if config else "react",
        "iterations": len(message.agent_thoughts),
    }


def _iteration(thought: AgentThought) -> JsonObject:
    names = [name for name in thought.tool.split(";") if name]
    inputs, outputs = _object(thought.tool_input), _object(thought.observation)
    return {
        "tokens": thought.tokens,
        "tool_calls": [_tool_call(name, thought, inputs, outputs) for name in names],
        "tool_raw": {"inputs": thought.tool_input, "outputs": thought.observation},
        "thought": thought.thought,
        "created_at": thought.created_at.replace(tzinfo=None).isoformat(),
        "files": [],
    }


def _object(text: str) -> JsonObject:
    try:
        value = loads(text)
    except JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _tool_call(
    name: str, thought: AgentThought, inputs: JsonObject, outputs: JsonObject
) -> JsonObject:
    return {
        "status": "success" if thought.error is None else "error",
        "error": thought.error,
        "time_cost": thought.latency,
        "tool_name": name,
        "tool_label": {"en_US": name, "zh_Hans": name},
        "tool_input": inputs.get(name, {}),
        "tool_output": outputs.get(name, ""),
        "tool_parameters": {},
        "tool_icon": "",
    }


def list_variables(call: Call) -> object:
    """GET /apps/{id}/conversation-variables: none are kept here; 100 at most, no second page."""
    call.query("ConversationVariablesQuery", Identifier("conversation_id", required=True))
    return {"page": 1, "limit": 100, "total": 0, "has_more": False, "data": []}


ROUTES = (
    Route("GET", "/apps/<uuid:app_id>/agent/logs", get_agent_logs, modes=("agent-chat",)),
    Route(
        "GET",
        "/apps/<uuid:app_id>/conversation-variables",
        list_variables,
        modes=("advanced-chat",),
    ),
)
