"""What is never kept: tokens, keys, passwords and links that open something for whoever has them.

Dify's answers hold such things in places that nobody expects: a message that waits for a human
carries the live token of its form, and with it anybody approves it without a login. So all that
is kept, shown or logged passes through here: JSON, texts with JSON or links in them, errors.
A secret is known by its name, or by the shape of a text; its place then says `(secret)`, and
everything beside it stays.
"""

import re
from typing import Any

from dify_etl.dify.http import secret_shapes
from dify_etl.dify.http.exact_json import decode, encode
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
    """The same JSON with `(secret)` in place of each secret; null, "" and figures stay."""
    if isinstance(value, dict):
        return _object_without_secrets(value)
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    return text_without_secrets(value) if isinstance(value, str) else value


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

    Raises ValueError when it is no JSON.
    """
    held = decode(text.encode("utf-8", "replace"))
    kept = without_secrets(held)
    return text if kept == held else encode(kept)


def _object_without_secrets(held: dict[str, Any]) -> dict[str, Any]:
    if held.get("type") == HTTP_REQUEST:
        held = node_without_secrets(held, text_without_secrets)
    secret = secret_members(held)
    kept = {
        name: _hidden(inner) if name in secret else _member(name, inner)
        for name, inner in held.items()
    }
    if isinstance(held.get("code"), str) and any(mark in held for mark in _SITE_MARKS):
        kept["code"] = REMOVED  # of a site: its web app opens with it
    return kept


def _member(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return without_secrets(value)
    return text_without_secrets(value, is_machine=_OF_MACHINES.search(name) is not None)


def _hidden_part(found: re.Match[str]) -> str:
    return f"{found[1]}{REMOVED}{found[found.lastindex or 1]}"


def _hidden(value: Any) -> Any:
    """Every text below a name of a secret, but for what only says of which kind it is."""
    if isinstance(value, dict):
        return {
            name: without_secrets(inner) if name in HOW else _hidden(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_hidden(inner) for inner in value]
    return REMOVED if isinstance(value, str) and value else value
