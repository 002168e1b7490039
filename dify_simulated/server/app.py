"""The simulated Dify as a WSGI application: one release, one world, every request recorded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from re import escape, fullmatch, sub
from threading import Lock
from time import sleep
from typing import TYPE_CHECKING, NoReturn

from werkzeug.http import http_date
from werkzeug.wrappers import Request, Response

from dify_simulated.endpoints.login import LoginDesk
from dify_simulated.server.calls import Call, Switches
from dify_simulated.server.dispatch import CONSOLE, Dispatcher
from dify_simulated.server.faults import Fault, Faults, truncate
from dify_simulated.server.key_cache import KeyCache
from dify_simulated.server.routes import CONSOLE_ROUTES, SERVICE_ROUTES
from dify_simulated.server.server_memory import ServerMemory
from dify_simulated.server.sessions import Sessions
from dify_simulated.versions import ServerVersion, SessionStyle
from dify_simulated.world.world import World

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


@dataclass(frozen=True)
class RecordedRequest:
    """One request. `path` is the full path, `at` the world's clock, `status` 0 without answer."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    status: int
    at: datetime


class SimulatedDify:
    """A WSGI callable that answers the console API of one release over a world.

    `latency`: seconds that every answer takes, outside the world's lock. `cookie_prefix`: name the
    cookies `__Host-…` and mark them Secure. `session_style`: bearer, cookie-plain or cookie-base64;
    None = the style of the release. `expires_in`: lifetime of access tokens in seconds.
    `mask_keys`: lists show API keys only in part, as behind a proxy that masks them: "dots" (or
    True) or "stars". `deleted_key_lives` and `last_used_lag`: seconds, see KeyCache.
    `service_api_url`: the address that apps tell for the service API, without /v1; None = the host
    of the request. `indexing_seconds`: how long a worker takes for a retried document; None = it
    waits for ever, and the test moves it.
    Raises ValueError for an unknown release.
    """

    def __init__(
        self,
        world: World,
        version: str = "1.12.1",
        *,
        latency: float = 0.0,
        cookie_prefix: bool = False,
        session_style: str | None = None,
        expires_in: int = 3600,
        mask_keys: bool | str = False,
        deleted_key_lives: float = 0.0,
        last_used_lag: float | None = None,
        service_api_url: str | None = None,
        indexing_seconds: float | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.world = world
        self.version = ServerVersion(version)
        self.latency = latency
        self.faults = faults or Faults()
        self._switches = Switches(service_api_url=service_api_url)
        self.mask_keys = mask_keys
        self._keys = KeyCache(
            self.version, deleted_key_lives=deleted_key_lives, last_used_lag=last_used_lag
        )
        self._memory = ServerMemory(indexing_seconds)
        style = SessionStyle(session_style) if session_style else self.version.session_style
        self._sessions = Sessions(
            world,
            self.version,
            style=style,
            cookie_prefix=cookie_prefix,
            access_seconds=expires_in,
        )
        console = CONSOLE_ROUTES + LoginDesk(self._sessions).routes()
        self._dispatcher = Dispatcher(console, SERVICE_ROUTES, self.version)
        self._requests: list[RecordedRequest] = []
        self._started = 0
        self._counting = Lock()

    @property
    def requests(self) -> list[RecordedRequest]:
        """Every request answered so far, oldest first."""
        with self._counting:
            return list(self._requests)

    def requests_of(self, path: str) -> list[RecordedRequest]:
        """The requests of one endpoint; `{…}` in the path stands for any id: "/apps/{app_id}"."""
        pattern = sub(r"\\\{[^/]*\\\}", "[^/]+", escape(path))
        pattern = f"({escape(CONSOLE)})?{pattern}"
        return [request for request in self.requests if fullmatch(pattern, request.path)]

    @property
    def plugin_daemon_down(self) -> bool:
        """Whether the plugin daemon is missing: datasets then answer 400."""
        return self._switches.plugin_daemon_down

    @plugin_daemon_down.setter
    def plugin_daemon_down(self, down: bool) -> None:
        self._switches.plugin_daemon_down = down

    @property
    def providers_in_cache(self) -> bool:
        """Whether the list of model providers is in redis, where main of August 2026 keeps it."""
        return self._switches.providers_in_cache

    @providers_in_cache.setter
    def providers_in_cache(self, cached: bool) -> None:
        self._switches.providers_in_cache = cached

    @property
    def mask_keys(self) -> bool | str:
        """How lists of keys hide them: "dots", "stars", or False. Set True for dots."""
        return self._switches.mask_keys or False

    @mask_keys.setter
    def mask_keys(self, shape: bool | str) -> None:
        if shape not in (True, False, "dots", "stars"):
            raise ValueError(f"keys are masked with dots or stars, not {shape!r}")
        self._switches.mask_keys = "dots" if shape is True else shape or None

    @property
    def odd_rows(self) -> dict[str, int]:
        """Rows, by id, that cannot be shown: every answer that holds one is this status instead."""
        return self._switches.odd_rows

    def expire_access_tokens(self) -> None:
        """Let every access token that is out expire now; refresh tokens stay good."""
        with self.world.lock:
            self._sessions.tokens.expire()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request. Raises ConnectionResetError or TimeoutError if the faults say so."""
        request = Request(environ)
        number = self._next_number()
        response = self._with_faults(request, number)
        self._finish(request, response)
        return response(environ, start_response)

    def _next_number(self) -> int:
        with self._counting:
            self._started += 1
            return self._started - 1

    def _with_faults(self, request: Request, number: int) -> Response:
        faults = self.faults
        fault = faults.asked_before(number, request) or faults.of_request(number)
        seconds = self.latency + (faults.slow_seconds if fault is Fault.SLOW else 0)
        if seconds > 0:
            sleep(seconds)
        if fault in (Fault.RESET, Fault.TIMEOUT):
            self._hang_up(request, fault)
        instead = None if fault is None else faults.instead_of_answer(fault, number)
        response = instead or self._answer(request)
        return self._on_its_way(request, response, number, fault)

    def _on_its_way(
        self, request: Request, response: Response, number: int, fault: Fault | None
    ) -> Response:
        """What becomes of an answer after the server has done its work."""
        lost = self.faults.asked_after(number, request, response) or fault
        if lost in (Fault.LOST, Fault.RESET, Fault.TIMEOUT):
            self._hang_up(request, lost)
        if lost is Fault.TRUNCATED:
            return truncate(response)
        if lost is not fault and lost is not None:
            return self.faults.instead_of_answer(lost, number) or response
        return response

    def _hang_up(self, request: Request, fault: Fault) -> NoReturn:
        self._record(request, 0)
        if fault is Fault.TIMEOUT:
            raise TimeoutError("the simulated server gave no answer in time")
        raise ConnectionResetError("the simulated server closed the connection")

    def _answer(self, request: Request) -> Response:
        with self.world.lock:
            self._memory.catch_up(self.world, at=self.world.now())
            call = Call(
                world=self.world,
                version=self.version,
                request=request,
                switches=self._switches,
                keys=self._keys,
                memory=self._memory,
                at=self.world.now(),
            )
            return self._dispatcher.answer(call, self._sessions)

    def _finish(self, request: Request, response: Response) -> None:
        response.headers["X-Version"] = self.version.text
        response.headers["X-Env"] = "PRODUCTION"
        response.headers["Date"] = http_date(self.world.now())
        header = request.headers.get("Authorization", "")
        if self._sessions.uses_cookies and header.startswith("Bearer "):
            response.set_cookie("x-token", header.removeprefix("Bearer "), httponly=True)
        self._record(request, response.status_code)

    def _record(self, request: Request, status: int) -> None:
        done = RecordedRequest(
            method=request.method,
            path=request.path,
            query=tuple(request.args.items(multi=True)),
            status=status,
            at=self.world.now(),
        )
        with self._counting:
            self._requests.append(done)
