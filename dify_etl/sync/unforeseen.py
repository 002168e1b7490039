"""Errors that nobody foresaw: they cost the task or the feed that met them, and leave a trace."""

import hashlib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from dify_etl.dify.errors import Unforeseen
from dify_etl.errors import is_interrupt
from dify_etl.interrupts import check_interrupt

BEGINNING = "dify-etl met an error that nobody foresaw"
_PACKAGE = Path(__file__).resolve().parents[1]
_MET: ContextVar[list[Unforeseen] | None] = ContextVar("unforeseen errors", default=None)


def as_unforeseen(error: Exception) -> Unforeseen:
    """The error with where it was raised, and without its words."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
    last = (ours or frames)[-1:]
    kind = type(error).__name__
    return Unforeseen(
        f"{BEGINNING} ({kind})",
        where="".join(map(_place, last)) or "nowhere",
        hint="All else was read, and this is tried again. Please report the trace in "
        "ops.unforeseen_errors.",
        kind=kind,
        trace="".join(f"{_place(one)}: {one.line}\n" for one in frames),
    )


def digest_of(error: Unforeseen) -> str:
    """What tells it from others: its kind and where it was raised."""
    return hashlib.sha256(f"{error.kind}\n{error.trace}".encode()).hexdigest()[:16]


def noted(error: Exception) -> Unforeseen:
    """The error as one of ours, noted for the feed that is being read. What DuckDB makes of Ctrl-C
    is none: raises KeyboardInterrupt.
    """
    check_interrupt()
    if is_interrupt(error):
        raise KeyboardInterrupt from None
    found = error if isinstance(error, Unforeseen) else as_unforeseen(error)
    met = _MET.get()
    if met is not None:
        met.append(found)
    return found


@contextmanager
def collected(met: list[Unforeseen]) -> Iterator[None]:
    """Errors that are noted inside are put into this list."""
    token = _MET.set(met)
    try:
        yield
    finally:
        _MET.reset(token)


def _place(frame: traceback.FrameSummary) -> str:
    """File, line and function; the file's path inside its package, without where that is."""
    path = Path(frame.filename)
    if path.is_relative_to(_PACKAGE):
        file = str(path.relative_to(_PACKAGE.parent))
    else:
        parts = path.parts
        file = "/".join(
            parts[parts.index("site-packages") + 1 :] if "site-packages" in parts else parts[-2:]
        )
    return f"{file}:{frame.lineno}, in {frame.name}"
