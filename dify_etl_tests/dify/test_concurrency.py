"""The load on a server grows slowly, shrinks at once, and never stops for good."""

import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random
from statistics import median

import httpx
import pytest

from dify_etl.dify.errors import DifyUnavailable
from dify_etl.dify.http.adaptive_limit import AdaptiveLimit, Admission, RequestLimits
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.session import RetryPolicy
from dify_etl_tests.dify.pretend_server import PROFILE, PretendServer
from dify_etl_tests.dify.queueing_server import QueueingServer
from dify_etl_tests.dify.recordings import client


class Time:
    """A clock that moves when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(monotonic=lambda: self.now, sleep=self.sleep)


def limit_with(time: Time, limits: RequestLimits | None = None) -> AdaptiveLimit:
    return AdaptiveLimit(limits or RequestLimits(), clock=time.clock)


ONE_SLOT = RequestLimits(max_concurrency=1, patience_seconds=0.01)


def answer(limit: AdaptiveLimit, time: Time, *, seconds: float = 0.1, times: int = 1) -> None:
    for _ in range(times):
        with limit.slot() as admission:
            time.sleep(seconds)
            limit.succeeded("/x", admission)


def test_grows_with_good_answers_up_to_the_ceiling() -> None:
    """Quick answers earn one more request at a time, never beyond the ceiling."""
    time = Time()
    limit = limit_with(time)
    before = limit.current

    answer(limit, time, times=100)

    assert (before, limit.current) == (2, 8)


def test_overload_halves_down_to_one() -> None:
    """A server that pushes back gets half as much, but always one request."""
    time = Time()
    limit = limit_with(time)

    for _ in range(6):
        time.sleep(1)
        limit.overloaded(Admission(time.now, company=1))

    assert limit.current == 1


def test_requests_of_one_wave_count_once() -> None:
    """Eight refusals of requests that were under way together halve the limit once."""
    time = Time()
    limit = limit_with(time)
    answer(limit, time, times=100)
    together = Admission(time.now, company=8)
    time.sleep(1)

    for _ in range(8):
        limit.overloaded(together)

    assert limit.current == 4


def test_unusually_slow_answer_means_load() -> None:
    """An answer far slower than usual for its route shrinks the limit."""
    time = Time()
    limit = limit_with(time)
    answer(limit, time, times=100)

    answer(limit, time, seconds=5)

    assert limit.current == 4


def test_route_that_is_always_slow_is_no_load() -> None:
    """A route that takes seconds by nature does not hold the others back."""
    time = Time()
    limit = limit_with(time)

    answer(limit, time, seconds=5, times=100)

    assert limit.current == 8


def test_answers_that_wait_for_our_own_work_say_nothing() -> None:
    """While a commit holds the process up, slow answers move no limit; pushing back still does."""
    time = Time()
    limit = limit_with(time)
    answer(limit, time, times=100)

    with limit.pause_learning():
        answer(limit, time, seconds=5, times=10)
        heard_before = limit.current
        with limit.slot() as late:
            pass
        limit.overloaded(late)
    limit.succeeded("/x", late)

    assert (heard_before, limit.current) == (8, 4)


def test_quiet_is_measured_again_only_below_the_cap() -> None:
    """At its cap with nobody waiting the limit stays: a new measurement could win nothing."""
    time = Time()
    limit = limit_with(time)
    seen = set()

    answer(limit, time, times=100)
    for _ in range(5_000):
        answer(limit, time)
        seen.add(limit.current)

    assert seen == {8}


def test_rare_route_among_others_is_measured_once() -> None:
    """Each measurement holds all routes down, and hardly one answer of a rare one comes in it."""
    limit = limit_with(Time())
    seen = [limit.current]

    for number in range(2_000):
        route = "/rare" if number % 20 == 0 else "/x"
        limit.succeeded(route, Admission(-0.1, company=limit.current))
        seen.append(limit.current)

    falls = sum(after < before for before, after in itertools.pairwise(seen))
    assert (falls, seen[-1]) == (1, 8)


def test_pace_is_kept() -> None:
    """At two requests a second the tenth starts after four and a half seconds."""
    time = Time()
    limit = limit_with(time, RequestLimits(requests_per_second=2))

    answer(limit, time, seconds=0, times=10)

    assert time.now == pytest.approx(4.5)


def test_nobody_waits_for_ever() -> None:
    """When no slot comes free in time, the caller is told how many requests are under way."""
    limit = limit_with(Time(), ONE_SLOT)

    with limit.slot(), pytest.raises(DifyUnavailable, match="1 requests under way"), limit.slot():
        pass


def test_failed_request_gives_its_slot_back() -> None:
    """An error inside does not leak the slot."""
    limit = limit_with(Time(), ONE_SLOT)

    with pytest.raises(KeyError), limit.slot():
        raise KeyError

    with limit.slot():
        assert limit.current == 1


def test_client_keeps_to_its_ceiling() -> None:
    """However many threads ask, the server never sees more requests at a time than allowed."""
    seen = Seen()
    limits = RequestLimits(max_concurrency=2)
    dify = client(PretendServer(), transport=seen.transport, limits=limits)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: dify.account.profile(), range(24)))

    assert seen.most <= 2


def test_client_is_gentler_with_a_struggling_server() -> None:
    """After refusals the client asks for less at a time."""
    struggling = PretendServer(answer=lambda request: httpx.Response(503, json={}))
    dify = client(
        struggling, retry=RetryPolicy(attempts=4), clock=Clock(sleep=lambda seconds: None)
    )
    before = dify.concurrency

    with pytest.raises(DifyUnavailable):
        dify.account.profile()

    assert (before, dify.concurrency) == (2, 1)


@pytest.mark.parametrize("slots", [2, 4, 16])
def test_settles_near_what_the_server_works_on_at_once(slots: int) -> None:
    """The limit stays a little above the server's own, and loses little of its throughput."""
    servers = [QueueingServer(slots=slots, chance=Random(seed)) for seed in range(5)]

    seconds = median(server.answer(4000) for server in servers)

    assert all(slots <= server.settled() <= slots + 4 for server in servers)
    assert seconds < 1.2 * 4000 * 0.26 / slots


