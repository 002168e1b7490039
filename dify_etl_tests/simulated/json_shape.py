"""The shape of JSON: which keys each object has, and which types stand at each path."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

# Objects whose keys are data: their inside is not compared.
OPAQUE = (
    ".inputs",
    ".outputs",
    ".process_data",
    ".metadata",
    ".execution_metadata",
    ".graph",
    ".completion_params",
    ".tool_labels",
    ".tool_input",
    ".tool_label",
    ".tool_parameters",
    ".tool_output",
    ".user_input_form[]",
    ".tools[]",
    ".extras",
    ".agent_mode",
    ".features",
    ".dataset_configs",
    ".trigger_metadata",
    ".errors",
)


@dataclass
class Shape:
    """Types and keys by path, such as `.data[].id`; several values may be poured in."""

    types: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    keys: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, value: object, path: str = "") -> Shape:
        """Pour a value in."""
        self.types[path].add(type(value).__name__)
        if isinstance(value, Mapping) and not path.endswith(OPAQUE):
            self.keys[path] |= set(value)
            for key, part in value.items():
                self.add(part, f"{path}.{key}")
        if isinstance(value, list):
            for part in value:
                self.add(part, f"{path}[]")
        return self


def differences(
    simulated: object, recorded: object, *, pool: Shape, documented: Mapping[str, str]
) -> list[str]:
    """What the simulated answer has too much, too little or of another type.

    `pool`: everything recorded at this endpoint; `documented`: types by the end of a path that the
    servers are known to give although no recording happens to have them.
    """
    ours, theirs = Shape().add(simulated), Shape().add(recorded)
    problems = []
    for path in ours.keys.keys() & theirs.keys.keys():
        problems += [f"missing {path}.{key}" for key in theirs.keys[path] - ours.keys[path]]
        problems += [f"extra {path}.{key}" for key in ours.keys[path] - theirs.keys[path]]
    for path, types in ours.types.items():
        allowed = pool.types.get(path, set()) | _documented(path, documented)
        if not any(path.startswith(whole) for whole in _unrecorded(pool, documented, ours)):
            problems += [f"{path} is {kind}" for kind in sorted(types - allowed)]
    return sorted(problems)


def _documented(path: str, documented: Mapping[str, str]) -> set[str]:
    return {kind for end, kind in documented.items() if path.endswith(end)}


def _unrecorded(pool: Shape, documented: Mapping[str, str], ours: Shape) -> tuple[str, ...]:
    """Paths below which nothing was recorded, though the object itself is documented."""
    return tuple(
        f"{path}."
        for path in ours.keys
        if path not in pool.keys and "dict" in _documented(path, documented)
    )
