"""Where people write secrets into apps: each shape that a Dify from 1.0 to the newest saves."""

from typing import Any

from pydantic import JsonValue

SECRET = "correct-horse-battery"  # no shape and no look tells it: the place alone does
SELECTOR = ["1711", "token"]


def tool(**parts: Any) -> dict[str, Any]:
    """A node that calls a tool, or one of an agent's tools."""
    return {"tool_name": "mail", "provider_name": "acme/mail/mail", **parts}


def agent(**parts: Any) -> dict[str, Any]:
    """A node of an agent with one tool."""
    return {
        "type": "agent",
        "agent_parameters": {"tools": {"type": "constant", "value": [tool(**parts)]}},
    }


def http(**parts: Any) -> dict[str, Any]:
    """A node that sends a request."""
    return {"type": "http-request", "headers": "", "params": "", **parts}


def places(secret: JsonValue) -> dict[str, dict[str, Any]]:
    """Each shape, by what it is, with this secret in its place."""
    constant, mixed = {"type": "constant", "value": secret}, {"type": "mixed", "value": secret}
    nodes = {
        "setting of a tool": tool(type="tool", tool_configurations={"api_key": secret}),
        "setting since 1.7": tool(type="tool", tool_configurations={"api_key": constant}),
        "parameter of a tool": tool(type="tool", tool_parameters={"password": secret}),
        "parameter with a type": tool(type="tool", tool_parameters={"password": mixed}),
        "setting of an agent's tool": agent(settings={"api_key": {"value": secret}}),
        "setting since 1.7 of an agent's": agent(settings={"api_key": {"value": constant}}),
        "parameter of an agent's tool": agent(parameters={"token": {"auto": 0, "value": constant}}),
        "default in a schema": agent(
            schemas=[{"name": "api_key", "type": "string", "default": secret}]
        ),
        "strategy of an agent": {"type": "agent", "agent_parameters": {"mcp_token": constant}},
        "event of a trigger": {"type": "trigger-plugin", "event_parameters": {"secret": constant}},
        "data source": {"type": "datasource", "datasource_parameters": {"api_key": mixed}},
        "authorization": http(
            authorization={"type": "api-key", "config": {"type": "bearer", "api_key": secret}}
        ),
        "header": http(headers=f"Accept: */*\nX-Api-Key: {secret}"),
        "header of an own name": http(headers=f"X-Auth: {secret}"),
        "parameter of an address": http(params=f"page:1\nkey:{secret}"),
        "form": http(body={"type": "form-data", "data": [{"key": "token", "value": secret}]}),
        "form of old": http(body={"type": "form-data", "data": f"user:me\ntoken:{secret}"}),
        "assignment": {
            "type": "assigner",
            "items": [
                {
                    "variable_selector": ["conversation", "api_key"],
                    "input_type": "constant",
                    "value": secret,
                }
            ],
        },
        "variable of a loop": {
            "type": "loop",
            "loop_variables": [
                {"value": secret, "value_type": "constant", "var_type": "string", "label": "token"}
            ],
        },
        "default of an input": {
            "type": "start",
            "variables": [{"variable": "password", "type": "text-input", "default": secret}],
        },
    }
    variables = {
        "variable": {"name": "API_KEY", "value_type": "string", "value": secret},
        "list": {"name": "API_KEYS", "value_type": "array[string]", "value": [secret, secret]},
        "object": {"name": "PASSWORDS", "value_type": "object", "value": {"smtp": {"me": secret}}},
        "objects": {"name": "PASSWORDS", "value_type": "array[object]", "value": [{"me": secret}]},
        "member": {"name": "settings", "value_type": "object", "value": {"api_key": secret}},
        "name at the end": {"value_type": "string", "value": secret, "name": "API_KEY"},
    }
    return {
        **{
            name: {"graph": {"nodes": [{"id": "1", "data": {"title": "Node", "type": "", **data}}]}}
            for name, data in nodes.items()
        },
        **{name: {"environment_variables": [one]} for name, one in variables.items()},
        **{f"{name} talk": {"conversation_variables": [one]} for name, one in variables.items()},
        "tool of an agent-chat": {
            "agent_mode": {"tools": [tool(tool_parameters={"api_key": secret}, enabled=True)]}
        },
        "tool of the oldest agents": {
            "agent_mode": {"tools": [{"search": {"enabled": True, "api_key": secret}}]}
        },
    }


# What has such a name, or stands beside one, and is needed as it is.
INNOCENT: tuple[dict[str, Any], ...] = (
    tool(type="tool", tool_parameters={"token": {"type": "variable", "value": SELECTOR}}),
    tool(type="tool", tool_parameters={"token": {"type": "mixed", "value": "{{#env.KEY#}}"}}),
    agent(parameters={"token": {"auto": 0, "value": {"type": "variable", "value": SELECTOR}}}),
    agent(parameters={"token": {"auto": 1, "value": None}}),
    agent(schemas=[{"name": "token", "type": "secret-input", "label": {"en_US": "Your token"}}]),
    {"type": "code", "outputs": {"token": {"type": "string", "children": None}}, "code": ""},
    {
        "type": "llm",
        "structured_output": {
            "schema": {
                "type": "object",
                "required": ["token"],
                "properties": {
                    "token": {"type": ["string", "null"], "description": "as the page tells it"},
                    "password": {"anyOf": [{"type": "string"}], "description": "which one"},
                    "credentials": {
                        "type": "object",
                        "properties": {"user": {"type": "string", "enum": ["me", "you"]}},
                    },
                },
            }
        },
    },
    http(
        authorization={"type": "api-key", "config": {"header": "X-Own", "api_key": "{{#env.KEY#}}"}}
    ),
    {"type": "end", "outputs": [{"variable": "token", "value_selector": SELECTOR}]},
    {
        "type": "assigner",
        "items": [
            {
                "variable_selector": ["conversation", "token"],
                "input_type": "variable",
                "value": SELECTOR,
            }
        ],
    },
    {
        "type": "if-else",
        "conditions": [{"variable_selector": SELECTOR, "comparison_operator": "is", "value": "on"}],
    },
)
