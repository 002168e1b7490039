"""`GET /healthz`: whether all parts live, for whoever may ask, without a login.

It stands before the gate, since the check of a container shows neither a name nor a password. It
tells strangers one word and nothing else: no version, no path, no error.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from starlette.concurrency import run_in_threadpool
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from dify_etl.ui.gate import PROTECTION

PATH = "/healthz"
WELL = "ok"
# Who asks a thousand times a second gets answers, but the storage is asked once in this time.
KEPT_SECONDS = 2.0
WAIT_SECONDS = 8.0


class Parts(Protocol):
    """What is behind the web application."""

    @property
    def asked(self) -> str:
        """The part that is being asked, in one word."""

    def failing(self) -> str | None:
        """The part that does not live, in one word; None: all do. It may take its time."""


class HealthEndpoint:
    """An ASGI application that answers PATH, and hands all else on to `app`.

    200 and `ok`, or 503 and the one word of the part that does not live: `code`, `daemon`,
    `storage`. A part that does not answer in WAIT_SECONDS does not live.
    """

    def __init__(
        self,
        app: ASGIApp,
        parts: Parts,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self._app = app
        self._parts = parts
        self._clock = clock
        self._wait_seconds = wait_seconds
        self._look: asyncio.Task[str | None] | None = None
        self._looked_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or scope["path"] != PATH:
            await self._app(scope, receive, send)
        elif scope["method"] not in ("GET", "HEAD"):
            await _answer(405, "only GET")(scope, receive, send)
        else:
            failing = await self.failing()
            answer = _answer(503, failing) if failing else _answer(200, WELL)
            await answer(scope, receive, send)

    async def failing(self) -> str | None:
        """The part that does not live: one look for all who ask meanwhile."""
        look = self._look
        if look is None or (look.done() and self._clock() - self._looked_at > KEPT_SECONDS):
            look = self._look = asyncio.create_task(self._ask())
        try:
            return await asyncio.wait_for(asyncio.shield(look), self._wait_seconds)
        except TimeoutError:
            return self._parts.asked

    async def _ask(self) -> str | None:
        failing = await run_in_threadpool(self._parts.failing)
        self._looked_at = self._clock()
        return failing


def _answer(status: int, word: str) -> PlainTextResponse:
    headers = {**PROTECTION, "Cache-Control": "no-store"}
    return PlainTextResponse(f"{word}\n", status, headers)
