"""What is never kept: tokens, keys, passwords and links that open something for whoever has them.

Dify's answers hold such things in places that nobody expects: a message that waits for a human
carries the live token of its form, and with it anybody approves it without a login. So all that
is kept, shown or logged passes through here: JSON, texts with JSON or links in them, errors.
A secret is known by its name, or by the shape of a text; its place then says `(secret)`, and
everything beside it stays.
"""

import re
from typing import Any, NamedTuple

from dify_etl.dify.http import secret_shapes
from dify_etl.dify.http.exact_json import TooDeep, decode, encode
from dify_etl.dify.http.http_nodes import (
    HTTP_REQUEST,
    is_request,
    node_without_secrets,
    request_without_secrets,
)
from dify_etl.dify.http.secret_names import HOW, secret_members
from dify_etl.dify.http.secret_shapes import (
    LEAST,
    REMOVED,
    prose_without_keys,
    shapes,
    text_without_keys,
)

# In what may hold a secret one of these stands; the same pattern for Python, DuckDB and Polars.
# A name counts with its quote: `"secret":` does, the word in a sentence and `"total_tokens":` not;
# figures are none: `"time_to_first_token":1.2`.
SUSPICIOUS = (
    r"""(?i)token(?:[_-]?[a-z0-9]{1,10})?\\*["'][ ]*(?::[ ]*\\*["'\[{]|[,\]}])|"""
    rf"""(?:token|api.?key){secret_shapes.SPACE}?=|"""
    r"""(?:passw|passphrase|secret|credential|api.?key|authorization|activat|backstage|pwd|"""
    r"""(?:access|private|signing|auth|session|subscription|functions?|encryption).?key|"""
    r"""form.?(?:input.?)?(?:url|uri|link)|cookie|webhook.?|jwt|"""
    r"""(?:site|access|verification).?code)[\w.-]{0,40}\\*["'][ ]*[:,\]}]|"""
    r""""code\\*"[ ]*:[ ]*\\*"[a-z0-9_-]{8,}|/form/|/triggers/webhook|"""
    rf"""bearer{secret_shapes.SPACE}|"""
    r"""authorization:|"type"[ ]*:[ ]*"(?:http-request|code)"| http/\d(?:\.\d)?(?:\\r|\r|\\n|\n)|"""
    + secret_shapes.SUSPICIOUS
)

_SITE_MARKS = ("access_token", "customize_token_strategy", "app_base_url", "default_language")
# Below these names stand addresses and code, in whatever JSON.
_OF_MACHINES = re.compile(r"(?i)(?:ur[il]|dsn|endpoint|webhook|connection_?string)s?$|^code$")

_TEXTS = shapes(
    # The page of a form, and Dify's own console route for it.
    (("/form/",), r"(/form/(?:human_input/)?)(?=[\w-]*[0-9A-Z])[\w-]{12,}()"),
    # The address of a trigger: whoever calls it starts the workflow.
    (("/triggers/webhook",), r"(/triggers/webhook(?:-debug)?/)(?!\()[\w-]{8,}()"),
    # JSON or Python that stands inside a text, its quotes escaped however often.
    (
        (
            *("token", "key", "passw", "secret", "authorization", "backstage", "pwd"),
            *("activation_url", "form_url"),
        ),
        r"(?i)((?P<quote>\\{0,31}[\"'])(?:[\w-]*(?<!masked_)(?<!first_)(?<!page_)token|"
        r"[\w-]*api_?key|[\w-]*passw(?:or)?d|[\w-]*secret|[\w-]*authorization|pwd|"
        r"backstage[\w-]*|(?:access|private|secret|signing|auth|session|subscription)_?key|"
        r"activation_url|form_url)(?P=quote)\s*:\s*(?P<other>\\{0,31}[\"']))"
        # Possessive: Python keeps a hundred bytes for each place to which it could go back.
        r"(?:(?!(?P=other)).)++((?P=other))",
    ),
)


