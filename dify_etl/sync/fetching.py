"""Fetch many things at once with a bounded pool; hand results to the one thread that loads them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from threading import Condition
from typing import Generic, TypeVar, cast

from dify_etl.dify.errors import DifyError, LoginRefused, SessionLost

T = TypeVar("T")
R = TypeVar("R")

# These concern every further request as well: going on would only repeat them.
FATAL = (LoginRefused, SessionLost)


@dataclass(frozen=True)
class Fetched(Generic[T, R]):
    """What came of one task: a result, or the error that Dify gave for it."""

    task: T
    result: R | None
    error: DifyError | None = None


class _Room:
    """Results that wait to be taken, up to a sum of sizes: one comes in while there is any room."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._is_closed = False
        self._changed = Condition()

    def enter(self, size: int) -> bool:
        """Wait for room; False when nobody takes anything any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._held < self._most or self._is_closed)
            self._held += size
            return not self._is_closed

    def leave(self, size: int) -> None:
        """Something was taken."""
        with self._changed:
            self._held -= size
            self._changed.notify_all()

    def close(self) -> None:
        """Let those go who wait."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


def _one(result: object) -> int:
    return 1


def fetch_all(
    tasks: Iterable[T],
    fetch: Callable[[T], R],
    *,
    workers: int,
    ahead: int | None = None,
    room: int | None = None,
    size: Callable[[R], int] = _one,
) -> Iterator[Fetched[T, R]]:
    """Run `fetch` for every task on up to `workers` threads; yield outcomes as they come.

    At most `ahead` tasks (twice as many as workers unless told) are under way or wait to be taken;
    tell more where results are small, so that fetching goes on while they are loaded. Threads wait
    while results of `room` altogether, by their `size`, wait to be taken: so memory stays bounded.
    The threads work in the caller's context. A DifyError of one task is its outcome; a lost session
    or a bug ends everything.
    """
    return fetch_parts(
        tasks, lambda task: (fetch(task),), workers=workers, ahead=ahead, room=room, size=size
    )


def fetch_parts(
    tasks: Iterable[T],
    fetch: Callable[[T], Iterable[R]],
    *,
    workers: int,
    ahead: int | None = None,
    room: int | None = None,
    size: Callable[[R], int] = _one,
) -> Iterator[Fetched[T, R]]:
    """As `fetch_all`, for results that come in parts: each is yielded as it comes, those of one
    task in their order. An error comes after the parts that were good.
    """
    left, most = iter(tasks), ahead or 2 * workers
    waiting = _Room(room or most)
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="fetch")
    pending: dict[Future[None], T] = {}
    came: SimpleQueue[tuple[T, R, int] | Future[None]] = SimpleQueue()

    def work(task: T) -> None:
        for part in fetch(task):
            length = size(part)
            if not waiting.enter(length):
                return
            came.put((task, part, length))

    try:
        while True:
            for task in islice(left, most - len(pending)):
                future = pool.submit(copy_context().run, work, task)
                pending[future] = task
                future.add_done_callback(came.put)
            if not pending:
                return
            one = came.get()
            if isinstance(one, tuple):
                task, part, length = one
                yield Fetched(task, part)
                waiting.leave(length)
                continue
            task = pending.pop(one)
            ended = attempt(task, one.result)
            if ended.error is not None:
                yield Fetched(task, None, ended.error)
    finally:
        waiting.close()
        pool.shutdown(wait=True, cancel_futures=True)


def map_together(fetch: Callable[[T], R], tasks: Sequence[T], *, workers: int) -> Iterator[R]:
    """A `map` on worker threads, results as they come; raises the first error."""
    for fetched in fetch_all(tasks, fetch, workers=min(workers, len(tasks))):
        if fetched.error is not None:
            raise fetched.error
        yield cast(R, fetched.result)


def attempt(task: T, fetch: Callable[[], R]) -> Fetched[T, R]:
    """Run `fetch` in this thread; a DifyError is its outcome, a lost session is raised."""
    try:
        return Fetched(task, fetch())
    except FATAL:
        raise
    except DifyError as error:
        return Fetched(task, None, error)
