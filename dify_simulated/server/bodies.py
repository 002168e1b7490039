"""JSON bodies of writes: what each release demands of them, and in which words it refuses.

flask-restful (1.0) and pydantic (from 1.11) refuse a body that is no JSON with 415; flask-restx
(1.7 to 1.10) and main of August 2026 take it for an empty one. Unknown keys are ignored everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dify_simulated.server.calls import Call
from dify_simulated.server.errors import (
    ApiError,
    bad_request,
    invalid_param,
    refusal,
    unprocessable,
)
from dify_simulated.server.parameters import older_refusal, pydantic_page
from dify_simulated.versions import ErrorFamily
from dify_simulated.world.rows import JsonObject

# Models of bodies whose misfits stay 400 where most others answer 422.
_STILL_BAD_REQUESTS = frozenset(
    {
        "AccountTimezonePayload",
        "MemberInvitePayload",
        "PublishWorkflowPayload",
        "SyncDraftWorkflowPayload",
    }
)
_MISSING = "Missing required parameter in the JSON body"


@dataclass(frozen=True)
class Field:
    """One key of a body: `kind` is its Python type; texts and lists may have bounds.

    A text may be one of a few choices.
    """

    name: str
    kind: type = str
    required: bool = False
    low: int = 0
    high: int | None = None
    choices: tuple[str, ...] = ()
    choice_kind: str = "literal_error"

    def trouble(self, value: object) -> tuple[str, str] | None:
        """What is wrong with a value: pydantic's kind and text. None: nothing."""
        if type(value) is not self.kind:
            return f"{self.kind.__name__}_type", f"Input should be a valid {self.kind.__name__}"
        if isinstance(value, list) and len(value) < self.low:
            text = f"List should have at least {self.low} item after validation, not {len(value)}"
            return "too_short", text
        if not isinstance(value, str):
            return None
        if len(value) < self.low:
            return "string_too_short", f"String should have at least {self.low} character"
        if self.high is not None and len(value) > self.high:
            return "string_too_long", f"String should have at most {self.high} characters"
        if self.choices and value not in self.choices:
            quoted = [f"'{choice}'" for choice in self.choices]
            return (
                self.choice_kind,
                f"Input should be {', '.join(quoted[:-1])} or {quoted[-1]}",
            )
        return None


def json_object(call: Call, *, model: str = "") -> JsonObject:
    """The body as an object. Raises ApiError: 415 without a JSON content type, 400 for the rest.

    After 1.16.1 both are taken for an empty body, but for the models that are checked by hand.
    """
    family = call.version.error_family
    is_json = call.request.mimetype == "application/json"
    body = call.request.get_json(silent=True) if is_json else None
    if isinstance(body, dict):
        return body
    lenient = call.version.answers_unprocessable and model not in _STILL_BAD_REQUESTS
    if lenient and isinstance(body, list):
        raise unprocessable([{"type": "model_type", "loc": [], "input": body}])
    if family is ErrorFamily.ERRORS or lenient:
        return {}
    if not is_json:
        text = (
            "Did not attempt to load JSON data because the request Content-Type was not"
            " 'application/json'."
        )
        raise refusal(415, "unsupported_media_type", text)
    if body is not None and family is ErrorFamily.PYDANTIC:
        raise invalid_param(
            "1 validation error\n  Input should be a valid dictionary"
            f" [type=model_type, input_value={body!r}, input_type={type(body).__name__}]"
        )
    raise bad_request(
        "The browser (or proxy) sent a request that this server could not understand."
    )


def read_body(call: Call, model: str, *fields: Field) -> JsonObject:
    """The body, its fields checked. `model` is the name of Dify's class. Raises ApiError."""
    body = json_object(call, model=model)
    for field in fields:
        value = body.get(field.name)
        if value is None and field.required:
            raise missing(field.name, body, call, model=model)
        trouble = None if value is None else field.trouble(value)
        if trouble is not None:
            raise _refused(field, value, trouble, call, model)
    return body


def missing(name: str, body: Mapping[str, object], call: Call, *, model: str) -> ApiError:
    """The answer to a body without a key that it needs."""
    if call.version.error_family is not ErrorFamily.PYDANTIC:
        return older_refusal(name, _MISSING, call.version)
    keys: JsonObject = {key: "…" for key in body}
    return misfit(call, model, name, keys, ("missing", "Field required"))


def misfit(call: Call, model: str, name: str, value: object, trouble: tuple[str, str]) -> ApiError:
    """One key that does not fit, in the words of pydantic."""
    kind, text = trouble
    page = pydantic_page(kind, call.version)
    if call.version.answers_unprocessable and model not in _STILL_BAD_REQUESTS:
        return unprocessable(
            [{"type": kind, "loc": [name], "msg": text, "input": value, "url": page}]
        )
    return invalid_param(
        f"1 validation error for {model}\n{name}\n"
        f"  {text} [type={kind}, input_value={value!r}, input_type={type(value).__name__}]\n"
        f"    For further information visit {page}"
    )


def _refused(
    field: Field, value: object, trouble: tuple[str, str], call: Call, model: str
) -> ApiError:
    if call.version.error_family is not ErrorFamily.PYDANTIC:
        older = f"The value '{value}' is not a valid choice for '{field.name}'."
        return older_refusal(field.name, older if field.choices else trouble[1], call.version)
    return misfit(call, model, field.name, value, trouble)
