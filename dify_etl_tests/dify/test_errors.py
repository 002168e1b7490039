"""Errors: one tree, drawn where it is defined, each with what, where and what to do."""

import inspect
from collections.abc import Iterator

import pytest

from dify_etl.dify import errors
from dify_etl.dify.errors import DifyError


def tree(kind: type[DifyError] = DifyError) -> Iterator[type[DifyError]]:
    for child in kind.__subclasses__():
        yield child
        yield from tree(child)


PUBLIC = sorted({kind for kind in tree() if not kind.__name__.startswith("_")}, key=str)


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.__name__)
def test_every_error_is_in_the_drawing(kind: type[DifyError]) -> None:
    """The tree at the top of the module names every error, and each has its sentence."""
    assert kind.__name__ in (errors.__doc__ or "")
    assert kind.__doc__


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.__name__)
def test_every_error_says_what_to_do(kind: type[DifyError]) -> None:
    """What, where and hint are all in the text, and the hint cannot be forgotten."""
    error = kind("it broke", where="GET /x", hint="mend it")

    assert str(error) == "it broke [GET /x] mend it"
    assert inspect.signature(kind).parameters["hint"].default is inspect.Parameter.empty
