"""Whether a 500 may be what one odd row makes of a page."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_IS_ROW_SUSPECTED: ContextVar[bool] = ContextVar("a 500 may be a row's", default=False)


@contextmanager
def unrepeated_500() -> Iterator[None]:
    """Inside, a 500 is not asked again: on old servers it is what one odd row makes of each page
    that holds it, and asking again would use up the budget that bad nights need.
    """
    token = _IS_ROW_SUSPECTED.set(True)
    try:
        yield
    finally:
        _IS_ROW_SUSPECTED.reset(token)


def is_row_suspected() -> bool:
    """Whether this is inside of `unrepeated_500`."""
    return _IS_ROW_SUSPECTED.get()
