"""Secrets are entered in Dify once and stay there: where a file has `(secret)`, as exports write
it, the value that Dify holds in this place is sent back to it.
"""

from dataclasses import dataclass, field
from typing import Any

from dify_etl.dify.http.deny_list import REMOVED
from dify_etl.operations.known_secrets import without_known_secrets

_IDENTITIES = ("id", "name", "variable")


@dataclass
class Filled:
    """A DSL with its secrets. `missing`: how many places have none in Dify either; `lost`: where
    Dify holds one that would be overwritten, since the text around it is another now.
    """

    document: Any = field(default=None, repr=False)
    missing: int = 0
    lost: list[str] = field(default_factory=list)


def with_held_secrets(wanted: Any, held: Any) -> Filled:
    """The DSL of a file, with the secrets of what Dify holds (exported with them) in its places."""
    filled = Filled()
    filled.document = _part(filled, wanted, held, without_known_secrets(held).document, "")
    return filled


def needs_secrets(document: Any) -> bool:
    """Whether a DSL has a place where an export left a secret out."""
    if isinstance(document, dict):
        return _is_left_out(document) or any(map(needs_secrets, document.values()))
    if isinstance(document, list):
        return any(map(needs_secrets, document))
    return isinstance(document, str) and REMOVED in document


def _is_left_out(held: dict[str, Any]) -> bool:
    """A secret variable without its value, as Dify exports it."""
    return held.get("value_type") == "secret" and held.get("value") in ("", None, REMOVED)


def _part(filled: Filled, wanted: Any, held: Any, masked: Any, path: str) -> Any:
    if isinstance(wanted, dict):
        return _object(filled, wanted, held, masked, path)
    if isinstance(wanted, list):
        return [
            _part(filled, one, *_same(one, number, held, masked), f"{path}[{number}]")
            for number, one in enumerate(wanted)
        ]
    if isinstance(wanted, str) and REMOVED in wanted:
        return _text(filled, wanted, held, masked, path)
    return wanted


def _object(filled: Filled, wanted: dict[str, Any], held: Any, masked: Any, path: str) -> Any:
    there = held if isinstance(held, dict) else {}
    shown = masked if isinstance(masked, dict) else {}
    made = {
        name: _part(filled, one, there.get(name), shown.get(name), f"{path}.{name}".lstrip("."))
        for name, one in wanted.items()
        if not (name == "value" and _is_left_out(wanted))
    }
    if _is_left_out(wanted):
        value = there.get("value")
        filled.missing += 0 if value else 1
        made["value"] = value or wanted.get("value", "")
    return made


def _same(wanted: Any, number: int, held: Any, masked: Any) -> tuple[Any, Any]:
    """What Dify has in place of an element: the one of the same id, else of the same name, as of a
    variable that was made anew elsewhere; without either the one at its number.
    """
    both = list(zip(held, masked, strict=True)) if isinstance(held, list) else []
    known_by = [name for name in _IDENTITIES if isinstance(wanted, dict) and name in wanted]
    for name in known_by:
        named = [pair for pair in both if _has(pair[0], name, wanted[name])]
        if named:
            return named[0] if len(named) == 1 else (None, None)
    return both[number] if not known_by and number < len(both) else (None, None)


def _has(held: Any, name: str, value: Any) -> bool:
    return isinstance(held, dict) and held.get(name) == value


def _text(filled: Filled, wanted: str, held: Any, masked: Any, path: str) -> str:
    """Whole where only secrets were left out; else line by line, as headers and code have them."""
    if not isinstance(held, str) or not held:
        filled.missing += wanted.count(REMOVED)
        return wanted
    if wanted in (masked, REMOVED):
        return held
    shown, there = str(masked).split("\n"), held.split("\n")
    lines = _lines_by_what_is_shown(shown, there)
    made = "\n".join(
        lines.get(line, line) if REMOVED in line else line for line in wanted.split("\n")
    )
    left = made.count(REMOVED)
    if left and masked != held:
        filled.lost.append(path)
    filled.missing += left
    return made


def _lines_by_what_is_shown(shown: list[str], there: list[str]) -> dict[str, str]:
    """The lines that Dify holds, by what is left of them without their secrets. Two that are left
    alike and are not are known by nothing, and no line is where a secret of several lines was one.
    """
    held: dict[str, set[str]] = {}
    for line, whole in zip(shown, there, strict=True) if len(shown) == len(there) else ():
        held.setdefault(line, set()).add(whole)
    return {line: next(iter(wholes)) for line, wholes in held.items() if len(wholes) == 1}
