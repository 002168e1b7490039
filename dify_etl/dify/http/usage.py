"""What the client cost: requests, retries and bytes per label."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class RequestDone:
    """One answered or failed request. `status` is 0 when no answer came; bytes are as received."""

    method: str
    route: str
    status: int
    seconds: float
    bytes: int
    label: str
    is_retry: bool = False


@dataclass(frozen=True)
class Spent:
    """Sums over requests; `rows` are those of all lists in their answers."""

    requests: int = 0
    retries: int = 0
    bytes: int = 0
    rows: int = 0

    def plus(self, other: "Spent", sign: int = 1) -> "Spent":
        """Both together; with `sign` -1 what came on top of the other."""
        return Spent(
            self.requests + sign * other.requests,
            self.retries + sign * other.retries,
            self.bytes + sign * other.bytes,
            self.rows + sign * other.rows,
        )


class Measure:
    """What happened since a moment; fixed when its block ends."""

    def __init__(self, usage: "Usage", label: str | None, before: Spent | None) -> None:
        self._usage = usage
        self._label = label
        self._before = usage.spent(label) if before is None else before
        self._closed: Spent | None = None

    @property
    def total(self) -> Spent:
        """What was spent so far."""
        return self._closed or self._usage.spent(self._label).plus(self._before, -1)

    def close(self) -> None:
        """Count no further."""
        self._closed = self.total


# What requests are counted under; threads that work for others take their context over.
_LABEL: ContextVar[str] = ContextVar("label of requests", default="")


class Usage:
    """Thread-safe sums of a client's life. The label belongs to the context, as a ContextVar."""

    def __init__(self, on_request: Callable[[RequestDone], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._sums: dict[str | None, Spent] = {}  # by label; None: all
        self._on_request = on_request

    @property
    def label(self) -> str:
        """The label of this context; empty when none is set."""
        return _LABEL.get()

    @contextmanager
    def labelled(self, label: str) -> Iterator[None]:
        """Count this context's requests under `label`."""
        before = _LABEL.set(label)
        try:
            yield
        finally:
            _LABEL.reset(before)

    @contextmanager
    def measure(self, label: str | None = None, before: Spent | None = None) -> Iterator[Measure]:
        """Count what all threads do meanwhile, or only those with `label`; beyond what was spent
        now, or `before`.
        """
        measure = Measure(self, label, before)
        try:
            yield measure
        finally:
            measure.close()

    def add(self, done: RequestDone) -> None:
        """Count one request, and tell the listener of the client."""
        self._sum(Spent(1, int(done.is_retry), done.bytes), done.label)
        if self._on_request is not None:
            self._on_request(done)

    def add_rows(self, rows: int) -> None:
        """Count rows of a list that came under this context's label."""
        self._sum(Spent(rows=rows), self.label)

    def _sum(self, one: Spent, own_label: str) -> None:
        with self._lock:
            for label in (None, own_label):
                self._sums[label] = self.spent(label).plus(one)

    def spent(self, label: str | None) -> Spent:
        """The sums so far under a label, or under all."""
        return self._sums.get(label, Spent())
