"""How many requests one Dify gets at a time: as many as make it quicker, and not one more.

Requests beyond what a server works on at once only queue there. How many queue shows in how much
longer answers take than with hardly any company: with `load` times the quiet time, `limit * (1 -
1 / load)` requests wait. The limit grows while fewer than one waits and shrinks when more than two
do; a server that pushes back halves it. Quiet times are measured anew again and again. At first the
limit grows with every answer, up to the first one that waited.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dify_etl.dify.errors import DifyUnavailable
from dify_etl.dify.http.clock import Clock

QUIET = 2  # requests at a time that no server queues
QUIET_ANSWERS = 16  # answers that measure the quiet time
QUIET_ENOUGH = 5  # quiet answers of a route from which its load is judged
QUIET_EVERY = 200.0  # hindered rounds between two measurements: a few percent of the time
NEW_ROUTE_ANSWERS = 30  # a route asked more often than this is worth a measurement of its own
LEAST_WAITING, MOST_WAITING = 1.0, 2.0  # requests queued at the server that are left alone
SHRINK = 0.5
SLOW_FACTOR = 4.0  # an answer this many times slower than the route's usual one means load
SLOW_FLOOR_SECONDS = 2.0  # quicker answers never count as slow
USUAL_WEIGHT = 0.05


@dataclass(frozen=True)
class RequestLimits:
    """Bounds of the load on one server; `requests_per_second` None means no pace.

    `patience_seconds` bounds how long a request waits for a slot while none ends: nothing waits for
    ever.
    """

    max_concurrency: int = 8
    requests_per_second: float | None = None
    patience_seconds: float = 600.0


@dataclass(frozen=True)
class Admission:
    """A request that may start: the monotonic clock then, and how many ran with it, itself too."""

    started: float
    company: int


@dataclass
class _Route:
    """Seconds of one route's answers: the mean in quiet company, and of late."""

    recent: float
    quiet: float = 0.0
    quiet_answers: int = 0
    answers: int = 0
    is_tried: bool = False

    def learn(self, seconds: float, *, is_quiet: bool) -> None:
        """Take an answer in; quiet ones are slowly forgotten for newer ones."""
        self.answers += 1
        self.recent += USUAL_WEIGHT * (seconds - self.recent)
        if is_quiet:
            self.quiet_answers += 1
            self.quiet += max(1 / self.quiet_answers, USUAL_WEIGHT) * (seconds - self.quiet)

    @property
    def is_known(self) -> bool:
        """Whether enough quiet answers came to judge the others by."""
        return self.quiet_answers >= QUIET_ENOUGH and self.quiet > 0


