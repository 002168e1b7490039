"""Fetch many things at once on a few threads; hand what comes to the one thread that loads it."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Condition, Thread, current_thread
from typing import Generic, TypeVar, cast, overload

from dify_etl.dify.errors import DifyError, LoginRefused, SessionLost
from dify_etl.errors import ActionableError
from dify_etl.interrupts import check_interrupt
from dify_etl.sync.turns import others_go_on, turns
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
class FetchLimits:
    """How much is fetched at once, how far ahead of the loading, and how much of it may wait.

    `workers`: threads that fetch, whatever the tasks do; pages of one list that are asked together
    are shared out among the same threads. Why: each thread costs memory and holds up the others
    while it parses. (How many requests Dify gets at once is bounded in DifyClient, and adapts.)
    With 9 workers and 12 apps to list, nine lists begin, and no more than nine threads exist.

    `lookahead`: tasks that are begun and not yet taken by the loading thread, twice the workers
    unless set. Why: while it commits, which takes a second, nothing is taken, and the workers need
    tasks to go on with. Set it high for short tasks: 400 conversations of one request each keep 9
    workers busy during a commit, 18 do not. The tasks themselves are made no earlier than this.

    `buffered`: results that wait to be taken, by the sum of their sizes; as many as `lookahead`
    unless set. Why: a count of tasks does not bound memory, since one conversation holds a message
    and another 5,000. A worker waits with its result while the buffer is full. One result goes in
    whenever there is any room, so that one larger than the buffer is no deadlock: with 2,000
    buffered and 9 workers that bring 5,000 each, 2,000 + 9 * 5,000 is the most that is in memory.
    """

    workers: int
    lookahead: int | None = None
    buffered: int | None = None

    @property
    def most_tasks(self) -> int:
        """`lookahead`, or its default."""
        return self.lookahead or 2 * self.workers

    @property
    def most_buffered(self) -> int:
        """`buffered`, or its default."""
        return self.buffered or self.most_tasks


@dataclass(frozen=True)
class Fetched(Generic[T, R]):
    """What came of one task: a result, or the error that Dify gave for it."""

    task: T
    result: R | None
    error: DifyError | None = None


def _one(result: object) -> int:
    return 1


@overload
def fetch(
    tasks: Iterable[T],
    work: Callable[[T], Iterator[R]],
    limits: FetchLimits,
    *,
    size: Callable[[R], int] = _one,
) -> "Outcomes[T, R]": ...


@overload
def fetch(
    tasks: Iterable[T],
    work: Callable[[T], R],
    limits: FetchLimits,
    *,
    size: Callable[[R], int] = _one,
) -> "Outcomes[T, R]": ...


def fetch(
    tasks: Iterable[T],
    work: Callable[[T], R | Iterator[R]],
    limits: FetchLimits,
    *,
    size: Callable[[R], int] = _one,
) -> "Outcomes[T, R]":
    """Run `work` for every task on worker threads; iterate once over what comes of them, as it
    comes.

    Work that returns a value has one outcome. Work that yields has one for each part, as soon as
    it is there and in order, and none when nothing is yielded; a good part stays good when an error
    comes after it. `size` is what a result counts in the buffer. The workers run in the context of
    the thread that iterates, so that requests count for its feed.

    A DifyError of one task is its outcome, and so is an error that nobody foresaw, as Unforeseen.
    Raised are a lost session, once all that came before it was taken, and what is no matter of
    Dify, such as a full disk. When the loop over the outcomes ends early, by `break`, an error or
    Ctrl-C, nothing more is begun, and the workers end with the request that they are at.

        for fetched in fetch(runs, read_detail, FetchLimits(workers=9, lookahead=200)):
            ...

    To be called from the one thread that loads: a worker asks several pages with `share` instead.
    """
    if isinstance(current_thread(), _Worker):
        raise RuntimeError("a worker shares its pages out; it does not start workers of its own")
    return Outcomes(tasks, work, limits, size)


def share(ask: Callable[[T], R], pages: Iterable[T]) -> Iterator[R]:
    """A `map` for a task that can ask several things at once, such as the pages of a list: the
    workers of its fetch help. Results come as they are answered; the first error is raised.

    The task's own worker asks as well, so that it never waits for a worker to become free: with one
    worker, or on a thread that is none, this is `map`. Workers take such pages before they begin
    new tasks, because what is begun holds memory until it ends. At most twice as many pages as
    workers are asked and not yet taken.
    """
    worker = current_thread()
    return worker.pool.share(ask, pages) if isinstance(worker, _Worker) else map(ask, pages)


def attempt(task: T, work: Callable[[], R]) -> Fetched[T, R]:
    """Run `work` in this thread; its outcome, or what it raises, as `fetch` would have it."""
    try:
        return Fetched(task, work())
    except Exception as error:
        return Fetched(task, None, _outcome(error))


def _outcome(error: BaseException) -> DifyError:
    """The error as the outcome of the task that met it; raises one that concerns all tasks."""
    if isinstance(error, Exception) and not isinstance(error, ActionableError):
        error = noted(error)
    if isinstance(error, DifyError) and not isinstance(error, FATAL):
        return without_frames(error)
    raise error


def without_frames(error: DifyError) -> DifyError:
    """The error, without the frames through which it came: these hold the answers that were read,
    and outcomes wait in thousands until they are committed.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


