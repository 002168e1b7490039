"""More threads than requests that may be under way: the cap is the client's to keep."""

import threading
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import httpx
from pydantic import SecretStr

from dify_etl.dify.client import DifyClient
from dify_etl.dify.http.adaptive_limit import RequestLimits
from dify_etl.sync.fetching import workers_for
from dify_etl_tests.sync.answers_changed import ChangedAnswers
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import quiet_world, talk
from dify_etl_tests.sync.workplace import NOW, ORIGIN, TALK, Workplace

CAP = 2


class Crowd:
    """Holds each answer for a moment; `most` is how many were held at a time, `threads` how many
    threads were alive at most.
    """

    def __init__(self) -> None:
        self.most = 0
        self.threads = 0
        self._held = 0
        self._lock = threading.Lock()

    def hold(self, path: str, answer: Any) -> Any:
        """Hold an answer until another may have come."""
        with self._lock:
            self._held += 1
            self.most = max(self.most, self._held)
            self.threads = max(self.threads, threading.active_count())
        threading.Event().wait(0.005)
        with self._lock:
            self._held -= 1
        return answer


def test_cap_holds_with_a_thread_more(workplace: Open) -> None:
    """One thread parses while the others ask; Dify never has more requests than it may."""
    place = workplace(quiet_world("chat")).with_rules(workers=workers_for(CAP))
    for hours in range(20):
        talk(place.world, at=NOW - timedelta(hours=hours))
    crowd = crowded(place, TALK)
    assert place.value("SELECT count(*) FROM raw.conversations") == 20
    assert crowd.most == CAP


def test_threads_are_the_workers_whatever_is_read(workplace: Open) -> None:
    """Several apps with lists of many pages: their pages are asked by the same workers, so that
    beside these only the threads that were there before are alive.
    """
    modes = ("chat", "agent-chat", "advanced-chat")
    place = workplace(quiet_world(*modes)).with_rules(workers=workers_for(CAP))
    for mode in modes:
        for minutes in range(250):
            talk(place.world, at=NOW - timedelta(minutes=minutes), mode=mode)
    place.read(["apps"])
    before = threading.active_count()
    crowd = crowded(place, ["conversations"])
    assert place.value("SELECT count(*) FROM raw.conversations") == 3 * 250
    assert crowd.threads - before == workers_for(CAP)


def crowded(place: Workplace, feeds: Sequence[str]) -> Crowd:
    """Read the feeds with CAP requests at once."""
    crowd = Crowd()
    account = place.world.account
    with DifyClient(
        ORIGIN,
        email=account.email,
        password=SecretStr(account.password or ""),
        transport=ChangedAnswers(httpx.WSGITransport(app=place.server), crowd.hold),
        limits=RequestLimits(max_concurrency=CAP),
    ) as dify:
        place.read(feeds, dify=dify)
    return crowd
