"""How many requests one Dify gets at a time: a limit that grows slowly and shrinks at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dify_etl.dify.clock import Clock
from dify_etl.dify.errors import DifyUnavailable

START = 4  # concurrent requests before anything is known of the server
SHRINK = 0.5
SLOW_FACTOR = 4.0  # an answer this many times slower than the route's usual one means load
SLOW_FLOOR_SECONDS = 2.0  # quicker answers never count as slow
USUAL_WEIGHT = 0.1


@dataclass(frozen=True)
class RequestLimits:
    """Bounds of the load on one server; `requests_per_second` None means no pace.

    `patience_seconds` bounds the wait for a free slot: nothing waits for ever.
    """

    max_concurrency: int = 8
    requests_per_second: float | None = None
    patience_seconds: float = 600.0


class AdaptiveLimit:
    """Additive increase, multiplicative decrease between 1 and `max_concurrency` requests.

    A quick answer adds 1/limit; a 429, 5xx, time-out or unusually slow answer halves the limit,
    once for all requests that were under way together.
    """

    def __init__(self, limits: RequestLimits, *, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock.monotonic
        self._sleep = clock.sleep
        self._free = threading.Condition()
        self._limit = float(min(START, limits.max_concurrency))
        self._active = 0
        self._shrunk_at = float("-inf")
        self._next_start = float("-inf")
        self._usual: dict[str, float] = {}

    @property
    def current(self) -> int:
        """How many requests may run at this moment."""
        return max(1, int(self._limit))

    @contextmanager
    def slot(self) -> Iterator[float]:
        """Hold one of the slots; gives the clock at its start. Raises DifyUnavailable if none."""
        with self._free:
            if not self._free.wait_for(self._has_room, timeout=self._limits.patience_seconds):
                raise self._no_room()
            self._active += 1
        try:
            self._keep_pace()
            yield self._clock()
        finally:
            with self._free:
                self._active -= 1
                self._free.notify()

    def succeeded(self, route: str, *, started: float) -> None:
        """An answer came: grow, or shrink when it took far longer than this route usually does."""
        seconds = self._clock() - started
        with self._free:
            usual = self._usual.get(route, seconds)
            is_slow = seconds > max(SLOW_FLOOR_SECONDS, SLOW_FACTOR * usual)
            self._usual[route] = usual + USUAL_WEIGHT * (seconds - usual)
            if is_slow:
                self._shrink(started)
            else:
                grown = self._limit + 1 / self._limit
                self._limit = min(float(self._limits.max_concurrency), grown)
                self._free.notify()

    def overloaded(self, *, started: float) -> None:
        """The server pushed back (429, 5xx, time-out, broken connection)."""
        with self._free:
            self._shrink(started)

    def _shrink(self, started: float) -> None:
        if started >= self._shrunk_at:  # requests of before the last cut say nothing new
            self._limit = max(1.0, self._limit * SHRINK)
            self._shrunk_at = self._clock()

    def _has_room(self) -> bool:
        return self._active < self.current

    def _keep_pace(self) -> None:
        if self._limits.requests_per_second is None:
            return
        with self._free:
            start = max(self._clock(), self._next_start)
            self._next_start = start + 1 / self._limits.requests_per_second
            wait = start - self._clock()
        if wait > 0:
            self._sleep(wait)

    def _no_room(self) -> DifyUnavailable:
        return DifyUnavailable(
            f"no request could start for {self._limits.patience_seconds:.0f} s",
            where=f"{self._active} requests under way, limit {self.current}",
            hint="The server answers too slowly; look at its load, or allow fewer requests.",
        )
