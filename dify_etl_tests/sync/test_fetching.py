"""Many fetches at once: bounded, each failure its own, fatal ones the end of all."""

import threading
from collections.abc import Generator, Iterator

import pytest

from dify_etl.dify.errors import DifyUnavailable, LoginRefused, NotFound, SessionLost, Unforeseen
from dify_etl.dify.http.usage import Usage
from dify_etl.sync.fetching import (
    fetch_all,
    fetch_batches,
    fetch_parts,
    in_background,
    map_together,
)
from dify_etl.warehouse.errors import WarehouseUnwritable

WORKERS = 3


def squared(number: int) -> int:
    """What the tests fetch."""
    return number * number


def test_every_task_has_its_outcome() -> None:
    """All results come back with their tasks, in whatever order."""
    found = {one.task: one.result for one in fetch_all(range(50), squared, workers=WORKERS)}
    assert found == {number: number * number for number in range(50)}


def test_no_task_is_no_outcome() -> None:
    """Without tasks nothing is fetched."""
    assert list(fetch_all([], squared, workers=WORKERS)) == []


def test_tasks_are_taken_as_they_can_be_fetched() -> None:
    """At most twice as many tasks as workers are taken ahead of what was consumed."""
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    consumed = 0
    for _ in fetch_all(tasks(), squared, workers=WORKERS):
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

    outcomes = fetch_all(tasks(), squared, workers=WORKERS, ahead=40)
    next(outcomes)
    assert len(taken) == 40


def test_large_results_wait_for_room() -> None:
    """While nobody takes results, each worker ends one more than there was room for."""
    fetched: list[int] = []

    def fetch(number: int) -> int:
        fetched.append(number)
        return number

    outcomes = fetch_all(
        range(100), fetch, workers=WORKERS, ahead=90, room=25, size=lambda number: 10
    )
    next(outcomes)
    threading.Event().wait(0.05)
    assert len(fetched) <= 1 + 3 + WORKERS
    assert len(list(outcomes)) == 99


def test_parts_come_before_their_task_has_ended() -> None:
    """Each part can be taken while the next is fetched; those of one task keep their order."""
    taken = threading.Event()

    def fetch(number: int) -> Iterator[int]:
        yield number * 10
        assert number or taken.wait(10)
        yield number * 10 + 1

    found: dict[int, list[int | None]] = {}
    for one in fetch_parts(range(5), fetch, workers=WORKERS):
        found.setdefault(one.task, []).append(one.result)
        taken.set()
    assert found == {number: [number * 10, number * 10 + 1] for number in range(5)}


def test_parts_wait_when_nobody_takes_them() -> None:
    """A task that brings more than may wait stands still until some are taken."""
    made: list[int] = []

    def fetch(number: int) -> Iterator[int]:
        for part in range(100):
            made.append(part)
            yield part

    parts = fetch_parts([0], fetch, workers=1, room=5)
    taken = [next(parts) for _ in range(3)]
    threading.Event().wait(0.05)
    assert len(made) <= len(taken) + 5 + 1
    assert len(list(parts)) == 97


def test_parts_before_an_error_are_good() -> None:
    """What came before Dify refused is an outcome too, and the refusal comes last."""

    def fetch(number: int) -> Iterator[int]:
        yield number
        raise NotFound("gone", where="GET /x", hint="")

    found = list(fetch_parts([7], fetch, workers=1))
    assert [(one.result, one.error is None) for one in found] == [(7, True), (None, False)]


