"""Fetch many things at once with a bounded pool; hand results to the one thread that loads them."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from dataclasses import dataclass
from itertools import chain, islice
from queue import Empty, SimpleQueue
from threading import Condition, Thread
from typing import Generic, TypeVar, cast

from dify_etl.dify.errors import DifyError, LoginRefused, SessionLost
from dify_etl.errors import ActionableError
from dify_etl.sync.unforeseen import noted

T = TypeVar("T")
R = TypeVar("R")

# These concern every further request as well: going on would only repeat them.
FATAL = (LoginRefused, SessionLost)


def workers_for(requests: int) -> int:
    """Threads for so many requests at a time: one more, whose request takes the slot of an answer
    that is being parsed.
    """
    return requests + 1


@dataclass(frozen=True)
class Fetched(Generic[T, R]):
    """What came of one task: a result, or the error that Dify gave for it."""

    task: T
    result: R | None
    error: DifyError | None = None


@dataclass(frozen=True)
class Job(Generic[T, R]):
    """A task that knows what fetches it and where its outcome is kept: for tasks of many kinds."""

    task: T
    fetch: Callable[[T], R]
    outcomes: list[Fetched[T, R]]

    def run(self) -> R:
        """Fetch it."""
        return self.fetch(self.task)

    def keep(self, result: R | None, error: DifyError | None) -> None:
        """Keep what came of it."""
        self.outcomes.append(Fetched(self.task, result, error))


def jobs(
    tasks: Iterable[T], fetch: Callable[[T], R], outcomes: list[Fetched[T, R]]
) -> Iterator[Job[T, R]]:
    """Tasks of one kind as jobs."""
    return (Job(task, fetch, outcomes) for task in tasks)


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
    The threads work in the caller's context. A DifyError of one task is its outcome, and so is an
    error that nobody foresaw, as Unforeseen; a lost session ends everything.
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
    batches = fetch_batches(
        tasks, fetch, workers=workers, ahead=ahead, room=room, size=size, at_once=1
    )
    with closing(batches):
        yield from chain.from_iterable(batches)


def fetch_batches(
    tasks: Iterable[T],
    fetch: Callable[[T], Iterable[R]],
    *,
    workers: int,
    ahead: int | None = None,
    room: int | None = None,
    size: Callable[[R], int] = _one,
    at_once: int | None = None,
) -> Generator[list[Fetched[T, R]]]:
    """As `fetch_parts`: each time all that has come by then, which `room` and `at_once` bound."""
    most = ahead or 2 * workers
    fetching = _Fetching(fetch, workers=workers, room=_Room(room or most), size=size)
    left = iter(tasks)
    try:
        while True:
            fetching.check()
            for task in islice(left, most - len(fetching.pending)):
                fetching.begin(task)
            if not fetching.pending:
                return
            batch, held = fetching.take(at_once)
            if batch:
                yield batch
                batch.clear()  # or it would stay in memory while we wait for the next
            fetching.room.leave(held)
    finally:
        fetching.close()


class _Fetching(Generic[T, R]):
    """Threads at work; `pending` are the tasks that were begun and have not ended."""

    def __init__(
        self,
        fetch: Callable[[T], Iterable[R]],
        *,
        workers: int,
        room: _Room,
        size: Callable[[R], int],
    ) -> None:
        self.room = room
        self.pending: dict[Future[None], T] = {}
        self._fetch = fetch
        self._size = size
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="fetch")
        self._fatal: BaseException | None = None
        self._came: SimpleQueue[tuple[T, R, int] | Future[None]] = SimpleQueue()

    def check(self) -> None:
        """Raise the lost session that came, once all before it was taken."""
        if self._fatal is not None:
            raise self._fatal

    def begin(self, task: T) -> None:
        """Have a thread fetch it."""
        future = self._pool.submit(copy_context().run, self._work, task)
        self.pending[future] = task
        future.add_done_callback(self._came.put)

    def take(self, at_once: int | None) -> tuple[list[Fetched[T, R]], int]:
        """Wait for something to come; all that has come, up to `at_once`, and its size."""
        batch: list[Fetched[T, R]] = []
        held = 0
        for one in islice(_all_of(self._came), at_once):
            if isinstance(one, tuple):
                task, part, size = one
                batch.append(Fetched(task, part))
                held += size
                continue
            task, error = self.pending.pop(one), one.exception()
            if isinstance(error, Exception) and not isinstance(error, ActionableError):
                error = noted(error)
            if isinstance(error, DifyError) and not isinstance(error, FATAL):
                batch.append(Fetched(task, None, error))
            elif error is not None:
                self._fatal = error
                break
        return batch, held

    def close(self) -> None:
        """Begin nothing more, and wait for those at work."""
        self.room.close()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _work(self, task: T) -> None:
        for part in self._fetch(task):
            size = self._size(part)
            if not self.room.enter(size):
                return
            self._came.put((task, part, size))


def _all_of(came: SimpleQueue[R]) -> Iterator[R]:
    """Wait for one; then all that are there."""
    yield came.get()
    while True:
        try:
            yield came.get_nowait()
        except Empty:
            return


def map_together(fetch: Callable[[T], R], tasks: Sequence[T], *, workers: int) -> Iterator[R]:
    """A `map` on worker threads, results as they come; raises the first error."""
    for fetched in fetch_all(tasks, fetch, workers=min(workers, len(tasks))):
        if fetched.error is not None:
            raise fetched.error
        yield cast(R, fetched.result)


def in_background(fetch: Callable[[], R]) -> Future[R]:
    """Run `fetch` on a thread for which nobody waits who gives up meanwhile."""
    future: Future[R] = Future()

    def work() -> None:
        try:
            future.set_result(fetch())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=copy_context().run, args=(work,), daemon=True).start()
    return future


def attempt(task: T, fetch: Callable[[], R]) -> Fetched[T, R]:
    """Run `fetch` in this thread; a DifyError is its outcome, and an error that nobody foresaw; a
    lost session is raised, and so is what is no matter of Dify.
    """
    try:
        return Fetched(task, fetch())
    except FATAL:
        raise
    except DifyError as error:
        return Fetched(task, None, error)
    except ActionableError:
        raise
    except Exception as error:
        return Fetched(task, None, noted(error))
