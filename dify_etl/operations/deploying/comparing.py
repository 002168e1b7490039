"""Whether an app is as a file says. Dify tells a DSL in its own version, with keys that the file
never had, and without secrets: none of this is a difference.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dify_etl.dify.http.secret_shapes import REMOVED
from dify_etl.operations.dsl import without_looks
from dify_etl.operations.known_secrets import without_known_secrets
from dify_etl.operations.readable_yaml import yaml_text
from dify_etl.operations.redaction import State, without_secrets

# What Dify writes anew with every export, from its own version and the plugins that it has.
_OF_THE_EXPORT = ("version", "kind", "dependencies")
# What Dify fills in where a DSL is silent, beside what is off or empty, which is left out here.
_FILLED_IN: Mapping[str, tuple[Any, ...]] = {
    "prompt_type": ("simple",),
    "retriever_resource": ({"enabled": True},),
    "dataset_configs": ({"retrieval_model": "multiple"}, {"retrieval_model": "single"}),
    "file_upload": (
        {
            "image": {
                "detail": "high",
                "number_limits": 3,
                "transfer_methods": ["remote_url", "local_file"],
            }
        },
    ),
}
MOST_PLACES = 5
HIDDEN = "hidden values"  # names the change of a secret alone
_Pair = tuple[Any, Any]


@dataclass(frozen=True)
class Comparison:
    """A file beside what Dify has: each without what tells nothing about the other."""

    wanted: dict[str, Any] = field(repr=False)
    held: dict[str, Any] = field(repr=False)

    @property
    def is_alike(self) -> bool:
        """Whether nothing is to be done."""
        return bool(self.wanted == self.held)

    def states(self) -> tuple[State, State]:
        """What is and what will be, for people: without secrets. A change of a secret alone shows
        as such.
        """
        before, after = _shown(self.held), _shown(self.wanted)
        if before != after or self.is_alike:
            return {"dsl": before}, {"dsl": after}
        return {"dsl": before, HIDDEN: "as they are"}, {"dsl": after, HIDDEN: "as in the file"}

    def places(self) -> str:
        """Where the two differ, as paths of keys: the first few."""
        return first_few(list(_places(self.wanted, self.held, "")))


def first_few(places: Sequence[str]) -> str:
    """Places as one text; of many the first, and how many there are beside."""
    more = f" and {len(places) - MOST_PLACES} more" if len(places) > MOST_PLACES else ""
    return ", ".join(places[:MOST_PLACES]) + more


def compared(wanted: dict[str, Any], held: dict[str, Any]) -> Comparison:
    """The DSL of a file beside the one that Dify exports."""
    sides = [without_looks(one) for one in (wanted, held)]
    wanted, held = ({key: one[key] for key in one if key not in _OF_THE_EXPORT} for one in sides)
    if "app" in held:
        # Of what the app is beside its content, old servers export less, and files may say less.
        both = wanted["app"].keys() & held["app"].keys()
        wanted, held = (one | {"app": _only(one["app"], both)} for one in (wanted, held))
    return Comparison(*_alike(wanted, held, without_known_secrets(held).document))


def _alike(wanted: Any, held: Any, masked: Any) -> _Pair:
    """Both sides, with what only one of them tells left out where it is no difference.

    `masked` is what Dify holds with `(secret)` where an export for git has it.
    """
    if isinstance(wanted, dict) and isinstance(held, dict):
        return _alike_objects(wanted, held, masked)
    if isinstance(wanted, list) and isinstance(held, list) and len(wanted) == len(held):
        pairs = [_alike(*one) for one in zip(wanted, held, masked, strict=True)]
        return [one for one, _ in pairs], [one for _, one in pairs]
    if isinstance(wanted, str) and isinstance(held, str) and _is_kept(wanted, held, masked):
        return held, held
    if _is_nothing(wanted) and _is_nothing(held):
        return held, held
    return wanted, held


def _alike_objects(wanted: dict[str, Any], held: dict[str, Any], masked: Any) -> _Pair:
    left, right = {}, {}
    is_secret = wanted.get("value_type") == held.get("value_type") == "secret"
    for name in sorted({*wanted, *held}):
        if is_secret and name == "value":
            continue  # Dify exports it empty
        if name in wanted and name in held:
            left[name], right[name] = _alike(wanted[name], held[name], masked[name])
            if name == "provider" and _is_bare(wanted[name], held[name]):
                left[name] = held[name]
        elif name in wanted and not _is_nothing(wanted[name]):
            left[name] = wanted[name]
        elif name in held and not _is_filled_in(name, held[name]):
            right[name] = held[name]
    return left, right


def _only(app: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: app[name] for name in app if name in names}


def _is_filled_in(name: str, value: Any) -> bool:
    return _is_nothing(value) or _trimmed(value) in _FILLED_IN.get(name, ())


def _trimmed(value: Any) -> Any:
    """Without what tells nothing."""
    if not isinstance(value, dict):
        return value
    return {name: _trimmed(one) for name, one in value.items() if not _is_nothing(one)}


def _is_kept(wanted: str, held: str, masked: Any) -> bool:
    """Whether the file has `(secret)` where Dify holds one."""
    return REMOVED in wanted and (wanted == masked or (wanted == REMOVED and held != ""))


def _is_bare(wanted: Any, held: Any) -> bool:
    """`openai` of the oldest DSL is `langgenius/openai/openai` since there are plugins."""
    both = isinstance(wanted, str) and isinstance(held, str)
    return both and "/" not in wanted and held.endswith(f"/{wanted}")


def _is_nothing(value: Any) -> bool:
    """What means the same as to say nothing: off, empty, or made of such."""
    if isinstance(value, dict):
        return all(map(_is_nothing, value.values()))
    if isinstance(value, list):
        return not value
    return value is None or value is False or value == ""


def _shown(document: dict[str, Any]) -> str:
    return yaml_text(without_secrets(without_known_secrets(document).document))


def _places(wanted: Any, held: Any, path: str) -> Iterator[str]:
    if wanted == held:
        return
    if isinstance(wanted, dict) and isinstance(held, dict):
        for name in sorted({*wanted, *held}):
            yield from _places(wanted.get(name), held.get(name), f"{path}.{name}".lstrip("."))
    elif isinstance(wanted, list) and isinstance(held, list) and len(wanted) == len(held):
        for number, pair in enumerate(zip(wanted, held, strict=True)):
            yield from _places(*pair, f"{path}[{number}]")
    else:
        yield path
