"""YAML of strangers, read within bounds: no text may keep the program busy or break it.

A few lines can stand for billions (aliases of aliases), for a text within itself, or for nesting
that no reader survives. The events of the parser tell all that before anything is built.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any

import yaml

DEEPEST = 100  # levels; workflows of Dify have some twenty
LONGEST = 10_000_000  # characters, those that aliases stand for counted as often as they do
MOST_DIGITS = 300  # of an integer: beyond a double, and below where Python refuses
# The same language in C, where PyYAML was built with it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlWrong(ValueError):
    """It is no YAML, or more than is read; `line` where that is known, from 1."""

    def __init__(self, what: str, line: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


def read_yaml(text: str) -> Any:
    """The document: texts, numbers, booleans, null, dates, lists, and objects whose names are
    texts. Raises YamlWrong.
    """
    if len(text) > LONGEST:
        raise YamlWrong(f"it has more than {LONGEST:,} characters")
    try:
        _check_bounds(text)
        document = yaml.load(text, Loader=_LOADER)  # nosec B506 # the safe one
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise YamlWrong("it is no YAML", mark.line + 1 if mark else None) from None
    except (ValueError, OverflowError, TypeError, AttributeError, KeyError) as error:
        if isinstance(error, YamlWrong):
            raise
        # PyYAML lets through what Python says of a 13th month, or of a list as a name.
        raise YamlWrong(f"it holds a value that cannot be read ({type(error).__name__})") from None
    for path, what in _odd_parts(document):
        raise YamlWrong(f"{what} at {path or 'its top'}")
    return document


def _check_bounds(text: str) -> None:
    """Depth and size as if every alias were written out; a part within itself is refused."""
    measure = _Measure()
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            measure.repeat(event.anchor, line)
        elif isinstance(event, yaml.ScalarEvent):
            measure.add(event.anchor, len(event.value) + 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            measure.begin(event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            measure.end()
        if len(measure.open_parts) > DEEPEST:
            raise YamlWrong(f"it is nested deeper than {DEEPEST} levels", line)
        if measure.size > LONGEST:
            raise YamlWrong(f"written out it has more than {LONGEST:,} characters", line)


class _Measure:
    """How long the text is with its aliases written out, as far as it was read."""

    def __init__(self) -> None:
        self.size = 0
        self.open_parts: list[tuple[str | None, int]] = []  # anchor, and the size before it
        self._sizes: dict[str, int] = {}

    def add(self, anchor: str | None, size: int) -> None:
        if anchor is not None:
            self._sizes[anchor] = size
        self.size += size

    def repeat(self, anchor: str, line: int) -> None:
        if any(one == anchor for one, _ in self.open_parts):
            raise YamlWrong("a part of it stands within itself", line)
        self.size += self._sizes.get(anchor, 0)

    def begin(self, anchor: str | None) -> None:
        self.open_parts.append((anchor, self.size))
        self.size += 1

    def end(self) -> None:
        anchor, before = self.open_parts.pop()
        if anchor is not None:
            self._sizes[anchor] = self.size - before


def _odd_parts(document: Any) -> Iterator[tuple[str, str]]:
    """What no JSON and no file could hold: where it stands, and what it is."""
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            for name, inner in value.items():
                if not isinstance(name, str):
                    yield path, f"a name is no text but {type(name).__name__}"
                waiting += [(path, name), (f"{path}.{name}".lstrip("."), inner)]
        elif isinstance(value, list):
            waiting += [(f"{path}[{number}]", inner) for number, inner in enumerate(value)]
        elif (what := _odd(value)) is not None:
            yield path, what


def _odd(value: Any) -> str | None:
    if isinstance(value, str):
        is_half = not value.isascii() and any("\ud800" <= one <= "\udfff" for one in value)
        return "a text is half a character" if is_half else None
    if isinstance(value, bool | float | date | None):
        return None
    if isinstance(value, int):
        is_long = value.bit_length() > MOST_DIGITS * 3.3
        return f"a number has more than {MOST_DIGITS} digits" if is_long else None
    return f"a value is {type(value).__name__}"