def test_what_came_meanwhile_comes_together() -> None:
    """A slow loader is given all that is there, each time at least one, and every one once."""
    is_last = threading.Event()

    def fetch(number: int) -> tuple[int]:
        if number == 39:
            is_last.set()
        return (number,)

    batches = []
    for batch in fetch_batches(range(40), fetch, workers=WORKERS, ahead=40, room=40):
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

    def fetch(number: int) -> tuple[int]:
        if number == 5:
            is_lost.set()
            raise SessionLost("lost", where="GET /x", hint="")
        return (number,)

    def take_all() -> None:
        for batch in fetch_batches(range(9), fetch, workers=1, ahead=9, room=9):
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

    def fetch(number: int) -> Iterator[int]:
        try:
            while True:
                yield number
        finally:
            ended.set()

    parts = fetch_parts([1], fetch, workers=1)
    next(parts)
    assert isinstance(parts, Generator)
    parts.close()
    assert ended.wait(10)


def test_no_more_than_the_workers_run_at_once() -> None:
    """The pool is as large as it was told."""
    lock, running, most = threading.Lock(), 0, 0

    def fetch(number: int) -> int:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.002)
        with lock:
            running -= 1
        return number

    list(fetch_all(range(30), fetch, workers=WORKERS))
    assert 1 < most <= WORKERS


def test_failed_task_is_an_outcome_among_others() -> None:
    """What Dify refuses for one task does not touch the others."""

    def fetch(number: int) -> int:
        if number == 7:
            raise DifyUnavailable("down", where="GET /apps", hint="wait")
        return number

    failed = [one for one in fetch_all(range(20), fetch, workers=WORKERS) if one.error]
    assert [(one.task, one.result) for one in failed] == [(7, None)]


@pytest.mark.parametrize("error", [LoginRefused, SessionLost])
def test_lost_session_ends_everything(error: type[LoginRefused] | type[SessionLost]) -> None:
    """What concerns every further request is raised, and few tasks are tried after it."""
    tried: list[int] = []

    def fetch(number: int) -> int:
        tried.append(number)
        raise error("no", where="POST /login", hint="set the password")

    with pytest.raises(error):
        list(fetch_all(range(1000), fetch, workers=WORKERS))
    assert len(tried) <= 2 * WORKERS


def test_bug_costs_its_own_task() -> None:
    """An error that nobody foresaw is an outcome as well, with its place and without its words."""
    outcomes = {one.task: one for one in fetch_all([1, 0], lambda n: 1 // n, workers=WORKERS)}

    assert outcomes[1].result == 1
    assert isinstance(outcomes[0].error, Unforeseen)
    assert "ZeroDivisionError" in outcomes[0].error.what
    assert "in <lambda>" in outcomes[0].error.trace
    assert "by zero" not in str(outcomes[0].error) + outcomes[0].error.trace


def test_disk_that_is_full_is_no_outcome() -> None:
    """What is no matter of a task, such as a file that cannot be written, is raised."""

    def fetch(number: int) -> int:
        raise WarehouseUnwritable("full", where="home", hint="free space")

    with pytest.raises(WarehouseUnwritable):
        list(fetch_all([1], fetch, workers=WORKERS))


def test_consumer_that_stops_ends_the_fetching() -> None:
    """When the loader gives up, no further task is begun."""
    tried: list[int] = []

    def fetch(number: int) -> int:
        tried.append(number)
        return number

    outcomes = fetch_all(range(1000), fetch, workers=WORKERS)
    next(outcomes)
    assert isinstance(outcomes, Generator)
    outcomes.close()
    assert len(tried) <= 2 * WORKERS


def test_map_together_raises_the_error_of_a_task() -> None:
    """As with `map`, a failure is not an item of the result."""

    def ask(number: int) -> int:
        if number == 3:
            raise NotFound("gone", where="GET /x", hint="")
        return number

    with pytest.raises(NotFound):
        list(map_together(ask, range(5), workers=2))


def test_threads_count_under_the_label_of_their_caller() -> None:
    """Requests of worker threads belong to the feed that asked for them, however deep."""
    usage = Usage()

    def ask(number: int) -> list[str]:
        return [usage.label, *map_together(lambda _: usage.label, range(2), workers=2)]

    with usage.labelled("messages"):
        labels = list(map_together(ask, range(3), workers=2))

    assert labels == [["messages"] * 3] * 3
