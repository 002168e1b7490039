"""Send one request: time-out, retries, concurrency, and what each status means."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any
from urllib.parse import quote, urlencode

import httpx
from pydantic import SecretStr

from dify_etl.dify.errors import (
    AnswerOutOfBounds,
    DifyError,
    DifyUnavailable,
    NotDify,
    RateLimited,
    UnexpectedAnswer,
)
from dify_etl.dify.http.adaptive_limit import AdaptiveLimit, RequestLimits
from dify_etl.dify.http.answers import (
    NO_ROUTE,
    Transient,
    failure_of,
    is_dify,
    json_of,
    not_console,
    place_of,
)
from dify_etl.dify.http.bounds import AnswerBounds, AnswerTooMuch
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.connections import Connections
from dify_etl.dify.http.outage import Outage, OutagePatience
from dify_etl.dify.http.server import Server, Version, parse_version, url_below
from dify_etl.dify.http.silence import Silence
from dify_etl.dify.http.suspected_rows import is_row_suspected
from dify_etl.dify.http.usage import RequestDone, Usage
from dify_etl.dify.http.writes import Written, is_maybe_done, request_id_of, unanswered
from dify_etl.private_files import DISK_ERRORS

Query = Mapping[str, str | int | bool | Sequence[str] | None]

VERSION_ROUTES = ("/ping", "/setup", "/system-features")  # all without a login

HEADERS = {
    "accept": "application/json",
    "accept-encoding": "gzip, deflate",
}


def user_agent(run_id: str | None = None) -> str:
    """How requests name themselves in the server's log: the version, and the run that sent them."""
    name = f"dify-etl/{version('dify-etl')}"
    return f"{name} (run {run_id})" if run_id else name


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how patiently a read is repeated; writes never are.

    `attempts` per request. A client may repeat `budget` times, and once more for every
    `answers_per_retry` good answers: a long run through a bad night goes on, a run against a dead
    server ends. Waits in seconds, doubled each time, half of it by chance.
    """

    attempts: int = 5
    budget: int = 500
    answers_per_retry: int = 2
    wait_first: float = 0.5
    wait_most: float = 30.0
    ping_seconds: float | None = None  # for an answer that takes no login; None: as for any other

    def wait(self, attempt: int, chance: float) -> float:
        """Seconds before the next attempt; `attempt` counts from 1, `chance` is 0 to 1."""
        full = min(self.wait_most, self.wait_first * 2.0 ** (attempt - 1))
        return full / 2 + full / 2 * chance


@dataclass(frozen=True)
class Call:
    """One request to make: a route template with its ids, and a query or a JSON body.

    With `key` it goes to the service API at `address` instead of the console.
    """

    method: str
    route: str
    ids: Mapping[str, str] = field(default_factory=dict)
    query: Query = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    is_public: bool = False
    address: httpx.URL | None = None
    key: SecretStr | None = None

    @property
    def path(self) -> str:
        """The route with its ids, each escaped."""
        return self.route.format_map(
            {key: quote(value, safe="") for key, value in self.ids.items()}
        )

    @property
    def target(self) -> str:
        """Path and query."""
        query = urlencode(list(_params(self.query)))
        return f"{self.path}?{query}" if query else self.path

    @property
    def is_signed(self) -> bool:
        """Whether it carries the console session."""
        return not self.is_public and self.key is None

    @property
    def key_header(self) -> dict[str, str]:
        """The header of the service API; empty for the console."""
        if self.key is None:
            return {}
        return {"authorization": f"Bearer {self.key.get_secret_value()}"}


class Session:
    """The one place that sends requests. Thread-safe.

    `warn` gets lines about a server that keeps silent or is away, while it lasts.
    Raises the errors of `errors.py`: for a status, a broken connection, an answer that is no JSON.
    """

    def __init__(
        self,
        server: Server,
        auth: httpx.Auth,
        *,
        usage: Usage,
        transport: httpx.BaseTransport | None = None,
        limits: RequestLimits | None = None,
        retry: RetryPolicy | None = None,
        clock: Clock | None = None,
        bounds: AnswerBounds | None = None,
        patience: OutagePatience | None = None,
        run_id: str | None = None,
        warn: Callable[[str], None] | None = None,
    ) -> None:
        limits = limits or RequestLimits()
        self.server = server
        self.bounds = bounds or AnswerBounds()
        self._auth = auth
        self._usage = usage
        self._user_agent = user_agent(run_id)
        self._retry = retry or RetryPolicy()
        self._retries_left = float(self._retry.budget)
        self._clock = clock or Clock()
        self._lock = threading.Lock()
        self._version_lock = threading.Lock()
        self.limit = AdaptiveLimit(limits, clock=self._clock)
        self._connections = Connections(
            on_sent=self._on_sent,
            on_answered=self._on_answered,
            transport=transport,
            bounds=self.bounds,
            monotonic=self._clock.monotonic,
        )
        self._silence = Silence(server.origin, warn) if warn else None
        self._outage = Outage(
            server.origin,
            self._is_well,
            clock=self._clock,
            patience=patience or OutagePatience(),
            tell=warn,
        )

    def get(self, route: str, *, query: Query | None = None, **ids: str) -> Any:
        """Read: the JSON of `GET route`, repeated while a failure may pass."""
        return self._repeated(Call("GET", route, ids=ids, query=query or {}))

    def get_with_key(
        self, address: httpx.URL, route: str, *, key: SecretStr, query: Query | None = None
    ) -> Any:
        """Read from the service API with a key of its own; the console session stays at home."""
        return self._repeated(Call("GET", route, query=query or {}, address=address, key=key))

    def read_by_post(self, route: str, *, body: Mapping[str, Any] | None = None) -> Any:
        """A read that Dify serves under POST; repeated like a GET."""
        return self._repeated(Call("POST", route, body=body or {}))

    def write(
        self, method: str, route: str, *, body: Mapping[str, Any] | None = None, **ids: str
    ) -> Written[Any]:
        """POST, PUT or DELETE, sent once; the value is None when the answer has no content.

        POST and PUT always carry JSON, `{}` at least: from 1.11 on Dify refuses others with 415.
        Raises WriteUnanswered when the outcome is unknown, DifyUnavailable when nothing was sent.
        """
        body = None if method == "DELETE" else body or {}
        call = Call(method, route, ids=ids, body=body)
        request = self._request(call, is_retry=False)
        try:
            return self._sent(call, request)
        except Transient as failure:
            cause = failure.__cause__
            if isinstance(failure.error, RateLimited) or not is_maybe_done(request, cause):
                raise failure.error from cause
            status = request.extensions.get("status")
            raise unanswered(failure.error, status=status) from cause

    @property
    def version(self) -> Version:
        """The server's version for comparisons; asks the server when it is not known yet."""
        return parse_version(self.version_text)

    @property
    def version_text(self) -> str:
        """The server's version as it tells it; raises NotDify when it tells none."""
        with self._version_lock:
            if self.server.version_text is None:
                self._ask_version()
        if self.server.version_text is None:
            raise NotDify(
                "the answer carries no X-Version header",
                where=f"GET {self.server.api.path}/ping at {self.server.api.netloc.decode()}",
                hint="Set the base URL to the address of the Dify console, and let proxies pass "
                "the X-Version header.",
            )
        return self.server.version_text

    def _ask_version(self) -> None:
        """Every answer tells the version; a proxy may keep one of these routes from us."""
        first, *others = (Call("GET", route, is_public=True) for route in VERSION_ROUTES)
        try:
            self._repeated(first)
        except NotDify:
            for call in others:
                with suppress(DifyError, Transient):
                    self._sent(call, self._request(call, is_retry=False))
                if self.server.version_text is not None:
                    return
            raise

    def check_address(self) -> None:
        """Whether the console's routes are below this address: a Dify tells its version with every
        answer, also with those to wrong paths. Raises NotDify, and what a read raises.
        """
        _ = self.version_text
        for route in VERSION_ROUTES:
            call = Call("GET", route, is_public=True)
            try:
                response = self._exchange(self._request(call, is_retry=False), call)
            except Transient as failure:
                raise failure.error from failure.__cause__
            if is_dify(response) and response.status_code not in NO_ROUTE:
                return
        raise not_console(self.server.origin, where=f"GET {self.server.api.path}/ping")

    def close(self) -> None:
        """Close the connections."""
        if self._silence is not None:
            self._silence.close()
        self._connections.close()

    def _repeated(self, call: Call) -> Any:
        for attempt in range(1, self._retry.attempts + 1):
            self._outage.check()
            try:
                request = self._request(call, is_retry=attempt > 1)
                request.extensions["attempt"] = (attempt, self._retry.attempts)
                answer = self._sent(call, request).value
                self._earn_retry()
                self._usage.add_rows(_rows_in(answer))
                return answer
            except Transient as failure:
                if self._is_a_rows(failure) or isinstance(failure.__cause__, AnswerTooMuch):
                    raise failure.error from failure.__cause__
                if attempt == self._retry.attempts or not self._spend_retry():
                    raise failure.error from failure.__cause__
                asked = failure.retry_after or 0.0
                self._clock.sleep(max(asked, self._retry.wait(attempt, self._clock.chance())))
        raise AssertionError("a retry policy has at least one attempt")

    def _is_a_rows(self, failure: Transient) -> bool:
        """Whether asking again would only give the same 500."""
        error = failure.error
        return is_row_suspected() and isinstance(error, DifyUnavailable) and error.status == 500

    def _is_well(self) -> bool:
        """Whether Dify answers a question that takes its database: GET /account/profile. As long as
        it never told its version, how to log in is not known: then any answer will do.
        """
        call = Call("GET", "/account/profile")
        if self.server.version_text is None:
            call = Call("GET", VERSION_ROUTES[0], is_public=True)
        try:
            self._judged(self._exchange(self._request(call, is_retry=True), call), call)
        except Transient as failure:
            return isinstance(failure.error, RateLimited)
        except DifyError:
            pass  # an answer as well: what it means is told to those who asked for something
        return True

    def _earn_retry(self) -> None:
        with self._lock:
            self._retries_left += 1 / self._retry.answers_per_retry

    def _spend_retry(self) -> bool:
        with self._lock:
            self._retries_left -= 1
            return self._retries_left >= 0

    def _sent(self, call: Call, request: httpx.Request) -> Written[Any]:
        with self.limit.slot() as admission:
            try:
                response = self._exchange(request, call)
                answer = self._judged(response, call)
            except Transient as failure:
                self.limit.overloaded(admission)
                if isinstance(failure.error, RateLimited):
                    self._outage.answered()  # it is there, and asks for patience
                else:
                    self._outage.failed(failure.error)
                raise
            except DifyError:
                self._outage.answered()
                raise
            self._outage.answered()
            self.limit.succeeded(call.route, admission)
            return Written(answer, response.status_code, request_id_of(response))

    def _request(self, call: Call, *, is_retry: bool) -> httpx.Request:
        if call.is_signed and self.server.version_text is None:
            _ = self.version_text  # how to log in depends on it
        extensions: dict[str, Any] = {"route": call.route, "label": self._usage.label}
        extensions["is_retry"] = is_retry
        if call.is_public and self._retry.ping_seconds is not None:
            extensions["timeout"] = httpx.Timeout(self._retry.ping_seconds).as_dict()
        try:
            url = url_below(call.address or self.server.api, call.target)
        except httpx.InvalidURL as error:
            raise UnexpectedAnswer(
                "an id that Dify told is none: no address takes it",
                where=f"{call.method} {call.route}",
                hint="Look at the row in Dify's database, and mend or delete it.",
            ) from error
        return httpx.Request(
            call.method,
            url,
            json=call.body,
            headers={**HEADERS, **call.key_header},
            extensions={**extensions, "is_console": call.key is None},
        )

    def _exchange(self, request: httpx.Request, call: Call) -> httpx.Response:
        silence, attempt = self._silence, request.extensions.get("attempt", (1, 1))
        try:
            with silence.watched(*attempt) if silence else nullcontext():
                return self._connections.send(request, self._auth if call.is_signed else None)
        except (httpx.RequestError, OSError) as error:
            if isinstance(error, OSError) and error.errno in DISK_ERRORS:
                raise  # of a file that keeps the session: Dify may be well
            self._count(request, status=0, size=0)
            raise _broken(error, request) from error

    def _judged(self, response: httpx.Response, call: Call) -> Any:
        if call.is_public and is_dify(response):
            return None  # only its headers were wanted
        if not response.is_success:
            raise failure_of(response)
        return json_of(response) if response.content or call.method == "GET" else None

    def _on_sent(self, request: httpx.Request) -> None:
        request.headers["user-agent"] = self._user_agent  # of logins, too
        request.extensions["started"] = self._clock.monotonic()
        request.extensions["is_under_way"] = True
        request.extensions["status"] = None  # of an earlier sending: a 401 before this one

    def _on_answered(self, response: httpx.Response) -> None:
        if self._silence is not None:
            self._silence.answered()
        told = response.request.extensions
        told["status"] = response.status_code
        if response.status_code == 401:  # refused for its session, sent again with another
            told["is_under_way"] = False
        if told.get("is_console", True):
            self.server.observe(response.headers, response.request)
        size = response.num_bytes_downloaded or len(response.content)
        self._count(response.request, status=response.status_code, size=size)

    def _count(self, request: httpx.Request, *, status: int, size: int) -> None:
        told = request.extensions
        self._usage.add(
            RequestDone(
                method=request.method,
                route=str(told.get("route", "")),
                status=status,
                seconds=self._clock.monotonic() - told.get("started", self._clock.monotonic()),
                bytes=size,
                label=str(told.get("label", "")),
                is_retry=bool(told.get("is_retry")),
            )
        )


