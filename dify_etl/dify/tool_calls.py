"""Calls of tools by agents: what the steps of a message tell, and what an agent's log adds.

A step names its tools joined by ";", with inputs and results by tool as JSON texts. The log of
agent-chat apps (`GET apps/{id}/agent/logs`) tells seconds, status and error per call as well.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from dify_etl.dify.http.exact_json import decode, encode
from dify_etl.dify.message_child import MessageChild
from dify_etl.dify.record import Id, Instant, JsonRow, Record, optional


class AgentToolCall(MessageChild):
    """One call of a tool in one step of an agent."""

    needs = MessageChild.needs | {"agent_thought_id", "call_position", "tool_name"}

    agent_thought_id: Id = Field(description="id of the step")
    position: int | None = optional(description="order of the step, from 1")
    call_position: int = Field(description="order of the call in its step, from 1")
    tool_name: str = Field(description="name of the tool")
    tool_input: str | None = optional(description="arguments, JSON text", is_text=True)
    tool_output: str | None = optional(
        description="result, as text or JSON text", is_signed=True, is_text=True
    )
    status: str | None = optional(description="success or error (agent-chat)", keeps_last=True)
    error: str | None = optional(
        description="error text (agent-chat)", keeps_last=True, is_text=True
    )
    seconds: float | None = optional(
        description="seconds of the call (agent-chat)", keeps_last=True
    )
    step_tokens: int | None = optional(
        description="tokens of the whole step (agent-chat)", keeps_last=True
    )
    created_at: Instant | None = optional(description="when the step was stored")


class LoggedToolCall(Record):
    """One call in the log of an agent-chat app."""

    tool_name: str | None = optional(description="name of the tool")
    status: str | None = optional(description="success or error")
    error: str | None = optional(description="error text", is_text=True)
    seconds: float | None = optional("time_cost", description="seconds of the call")


class LoggedStep(Record):
    """One step in the log of an agent-chat app; in the order of the message's own steps."""

    tokens: int | None = optional(description="tokens of the step")
    tool_calls: tuple[LoggedToolCall, ...] = Field(
        default=(), strict=False, description="calls of tools"
    )


def calls_of(thoughts: Any, ids: Mapping[str, Any]) -> list[JsonRow]:
    """The calls in the steps of a message; steps that are malformed are left to their own record.

    `ids` are those of app, conversation and message.
    """
    rows = thoughts if isinstance(thoughts, list) else []
    return [call for row in rows if isinstance(row, dict) for call in _calls(row, ids)]


def _calls(thought: JsonRow, ids: Mapping[str, Any]) -> Iterator[JsonRow]:
    tools = thought.get("tool")
    names = [name for name in tools.split(";") if name] if isinstance(tools, str) else []
    inputs, outputs = thought.get("tool_input"), thought.get("observation")
    for number, name in enumerate(names, start=1):
        yield {
            **ids,
            "agent_thought_id": thought.get("id"),
            "position": thought.get("position"),
            "call_position": number,
            "tool_name": name,
            "tool_input": _of_tool(inputs, name),
            "tool_output": _of_tool(outputs, name),
            "created_at": thought.get("created_at"),
        }


def _of_tool(text: Any, name: str) -> str | None:
    """The part of one tool; the whole text where it is no JSON by tool."""
    if not isinstance(text, str) or not text:
        return None
    try:
        parts = decode(text.encode("utf-8", "replace"))
    except ValueError:
        return text
    if not isinstance(parts, dict) or name not in parts:
        return text
    part = parts[name]
    return part if isinstance(part, str) else encode(part)
