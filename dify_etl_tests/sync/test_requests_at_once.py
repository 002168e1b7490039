"""More threads than requests that may be under way: the cap is the client's to keep."""

import threading
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
from dify_etl_tests.sync.workplace import NOW, ORIGIN, TALK

CAP = 2


class Crowd:
    """Holds each answer for a moment; `most` is how many were held at a time."""

    def __init__(self) -> None:
        self.most = 0
        self._held = 0
        self._lock = threading.Lock()

    def hold(self, path: str, answer: Any) -> Any:
        """Hold an answer until another may have come."""
        with self._lock:
            self._held += 1
            self.most = max(self.most, self._held)
        threading.Event().wait(0.005)
        with self._lock:
            self._held -= 1
        return answer


def test_cap_holds_with_a_thread_more(workplace: Open) -> None:
    """One thread parses while the others ask; Dify never has more requests than it may."""
    place = workplace(quiet_world("chat")).with_rules(workers=workers_for(CAP))
    for hours in range(20):
        talk(place.world, at=NOW - timedelta(hours=hours))
    crowd = Crowd()
    account = place.world.account
    with DifyClient(
        ORIGIN,
        email=account.email,
        password=SecretStr(account.password or ""),
        transport=ChangedAnswers(httpx.WSGITransport(app=place.server), crowd.hold),
        limits=RequestLimits(max_concurrency=CAP),
    ) as dify:
        place.read(TALK, dify=dify)
    assert place.value("SELECT count(*) FROM raw.conversations") == 20
    assert crowd.most == CAP