def _rows_in(answer: Any) -> int:
    """How many rows the list in an answer has; 1 where it is one object."""
    if isinstance(answer, dict):
        lists = [len(one) for one in answer.values() if isinstance(one, list)]
        return max(lists, default=1)
    return len(answer) if isinstance(answer, list) else 0


def _params(query: Query) -> Iterator[tuple[str, str]]:
    """Query parameters as Dify reads them: none for None, true and false, lists repeated."""
    for name, value in query.items():
        if isinstance(value, bool):
            yield name, str(value).lower()
        elif isinstance(value, str | int):
            yield name, str(value)
        elif value is not None:
            yield from ((name, one) for one in value)


def _broken(error: Exception, request: httpx.Request) -> DifyError | Transient:
    """A failure below HTTP. A bad certificate does not heal by asking again."""
    where = place_of(request)
    if isinstance(error, AnswerTooMuch):
        hint = f"No Dify that is known does this; {error.setting} sets the bound."
        return Transient(AnswerOutOfBounds(error.what, where=where, hint=hint))
    causes = _causes(error)
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return DifyUnavailable(
            "the server's TLS certificate is not accepted (expired, self-signed or another host)",
            where=where,
            hint="Renew the certificate, or point SSL_CERT_FILE to the authority that signed it.",
        )
    what, hint = next(
        (told for kind, *told in _BROKEN if any(isinstance(one, kind) for one in causes)),
        (f"the connection fails ({type(error).__name__})", _BROKEN_OTHERWISE),
    )
    return Transient(DifyUnavailable(what, where=where, hint=hint))


# What broke, by the first of these in the chain of causes: what is said of it, and what to do.
_BROKEN: tuple[tuple[type[BaseException], str, str], ...] = (
    (
        socket.gaierror,
        "the host name cannot be resolved",
        "Correct the host in the base URL, or look at this machine's DNS.",
    ),
    (
        ConnectionRefusedError,
        "the connection is refused: nothing listens at this port",
        "Check that the server runs, and the port in the base URL.",
    ),
    (
        ssl.SSLError,
        "the server does not speak https at this port",
        "Write http:// in the base URL, or the port at which the server speaks https.",
    ),
    (
        httpx.ConnectTimeout,
        "no connection in time: the host is silent, or a firewall drops what is sent",
        "Check host and port in the base URL, and that this machine may reach them.",
    ),
    (
        TimeoutError,
        "no answer in time",
        "Look at the server's load, or allow fewer requests.",
    ),
    (
        httpx.TimeoutException,
        "no answer in time",
        "Look at the server's load, or allow fewer requests.",
    ),
)
_BROKEN_OTHERWISE = (
    "Check that the server runs, that this machine reaches it, and that http or https in "
    "the base URL is what the server speaks."
)


def _causes(error: BaseException) -> list[BaseException]:
    causes = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    return causes
