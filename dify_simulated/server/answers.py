"""How values become responses."""

from __future__ import annotations

from json import dumps

from werkzeug.wrappers import Response


def json_response(value: object, status: int) -> Response:
    """JSON as Flask writes it: ASCII with \\uXXXX escapes and a newline at the end."""
    return Response(dumps(value) + "\n", status, mimetype="application/json")
