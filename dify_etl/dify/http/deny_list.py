"""What is never kept: tokens, keys, passwords and links that open something for whoever has them.

Dify's answers hold such things in places that nobody expects: a message that waits for a human
carries the live token of its form, and with it anybody approves it without a login. So all that
is kept, shown or logged passes through here: JSON, texts with JSON or links in them, errors.
A secret is known by its name, or by the shape of a text; its place then says `(secret)`, and
everything beside it stays.
"""

import re
from typing import Any

from dify_etl.dify.http.exact_json import decode, encode

REMOVED = "(secret)"

# In what may hold a secret one of these stands; the same pattern for Python, DuckDB and Polars.
# A name counts with its quote: `"secret":` does, the word in a sentence and `"total_tokens":` not;
# figures are none: `"time_to_first_token":1.2`.
SUSPICIOUS = (
    r"""(?i)token\\*["'][ ]*(?::[ ]*\\*["'\[{]|[,\]}])|token[ ]?=|api.?key[ ]?=|"""
    r"""(?:passw|passphrase|secret|credential|api.?key|(?:access|private|signing).?key|"""
    r"""authorization|activat|backstage|form.?(?:input.?)?(?:url|uri|link)|cookie|webhook.?|jwt|"""
    r"""(?:site|access|verification).?code)[\w.-]{0,40}\\*["'][ ]*[:,\]}]|"""
    r""""code\\*"[ ]*:[ ]*\\*"[a-z0-9_-]{8,}|/form/|/triggers/webhook|bearer[ ]|"""
    r"""authorization:|eyj[\w-]{8,}\.|(?:app|dataset)-[a-z0-9]{24}"""
)
_SUSPICIOUS = re.compile(SUSPICIOUS)

# Names in lower case without `_`, `-`, `.` and blanks.
_NAME = re.compile(
    r"(?<!masked)(?<!first)(?<!page)(?<!stop)token$|passw|passphrase|secret|credential|apikeys?$|"
    r"(?:access|private|signing)key$|authorization$|activat(?:ion|e)(?:urls?|uri|links?|codes?|key)?$|"
    r"backstage|form(?:input)?(?:url|uri|link)$|cookies?$|^jwt|webhook(?:debug)?url$|"
    r"(?:site|access|verification)code$"
)
# What is said about a secret is none: credential_id, secret_refs, password_set.
_ABOUT = re.compile(
    r"(?:ids?|refs?|types?|names?|counts?|strategy|label|status|schema|required|enabled|set)$"
)
_SEPARATORS = re.compile(r"[\s._-]+")
# In `authorization: {type: bearer, …}` these say how, not what.
HOW = frozenset({"type", "kind", "mode", "name", "label", "id", "provider", "variable"})
_NAMING, _NAMED = ("name", "key", "variable", "header"), ("value", "default")
_SITE_MARKS = ("access_token", "customize_token_strategy", "app_base_url", "default_language")

_TEXTS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        # The page of a form, and Dify's own console route for it.
        (r"(/form/(?:human_input/)?)(?=[\w-]*[0-9A-Z])[\w-]{12,}", rf"\1{REMOVED}"),
        # The address of a trigger: whoever calls it starts the workflow.
        (r"(/triggers/webhook(?:-debug)?/)[\w-]{8,}", rf"\1{REMOVED}"),
        # A token in a link (activation, reset, form) or quoted by an error.
        (
            r"(?i)(\b\w*(?:token|api_?key)\s?=\s?)(?!\d{1,7}\b|\(secret)[^&\s\"'<>,;)\]\\]+",
            rf"\1{REMOVED}",
        ),
        (r"(?i)(\bbearer\s+)(?=[\w.~+/=-]*\d)[\w.~+/=-]{12,}", rf"\1{REMOVED}"),
        (r"(?i)(\bauthorization\s*:\s*(?:basic|token)\s+)[\w.~+/=-]{6,}", rf"\1{REMOVED}"),
        # JSON or Python that stands inside a text, its quotes escaped however often.
        (
            r"(?i)((\\*[\"'])(?:[\w-]*(?<!masked_)(?<!first_)(?<!page_)token|[\w-]*api_?key|"
            r"[\w-]*passw(?:or)?d|[\w-]*secret|[\w-]*authorization|backstage[\w-]*|"
            r"activation_url|form_url)\2\s*:\s*(\\*[\"']))(?:(?!\3).)+(\3)",
            rf"\1{REMOVED}\4",
        ),
        (r"\b(?:app|dataset)-[A-Za-z0-9]{24}\b", REMOVED),
        (r"\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}", REMOVED),  # a JWT
    )
)


def is_secret_name(name: str) -> bool:
    """Whether what stands under this name opens something: `form_token`, `X-Api-Key`, …

    Counts (`total_tokens`) and what is said about a secret (`credential_id`) are none.
    """
    plain = _SEPARATORS.sub("", name).lower()
    return _NAME.search(plain) is not None and _ABOUT.search(plain) is None


def secret_members(held: dict[str, Any]) -> frozenset[str]:
    """The names of an object below which secrets stand: by themselves, or since another member
    names what its `value` is, as of a variable, a field of a form, or an assignment.

    Whatever leaves secrets out of JSON goes by this. Below such a name every text is one, however
    deep it stands, but for what `HOW` names.
    """
    is_named = held.get("value_type") == "secret" or any(
        isinstance(held.get(one), str) and is_secret_name(held[one]) for one in _NAMING
    )
    if "variable_selector" in held and held.get("input_type") == "constant":
        target = held["variable_selector"]
        is_named |= isinstance(target, list) and bool(target) and is_secret_name(str(target[-1]))
    if "var_type" in held:  # a variable of a loop
        is_named |= is_secret_name(str(held.get("label")))
    return frozenset(name for name in held if is_secret_name(name) or (is_named and name in _NAMED))


def without_secrets(value: Any) -> Any:
    """The same JSON with `(secret)` in place of each secret; null, "" and figures stay."""
    if isinstance(value, dict):
        return _object_without_secrets(value)
    if isinstance(value, list):
        return [without_secrets(inner) for inner in value]
    return text_without_secrets(value) if isinstance(value, str) else value


def text_without_secrets(text: str) -> str:
    """A text without the secrets in it: those of its JSON, its links, its headers.

    A text that holds none is answered as it is, to the byte.
    """
    if _SUSPICIOUS.search(text) is None:
        return text
    if text.lstrip()[:1] in ("{", "["):
        try:
            return json_without_secrets(text)
        except ValueError:
            pass  # it only looks like JSON, or is cut off
    for pattern, replacement in _TEXTS:
        text = pattern.sub(replacement, text)
    return text


def json_without_secrets(text: str) -> str:
    """JSON text without the secrets in it, compact; as it is when it holds none.

    Raises ValueError when it is no JSON.
    """
    held = decode(text.encode("utf-8", "replace"))
    kept = without_secrets(held)
    return text if kept == held else encode(kept)


def _object_without_secrets(held: dict[str, Any]) -> dict[str, Any]:
    secret = secret_members(held)
    kept = {
        name: _hidden(inner) if name in secret else without_secrets(inner)
        for name, inner in held.items()
    }
    if isinstance(held.get("code"), str) and any(mark in held for mark in _SITE_MARKS):
        kept["code"] = REMOVED  # of a site: its web app opens with it
    return kept


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