def test_begin_goes_hardly_beyond_what_the_server_works_on() -> None:
    """The quick growth of the beginning ends with the first answers that waited."""
    for seed in range(5):
        server = QueueingServer(slots=4, chance=Random(seed))
        server.answer(200)
        assert 4 <= max(limit for _, limit in server.limits_seen) <= 12


def test_begin_reaches_the_ceiling_within_a_few_answers() -> None:
    """A server with room is used soon: each good answer allows one request more."""
    time = Time()
    limit = limit_with(time)
    answer(limit, time, times=16 + 6)
    assert limit.current == 8


def test_pushed_back_limit_grows_slowly() -> None:
    """After the server pushed back once, a round of answers allows one request more."""
    time = Time()
    limit = limit_with(time)
    answer(limit, time, times=16 + 6)
    with limit.slot() as admission:
        limit.overloaded(admission)
    answer(limit, time, times=6)
    assert limit.current == 5


def test_backs_off_when_answers_become_slow_and_recovers() -> None:
    """Other people's load takes the server's slots: the limit follows it down, and up again."""
    server = QueueingServer(slots=8)
    server.answer(2000)
    before = server.limit.current

    server.slowness, slowed_at = 8.0, server.now
    server.answer(200)
    under_load = min(limit for at, limit in server.limits_seen if at > slowed_at)
    server.slowness = 1.0
    server.answer(3000)

    assert before >= 8
    assert under_load <= 3
    assert server.limit.current >= 8


def test_backs_off_within_seconds_when_refused_and_recovers() -> None:
    """A short outage brings the limit down to one; good answers bring it back."""
    server = QueueingServer(slots=8)
    server.answer(2000)

    seconds = server.answer(40, is_failing=True)
    refused = server.limit.current
    server.answer(1500)

    assert (seconds < 10, refused) == (True, 1)
    assert server.limit.current >= 8


def test_payloads_of_very_different_size_do_not_choke_it() -> None:
    """Large and small answers of one route are no sign of load."""
    server = QueueingServer(slots=8, spread=0.8, max_concurrency=8)

    server.answer(4000)

    assert server.settled() >= 7


class Seen:
    """Counts how many requests are inside at once."""

    def __init__(self) -> None:
        self.inside = 0
        self.most = 0
        self.lock = threading.Lock()
        self.server = PretendServer(answer=lambda request: httpx.Response(200, json=PROFILE))
        self.transport = httpx.MockTransport(self)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self.lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
        time.sleep(0.002)
        response = self.server(request)
        with self.lock:
            self.inside -= 1
        return response


def test_slots_are_given_in_order_and_patience_begins_with_every_end() -> None:
    """Whoever asked first is first; a server that is slow, but answers, is not taken for dead."""
    limit = limit_with(Time(), RequestLimits(max_concurrency=1, patience_seconds=0.3))
    order: list[int] = []

    def ask(number: int) -> None:
        with limit.slot():
            order.append(number)
            time.sleep(0.12)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4, 5]
