"""Errors that nobody foresaw: they cost the task or the feed that met them, and leave a trace."""

import hashlib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from dify_etl.dify.errors import DifyError

BEGINNING = "dify-etl met an error that nobody foresaw"
_PACKAGE = Path(__file__).resolve().parents[1]
_MET: ContextVar[list["Unforeseen"] | None] = ContextVar("unforeseen errors", default=None)


class Unforeseen(DifyError):
    """A bug that an answer or a row brought to light. `trace` tells where in the code, and no
    value: the error's own words may quote what Dify sent.
    """

    def __init__(self, error: Exception) -> None:
        frames = traceback.extract_tb(error.__traceback__)
        ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
        last = (ours or frames)[-1:]
        where = "".join(f"{_place(one.filename)}:{one.lineno}, in {one.name}" for one in last)
        kind = type(error).__name__
        super().__init__(
            f"{BEGINNING} ({kind})",
            where=where or "nowhere",
            hint="All else was read, and this is tried again. Please report the trace in "
            "ops.unforeseen_errors.",
        )
        self.kind = kind
        self.trace = "".join(
            f"{_place(one.filename)}:{one.lineno}, in {one.name}: {one.line}\n" for one in frames
        )

    @property
    def digest(self) -> str:
        """What tells it from others: its kind and where it was raised."""
        return hashlib.sha256(f"{self.kind}\n{self.trace}".encode()).hexdigest()[:16]


def noted(error: Exception) -> Unforeseen:
    """The error as one of ours, noted for the feed that is being read."""
    found = error if isinstance(error, Unforeseen) else Unforeseen(error)
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


def _place(filename: str) -> str:
    """The file's path inside its package, without where that is installed."""
    path = Path(filename)
    if path.is_relative_to(_PACKAGE):
        return str(path.relative_to(_PACKAGE.parent))
    parts = path.parts
    return "/".join(
        parts[parts.index("site-packages") + 1 :] if "site-packages" in parts else parts[-2:]
    )
