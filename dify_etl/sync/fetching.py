"""Fetch many things at once with a bounded pool; hand results to the one thread that loads them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from itertools import islice
from queue import SimpleQueue
from threading import Event, Semaphore
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


def fetch_all(
    tasks: Iterable[T], fetch: Callable[[T], R], *, workers: int, ahead: int | None = None
) -> Iterator[Fetched[T, R]]:
    """Run `fetch` for every task on up to `workers` threads; yield outcomes as they come.

    At most `ahead` tasks (twice as many as workers unless told) are under way or waiting to be
    taken, so memory stays bounded: tell more where results are small, so that fetching goes on
    while they are loaded. The threads work in the caller's context. A DifyError of one task is
    its outcome; a lost session or a bug ends everything.
    """
    return fetch_parts(tasks, lambda task: (fetch(task),), workers=workers, ahead=ahead)


def fetch_parts(
    tasks: Iterable[T], fetch: Callable[[T], Iterable[R]], *, workers: int, ahead: int | None = None
) -> Iterator[Fetched[T, R]]:
    """As `fetch_all`, for results that come in parts: each is yielded as it comes, those of one
    task in their order. At most `ahead` parts wait to be taken. An error comes after the parts that
    were good.
    """
    left, most = iter(tasks), ahead or 2 * workers
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="fetch")
    pending: dict[Future[None], T] = {}
    came: SimpleQueue[Fetched[T, R] | Future[None]] = SimpleQueue()
    room = Semaphore(most)
    is_over = Event()

    def work(task: T) -> None:
        for part in fetch(task):
            room.acquire()
            if is_over.is_set():
                return
            came.put(Fetched(task, part))

    try:
        while True:
            for task in islice(left, most - len(pending)):
                future = pool.submit(copy_context().run, work, task)
                pending[future] = task
                future.add_done_callback(came.put)
            if not pending:
                return
            one = came.get()
            if isinstance(one, Fetched):
                yield one
                room.release()
                continue
            task = pending.pop(one)
            ended = attempt(task, one.result)
            if ended.error is not None:
                yield Fetched(task, None, ended.error)
    finally:
        is_over.set()
        room.release(workers)
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
