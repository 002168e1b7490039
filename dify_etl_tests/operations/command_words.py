"""What is asked of an operation, as words of its command."""

from collections.abc import Iterator, Mapping
from typing import Any

from dify_etl.operations.request import Argument, OperationSpec, mark, option_of


def words_of(spec: OperationSpec, values: Mapping[str, Any]) -> list[str]:
    """The command and its words for these values, by the names of fields."""
    return [*spec.command.split(), *_words(spec, values)]


def _words(spec: OperationSpec, values: Mapping[str, Any]) -> Iterator[str]:
    fields = spec.fields("command")
    for name, value in values.items():
        on, _, off = option_of(name, fields[name]).flags.partition("/")
        if isinstance(value, bool):
            yield from [on if value else off] if value or off else []
            continue
        for one in value if isinstance(value, list) else [value]:
            yield from [str(one)] if mark(fields[name], Argument) else [on, str(one)]
