"""Fetch many things at once with a bounded pool; hand results to the one thread that loads them."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

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
    tasks: Iterable[T], fetch: Callable[[T], R], *, workers: int
) -> Iterator[Fetched[T, R]]:
    """Run `fetch` for every task on up to `workers` threads; yield outcomes as they come.

    At most twice as many tasks as workers are under way or waiting to be taken, so memory stays
    bounded. A DifyError of one task is its outcome; a lost session or a bug ends everything.
    """
    left = iter(tasks)
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="fetch")
    running: dict[Future[R], T] = {}
    try:
        while True:
            for task in islice(left, 2 * workers - len(running)):
                running[pool.submit(fetch, task)] = task
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield _outcome(running.pop(future), future)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _outcome(task: T, future: "Future[R]") -> Fetched[T, R]:
    return attempt(task, future.result)


def attempt(task: T, fetch: Callable[[], R]) -> Fetched[T, R]:
    """Run `fetch` in this thread; a DifyError is its outcome, a lost session is raised."""
    try:
        return Fetched(task, fetch())
    except FATAL:
        raise
    except DifyError as error:
        return Fetched(task, None, error)
