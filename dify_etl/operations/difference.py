"""Two states as lines: `-` what is, `+` what will be, long texts as a unified diff."""

import difflib

import orjson
from pydantic import JsonValue

from dify_etl.operations.redaction import State

CONTEXT_LINES = 1


def difference(before: State | None, after: State | None) -> list[str]:
    """The lines of what changes; fields that stay are left out."""
    old, new = before or {}, after or {}
    names = [*old, *(name for name in new if name not in old)]
    return [line for name in names for line in _field(name, old, new)]


def _field(name: str, old: State, new: State) -> list[str]:
    if name in old and name in new:
        return [] if old[name] == new[name] else _changed(name, old[name], new[name])
    sign, value = ("-", old[name]) if name in old else ("+", new[name])
    first, *rest = _text(value).splitlines() or [""]
    return [f"{sign} {name}: {first}", *(f"{sign}   {line}" for line in rest)]


def _changed(name: str, old: JsonValue, new: JsonValue) -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        inner = difference(old, new)
        return [f"  {name}:", *(f"  {line}" for line in inner)]
    before, after = _text(old), _text(new)
    if "\n" not in before + after:
        return [f"- {name}: {before}", f"+ {name}: {after}"]
    compared = difflib.unified_diff(
        before.splitlines(), after.splitlines(), n=CONTEXT_LINES, lineterm=""
    )
    shown = [line for line in compared if not line.startswith(("---", "+++"))]
    return [f"  {name}:", *(f"  {line}" for line in shown)]


def _text(value: JsonValue) -> str:
    if isinstance(value, str):
        return value if value else '""'
    return orjson.dumps(value).decode()
