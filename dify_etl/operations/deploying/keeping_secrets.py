"""Secrets are entered in Dify once and stay there: where a file has `(secret)`, as exports write
it, the value that Dify holds in this place is sent back to it.

A place is known by what identifies it, never by its number alone: an element of a list that was
taken out of a file would give its secret to the next one.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dify_etl.dify.http.secret_shapes import REMOVED
from dify_etl.operations.known_secrets import without_known_secrets

# What an element of a list is known by; the first that it has and another side knows counts.
_IDENTITIES = ("id", "tool_name", "name", "variable", "key")
# What a prompt without any of these is known by: system, user or assistant.
_ROLE = "role"
# What makes another thing of an object that is in the same place.
_OTHERS = ("tool_name", "event_name", "datasource_name", "key")
# What tells tools of one name apart. An id of a provider is another in each workspace.
_PROVIDERS = ("provider_name", "provider_id", "provider")


class _Pair(NamedTuple):
    """What Dify holds in a place, and what an export for git shows of it."""

    held: Any
    masked: Any

    @property
    def has_secrets(self) -> bool:
        return bool(self.held != self.masked)

    def member(self, name: str) -> "_Pair":
        """The place below a name of an object."""
        if not isinstance(self.held, dict) or name not in self.held:
            return _NOTHING
        return _Pair(self.held[name], self.masked[name])

    def elements(self) -> "list[_Pair]":
        """The places of a list."""
        if not isinstance(self.held, list):
            return []
        return [_Pair(*both) for both in zip(self.held, self.masked, strict=True)]


_NOTHING = _Pair(None, None)
_UNCLEAR = -1  # the number of no element


@dataclass
class Filled:
    """A DSL with its secrets. `missing`: where there is none in Dify either; `lost`: where Dify
    holds one that would be overwritten, since what is around it is another now. `dropped`: what
    Dify holds with secrets and the file has no more, where it has another thing that needs some.
    """

    document: Any = field(default=None, repr=False)
    missing: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)


def with_held_secrets(wanted: Any, held: Any) -> Filled:
    """The DSL of a file, with the secrets of what Dify holds (exported with them) in its places."""
    filled = Filled()
    masked = without_known_secrets(held).document
    filled.document = _part(filled, wanted, _Pair(held, masked), "")
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


def _part(filled: Filled, wanted: Any, there: _Pair, path: str) -> Any:
    if not needs_secrets(wanted):
        return wanted
    is_replaced = isinstance(wanted, str) and bool(there.held)  # as by the way to a variable
    if _is_another(wanted, there.held) and (there.has_secrets or is_replaced):
        filled.lost.append(path)
        return wanted
    if isinstance(wanted, dict):
        return _object(filled, wanted, there, path)
    if isinstance(wanted, list):
        return _list(filled, wanted, there, path)
    return _text(filled, wanted, there, path)


def _is_another(wanted: Any, held: Any) -> bool:
    """Whether what stands in this place is of another kind, or another thing: a tool, a node, a
    field of a form.
    """
    if held is None:
        return False
    if type(wanted) is not type(held):
        return True
    if not isinstance(wanted, dict):
        return False
    told = [*_OTHERS, *(["type"] if "title" in wanted else [])]
    is_same = all(wanted[name] == held[name] for name in told if name in wanted and name in held)
    return not (is_same and _is_of_one_provider(wanted, held))


def _object(filled: Filled, wanted: dict[str, Any], there: _Pair, path: str) -> Any:
    is_left_out = _is_left_out(wanted)
    made = {
        name: _part(filled, one, there.member(name), f"{path}.{name}".lstrip("."))
        for name, one in wanted.items()
        if not (name == "value" and is_left_out)
    }
    if is_left_out:
        value = there.member("value").held
        if not value:
            filled.missing.append(path)
        made["value"] = value or wanted.get("value", "")
    return made


def _list(filled: Filled, wanted: list[Any], there: _Pair, path: str) -> list[Any]:
    """Each element with the secrets of the same one in Dify."""
    elements = there.elements()
    places = {n: _same(n, wanted, elements) for n, one in enumerate(wanted) if needs_secrets(one)}
    claimed = Counter(place for place in places.values() if isinstance(place, int))
    made = list(wanted)
    for number, place in places.items():
        here = f"{path}[{number}]"
        if place is None:
            made[number] = _part(filled, wanted[number], _NOTHING, here)
        elif place == _UNCLEAR or (claimed[place] > 1 and elements[place].has_secrets):
            filled.lost.append(here)
        else:
            made[number] = _part(filled, wanted[number], elements[place], here)
    if None in places.values():
        filled.dropped += [
            f"{path}[{_name_of(pair.held, number)}]"
            for number, pair in enumerate(elements)
            if pair.has_secrets and number not in claimed
        ]
    return made


def _same(number: int, wanted: Sequence[Any], elements: Sequence[_Pair]) -> int | None:
    """The number of what Dify has in place of an element: of the one that looks the same without
    its secrets, else of the one that is known by the same. None where Dify has none; _UNCLEAR where
    it cannot be told which of its secrets belongs there.
    """
    one = wanted[number]
    alike = [index for index, pair in enumerate(elements) if pair.masked == one]
    if alike:
        where = [index for index, other in enumerate(wanted) if other == one]
        is_one = all(elements[index].held == elements[alike[0]].held for index in alike)
        # Several that look alike are as they were only when all of them stand where they stood.
        if where == alike or (is_one and len(where) <= len(alike)):
            return alike[where.index(number)]
    found = alike or _known_by_the_same(one, elements)
    if found is None or len(found) > 1:
        could_be = range(len(elements)) if found is None else found
        return _UNCLEAR if any(elements[index].has_secrets for index in could_be) else None
    return found[0] if found else None


def _known_by_the_same(one: Any, elements: Sequence[_Pair]) -> list[int] | None:
    """The numbers of elements with the identity of this one; None for one that has none."""
    named = one if isinstance(one, dict) else {}
    names = [name for name in _IDENTITIES if name in named] or [_ROLE] * (_ROLE in named)
    for name in names:
        found = [n for n, pair in enumerate(elements) if _has(pair.held, name, one[name])]
        if name == "tool_name" and len(found) > 1:
            of_one = [n for n in found if _is_of_one_provider(one, elements[n].held)]
            found = of_one or found
        if found:
            return found
    return [] if names else None


def _name_of(held: Any, number: int) -> str:
    """What people call an element: what it is known by, else its number."""
    named = held if isinstance(held, dict) else {}
    return str(next((named[one] for one in reversed(_IDENTITIES) if one in named), number))


def _has(held: Any, name: str, value: Any) -> bool:
    return isinstance(held, dict) and held.get(name) == value


def _is_of_one_provider(wanted: dict[str, Any], held: dict[str, Any]) -> bool:
    """Whether two tools are of one provider, by the first name that both tell. `google` of old DSL
    is `langgenius/google/google` since there are plugins.
    """
    for name in _PROVIDERS:
        one, other = wanted.get(name), held.get(name)
        if one and other and isinstance(one, str) and isinstance(other, str):
            return one == other or _is_short_for(one, other) or _is_short_for(other, one)
    return True


def _is_short_for(name: str, whole: str) -> bool:
    return "/" not in name and whole.endswith(f"/{name}")


def _text(filled: Filled, wanted: str, there: _Pair, path: str) -> str:
    """Whole where only secrets were left out; else line by line, as headers and code have them."""
    held, masked = there
    if not isinstance(held, str) or not held:
        filled.missing.append(path)
        return wanted
    if wanted in (masked, REMOVED):
        made = held
    else:
        lines = _lines_by_what_is_shown(masked.split("\n"), held.split("\n"))
        made = "\n".join(
            lines.get(line, line) if REMOVED in line else line for line in wanted.split("\n")
        )
    if REMOVED in made:
        is_lost = there.has_secrets and made != held
        (filled.lost if is_lost else filled.missing).append(path)
    return made


def _lines_by_what_is_shown(shown: list[str], there: list[str]) -> dict[str, str]:
    """The lines that Dify holds, by what is left of them without their secrets. Two that are left
    alike and are not are known by nothing, and no line is where a secret of several lines was one.
    """
    held: dict[str, set[str]] = {}
    for line, whole in zip(shown, there, strict=True) if len(shown) == len(there) else ():
        held.setdefault(line, set()).add(whole)
    return {line: next(iter(wholes)) for line, wholes in held.items() if len(wholes) == 1}
