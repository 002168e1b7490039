"""Many fetches at once: bounded, each failure its own, fatal ones the end of all."""

import gc
import threading
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import TypeVar

import pytest

from dify_etl.background import in_background
from dify_etl.dify.errors import DifyUnavailable, LoginRefused, NotFound, SessionLost, Unforeseen
from dify_etl.dify.http.usage import Usage
from dify_etl.sync.fetching import Fetched, FetchLimits, attempt, fetch, share
from dify_etl.sync.unforeseen import collected
from dify_etl.warehouse.errors import WarehouseUnwritable

WORKERS = 3
T = TypeVar("T")


def squared(number: int) -> int:
    """What the tests fetch."""
    return number * number


def test_every_task_has_its_outcome() -> None:
    """All results come back with their tasks, in whatever order."""
    found = {one.task: one.result for one in fetch(range(50), squared, FetchLimits(WORKERS))}
    assert found == {number: number * number for number in range(50)}


def test_no_task_is_no_outcome() -> None:
    """Without tasks nothing is fetched."""
    assert list(fetch([], squared, FetchLimits(WORKERS))) == []


def test_tasks_are_taken_as_they_can_be_fetched() -> None:
    """At most twice as many tasks as workers are taken ahead of what was consumed."""
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    consumed = 0
    for _ in fetch(tasks(), squared, FetchLimits(WORKERS)):
        consumed += 1
        assert len(taken) <= consumed + 2 * WORKERS
    assert consumed == 100


def test_more_is_fetched_ahead_when_told() -> None:
    """While nobody takes outcomes, as many tasks are done as were allowed, and none more."""
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    outcomes = iter(fetch(tasks(), squared, FetchLimits(WORKERS, lookahead=40)))
    next(outcomes)
    assert len(taken) == 40


def test_large_results_wait_for_room() -> None:
    """While nobody takes results, each worker ends one more than there was room for."""
    fetched: list[int] = []

    def work(number: int) -> int:
        fetched.append(number)
        return number

    outcomes = iter(
        fetch(range(100), work, FetchLimits(WORKERS, lookahead=90, buffered=25), size=lambda _: 10)
    )
    next(outcomes)
    threading.Event().wait(0.05)
    assert len(fetched) <= 1 + 3 + WORKERS
    assert len(list(outcomes)) == 99


def test_parts_come_before_their_task_has_ended() -> None:
    """Each part can be taken while the next is fetched; those of one task keep their order."""
    taken = threading.Event()

    def work(number: int) -> Iterator[int]:
        yield number * 10
        assert number or taken.wait(10)
        yield number * 10 + 1

    found: dict[int, list[int | None]] = {}
    for one in fetch(range(5), work, FetchLimits(WORKERS)):
        found.setdefault(one.task, []).append(one.result)
        taken.set()
    assert found == {number: [number * 10, number * 10 + 1] for number in range(5)}


def test_parts_wait_when_nobody_takes_them() -> None:
    """A task that brings more than may wait stands still until some are taken."""
    made: list[int] = []

    def work(number: int) -> Iterator[int]:
        for part in range(100):
            made.append(part)
            yield part

    parts = iter(fetch([0], work, FetchLimits(1, buffered=5)))
    taken = [next(parts) for _ in range(3)]
    threading.Event().wait(0.05)
    assert len(made) <= len(taken) + 5 + 1
    assert len(list(parts)) == 97


def test_parts_before_an_error_are_good() -> None:
    """What came before Dify refused is an outcome too, and the refusal comes last."""

    def work(number: int) -> Iterator[int]:
        yield number
        raise NotFound("gone", where="GET /x", hint="")

    found = list(fetch([7], work, FetchLimits(1)))
    assert [(one.result, one.error is None) for one in found] == [(7, True), (None, False)]


def test_what_came_meanwhile_comes_together() -> None:
    """A slow loader is given all that is there, each time at least one, and every one once."""
    is_last = threading.Event()

    def work(number: int) -> int:
        if number == 39:
            is_last.set()
        return number

    batches = []
    for batch in fetch(range(40), work, FetchLimits(WORKERS, 40, 40)).batches():
        batches.append([one.result for one in batch])
        assert is_last.wait(10)
    found = [one for batch in batches for one in batch]
    assert sorted(one for one in found if one is not None) == list(range(40))
    assert [] not in batches
    assert max(map(len, batches)) > WORKERS


def test_what_came_before_a_lost_session_is_taken() -> None:
    """A fatal error ends everything, but no good part that came before it is thrown away."""
    found: list[int | None] = []
    is_lost = threading.Event()

    def work(number: int) -> int:
        if number == 5:
            is_lost.set()
            raise SessionLost("lost", where="GET /x", hint="")
        return number

    def take_all() -> None:
        for batch in fetch(range(9), work, FetchLimits(1, 9, 9)).batches():
            found.extend(one.result for one in batch)
            assert is_lost.wait(10)
            threading.Event().wait(0.05)  # the error stands behind the others now

    with pytest.raises(SessionLost):
        take_all()
    assert found == [0, 1, 2, 3, 4]


