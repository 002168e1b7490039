"""What the client cost: requests, retries, bytes and seconds per label and route."""

import threading
from collections import Counter
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
class RouteUsage:
    """Sums for one label and route; seconds are wall seconds of the requests, added up."""

    label: str
    route: str
    requests: int = 0
    retries: int = 0
    bytes: int = 0
    seconds: float = 0.0

    def plus(self, other: "RouteUsage") -> "RouteUsage":
        """Both together, under this one's label and route."""
        return RouteUsage(
            self.label,
            self.route,
            self.requests + other.requests,
            self.retries + other.retries,
            self.bytes + other.bytes,
            self.seconds + other.seconds,
        )

    def minus(self, other: "RouteUsage") -> "RouteUsage":
        """What came on top of an earlier state."""
        return RouteUsage(
            self.label,
            self.route,
            self.requests - other.requests,
            self.retries - other.retries,
            self.bytes - other.bytes,
            self.seconds - other.seconds,
        )


class Measure:
    """What happened since a moment; fixed when its block ends."""

    def __init__(self, usage: "Usage", label: str | None) -> None:
        self._usage = usage
        self._label = label
        self._before = {(one.label, one.route): one for one in usage.snapshot()}
        self._requests_before = usage.requests(label)
        self._rows: tuple[RouteUsage, ...] | None = None

    @property
    def rows(self) -> tuple[RouteUsage, ...]:
        """Sums per label and route, only those that moved."""
        return self._now() if self._rows is None else self._rows

    @property
    def requests(self) -> int:
        """How many requests so far; quick, for progress."""
        return self._usage.requests(self._label) - self._requests_before

    @property
    def total(self) -> RouteUsage:
        """All rows as one."""
        total = RouteUsage(self._label or "", "")
        for row in self.rows:
            total = total.plus(row)
        return total

    def close(self) -> None:
        """Count no further."""
        self._rows = self._now()

    def _now(self) -> tuple[RouteUsage, ...]:
        moved = []
        for row in self._usage.snapshot():
            if self._label in (None, row.label):
                key = (row.label, row.route)
                moved.append(row.minus(self._before.get(key, RouteUsage(*key))))
        return tuple(row for row in moved if row.requests)


# What requests are counted under; threads that work for others take their context over.
_LABEL: ContextVar[str] = ContextVar("label of requests", default="")


class Usage:
    """Thread-safe sums of a client's life. The label belongs to the context, as a ContextVar."""

    def __init__(self, on_request: Callable[[RequestDone], None] | None = None) -> None:
        self._lock = threading.Lock()
        self._sums: dict[tuple[str, str], RouteUsage] = {}
        self._requests: Counter[str | None] = Counter()  # by label; None: all
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
    def measure(self, label: str | None = None) -> Iterator[Measure]:
        """Count what all threads do meanwhile, or only those with `label`."""
        measure = Measure(self, label)
        try:
            yield measure
        finally:
            measure.close()

    def add(self, done: RequestDone) -> None:
        """Count one request, and tell the listener of the client."""
        one = RouteUsage(done.label, done.route, 1, int(done.is_retry), done.bytes, done.seconds)
        key = (done.label, done.route)
        with self._lock:
            self._sums[key] = self._sums.get(key, RouteUsage(*key)).plus(one)
            self._requests.update((None, done.label))
        if self._on_request is not None:
            self._on_request(done)

    def requests(self, label: str | None) -> int:
        """Requests so far under a label, or under all."""
        return self._requests[label]

    def snapshot(self) -> tuple[RouteUsage, ...]:
        """The sums so far, by label and route."""
        with self._lock:
            return tuple(self._sums[key] for key in sorted(self._sums))
