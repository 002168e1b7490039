"""One request: what is repeated, what is not, and what each failure means."""

import socket
import ssl
from collections.abc import Callable
from importlib.metadata import version

import httpx
import pytest
from pydantic import SecretStr

from dify_etl.dify import DifyClient
from dify_etl.dify.errors import (
    DifyUnavailable,
    NoSuchEndpoint,
    NotAllowed,
    NotDify,
    NotShown,
    RateLimited,
    Refused,
    UnexpectedAnswer,
    WriteUnanswered,
)
from dify_etl.dify.http.auth import PasswordAuth, PasswordCredentials
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.server import Server
from dify_etl.dify.http.session import RetryPolicy, Session
from dify_etl.dify.http.tokens import MemoryTokenStore
from dify_etl.dify.http.usage import Usage
from dify_etl.dify.http.writes import Written
from dify_etl_tests.dify.pretend_server import EMAIL, PASSWORD, PROFILE, PretendServer
from dify_etl_tests.dify.recordings import VERSIONS, Handler, client, exchange

Failure = httpx.Response | Exception
GOOD = httpx.Response(200, json=PROFILE)


class Answers:
    """Gives one answer after the other, the last one for ever; notes how long we slept."""

    def __init__(self, *answers: Failure) -> None:
        self.left = list(answers)
        self.slept: list[float] = []
        self.server = PretendServer(answer=self._next)

    def _next(self, request: httpx.Request) -> httpx.Response:
        answer = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def client(self, attempts: int = 4, budget: int = 100) -> DifyClient:
        return client(self.server, retry=RetryPolicy(attempts, budget), clock=self.clock)

    def session(self) -> Session:
        return session(self.server, clock=self.clock)

    @property
    def clock(self) -> Clock:
        return Clock(sleep=self.slept.append, chance=lambda: 1.0)


class Listener:
    """A good server that notes what was asked."""

    def __init__(self) -> None:
        self.asked: list[httpx.URL] = []
        self.server = PretendServer(answer=self._note)

    def _note(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        return httpx.Response(200, json=PROFILE)


def session(server: Handler, clock: Clock | None = None) -> Session:
    """The session inside a client, by itself."""
    known = Server("https://dify.test", clock or Clock())
    credentials = PasswordCredentials(EMAIL, SecretStr(PASSWORD))
    auth = PasswordAuth(credentials, server=known, store=MemoryTokenStore(), clock=clock or Clock())
    return Session(known, auth, usage=Usage(), transport=httpx.MockTransport(server), clock=clock)


PASSING: dict[str, Failure] = {
    "429": httpx.Response(429, json={"code": "too_many_requests"}),
    "502 of a proxy": httpx.Response(502, html="<h1>Bad Gateway</h1>"),
    "500": httpx.Response(500, json={"code": "unknown", "status": 500}),
    "cut off": httpx.Response(200, content=b'{"id": "account-1", "na'),
    "HTML": httpx.Response(200, html="<h1>Wait</h1>"),
    "not UTF-8": httpx.Response(200, content=b'{"name": "\xff\xfe"}'),
    "reset": ConnectionResetError("reset by peer"),
    "time-out": httpx.ReadTimeout("slow"),
    "broken": httpx.RemoteProtocolError("peer closed"),
    "no such host": httpx.ConnectError("dns"),
}


@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING.keys())
def test_reads_are_repeated_while_a_failure_may_pass(failure: Failure) -> None:
    """A read survives what passes by itself, with growing waits."""
    answers = Answers(failure, failure, GOOD)

    assert answers.client().account.profile().name == "Lab"
    assert answers.slept == [0.5, 1.0]


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (PASSING["429"], RateLimited),
        (PASSING["500"], DifyUnavailable),
        (PASSING["cut off"], UnexpectedAnswer),
        (PASSING["HTML"], UnexpectedAnswer),
        (PASSING["time-out"], DifyUnavailable),
        (PASSING["reset"], DifyUnavailable),
    ],
)
def test_repeated_failure_is_told(failure: Failure, kind: type[Exception]) -> None:
    """After the last attempt the failure has a name, a place and a hint."""
    answers = Answers(failure)

    with pytest.raises(kind, match="GET /console/api/account/profile"):
        answers.client(attempts=3).account.profile()

    assert len(answers.slept) == 2


