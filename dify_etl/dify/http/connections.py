"""The connections to one Dify: an httpx client for each request that is under way.

One client for all would look at every connection, under one lock, for each request.
"""

import logging
import ssl
import time
from collections.abc import Callable
from functools import cached_property
from urllib.request import getproxies

import httpx

from dify_etl.dify.http.bounds import AnswerBounds, AnswerDeadline, bound_headers, read_within

TIMEOUT = httpx.Timeout(connect=10.0, read=120.0, write=30.0, pool=60.0)


class Connections:
    """Lends a client for each sending; the one that came back last, whose connection is warm.

    `on_sent` and `on_answered` are called for each request sent, those of a login too; the answer
    is read whole by then, within `bounds`. `transport` replaces the network, in tests. Authorities
    are loaded for the first https:// address that is asked: a service API may have one where the
    console has none.
    """

    def __init__(
        self,
        *,
        on_sent: Callable[[httpx.Request], None],
        on_answered: Callable[[httpx.Response], None],
        transport: httpx.BaseTransport | None = None,
        bounds: AnswerBounds | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        _hush_wire_log()
        self._bounds = bounds or AnswerBounds()
        self._monotonic = monotonic
        self._on_sent = on_sent
        self._on_answered = on_answered
        self._transport = transport
        self._all: list[httpx.Client] = []
        # Those for https:// and those for http://.
        self._idle: dict[bool, list[httpx.Client]] = {True: [], False: []}

    def send(self, request: httpx.Request, auth: httpx.Auth | None) -> httpx.Response:
        """Send a request, signed by `auth`; raises httpx.RequestError (AnswerTooMuch too) or
        OSError.
        """
        encrypted = request.url.scheme == "https"
        client = self._borrow(encrypted)
        try:
            return client.send(request, auth=auth)
        finally:
            self._idle[encrypted].append(client)

    def close(self) -> None:
        """Close them all."""
        for client in self._all:
            client.close()

    @cached_property
    def _trusting(self) -> ssl.SSLContext | bool:
        return True if self._transport else _tls_context(encrypted=True)

    @cached_property
    def _plain(self) -> ssl.SSLContext | bool:
        return True if self._transport else _tls_context(encrypted=False)

    def _borrow(self, encrypted: bool) -> httpx.Client:
        try:
            return self._idle[encrypted].pop()
        except IndexError:
            client = self._new_client(encrypted)
            self._all.append(client)
            return client

    def _new_client(self, encrypted: bool) -> httpx.Client:
        deadline = AnswerDeadline(self._bounds, self._monotonic)

        def read(response: httpx.Response) -> None:
            """Read it whole, and let go of the wire: httpx makes answer and stream hold each other,
            so that each answer with all its text would wait for the garbage collector.
            """
            read_within(response, self._bounds, deadline)
            response.stream = httpx.ByteStream(b"")

        client = _CookielessClient(
            transport=self._transport,
            verify=self._trusting if encrypted else self._plain,
            timeout=TIMEOUT,
            event_hooks={
                "request": [deadline.begin, self._on_sent],
                "response": [read, self._on_answered],
            },
        )
        bound_headers(client, deadline)
        return client


def _tls_context(*, encrypted: bool) -> ssl.SSLContext:
    """Whom to trust. To load the authorities takes longer than a small command's requests do, so
    where nothing is encrypted, the way to a proxy neither, there is a context that trusts nobody.
    """
    if encrypted or any(proxy.startswith("https:") for proxy in getproxies().values()):
        return httpx.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class _NoCookies(httpx.Cookies):
    """Takes none. A jar would cost a twentieth of each request to refuse what it is shown."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Leave the answer's cookies: `auth` reads those of a login."""


class _CookielessClient(httpx.Client):
    """The session's cookies are set by hand, and those of proxies are nobody's business."""

    @property
    def cookies(self) -> httpx.Cookies:
        return _NO_COOKIES

    @cookies.setter
    def cookies(self, cookies: object) -> None:
        raise AttributeError("this client keeps no cookies")


_NO_COOKIES = _NoCookies()


def _hush_wire_log() -> None:
    """httpcore logs headers at DEBUG, and with them the tokens of every Set-Cookie."""
    wire_log = logging.getLogger("httpcore")
    wire_log.setLevel(max(wire_log.level, logging.INFO))
