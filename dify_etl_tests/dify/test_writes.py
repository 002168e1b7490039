"""What a write means when its answer is lost, late, odd or refused."""

from collections.abc import Callable

import httpx
import pytest

from dify_etl.dify.errors import (
    DifyUnavailable,
    LoginRefused,
    NotDify,
    RateLimited,
    Refused,
    WriteUnanswered,
)
from dify_etl.dify.http.writes import Written
from dify_etl_tests.dify.pretend_server import PretendServer
from dify_etl_tests.dify.pretend_workspace import app_of, client_of
from dify_etl_tests.dify.test_session import session
from dify_simulated import Faults, SimulatedDify, World, serve
from dify_simulated.server.faults import Fault

Failure = httpx.Response | Exception
KEYS = "/apps/{app_id}/api-keys"
DIFY = {"x-version": "1.12.1"}

UNKNOWN: dict[str, Failure] = {
    "time-out while reading": httpx.ReadTimeout("slow"),
    "time-out while sending": httpx.WriteTimeout("slow"),
    "reset": httpx.ReadError("reset"),
    "reset below httpx": ConnectionResetError("reset"),
    "closed without an answer": httpx.RemoteProtocolError("disconnected"),
    "500": httpx.Response(500, headers=DIFY, json={"code": "unknown"}),
    "504 of a proxy": httpx.Response(504, html="<h1>Gateway Timeout</h1>"),
    "success cut off": httpx.Response(201, headers=DIFY, text='{"id": "key'),
    "success in HTML": httpx.Response(200, html="<h1>Please wait</h1>"),
}
NOT_DONE: dict[str, tuple[Failure, type[Exception]]] = {
    "no connection": (httpx.ConnectError("refused"), DifyUnavailable),
    "no connection in time": (httpx.ConnectTimeout("slow"), DifyUnavailable),
    "no free connection": (httpx.PoolTimeout("busy"), DifyUnavailable),
    "400": (httpx.Response(400, headers=DIFY, json={"code": "invalid_param"}), Refused),
    "429": (httpx.Response(429, headers=DIFY, json={"code": "too_many_requests"}), RateLimited),
    "redirect": (httpx.Response(301, headers={"location": "https://other/"}), NotDify),
}


def giving(answer: Failure) -> Callable[[httpx.Request], httpx.Response]:
    def give(request: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    return give


@pytest.mark.parametrize("failure", UNKNOWN.values(), ids=UNKNOWN)
def test_a_write_that_may_have_been_done_is_unanswered(failure: Failure) -> None:
    """It is sent once, and the error says that nobody knows, with the status if one came."""
    server = PretendServer(answer=giving(failure))

    with pytest.raises(WriteUnanswered) as caught:
        session(server).write("POST", KEYS, app_id="a")

    assert server.count("/apps/a/api-keys") == 1
    assert caught.value.status == getattr(failure, "status_code", None)
    assert "Read back" in caught.value.hint


@pytest.mark.parametrize(("failure", "kind"), NOT_DONE.values(), ids=NOT_DONE)
def test_a_write_that_was_not_done_says_so(failure: Failure, kind: type[Exception]) -> None:
    """Without a connection nothing was sent; a refusal did nothing: neither is unanswered."""
    server = PretendServer(answer=giving(failure))

    with pytest.raises(kind) as caught:
        session(server).write("POST", KEYS, app_id="a")

    assert not isinstance(caught.value, WriteUnanswered)


def test_a_login_that_breaks_is_no_unanswered_write() -> None:
    """The write was not under way yet: it may be tried again."""
    server = PretendServer()

    def broken_login(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/login"):
            raise httpx.ReadTimeout("slow")
        return server(request)

    with pytest.raises(DifyUnavailable) as caught:
        session(broken_login).write("POST", KEYS, app_id="a")

    assert not isinstance(caught.value, WriteUnanswered)


def test_a_write_refused_for_its_session_is_not_done() -> None:
    """401, then a login that fails: the write was refused, not lost."""
    server = PretendServer(answer=giving(httpx.Response(200, json={})))
    opened = session(server)
    opened.write("POST", KEYS, app_id="a")
    server.expire()
    server.valid_refresh.clear()
    server.password = "changed meanwhile"

    with pytest.raises(LoginRefused):
        opened.write("POST", KEYS, app_id="a")


def test_a_write_after_an_expired_session_is_sent_again() -> None:
    """A 401 says that nothing was done: with a new session it is sent once more."""
    server = PretendServer(answer=giving(httpx.Response(201, json={"id": "key"})))
    opened = session(server)
    opened.write("POST", KEYS, app_id="a")
    server.expire()

    assert opened.write("POST", KEYS, app_id="a") == Written({"id": "key"}, 201)


def test_a_write_that_is_lost_after_an_expired_session_is_unanswered() -> None:
    """The 401 of the first sending says nothing of the second."""
    server = PretendServer(answer=giving(httpx.Response(200, json={})))
    opened = session(server)
    opened.write("POST", KEYS, app_id="a")
    server.expire()
    server.answer = giving(httpx.ReadTimeout("slow"))

    with pytest.raises(WriteUnanswered) as caught:
        opened.write("POST", KEYS, app_id="a")

    assert caught.value.status is None


@pytest.mark.parametrize(("method", "content"), [("POST", b"{}"), ("PUT", b"{}"), ("DELETE", b"")])
def test_a_write_carries_json_but_for_a_delete(method: str, content: bytes) -> None:
    """From 1.11 on Dify answers a POST without JSON with 415."""
    sent: list[httpx.Request] = []

    def note(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(204)

    session(PretendServer(answer=note)).write(method, KEYS, app_id="a")

    assert sent[0].content == content
    assert sent[0].headers.get("content-type") == ("application/json" if content else None)


def test_a_lost_answer_over_a_socket(world: World) -> None:
    """The server did it and the connection broke: unanswered, once, over real HTTP too."""
    server, app = SimulatedDify(world), app_of(world, "chat")
    before = len(world.api_keys)
    server.faults = Faults(
        after_request=lambda number, method, path, status: (
            Fault.LOST if path.endswith("/api-keys") else None
        )
    )

    with (
        serve(server) as running,
        client_of(server, address=running.base_url) as dify,
        pytest.raises(WriteUnanswered) as caught,
    ):
        dify.api_keys.create_for_app(app.id)

    assert caught.value.status is None
    assert len(world.api_keys) == before + 1


@pytest.mark.parametrize("header", ["X-Request-Id", "X-Trace-Id"])
def test_the_request_id_is_kept(header: str) -> None:
    """Where a proxy or the server names the request, the answer brings the name."""
    answer = httpx.Response(200, headers={header: "req-7"}, json={})

    written = session(PretendServer(answer=giving(answer))).write("POST", KEYS, app_id="a")

    assert written.request_id == "req-7"