@dataclass(frozen=True)
class Outcomes(Generic[T, R]):
    """What comes of the tasks of one `fetch`; to be iterated once, one by one or in batches."""

    tasks: Iterable[T]
    work: Callable[[T], R | Iterator[R]]
    limits: FetchLimits
    size: Callable[[R], int]

    def __iter__(self) -> Generator[Fetched[T, R]]:
        """One outcome at a time; each leaves the buffer when the next is asked for."""
        with closing(self._taken(at_most=1)) as batches:
            for batch in batches:
                yield from batch

    def batches(self) -> Generator[list[Fetched[T, R]]]:
        """Each time all that has come by then, at least one: the slower the loading, the larger.

        A batch stays in the buffer until the next is asked for, when its list is emptied.
        """
        return self._taken(at_most=None)

    def _taken(self, at_most: int | None) -> Generator[list[Fetched[T, R]]]:
        fetching = _Fetching(self.work, self.limits, self.size)
        left = iter(self.tasks)
        try:
            while True:
                fetching.check()
                for task in islice(left, self.limits.most_tasks - fetching.begun):
                    fetching.begin(task)
                if not fetching.begun:
                    return
                batch, buffered = fetching.take(at_most)
                if batch:
                    yield batch
                    batch.clear()  # or it would stay in memory while we wait for the next
                fetching.buffer.release(buffered)
        finally:
            fetching.close()


@dataclass(frozen=True)
class _Part(Generic[T, R]):
    """A result on its way to the loading thread, or with `is_last` the end of its task."""

    task: T
    result: R | None = None
    size: int = 0
    is_last: bool = False
    error: BaseException | None = None


class _Fetching(Generic[T, R]):
    """The workers of one fetch and what they have brought; `begun` counts tasks not ended yet."""

    def __init__(
        self,
        work: Callable[[T], R | Iterator[R]],
        limits: FetchLimits,
        size: Callable[[R], int],
    ) -> None:
        self.begun = 0
        self.buffer = _CapacityLimiter(limits.most_buffered)
        self._work = work
        self._size = size
        self._pool = _Pool(limits.workers)
        self._fatal: BaseException | None = None
        self._came: SimpleQueue[_Part[T, R] | None] = SimpleQueue()  # None: to look for tasks
        self._open = ExitStack()
        if (found := turns()) is not None:
            self._open.enter_context(found.waking(lambda: self._came.put(None)))

    def check(self) -> None:
        """Raise the error that ends all, once what came before it was taken; and Ctrl-C."""
        check_interrupt()
        if self._fatal is not None:
            raise self._fatal

    def begin(self, task: T) -> None:
        """Have a worker do it, in the context of the caller."""
        self.begun += 1
        self._pool.submit(partial(copy_context().run, self._do, task))

    def take(self, at_most: int | None) -> tuple[list[Fetched[T, R]], int]:
        """Wait for something to come; what has come, up to `at_most`, and its size. Nothing when
        another feed has news, which may bring further tasks.
        """
        batch: list[Fetched[T, R]] = []
        size = 0
        for part in islice(_all_of(self._came), at_most):
            if part is None:
                continue
            size += part.size
            if not part.is_last:
                batch.append(Fetched(part.task, part.result))
                continue
            self.begun -= 1
            if part.error is not None:
                try:
                    batch.append(Fetched(part.task, None, _outcome(part.error)))
                except BaseException as error:
                    self._fatal = error
                    break
        return batch, size

    def close(self) -> None:
        """Begin nothing more, and wait for the workers."""
        self._open.close()
        self.buffer.close()
        with others_go_on(is_checked=False):
            self._pool.close()

    def _do(self, task: T) -> None:
        """On a worker: bring the parts of a task, and then its end."""
        error: BaseException | None = None
        try:
            found = self._work(task)
            parts = found if isinstance(found, Iterator) else iter((found,))
            for part in parts:
                size = self._size(part)
                if not self.buffer.acquire(size):
                    break
                self._came.put(_Part(task, part, size))
        except BaseException as met:
            error = met
        self._came.put(_Part(task, is_last=True, error=error))