class AdaptiveLimit:
    """The limit of one server, between 1 and `max_concurrency` requests; thread-safe."""

    def __init__(self, limits: RequestLimits, *, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock.monotonic
        self._sleep = clock.sleep
        self._lock = threading.Lock()
        self._line: deque[threading.Event] = (
            deque()
        )  # who waits for a slot, first come first served
        self._ended = 0  # requests
        self._limit = float(min(QUIET, limits.max_concurrency))
        self._active = 0
        self._shrunk_at = float("-inf")
        self._next_start = float("-inf")
        self._routes: dict[str, _Route] = {}
        self._load = 1.0
        self._is_starting = True
        self._quiet_left = QUIET_ANSWERS
        self._until_quiet = QUIET_EVERY
        self._pauses = 0
        self._learning_since = float("-inf")

    @property
    def current(self) -> int:
        """How many requests may run at this moment."""
        is_quiet = self._quiet_left and not self._pauses
        limit = min(self._limit, float(QUIET)) if is_quiet else self._limit
        return max(1, int(limit))

    @contextmanager
    def slot(self) -> Iterator[Admission]:
        """Hold one of the slots, which are given in the order in which they were asked for. Raises
        DifyUnavailable when no request ends for so long that the server must be taken for dead.
        """
        company = self._enter()
        try:
            self._keep_pace()
            yield Admission(self._clock(), company)
        finally:
            with self._lock:
                self._leave()

    def _enter(self) -> int:
        """Wait for a slot; answers how many requests run then."""
        turn = threading.Event()
        with self._lock:
            self._line.append(turn)
            self._admit()
            ended = self._ended
        try:
            while not turn.wait(self._limits.patience_seconds):
                with self._lock:
                    if not turn.is_set() and self._ended == ended:
                        raise self._no_room()
                    ended = self._ended
        except BaseException:
            with self._lock:
                if turn.is_set():
                    self._leave()
                else:
                    self._line.remove(turn)
            raise
        with self._lock:
            return self._active

    def _admit(self) -> None:
        """Let in whoever is next, as far as there is room; call it under the lock."""
        while self._line and self._active < self.current:
            self._active += 1
            self._line.popleft().set()

    def _leave(self) -> None:
        self._active -= 1
        self._ended += 1
        self._admit()

    @contextmanager
    def pause_learning(self) -> Iterator[None]:
        """Meanwhile this process is busy: answers wait for us, and their seconds mean nothing."""
        with self._lock:
            self._pauses += 1
            self._admit()  # quiet times are not measured meanwhile
        try:
            yield
        finally:
            with self._lock:
                self._pauses -= 1
                self._learning_since = self._clock()
                self._admit()

    def succeeded(self, route: str, admission: Admission) -> None:
        """An answer came: learn from its seconds, and move the limit by one request at most."""
        seconds = self._clock() - admission.started
        with self._lock:
            if self._pauses or admission.started < self._learning_since:
                return
            known = self._routes.setdefault(route, _Route(recent=seconds))
            if seconds > max(SLOW_FLOOR_SECONDS, SLOW_FACTOR * known.recent):
                self._shrink(admission)
            known.learn(seconds, is_quiet=admission.company <= QUIET)
            self._plan_quiet(known, admission)
            if known.is_known and not self._quiet_left:
                load = seconds / known.quiet
                self._is_starting = self._is_starting and self._waiting(load) < LEAST_WAITING
                self._load += USUAL_WEIGHT * (load - self._load)
                self._adjust()
            self._admit()

    def overloaded(self, admission: Admission) -> None:
        """The server pushed back (429, 5xx, time-out, broken connection)."""
        with self._lock:
            self._shrink(admission)

    def _plan_quiet(self, route: _Route, admission: Admission) -> None:
        """Measure at first, for a busy new route, and again after a few hundred rounds in which
        the limit was held down: at its cap nothing could be won.
        """
        if self._quiet_left:
            self._quiet_left -= admission.company <= QUIET
            return
        if self._limit < self._limits.max_concurrency:
            self._until_quiet -= 1 / self._limit
        if self._until_quiet <= 0:
            self._quiet_left, self._until_quiet = QUIET_ANSWERS, QUIET_EVERY
        elif route.answers >= NEW_ROUTE_ANSWERS and not (route.is_known or route.is_tried):
            # Once: among many requests of other routes hardly one of this may come meanwhile.
            self._quiet_left, route.is_tried = QUIET_ENOUGH, True

    def _waiting(self, load: float) -> float:
        """How many requests queue at the server, by how many times longer answers take."""
        return self._limit * (1 - 1 / max(load, 1.0))

    def _adjust(self) -> None:
        waiting = self._waiting(self._load)
        if waiting < LEAST_WAITING:
            grown = self._limit + (1.0 if self._is_starting else 1 / self._limit)
            self._limit = min(float(self._limits.max_concurrency), grown)
        elif waiting > MOST_WAITING:
            self._limit = max(1.0, self._limit - 1 / self._limit)

    def _shrink(self, admission: Admission) -> None:
        self._is_starting = False
        if admission.started >= self._shrunk_at:  # requests of before the last cut say nothing new
            self._limit = max(1.0, self._limit * SHRINK)
            self._shrunk_at = self._clock()

    def _keep_pace(self) -> None:
        if self._limits.requests_per_second is None:
            return
        with self._lock:
            start = max(self._clock(), self._next_start)
            self._next_start = start + 1 / self._limits.requests_per_second
            wait = start - self._clock()
        if wait > 0:
            self._sleep(wait)

    def _no_room(self) -> DifyUnavailable:
        return DifyUnavailable(
            f"no request could start, and none ended, for {self._limits.patience_seconds:.0f} s",
            where=f"{self._active} requests under way, limit {self.current}",
            hint="The server answers too slowly; look at its load, or allow fewer requests.",
        )
