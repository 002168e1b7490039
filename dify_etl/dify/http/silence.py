"""A server that takes requests and answers none: said while it lasts, not only at its end."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

SILENT_SECONDS = 12.0  # long for an answer, short for somebody who waits
AGAIN_SECONDS = 60.0


class Silence:
    """Looks now and then, in a thread of its own, whether requests are under way and none was
    answered for `seconds`; `tell` hears of it, again each minute. Thread-safe.

    One slow answer among others is no silence: a large workspace has them every night.
    """

    def __init__(
        self,
        host: str,
        tell: Callable[[str], None],
        *,
        seconds: float = SILENT_SECONDS,
        again: float = AGAIN_SECONDS,
    ) -> None:
        self._host, self._tell = host, tell
        self._seconds, self._again = seconds, again
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._under_way = 0
        self._attempt = (1, 1)
        self._is_answered = False  # since the last sending began
        self._since: float | None = None  # since when no answer came, while one is waited for
        self._due = seconds

    @contextmanager
    def watched(self, attempt: int, attempts: int) -> Iterator[None]:
        """Hold this block around one sending; it is `attempt` of at most so many."""
        with self._lock:
            if self._since is None or (attempt == 1 and not self._under_way):
                self._since, self._due = monotonic(), self._seconds
            self._is_answered = False
            self._under_way += 1
            self._attempt = (attempt, attempts)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1
                if self._is_answered and not self._under_way:
                    self._since = None

    def answered(self) -> None:
        """An answer came, whatever it says: to a watched sending, or to the login that goes before
        it within the same block.
        """
        with self._lock:
            self._since, self._due = monotonic(), self._seconds
            self._is_answered = True

    def close(self) -> None:
        """Look no more."""
        self._closed.set()

    def _watch(self) -> None:
        while not self._closed.wait(self._seconds / 8):
            if (silent := self._silent_seconds()) is not None:
                attempt, attempts = self._attempt
                self._tell(
                    f"no answer yet from {self._host} after {silent:.0f} s, attempt {attempt} of "
                    f"{attempts}; Ctrl-C ends it"
                )

    def _silent_seconds(self) -> float | None:
        """How long it has been silent, when that is to be told now."""
        with self._lock:
            if self._since is None or not self._under_way:
                return None
            silent = monotonic() - self._since
            if silent < self._due:
                return None
            self._due = silent + self._again
            return silent