@pytest.mark.parametrize(
    ("header", "slept"), [("7", 7.0), ("86400", 60.0), ("soon", 0.5), ("-1", 0.5), ("0", 0.5)]
)
def test_retry_after_is_obeyed_up_to_a_minute(header: str, slept: float) -> None:
    """Dify may ask for a wait; nobody makes us sleep for a day."""
    answers = Answers(httpx.Response(429, json={}, headers={"retry-after": header}), GOOD)

    answers.client().account.profile()

    assert answers.slept == [slept]


def test_retries_of_a_client_have_a_budget() -> None:
    """A server that is down costs a bounded number of repetitions over the whole run."""
    answers = Answers(PASSING["500"])
    dify = answers.client(attempts=4, budget=5)

    for _ in range(4):
        with pytest.raises(DifyUnavailable):
            dify.account.profile()

    assert len(answers.slept) == 5


def test_good_answers_earn_retries() -> None:
    """A long run in which some answers fail again and again does not run out of repetitions."""
    failing_and_good = [PASSING["500"], GOOD, GOOD, GOOD] * 20
    answers = Answers(*failing_and_good)
    dify = answers.client(attempts=2, budget=1)

    for _ in range(60):
        dify.account.profile()

    assert len(answers.slept) == 20


def test_refusals_are_not_repeated() -> None:
    """A 400 or 404 stays what it is."""
    answers = Answers(httpx.Response(400, json={"code": "invalid_param", "message": "no"}))

    with pytest.raises(Refused, match="invalid_param"):
        answers.client().account.profile()

    assert answers.slept == []


def test_writes_are_sent_once() -> None:
    """A write whose answer is lost may have worked: it is never sent again by itself."""
    answers = Answers(PASSING["time-out"])

    with pytest.raises(WriteUnanswered):
        answers.session().write("POST", "/apps/{app_id}/api-keys", app_id="a")

    assert answers.server.count("/apps/a/api-keys") == 1


def test_write_without_content_gives_none() -> None:
    """DELETE answers 204 with nothing to read."""
    answers = Answers(httpx.Response(204))

    written = answers.session().write("DELETE", "/apps/{app_id}", app_id="a")

    assert written == Written(None, 204)


def test_bad_certificate_is_told_at_once() -> None:
    """An expired certificate does not heal by asking again."""
    broken = httpx.ConnectError("handshake")
    broken.__cause__ = ssl.SSLCertVerificationError("expired")
    answers = Answers(broken)

    with pytest.raises(DifyUnavailable, match="certificate"):
        answers.client().account.profile()

    assert answers.slept == []


def test_unknown_host_is_named() -> None:
    """A name that does not resolve is told with the host."""
    broken = httpx.ConnectError("x")
    broken.__cause__ = socket.gaierror("x")

    with pytest.raises(DifyUnavailable, match=r"cannot be resolved.*dify\.test"):
        Answers(broken).client(attempts=1).account.profile()


@pytest.mark.parametrize("version", VERSIONS)
def test_unknown_route_is_no_missing_object(version: str) -> None:
    """Dify answers HTML for routes that it does not know: that says nothing of what is behind."""
    recorded = exchange(version, "errors", "404-unknown-route")

    with pytest.raises(NoSuchEndpoint, match="no such endpoint"):
        client(PretendServer(answer=lambda request: recorded.response())).account.profile()


def test_something_else_at_the_address() -> None:
    """A web server that is no Dify is told apart by the missing X-Version."""
    with pytest.raises(NotDify, match="X-Version"):
        client(lambda request: httpx.Response(200, html="<h1>It works</h1>")).account.profile()


@pytest.mark.parametrize(
    ("version", "area", "name", "roles"),
    [
        ("main-2026-08", "datasets", "api-keys-list-as-editor", "role admin or owner"),
        ("main-2026-08", "apps", "api-keys-list-as-normal-member", "role editor, admin or owner"),
        ("1.16.1", "logs", "annotations-as-normal-member", "role editor, admin or owner"),
        ("1.16.1", "roles", "chat-conversations-by-dsop", "role editor, admin or owner"),
        ("1.12.1", "logs", "chat-messages-as-normal-member", "role editor, admin or owner"),
        ("main-2026-08", "datasets", "documents-private-by-admin", "role owner"),
    ],
)
def test_refused_read_says_whom_it_is_shown_to(
    version: str, area: str, name: str, roles: str
) -> None:
    """By the route that was refused: an editor is never told to become an editor."""
    recorded = exchange(version, area, name)
    server = PretendServer(answer=lambda request: recorded.response())
    dify = client(server)
    reads: dict[str, Callable[[], object]] = {
        "api-keys-list-as-editor": dify.api_keys.of_datasets,
        "api-keys-list-as-normal-member": lambda: dify.api_keys.of_app("a"),
        "annotations-as-normal-member": lambda: dify.conversations.annotations_page("a"),
        "chat-conversations-by-dsop": lambda: dify.conversations.chat_page("a"),
        "chat-messages-as-normal-member": lambda: dify.conversations.messages_page("a", "c"),
        "documents-private-by-admin": lambda: dify.datasets.documents_page("d"),
    }

    with pytest.raises(NotShown) as caught:
        reads[name]()

    assert roles in caught.value.hint


