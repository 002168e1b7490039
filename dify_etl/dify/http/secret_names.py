"""Names below which secrets stand: of JSON members, variables, headers and parameters.

A name counts by its words: `client_secret`, `X-Api-Key` and `accessToken` name secrets, and
`secretary`, `total_tokens` and `password_help` do not.
"""

import re
from functools import lru_cache
from typing import Any

# `api_key_2`, `API_KEY_PROD`, `token_value`: still the same.
_WHICH = r"(?:_?\d+|_(?:prod|production|dev|test|staging|live|new|old|value|text|string))?$"
# Over the words of a name, joined by `_`; words that are written as one count as well.
_NAME = re.compile(
    r"(?<!masked)(?<!first)(?<!page)(?<!stop)"
    r"(?<!masked_)(?<!first_)(?<!page_)(?<!stop_)token" + _WHICH + r"|api_?keys?" + _WHICH + "|"
    r"passw|passphrase|pwd(?:_|\d*$)|secrets?(?:_|\d*$)|(?:^|_)secret(?:access)?key|"
    r"(?:^|_)credentials?(?:_|$)|"
    r"(?:access|private|signing|auth|session|subscription|functions?|encryption)_?key"
    + _WHICH
    + r"|(?:^|_)activat(?:ion|e)_?(?:urls?|uri|links?|codes?|key)$|(?:^|_)backstage(?:_|$)|"
    r"(?:^|_)form_?(?:input_?)?(?:url|uri|link)$|(?:^|_)jwts?(?:_|$)|"
    r"webhook_?(?:debug_?)?url$|(?:^|_)(?:site|access|verification)_?code$|"
    r"^(?:(?:x|set|session|auth|http|https|request|response|login|csrf|web|browser|raw|my|api|user)"
    r"_?)*cookies?$|"
    r"^(?:(?:x|proxy|http|https|api|request|headers?|basic|bearer|forwarded|original|upstream|mcp|"
    r"my|server|client|service)_?)*authorization$"
)
# What is said about a secret is none: credential_id, secret_refs, password_set, password_help.
_ABOUT = re.compile(
    r"(?:^|_)(?:ids?|refs?|types?|names?|counts?|strategy|labels?|status|schema|required|enabled|"
    r"set|reset|help|hints?|questions?|polic(?:y|ies)|rules?|length|strength|format|age|"
    r"expir(?:y|es|ed|ation)|at|on|date|time|days?|changed|updated|description|title|placeholder|"
    r"tips?|instructions?|messages?|errors?|guide|issues?|problems?|requests?|reason|limit)$"
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
_LONGEST = 200  # characters of a name that is looked at; of a longer one the end tells
# What opens something in a header or parameter, and is a plain word elsewhere.
_CREDENTIAL_HEADER = re.compile(
    r"(?i)^(?:(?:x-)?(?:auth|key|app-?key|sign(?:ature)?|sig)|x-amz-signature)$"
)
# In `authorization: {type: bearer, …}` these say how, not what.
HOW = frozenset({"type", "kind", "mode", "name", "label", "id", "provider", "variable"})
_NAMING, _NAMED = ("name", "key", "variable", "header"), ("value", "default")


def is_secret_name(name: str) -> bool:
    """Whether what stands under this name opens something: `form_token`, `X-Api-Key`, …

    Counts (`total_tokens`) and what is said about a secret (`credential_id`) are none.
    """
    return _is_secret_name(name[-_LONGEST:])


@lru_cache(maxsize=10_000)
def _is_secret_name(name: str) -> bool:
    words = "_".join(_WORD.findall(name)).lower()
    return _NAME.search(words) is not None and _ABOUT.search(words) is None


def opens_something(name: str) -> bool:
    """Whether the value of a header, parameter or field of this name is a secret."""
    return is_secret_name(name) or _CREDENTIAL_HEADER.match(name) is not None


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
