"""What may stand in the place of a value in an answer: the grammar of odd values."""

import json
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

Path = tuple[str | int, ...]

DEEP = 1_100
# JSON that Python's own writer cannot make stands as a text that is replaced in the bytes.
_RAW: Mapping[str, bytes] = {
    "@@deep@@": b"[" * DEEP + b"]" * DEEP,
    "@@beyond float@@": b"1e400",
    "@@three hundred digits@@": b"9" * 300,
}
_MISSING = object()


def _wrong_type(value: Any) -> Any:
    return 7 if isinstance(value, dict | list | str) else {"not": "this"}


def _other_wrong_type(value: Any) -> Any:
    return "5" if isinstance(value, int | float) else [1, "two", None]


def _absurd_size(value: Any) -> Any:
    return "很" * 20_000 if isinstance(value, str) or value is None else 2**70


def _empty(value: Any) -> Any:
    return type(value)() if isinstance(value, str | list | dict | int | float) else ""


KINDS: Mapping[str, Callable[[Any], Any]] = {
    "null": lambda value: None,
    "missing key": lambda value: _MISSING,
    "wrong type": _wrong_type,
    "other wrong type": _other_wrong_type,
    "true": lambda value: True,
    "absurd size": _absurd_size,
    "negative": lambda value: -1,
    "below every column": lambda value: -(2**70),
    "2^63": lambda value: 2**63,
    "10^40": lambda value: 10**40,
    "epoch in ms": lambda value: 1_773_329_420_000,
    "year 9999": lambda value: 253_402_300_799,
    "beyond time": lambda value: 9e300,
    "beyond float": lambda value: "@@beyond float@@",
    "300 digits": lambda value: "@@three hundred digits@@",
    "deep": lambda value: "@@deep@@",
    "surrogate": lambda value: "\ud800 \udfff",
    "NUL": lambda value: "a\x00b",
    "empty": _empty,
}
# What only an id may become; the ids come from elsewhere in the same workspace.
DUPLICATE, OF_ANOTHER_APP = "duplicate id", "id of another app"


def draw_path(held: Any, chance: Random) -> Path:
    """A path to some value in an object: any field, and half of the time on into what it holds."""
    path: Path = ()
    row: Any = held
    while (isinstance(row, dict) or (isinstance(row, list) and path)) and row:
        keys: Sequence[Any] = list(row) if isinstance(row, dict) else range(min(3, len(row)))
        key = chance.choice(keys)
        if (
            isinstance(row, dict)
            and not isinstance(row[key], dict | list)
            and chance.random() < 0.3
        ):
            key = chance.choice([one for one in keys if isinstance(row[one], dict)] or [key])
        path, row = (*path, key), row[key]
        if chance.random() < 0.4 or len(path) > 4:
            break
    return path


def at_path(value: Any, path: Path) -> Any:
    """The value at a path; None where there is none."""
    for key in path:
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def replaced(value: Any, path: Path, new: Any) -> Any:
    """The value with another one at the path; as it is where the path leads nowhere."""
    if not path:
        return new
    key, *rest = path
    inner = tuple(rest)
    if isinstance(value, dict) and key in value:
        if not inner and new is _MISSING:
            return {name: one for name, one in value.items() if name != key}
        return {**value, key: replaced(value[key], inner, new)}
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        if not inner and new is _MISSING:
            return [*value[:key], *value[key + 1 :]]
        return [*value[:key], replaced(value[key], inner, new), *value[key + 1 :]]
    return value


def encoded(answer: Any) -> bytes:
    """An answer as the bytes of its JSON."""
    body = json.dumps(None if answer is _MISSING else answer).encode()
    for mark, raw in _RAW.items():
        body = body.replace(f'"{mark}"'.encode(), raw)
    return body


def is_nothing(sent: Any) -> bool:
    """Whether what was sent says that there is no value."""
    return sent is None or sent is _MISSING or sent in ("", [], {})


def is_held(held: Any, sent: Any) -> bool:
    """Whether a column holds the number that was sent, as a float or as JSON."""
    number = _RAW[sent] if isinstance(sent, str) and sent in _RAW else sent
    if isinstance(held, float) and isinstance(number, int | float | bytes):
        return number not in (_RAW["@@deep@@"], False, True) and float(number) == held
    return isinstance(held, str) and type(sent) in (int, float) and held == json.dumps(sent)
