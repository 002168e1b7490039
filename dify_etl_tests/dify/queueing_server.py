"""A server that works on a fixed number of requests at once, on a clock of its own.

Asked by as many requesters as an AdaptiveLimit lets in. No threads, no waiting: events in order.
"""

import heapq
import random
from dataclasses import dataclass, field

from dify_etl.dify.http.adaptive_limit import AdaptiveLimit, Admission, RequestLimits
from dify_etl.dify.http.clock import Clock


@dataclass
class QueueingServer:
    """`slots` requests at once; the rest queues. Seconds of an answer vary by route and chance."""

    slots: int
    max_concurrency: int = 32
    routes: tuple[tuple[str, float], ...] = (("/list", 0.1), ("/messages", 0.4))
    spread: float = 0.3
    slowness: float = 1.0
    now: float = 0.0
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    limits_seen: list[tuple[float, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        clock = Clock(monotonic=lambda: self.now, sleep=lambda seconds: None)
        limits = RequestLimits(max_concurrency=self.max_concurrency)
        self.limit = AdaptiveLimit(limits, clock=clock)
        self._free_at = [0.0] * self.slots
        self._under_way: list[tuple[float, float, str, Admission]] = []

    def answer(self, answers: int, *, is_failing: bool = False) -> float:
        """Let this many answers come; gives the seconds that it took."""
        began = self.now
        for _ in range(answers):
            while len(self._under_way) < self.limit.current:
                self._take()
            self.now, _, route, admission = heapq.heappop(self._under_way)
            if is_failing:
                self.limit.overloaded(admission)
            else:
                self.limit.succeeded(route, admission)
            self.limits_seen.append((self.now, self.limit.current))
        return self.now - began

    def settled(self) -> float:
        """The median limit of the second half of all answers."""
        seen = sorted(limit for _, limit in self.limits_seen[len(self.limits_seen) // 2 :])
        return seen[len(seen) // 2]

    def _take(self) -> None:
        route, seconds = self.chance.choice(self.routes)
        work = seconds * self.slowness * self.chance.lognormvariate(0, self.spread)
        slot = min(range(self.slots), key=lambda index: self._free_at[index])
        self._free_at[slot] = max(self.now, self._free_at[slot]) + work
        admission = Admission(self.now, len(self._under_way) + 1)
        entry = (self._free_at[slot], self.chance.random(), route, admission)
        heapq.heappush(self._under_way, entry)
