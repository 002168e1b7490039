"""How quickly the server answers: a latency that all share, or a few workers that are busy."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Seconds per answer. With `workers` only so many are worked on at a time, the rest wait.

    Between `refuses_from` and `refuses_until`, seconds since the pace was set, reads get a 429.
    """

    name: str
    seconds: float
    workers: int | None = None
    refuses_from: float = 0.0
    refuses_until: float = 0.0


class Pacer:
    """Hands answers over when it is their time.

    `flow` tells how many requests were unanswered, with the seconds since the pace was set.
    """

    def __init__(self, pace: Pace) -> None:
        self._busy = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self.set(pace)

    def set(self, pace: Pace) -> None:
        """Answer at this pace from now on."""
        self.pace = pace
        self.flow: list[tuple[float, int]] = []
        self._began = time.monotonic()

    @property
    def is_refusing(self) -> bool:
        """Whether reads get a 429 at this moment."""
        return self.pace.refuses_from <= self._seconds < self.pace.refuses_until

    def take(self, answer: Callable[[], None]) -> None:
        """A request came: call `answer` when the pace says so."""
        self._later(answer)
        self._note()

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _note(self) -> None:
        self.flow.append((self._seconds, self._busy + len(self._waiting)))

    def _later(self, answer: Callable[[], None]) -> None:
        if self.pace.workers is not None and self._busy >= self.pace.workers:
            self._waiting.append(answer)
            return
        self._busy += 1
        if self.pace.seconds > 0:
            asyncio.get_running_loop().call_later(self.pace.seconds, self._done, answer)
        else:
            self._done(answer)

    def _done(self, answer: Callable[[], None]) -> None:
        self._busy -= 1
        answer()
        if self._waiting and (self.pace.workers is None or self._busy < self.pace.workers):
            self._later(self._waiting.popleft())
        self._note()