def without_secrets(value: Any) -> Any:
    """The same JSON with `(secret)` in place of each secret; null, "" and figures stay.

    However deep it is: a stranger's text may hold lists in lists as deep as any parser goes.
    """
    found = [value]
    todo = [_Place(found, 0, value)]
    while todo:
        place = todo.pop()
        held = place.held
        if isinstance(held, dict):
            made, members = (_all_hidden if place.is_secret else _object)(held)
            todo += members
            place.holder[place.name] = made
        elif isinstance(held, list):
            listed = list(held)
            todo += [
                _Place(listed, at, one, place.is_secret)
                for at, one in enumerate(held)
                if isinstance(one, _LOOKED_AT)
            ]
            place.holder[place.name] = listed
        elif isinstance(held, TooDeep):
            place.holder[place.name] = TooDeep()  # not the same: nobody has looked through it
        elif isinstance(held, str) and held:
            place.holder[place.name] = (
                REMOVED
                if place.is_secret
                else text_without_secrets(held, is_machine=place.is_machine)
            )
    return found[0]


_LOOKED_AT = (str, dict, list, TooDeep)  # of what JSON holds; figures and null are no secrets


class _Place(NamedTuple):
    """Where a value stands in the new JSON; whether it is below a name of a secret, or one of what
    machines read.
    """

    holder: Any
    name: Any
    held: Any
    is_secret: bool = False
    is_machine: bool = False


def text_without_secrets(text: str, *, is_machine: bool = False) -> str:
    """A text without the secrets in it: those of its JSON, its links, its headers.

    A text that holds none is answered as it is, to the byte. `is_machine`: no person and no model
    wrote it, so whatever stands where a secret belongs is one (`secret_shapes`).
    """
    if len(text) < LEAST and text[:1] not in ("{", "["):
        return text
    if is_request(text):
        return request_without_secrets(text, text_without_secrets)
    if text.lstrip()[:1] in ("{", "["):
        try:
            return json_without_secrets(text)
        except ValueError:
            pass  # it only looks like JSON, or is cut off
    text = text_without_keys(text) if is_machine else prose_without_keys(text)
    lowered = text.lower()
    for shape in _TEXTS:
        if shape.may_be_in(lowered):
            text = shape.pattern.sub(_hidden_part, text)
    return text


def json_without_secrets(text: str) -> str:
    """JSON text without the secrets in it, compact; as it is when it holds none.

    Raises ValueError when it is no JSON, or is nested deeper than can be written.
    """
    held = decode(text.encode("utf-8", "replace"))
    kept = without_secrets(held)
    try:
        return text if kept == held else encode(kept)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _object(held: dict[str, Any]) -> tuple[dict[str, Any], list[_Place]]:
    """A new object, and the places in it that are still to be looked at."""
    if held.get("type") == HTTP_REQUEST:
        held = node_without_secrets(held, text_without_secrets)
    secret, made = secret_members(held), dict(held)
    members = [
        _Place(
            *(made, name, inner, name in secret),
            is_machine=isinstance(inner, str) and _OF_MACHINES.search(name) is not None,
        )
        for name, inner in held.items()
        if isinstance(inner, _LOOKED_AT)
    ]
    if isinstance(held.get("code"), str) and any(mark in held for mark in _SITE_MARKS):
        made["code"] = REMOVED  # of a site: its web app opens with it
        members = [one for one in members if one.name != "code"]
    return made, members


def _all_hidden(held: dict[str, Any]) -> tuple[dict[str, Any], list[_Place]]:
    """The same of an object in which every text is a secret, but for what only says of which kind
    it is.
    """
    made = dict(held)
    return made, [_Place(made, name, inner, name not in HOW) for name, inner in held.items()]


def _hidden_part(found: re.Match[str]) -> str:
    return f"{found[1]}{REMOVED}{found[found.lastindex or 1]}"
