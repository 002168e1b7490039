"""The refusals of the console API, as exceptions that know their status and their body."""

from __future__ import annotations

from collections.abc import Sequence
from json import dumps

from dify_simulated.world.rows import JsonObject

FORBIDDEN_TEXT = (
    "You don't have the permission to access the requested resource."
    " It is either read-protected or not readable by the server."
)


class ApiError(Exception):
    """An answer other than the usual one: `status` and the JSON `body`."""

    def __init__(self, status: int, body: JsonObject) -> None:
        super().__init__(f"{status} {body.get('code', '')}")
        self.status = status
        self.body = body


def refusal(status: int, code: str, message: str) -> ApiError:
    """The usual shape: code, message, status."""
    return ApiError(status, {"code": code, "message": message, "status": status})


def unauthorized(message: str) -> ApiError:
    """401 for a missing, unknown or expired session."""
    return refusal(401, "unauthorized", message)


def nobody() -> ApiError:
    """401 of the login manager, which tells no status: the account has no workspace to be in."""
    return ApiError(401, {"code": "unauthorized", "message": "Unauthorized."})


def forbidden(message: str = FORBIDDEN_TEXT) -> ApiError:
    """403 for a role that is too low."""
    return refusal(403, "forbidden", message)


def not_found(message: str, code: str = "not_found") -> ApiError:
    """404 for a row that is not there."""
    return refusal(404, code, message)


def invalid_param(message: str) -> ApiError:
    """400 for a value that the service layer refuses."""
    return refusal(400, "invalid_param", message)


def bad_request(message: str) -> ApiError:
    """400 for a value that the controller refuses."""
    return refusal(400, "bad_request", message)


def unprocessable(problems: Sequence[JsonObject]) -> ApiError:
    """422 with pydantic's list of problems as text."""
    told = [_with_choices(problem) for problem in problems]
    return refusal(422, "unprocessable_entity", dumps(told, separators=(",", ":")))


def _with_choices(problem: JsonObject) -> JsonObject:
    """Where a value is one of a few words, pydantic tells these once more, before its page."""
    if problem["type"] not in ("literal_error", "enum"):
        return problem
    expected = str(problem["msg"]).removeprefix("Input should be ")
    kept = {key: problem[key] for key in problem if key != "url"}
    return {**kept, "ctx": {"expected": expected}, "url": problem["url"]}


def internal_error() -> ApiError:
    """500 for what Dify did not expect; the order of the keys is its own."""
    return ApiError(500, {"message": "Internal Server Error", "code": "unknown", "status": 500})


def plugin_daemon_down(tenant_id: str, path: str) -> ApiError:
    """What a missing plugin daemon looks like from outside: a 400, not a 5xx."""
    return invalid_param(
        f"Failed to request plugin daemon, url: plugin/{tenant_id}/management/{path}"
    )
