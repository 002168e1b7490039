"""A server that keeps silent, or is away for long, is told of while it lasts, in our own words."""

import threading
from functools import partial

import httpx
import pytest

from dify_etl.cli.dify_findings import IMPATIENT
from dify_etl.dify.addresses import version_at
from dify_etl.dify.errors import DifyUnavailable
from dify_etl.dify.http import session
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.session import RetryPolicy
from dify_etl.dify.http.silence import Silence
from dify_etl_tests.dify.pretend_server import PretendServer
from dify_etl_tests.dify.recordings import client

BEGINS = "https://dify.test answers 502; it is asked again until it is back"
ENDS = "https://dify.test answers again"


class Heard:
    """Lines, and a moment at which the first is there."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.any = threading.Event()

    def __call__(self, line: str) -> None:
        self.lines.append(line)
        self.any.set()


def test_silence_is_told_while_it_lasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any answer is there: where, which attempt of how many, and what ends it; once."""
    heard, server = Heard(), PretendServer()
    monkeypatch.setattr(session, "Silence", partial(Silence, seconds=0.02))

    def slow(request: httpx.Request) -> httpx.Response:
        assert heard.any.wait(10)
        return server(request)

    with client(slow, warn=heard, retry=RetryPolicy(attempts=4)) as dify:
        assert dify.account.profile().name == "Lab"
    (line,) = heard.lines
    assert line.startswith("no answer yet from https://dify.test after ")
    assert line.endswith(" s, attempt 1 of 4; Ctrl-C ends it")


def test_silence_after_a_login_is_told() -> None:
    """The login goes within the same sending, and its answer is not the one that is waited for."""
    heard = Heard()
    silence = Silence("dify.test", heard, seconds=0.02)
    with silence.watched(1, 1):
        silence.answered()
        assert heard.any.wait(10)
    silence.close()


def test_slow_answer_among_others_is_no_silence() -> None:
    """Each answer begins the count anew, and nothing is counted while nobody waits."""
    heard = Heard()
    silence = Silence("dify.test", heard, seconds=0.2)
    with silence.watched(1, 1):
        for _ in range(20):
            with silence.watched(1, 1):
                threading.Event().wait(0.02)
                silence.answered()
    threading.Event().wait(0.3)
    silence.close()
    assert heard.lines == []


def test_outage_is_told_when_it_begins_and_when_it_ends() -> None:
    """Once each, however many requests fail; nothing of the proxy's page is repeated."""
    heard = Heard()
    server, asked = PretendServer(), iter(range(1000))

    def restarting(request: httpx.Request) -> httpx.Response:
        if next(asked) < 40:
            return httpx.Response(502, html="<h1>[red]Bad Gateway[/]</h1>")
        return server(request)

    clock, retry = Clock(sleep=lambda seconds: None), RetryPolicy(attempts=5)
    dify = client(restarting, warn=heard, retry=retry, clock=clock)
    failed = 0
    while heard.lines[-1:] != [ENDS]:
        try:
            dify.account.profile()
        except DifyUnavailable:
            failed += 1
    assert failed > 1
    assert heard.lines == [BEGINS, ENDS]


def test_failing_rows_are_no_outage() -> None:
    """A 500 again and again may be a row of Dify's that it cannot show."""
    heard = Heard()
    server = PretendServer(answer=lambda request: httpx.Response(500, json={"code": "unknown"}))
    dify = client(server, warn=heard, clock=Clock(sleep=lambda seconds: None))
    for _ in range(30):
        with pytest.raises(DifyUnavailable):
            dify.account.profile()
    assert heard.lines == []


def test_whoever_waits_at_a_terminal_waits_less_for_a_ping() -> None:
    """`init` and `doctor` give a ping half a minute in all, not four."""
    allowed: list[float] = []

    def silent(request: httpx.Request) -> httpx.Response:
        allowed.append(request.extensions["timeout"]["read"])
        raise httpx.ReadTimeout("slow")

    with pytest.raises(DifyUnavailable, match="no answer in time"):
        version_at("https://dify.test", retry=IMPATIENT, transport=httpx.MockTransport(silent))
    assert len(allowed) == 2
    assert sum(allowed) <= 30
