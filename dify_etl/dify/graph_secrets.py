"""Secrets in the graph of a workflow that no name in its JSON tells of: lines of HTTP nodes.

Dify keeps headers and parameters of an HTTP node as one text, a `name:value` per line.
"""

import re
from typing import Any

from dify_etl.dify.http.deny_list import REMOVED, is_secret_name

_LINES = ("headers", "params")
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


def _node(node: Any) -> Any:
    data = node.get("data") if isinstance(node, dict) else None
    if not isinstance(data, dict) or data.get("type") != "http-request":
        return node
    texts = {key: data[key] for key in _LINES if isinstance(data.get(key), str)}
    kept = {key: "\n".join(map(_line, text.split("\n"))) for key, text in texts.items()}
    return {**node, "data": {**data, **kept}}


def _line(line: str) -> str:
    name, colon, value = line.partition(":")
    is_shown = not value.strip() or _VARIABLES.fullmatch(value) is not None
    return line if is_shown or not is_secret_name(name.strip()) else f"{name}{colon}{REMOVED}"
