"""A server that is gone is noticed: it is waited for once, and then nothing more is asked of it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from dify_etl.dify.errors import DifyError, DifyUnavailable
from dify_etl.dify.http.clock import Clock

# What a proxy answers for a server that is away; a 500 may be that of a row.
_OF_PROXIES = frozenset({502, 503, 504})


@dataclass(frozen=True)
class OutagePatience:
    """After `failures` in a row without one answer the server counts as away. Then one question is
    asked again and again, after each of `waits` (seconds), while everything else waits. After
    `noticed` such failures it is said that something is wrong.
    """

    failures: int = 50
    noticed: int = 10
    waits: tuple[float, ...] = (5.0, 10.0, 20.0, 30.0, 30.0, 30.0)


class Outage:
    """Counts failures in a row, over all requests to one server. Thread-safe.

    A server that restarts is waited for; of one that stays away all that is left fails at once,
    with this one reason. `tell` hears of its begin and end, once each.
    """

    def __init__(
        self,
        where: str,
        is_well: Callable[[], bool],
        *,
        clock: Clock,
        patience: OutagePatience,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._where = where
        self._is_well = is_well
        self._clock = clock
        self._patience = patience
        self._lock = threading.Lock()
        self._waiting = threading.Lock()
        self._in_a_row = 0
        self._last = ""
        self._gone: str | None = None
        self._tell = tell or (lambda line: None)
        self._is_told = False

    def answered(self) -> None:
        """The server answered, with a refusal perhaps."""
        if self._in_a_row:
            with self._lock:
                self._in_a_row = 0
                was_told, self._is_told = self._is_told, False
            if was_told:
                self._tell(f"{self._where} answers again")

    def failed(self, error: DifyError) -> None:
        """A request failed in a way that may pass."""
        with self._lock:
            self._in_a_row += 1
            self._last = error.what
            status = error.status if isinstance(error, DifyUnavailable) else None
            is_away = status is None or status in _OF_PROXIES
            is_new = is_away and self._in_a_row >= self._patience.noticed and not self._is_told
            self._is_told |= is_new
        if is_new:
            # Of the answer nothing but its status: its words are a stranger's.
            told = "does not answer" if status is None else f"answers {status}"
            self._tell(f"{self._where} {told}; it is asked again until it is back")

    def check(self) -> None:
        """Wait for a server that seems to be away. Raises DifyUnavailable when it stays away."""
        if self._in_a_row < self._patience.failures:
            return
        with self._waiting:  # one asks, and all the others wait here for what it finds
            if self._gone is None and self._in_a_row >= self._patience.failures:
                self._wait()
        if self._gone is not None:
            raise DifyUnavailable(
                self._gone,
                where=self._where,
                hint="Bring Dify back, then run again: what is loaded stays, and what is missing "
                "is read.",
            )

    def _wait(self) -> None:
        for seconds in self._patience.waits:
            if self._is_well():
                self.answered()
                return
            self._clock.sleep(seconds)
        if self._is_well():
            self.answered()
            return
        waited = sum(self._patience.waits)
        self._gone = (
            f"Dify is gone: {self._in_a_row} requests failed in a row, and it did not come back "
            f"within {waited:.0f} s; the last: {self._last}"
        )
