"""What of a state may stand in plans, audits and on terminals: never a secret, never a novel."""

import hashlib
from collections.abc import Mapping

import orjson
from pydantic import JsonValue

from dify_etl.dify.http import deny_list
from dify_etl.dify.http.secret_shapes import REMOVED
from dify_etl.operations.known_secrets import without_keys

State = Mapping[str, JsonValue]

HIDDEN = REMOVED
LONGEST = 200  # characters of one text in the audit


def without_secrets(value: JsonValue) -> JsonValue:
    """The same JSON with `(secret)` wherever it holds one, as the client knows them, and where a
    text holds what has the shape of a key.
    """
    kept: JsonValue = without_keys(deny_list.without_secrets(value))
    return kept


def shortened(value: JsonValue) -> JsonValue:
    """Long texts (prompts, workflows) as their length and the start of their SHA-256."""
    if isinstance(value, dict):
        return {name: shortened(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [shortened(inner) for inner in value]
    if isinstance(value, str) and len(value) > LONGEST:
        digest = hashlib.sha256(value.encode()).hexdigest()[:16]
        return f"({len(value)} characters, sha256 {digest})"
    return value


def canonical(value: JsonValue) -> bytes:
    """JSON bytes that are equal whenever the values are."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def state_hash(state: State | None) -> str | None:
    """The SHA-256 of a state, hex; None for no state."""
    return None if state is None else hashlib.sha256(canonical(dict(state))).hexdigest()


def audited(state: State | None) -> str | None:
    """A state as the audit keeps it: compact JSON, no secrets, long texts as their hash."""
    if state is None:
        return None
    return canonical(shortened(without_secrets(dict(state)))).decode()
