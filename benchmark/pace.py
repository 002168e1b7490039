"""How quickly the server answers: a latency that all share, or a few workers that are busy."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """Seconds per answer. With `workers` only so many are worked on at a time, the rest wait."""

    name: str
    seconds: float
    workers: int | None = None


class Pacer:
    """Hands answers over when it is their time."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self._busy = 0
        self._waiting: deque[Callable[[], None]] = deque()

    def later(self, answer: Callable[[], None]) -> None:
        """Call `answer` when the pace says so."""
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
            self.later(self._waiting.popleft())
