"""Agents by the client: their recorded logs, messages and versions are records without surprise."""

import json
from decimal import Decimal
from typing import Any

import pytest

from dify_etl.dify.agents import AgentLog, AgentLogMessage, AgentVersion
from dify_etl.dify.app_records import App
from dify_etl.dify.messages import Message
from dify_etl.dify.record import Batch, Record, parse
from dify_etl_tests.simulated.recorded_exchanges import Exchange, exchange, exchanges

# What the client tells a record beside the answer; the app's id where nothing stands here.
CONTEXTS = {AgentLog: ("app_id", "agent_id"), AgentLogMessage: ()}
VERSIONS = ("1.16.1", "main-2026-08")


def records(kind: type[Record], rows: list[Any]) -> Batch[Any]:
    """Recorded rows as records."""
    given = {"app_id": "an app", "agent_id": "an agent"}
    context = {key: given[key] for key in CONTEXTS.get(kind, ("app_id",))}
    return parse(kind, rows, endpoint="GET", context=context)


def answered(version: str, path_end: str) -> list[Exchange]:
    """The good answers of the area agents under paths that end so."""
    found = exchanges(version, "agents")
    return [
        one
        for one in found
        if one.path.endswith(path_end) and one.status == 200 and one.method == "GET"
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("kind", "path_end"),
    [
        (AgentLog, "/logs"),
        (AgentLogMessage, "/messages"),
        (AgentVersion, "/versions"),
        (Message, "/chat-messages"),
    ],
)
def test_recorded_rows_are_records(version: str, kind: type[Record], path_end: str) -> None:
    """Every recorded row is valid, and none has a field that no record names."""
    bodies: list[Any] = [one.body for one in answered(version, path_end)]
    rows = [row for body in bodies for row in body["data"]]
    batch = records(kind, rows)
    assert rows
    assert batch.rejected == ()
    assert {name for row in batch for name in row.extra} == set()


@pytest.mark.parametrize("version", VERSIONS)
def test_log_tells_the_exact_price(version: str) -> None:
    """A price is a decimal, digit by digit as Dify wrote it."""
    body: Any = exchange(version, "agents/log-messages-theirs").body
    batch = records(AgentLogMessage, body["data"])
    assert [str(row.total_price) for row in batch] == [row["total_price"] for row in body["data"]]
    assert isinstance(batch.records[0].total_price, Decimal)


@pytest.mark.parametrize("version", VERSIONS)
def test_app_knows_its_agent(version: str) -> None:
    """The list of agents tells the agent that each app is bound to; other apps have none."""
    body: Any = exchange(version, "apps/list-mode-channel").body
    apps = records(App, body["data"]).records
    bound = {row["id"]: row["bound_agent_id"] for row in body["data"]}
    assert {app.app_id: app.agent_id for app in apps} == bound
    assert {app.mode for app in apps if app.agent_id} == {"agent"}


@pytest.mark.parametrize("version", VERSIONS)
def test_steps_of_a_message_become_tool_calls(version: str) -> None:
    """One call per tool of a step, with its own part of arguments and results."""
    body: Any = exchange(version, "agents/message-get-theirs").body
    (message,) = records(Message, [body]).records
    thought = body["agent_thoughts"][0]
    call = message.tool_calls[0]
    assert (call.agent_thought_id, call.tool_name) == (thought["id"], "tool_a")
    assert json.loads(call.tool_input) == json.loads(thought["tool_input"])["tool_a"]
    assert call.tool_output == "obs"