def test_forbidden_names_the_role() -> None:
    """A 403 says which role helps."""
    recorded = exchange("1.12.1", "logs", "chat-conversations-as-normal-member")
    server = PretendServer(answer=lambda request: recorded.response())

    with pytest.raises(NotAllowed) as caught:
        client(server).conversations.chat_page("app-1")

    assert "editor" in caught.value.hint
    assert caught.value.code == "forbidden"


def test_forbidden_write_names_its_role() -> None:
    """Other roles than for reading."""
    answers = Answers(httpx.Response(403, headers={"x-version": "1"}, json={"code": "forbidden"}))

    with pytest.raises(NotAllowed) as caught:
        answers.session().write("DELETE", "/apps/{app_id}", app_id="a")

    assert "owner" in caught.value.hint


def test_text_of_errors_to_writes_is_kept_out() -> None:
    """Dify quotes the input in its messages; for a write it may hold a secret."""
    answers = Answers(httpx.Response(400, json={"code": "bad", "message": "input 'secret'"}))

    with pytest.raises(Refused) as caught:
        answers.session().write("POST", "/anything", body={"key": "secret"})

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        {"message": "the value sk-12345678 is not valid"},
        {"message": "not valid: key=sk-12345678."},
        {"message": '[{"loc": ["key"], "input": "sk-1"}]'},
        {"message": "1 validation error\n key [input_value='sk-12345678']"},
    ],
)
def test_what_was_sent_is_never_quoted(body: dict[str, str]) -> None:
    """However a server writes it: plainly, as JSON, or lines below."""
    answers = Answers(httpx.Response(422, json=body, headers={"x-version": "1"}))

    with pytest.raises(Refused) as caught:
        answers.session().write("POST", "/anything", body={"a": [{"key": "sk-12345678"}]})

    assert "sk-1" not in str(caught.value)


def test_reason_of_a_refused_write_is_told() -> None:
    """Without it nobody knows which parameter is wrong."""
    told = {"code": "invalid_param", "message": "model.provider is required"}
    answers = Answers(httpx.Response(400, json=told, headers={"x-version": "1"}))

    with pytest.raises(Refused, match=r"invalid_param; model\.provider is required"):
        answers.session().write("POST", "/anything", body={"model": {"provider": ""}})


def test_ids_cannot_leave_their_place_in_the_path() -> None:
    """An id is escaped as one part of the path."""
    listener = Listener()

    session(listener.server).get("/apps/{app_id}", app_id="../login?x=1")

    assert listener.asked[0].raw_path == b"/console/api/apps/..%2Flogin%3Fx%3D1"


def test_query_is_written_as_dify_reads_it() -> None:
    """None is left out, booleans are words, lists are repeated, text is encoded."""
    listener = Listener()
    query = {"a": None, "b": True, "c": ("1", "2"), "d": "+ &", "e": 5}

    session(listener.server).get("/x", query=query)

    assert listener.asked[0].query == b"b=true&c=1&c=2&d=%2B+%26&e=5"


def test_cookies_of_a_proxy_are_not_sent_back() -> None:
    """Only the session's own cookies travel; a foreign one would break the admin key."""
    server = PretendServer(
        version="1.7.2",
        answer=lambda request: httpx.Response(
            200, json=PROFILE, headers={"set-cookie": "x-token=abc; Path=/"}
        ),
    )
    dify = client(server)

    dify.account.profile()
    dify.account.profile()

    assert ["cookie" in headers for headers in server.signed] == [False, False]


