"""How quickly the server answers: a latency that all share, or a few workers that are busy."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

# Lists whose rows Dify works on one by one: what hangs on a row is counted by queries of its own.
_LIST = re.compile(rb"/(chat-conversations|workflow-app-logs|(advanced-chat/)?workflow-runs)\?")


@dataclass(frozen=True)
class Pace:
    """Seconds per answer. With `workers` only so many are worked on at a time, the rest wait.

    A row of a list of conversations or runs costs `listed_row` seconds more, a conversation's
    messages `messages`. Between `refuses_from` and `refuses_until`, seconds since the pace was
    set, reads get a 429.
    """

    name: str
    seconds: float
    workers: int | None = None
    listed_row: float = 0.0
    messages: float = 0.0
    refuses_from: float = 0.0
    refuses_until: float = 0.0

    def work(self, target: bytes, answer: bytes) -> float:
        """The seconds of work on the answer to a read."""
        if self.messages and b"/chat-messages?" in target:
            return self.seconds + self.messages
        if self.listed_row and _LIST.search(target):
            return self.seconds + self.listed_row * _rows(answer)
        return self.seconds


def _rows(answer: bytes) -> int:
    body = json.loads(answer.partition(b"\r\n\r\n")[2])
    return len(body.get("data", ()))


class Pacer:
    """Hands answers over when it is their time.

    `flow` tells how many requests were unanswered, with the seconds since the pace was set.
    """

    def __init__(self, pace: Pace) -> None:
        self._busy = 0
        self._waiting: deque[tuple[Callable[[], None], float]] = deque()
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

    def take(self, answer: Callable[[], None], work: float) -> None:
        """A request came: call `answer` after `work` seconds, once a worker is free."""
        self._later(answer, work)
        self._note()

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._began

    def _note(self) -> None:
        self.flow.append((self._seconds, self._busy + len(self._waiting)))

    def _later(self, answer: Callable[[], None], work: float) -> None:
        if self.pace.workers is not None and self._busy >= self.pace.workers:
            self._waiting.append((answer, work))
            return
        self._busy += 1
        if work > 0:
            asyncio.get_running_loop().call_later(work, self._done, answer)
        else:
            self._done(answer)

    def _done(self, answer: Callable[[], None]) -> None:
        self._busy -= 1
        answer()
        if self._waiting and (self.pace.workers is None or self._busy < self.pace.workers):
            self._later(*self._waiting.popleft())
        self._note()