def test_caller_that_gives_up_does_not_wait_for_what_it_began() -> None:
    """What was begun beside is a future: its result, or its error, when somebody asks for it."""
    assert in_background(lambda: 7).result() == 7
    forever = threading.Event()
    begun = in_background(forever.wait)
    with pytest.raises(TimeoutError):
        begun.result(timeout=0.01)
    forever.set()
    with pytest.raises(LoginRefused):
        in_background(refused).result()


def refused() -> None:
    """What a server does that does not know us."""
    raise LoginRefused("refused", where="POST /login", hint="")


def test_consumer_that_stops_ends_waiting_parts() -> None:
    """Threads that wait for room end when nobody takes their parts any more."""
    ended = threading.Event()

    def work(number: int) -> Iterator[int]:
        try:
            while True:
                yield number
        finally:
            ended.set()

    parts = iter(fetch([1], work, FetchLimits(1)))
    next(parts)
    parts.close()
    assert ended.wait(10)


def test_no_more_than_the_workers_run_at_once() -> None:
    """The pool is as large as it was told."""
    lock, running, most = threading.Lock(), 0, 0

    def work(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.002)
        with lock:
            running -= 1
        return number

    list(fetch(range(30), work, FetchLimits(WORKERS)))
    assert 1 < most <= WORKERS


def test_failed_task_is_an_outcome_among_others() -> None:
    """What Dify refuses for one task does not touch the others."""

    def work(number: int) -> int:
        if number == 7:
            raise DifyUnavailable("down", where="GET /apps", hint="wait")
        return number

    failed = [one for one in fetch(range(20), work, FetchLimits(WORKERS)) if one.error]
    assert [(one.task, one.result) for one in failed] == [(7, None)]


@pytest.mark.parametrize("error", [LoginRefused, SessionLost])
def test_lost_session_ends_everything(error: type[LoginRefused] | type[SessionLost]) -> None:
    """What concerns every further request is raised, and few tasks are tried after it."""
    tried: list[int] = []

    def work(number: int) -> int:
        tried.append(number)
        raise error("no", where="POST /login", hint="set the password")

    with pytest.raises(error):
        list(fetch(range(1000), work, FetchLimits(WORKERS)))
    assert len(tried) <= 2 * WORKERS


