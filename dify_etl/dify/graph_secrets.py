"""Secrets in the graph of a workflow that no name in its JSON tells of: lines of HTTP nodes.

Dify keeps headers and parameters of an HTTP node as one text, a `name:value` per line; old ones the
fields of a form as well.
"""

import re
from collections.abc import Callable
from typing import Any

from dify_etl.dify.http.deny_list import REMOVED, is_secret_name

HTTP_REQUEST = "http-request"
_LINES = ("headers", "params")
_FORMS = ("form-data", "x-www-form-urlencoded")
_CREDENTIAL_HEADER = re.compile(r"(?i)^(?:(?:x-)?(?:auth|key|app-?key|sign(?:ature)?)|cookie)$")
_VARIABLES = re.compile(r"\s*(?:bearer|basic|token)?\s*(?:\{\{#[\w.-]+#\}\}\s*)+", re.IGNORECASE)


def graph_without_secrets(graph: Any) -> Any:
    """The graph with `(secret)` in place of each value whose header or parameter is one by name.

    A value that is a variable (`{{#env.KEY#}}`), also behind a word as Bearer, stays. What is no
    graph is answered as it is; the rest of a graph is left to `deny_list`.
    """
    nodes = graph.get("nodes") if isinstance(graph, dict) else None
    if not isinstance(nodes, list):
        return graph
    return {**graph, "nodes": [_node(node) for node in nodes]}


def opens_something(name: str) -> bool:
    """Whether the value of a header, parameter or field of this name is a secret."""
    return is_secret_name(name) or _CREDENTIAL_HEADER.match(name) is not None


def with_lines(request: dict[str, Any], line: Callable[[str], str]) -> dict[str, Any]:
    """An HTTP node's data with each of its `name:value` lines as `line` answers it."""
    made = {name: _each(request[name], line) for name in _LINES if name in request}
    body = request.get("body")
    if isinstance(body, dict) and body.get("type") in _FORMS and "data" in body:
        made["body"] = {**body, "data": _each(body["data"], line)}
    return {**request, **made}


def _each(lines: Any, line: Callable[[str], str]) -> Any:
    return "\n".join(map(line, lines.split("\n"))) if isinstance(lines, str) else lines


def _node(node: Any) -> Any:
    data = node.get("data") if isinstance(node, dict) else None
    if not isinstance(data, dict) or data.get("type") != HTTP_REQUEST:
        return node
    return {**node, "data": with_lines(data, _line)}


def _line(line: str) -> str:
    name, colon, value = line.partition(":")
    is_shown = not value.strip() or _VARIABLES.fullmatch(value) is not None
    return line if is_shown or not opens_something(name.strip()) else f"{name}{colon}{REMOVED}"