@pytest.mark.parametrize("text", [b'{"id": NaN}', b'{"id": "\\ud83d"}'])
def test_odd_json_of_python_servers_is_read(text: bytes) -> None:
    """NaN and half an emoji are no JSON, but Python servers send them: no page is lost for it."""
    server = PretendServer(answer=lambda request: httpx.Response(200, content=text))

    assert session(server).get("/x") in ({"id": None}, {"id": "?"})


class DyingServer:
    """A good server that breaks every connection while `is_away`."""

    def __init__(self) -> None:
        self.is_away = False
        self.asked = 0
        self.server = PretendServer()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.is_away:
            raise httpx.ConnectError("refused")
        return self.server(request)


def ask_often(dify: DifyClient, times: int) -> list[str]:
    """Ask so often; the reasons of those that failed."""
    told = []
    for _ in range(times):
        try:
            dify.account.profile()
        except DifyUnavailable as error:
            told.append(error.what)
    return told


def test_server_that_is_gone_is_asked_no_more() -> None:
    """After fifty failures in a row it is waited for two minutes; then all that is left fails."""
    server = DyingServer()
    slept: list[float] = []
    clock = Clock(sleep=slept.append)
    dify = client(server, clock=clock)
    dify.account.profile()
    server.is_away, server.asked = True, 0

    told = ask_often(dify, 500)

    assert len(told) == 500
    assert server.asked < 60
    assert 100 < sum(slept) < 200
    assert set(told[50:]) == {told[-1]}
    assert "Dify is gone: 50 requests failed in a row" in told[-1]


def test_server_that_restarts_is_waited_for() -> None:
    """A server that is back within two minutes costs what failed before, and nothing more."""
    server = DyingServer()
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        server.is_away = sum(slept) < 60

    dify = client(server, clock=Clock(sleep=sleep))
    dify.account.profile()
    server.is_away = True

    assert len(ask_often(dify, 500)) == 50


def test_failures_of_one_route_are_no_outage() -> None:
    """Hundreds of failures in a row on a server that answers otherwise: nothing is waited for."""
    server = PretendServer(
        answer=lambda request: httpx.Response(500 if "apps" in request.url.path else 200, json={})
    )
    slept: list[float] = []
    dify = client(server, clock=Clock(sleep=slept.append))

    failed = 0
    for _ in range(200):
        with pytest.raises(DifyUnavailable, match="500"):
            dify.apps.get("4c2ac8d8-0000-0000-0000-000000000000")
        failed += 1

    assert (failed, slept) == (200, [])
    assert server.count("/account/profile") == 3


def test_server_that_was_never_there_is_not_waited_for_twice() -> None:
    """Without a version nobody can log in: the question is then the version itself."""
    slept: list[float] = []
    server = DyingServer()
    server.is_away = True
    dify = client(server, clock=Clock(sleep=slept.append))

    told = ask_often(dify, 70)

    assert len(told) == 70
    assert "Dify is gone" in told[-1]
    assert 100 < sum(slept) < 200


def test_server_that_asks_for_patience_is_not_gone() -> None:
    """A server that answers 429 for a long time is there; each request is as patient as ever."""
    server = PretendServer(answer=lambda request: httpx.Response(429, json={}))
    slept: list[float] = []
    dify = client(server, clock=Clock(sleep=slept.append))

    for _ in range(120):
        with pytest.raises(RateLimited):
            dify.account.profile()

    assert slept == []


def test_id_that_no_address_takes_is_named() -> None:
    """An id longer than any address ends as an error with the route, not as a bug."""
    with pytest.raises(UnexpectedAnswer, match="no address takes it"):
        session(PretendServer()).get("/apps/{app_id}", app_id="x" * 70_000)


@pytest.mark.parametrize(
    ("run_id", "agent"), [(None, "dify-etl/{}"), ("a-run", "dify-etl/{} (run a-run)")]
)
def test_every_request_names_version_and_run(run_id: str | None, agent: str) -> None:
    """In its User-Agent, so that the server's own log tells whose it is: logins, renewals too."""
    asked: list[tuple[str, str]] = []
    server = PretendServer()

    def noting(request: httpx.Request) -> httpx.Response:
        asked.append((request.url.path, request.headers["user-agent"]))
        return server(request)

    dify = client(noting, run_id=run_id)
    dify.account.profile()
    server.expire()
    dify.account.profile()
    assert {name for _, name in asked} == {agent.format(version("dify-etl"))}
    assert {path.rpartition("/")[2] for path, _ in asked} >= {"login", "profile", "refresh-token"}