def test_bug_costs_its_own_task() -> None:
    """An error that nobody foresaw is an outcome as well, with its place and without its words."""
    outcomes = {one.task: one for one in fetch([1, 0], lambda n: 1 // n, FetchLimits(WORKERS))}

    assert outcomes[1].result == 1
    assert isinstance(outcomes[0].error, Unforeseen)
    assert "ZeroDivisionError" in outcomes[0].error.what
    assert "in <lambda>" in outcomes[0].error.trace
    assert "by zero" not in str(outcomes[0].error) + outcomes[0].error.trace


def test_disk_that_is_full_is_no_outcome() -> None:
    """What is no matter of a task, such as a file that cannot be written, is raised."""

    def work(number: int) -> int:
        raise WarehouseUnwritable("full", where="home", hint="free space")

    with pytest.raises(WarehouseUnwritable):
        list(fetch([1], work, FetchLimits(WORKERS)))


def test_consumer_that_stops_ends_the_fetching() -> None:
    """When the loader gives up, no further task is begun."""
    tried: list[int] = []

    def work(number: int) -> int:
        tried.append(number)
        return number

    outcomes = iter(fetch(range(1000), work, FetchLimits(WORKERS)))
    next(outcomes)
    outcomes.close()
    assert len(tried) <= 2 * WORKERS


def spread(tasks: int, pages: int, ask: Callable[[int], T], *, workers: int) -> list[list[T]]:
    """What tasks receive that ask several pages each."""

    def work(number: int) -> list[T]:
        return list(share(ask, range(pages)))

    found = []
    for one in fetch(range(tasks), work, FetchLimits(workers)):
        if one.error is not None:
            raise one.error
        assert one.result is not None
        found.append(one.result)
    return found


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_page_of_every_task_comes(workers: int) -> None:
    """Tasks that wait for their pages do not lock each other out, not even with one worker."""
    found = spread(8, 30, squared, workers=workers)
    assert [sorted(pages) for pages in found] == [[page * page for page in range(30)]] * 8


def test_pages_are_asked_by_the_workers_of_their_tasks() -> None:
    """However many tasks ask pages: no more threads than workers, and pages at once."""
    meeting = threading.Barrier(WORKERS)

    def ask(number: int) -> str:
        meeting.wait(10)
        return threading.current_thread().name

    found = spread(1, 2 * WORKERS, ask, workers=WORKERS)
    assert len(set(found[0])) == WORKERS
    busy = spread(9, 20, lambda _: threading.current_thread().name, workers=WORKERS)
    assert len({name for names in busy for name in names}) <= WORKERS


def test_pages_are_asked_before_new_tasks() -> None:
    """What was begun ends first: a worker that comes free helps with it."""
    order: list[str] = []
    both, is_sharing = threading.Barrier(2), threading.Event()

    def ask(page: int) -> None:
        is_sharing.set()
        both.wait(10)
        order.append("page")

    def work(number: int) -> None:
        if number == 0:
            list(share(ask, range(4)))
        else:
            assert is_sharing.wait(10)  # the other worker has begun its task
            order.append("task")

    list(fetch(range(4), work, FetchLimits(2, lookahead=4)))
    # At most the task that the second worker had taken before there was a page.
    assert order.index("page") <= 1
    assert order.count("page") == 4


def test_pages_wait_when_their_task_does_not_take_them() -> None:
    """At most twice as many pages as workers are asked ahead: memory stays bounded."""
    asked: list[int] = []
    found: list[int] = []

    def ask(page: int) -> int:
        asked.append(page)
        return page

    def work(number: int) -> Iterator[int]:
        for page in share(ask, range(100)):
            found.append(page)
            yield page

    outcomes = iter(fetch([0], work, FetchLimits(WORKERS, buffered=1)))
    next(outcomes)
    threading.Event().wait(0.05)
    assert len(asked) <= len(found) + 2 * WORKERS
    assert len(list(outcomes)) == 99


def test_first_error_of_a_page_ends_the_pages() -> None:
    """As with `map`, a failure is not an item of the result; the other tasks go on."""

    def ask(number: int) -> int:
        if number == 3:
            raise NotFound("gone", where="GET /x", hint="")
        return number

    with pytest.raises(NotFound):
        spread(1, 5, ask, workers=2)


def test_bug_in_a_page_costs_its_task_and_is_noted_once() -> None:
    """An error that nobody foresaw in a page is that of the task that asked for it."""
    met: list[Unforeseen] = []
    with collected(met), pytest.raises(Unforeseen):
        spread(1, 3, lambda page: 1 // page, workers=2)
    assert len(met) == 1


def test_task_that_breaks_off_leaves_no_page_behind() -> None:
    """When a walk ends early, no page of it is asked any more, and none is under way."""
    asked: list[int] = []
    after: list[int] = []

    def work(number: int) -> None:
        pages = share(lambda page: asked.append(page), range(100))
        next(pages)
        assert isinstance(pages, Generator)
        pages.close()
        before = len(asked)
        threading.Event().wait(0.02)
        after.append(len(asked) - before)

    list(fetch([0], work, FetchLimits(WORKERS)))
    assert after == [0]
    assert len(asked) <= 2 * WORKERS


def test_consumer_that_stops_ends_the_pages() -> None:
    """A long list is not read to its end when the loader gives up."""
    asked: list[int] = []

    def work(number: int) -> Iterator[int]:
        yield number
        for _ in share(lambda page: asked.append(page), range(100_000)):
            threading.Event().wait(0.001)

    outcomes = iter(fetch([0], work, FetchLimits(WORKERS)))
    next(outcomes)
    outcomes.close()
    assert len(asked) < 1_000


def test_outside_of_a_fetch_pages_come_one_by_one() -> None:
    """A thread that is no worker asks the pages itself, in their order."""
    assert list(share(squared, range(4))) == [0, 1, 4, 9]


def test_worker_starts_no_workers() -> None:
    """Pools inside pools would be more threads than anybody allowed: that is a bug, and found."""
    (one,) = fetch([0], lambda _: list(fetch([1], squared, FetchLimits(2))), FetchLimits(2))
    assert isinstance(one.error, Unforeseen)


def test_attempt_is_one_task_in_this_thread() -> None:
    """Its outcomes are those of a fetch: a result, an error; a lost session is raised."""
    assert attempt(3, lambda: squared(3)) == Fetched(3, 9)
    assert isinstance(attempt(0, lambda: 1 // 0).error, Unforeseen)
    with pytest.raises(LoginRefused):
        attempt(0, refused)


def test_workers_count_under_the_label_of_their_caller() -> None:
    """Requests of workers belong to the feed that asked for them, those of pages as well."""
    usage = Usage()
    with usage.labelled("messages"):
        labels = spread(3, 4, lambda _: usage.label, workers=2)
    assert labels == [["messages"] * 4] * 3


def test_outcome_keeps_no_answer_alive() -> None:
    """An error holds the frames that it came through, and thousands wait for their commit."""

    class Answer:
        """A large one."""

    held: list[weakref.ref[Answer]] = []

    def ask(number: int) -> int:
        answer = Answer()
        held.append(weakref.ref(answer))
        try:
            raise KeyError(number)
        except KeyError as error:
            raise NotFound("it is gone", where="GET /messages", hint="Look.") from error

    outcomes = list(fetch(range(4), ask, FetchLimits(WORKERS)))
    assert all(isinstance(one.error, NotFound) for one in outcomes)
    gc.collect()
    assert [answer() for answer in held] == [None] * 4