class _CapacityLimiter:
    """Lets results pass up to a sum of sizes; one passes while there is any capacity left."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._borrowed = 0
        self._is_closed = False
        self._changed = Condition()

    def acquire(self, size: int) -> bool:
        """Wait for capacity; False when nobody takes results any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._borrowed < self._total or self._is_closed)
            self._borrowed += size
            return not self._is_closed

    def release(self, size: int) -> None:
        """Give capacity back."""
        with self._changed:
            self._borrowed -= size
            self._changed.notify_all()

    def close(self) -> None:
        """Let those go who wait."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()


class _Worker(Thread):
    """A thread of a pool. A daemon: the process ends without those that a second Ctrl-C left."""

    def __init__(self, pool: "_Pool", number: int) -> None:
        super().__init__(name=f"fetch-{number}", daemon=True)
        self.pool = pool

    def run(self) -> None:
        while (job := self.pool.next_job()) is not None:
            job()


class _Pool:
    """Workers, started when there is something to do and none is idle. Jobs raise nothing.

    A ThreadPoolExecutor has one order, first come first served; here pages go before tasks.
    """

    def __init__(self, workers: int) -> None:
        self._most = workers
        self._workers: list[_Worker] = []
        self._idle = 0
        self._jobs: deque[Callable[[], None]] = deque()
        self._is_closed = False
        self._changed = Condition()

    def submit(self, job: Callable[[], None], *, is_first: bool = False) -> None:
        """Have the job done behind the others, or before them."""
        with self._changed:
            if self._is_closed:
                return
            (self._jobs.appendleft if is_first else self._jobs.append)(job)
            if self._idle >= len(self._jobs):
                self._changed.notify()
            elif len(self._workers) < self._most:
                self._workers.append(_Worker(self, len(self._workers)))
                self._workers[-1].start()

    def next_job(self) -> Callable[[], None] | None:
        """Wait for a job; None when the pool is closed."""
        with self._changed:
            self._idle += 1
            self._changed.wait_for(lambda: self._jobs or self._is_closed)
            self._idle -= 1
            return None if self._is_closed else self._jobs.popleft()

    def close(self) -> None:
        """Forget the jobs that nobody has begun, and wait for the workers."""
        with self._changed:
            self._is_closed = True
            self._jobs.clear()
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()

    def share(self, ask: Callable[[T], R], pages: Iterable[T]) -> Generator[R]:
        """See the function of this name: called by one of the workers."""
        left = iter(pages)
        waiting: deque[Callable[[], None]] = deque()
        came: SimpleQueue[_Answer[R]] = SimpleQueue()
        asked = 0  # and not yet taken

        def ask_next() -> None:
            with suppress(IndexError):  # another worker took it
                job = waiting.popleft()
                job()

        try:
            while True:
                for page in islice(left, 2 * self._most - asked):
                    asked += 1
                    waiting.append(partial(copy_context().run, _ask, ask, page, came))
                    self.submit(ask_next, is_first=True)
                if not asked:
                    return
                if came.empty():
                    ask_next()
                answer = came.get()
                asked -= 1
                if self._is_closed:
                    raise _Stopped
                if answer.error is not None:
                    raise answer.error
                yield cast(R, answer.result)
        finally:
            while waiting:
                with suppress(IndexError):
                    waiting.popleft()
                    asked -= 1
            for _ in range(asked):  # those that others are at: no page is asked behind our back
                came.get()


class _Stopped(Exception):
    """The fetch was closed while a list was being read."""


@dataclass(frozen=True)
class _Answer(Generic[R]):
    result: R | None = None
    error: BaseException | None = None


def _ask(ask: Callable[[T], R], page: T, came: "SimpleQueue[_Answer[R]]") -> None:
    try:
        came.put(_Answer(ask(page)))
    except BaseException as error:
        came.put(_Answer(error=error))


def _all_of(came: "SimpleQueue[R]") -> Iterator[R]:
    """Wait for one, while other feeds go on; then all that are there."""
    with others_go_on():
        first = came.get()
    yield first
    while True:
        try:
            yield came.get_nowait()
        except Empty:
            return
