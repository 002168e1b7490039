"""Send requests to an ASGI application without a socket, with the headers of any sender."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.types import ASGIApp, Message

SECONDS = 20


@dataclass(frozen=True)
class Client:
    """Who sends requests to the application under the name of `host`."""

    app: ASGIApp
    host: str

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        """The answer; redirects are not followed."""
        return asyncio.run(self._request(method, path, given))

    def get(self, path: str, **given: Any) -> httpx.Response:
        """The answer to a GET."""
        return self.request("GET", path, **given)

    def post(self, path: str, **given: Any) -> httpx.Response:
        """The answer to a POST."""
        return self.request("POST", path, **given)

    async def _request(self, method: str, path: str, given: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self.app)
        url = f"http://{self.host}{path}"
        async with httpx.AsyncClient(transport=transport) as client:
            # A client joins //graphql to its own address; the path is meant as it stands.
            return await client.request(method, httpx.URL(url), **given)

    def websocket(
        self,
        headers: Mapping[str, str],
        *sent: Mapping[str, Any],
        answers: int = 1,
        can_refuse: bool = True,
    ) -> list[Message]:
        """What comes back from /graphql: acceptance or refusal, then so many answers.

        `can_refuse`: whether the server offers to answer a handshake with a status of its own.
        """
        return asyncio.run(self._websocket(headers, sent, answers, can_refuse))

    async def _websocket(
        self,
        headers: Mapping[str, str],
        sent: Sequence[Mapping[str, Any]],
        answers: int,
        can_refuse: bool,
    ) -> list[Message]:
        to_app: asyncio.Queue[Message] = asyncio.Queue()
        from_app: asyncio.Queue[Message] = asyncio.Queue()
        to_app.put_nowait({"type": "websocket.connect"})
        for one in sent:
            to_app.put_nowait({"type": "websocket.receive", "text": json.dumps(dict(one))})
        told = {"Host": self.host, **headers}
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "scheme": "ws",
            "path": "/graphql",
            "raw_path": b"/graphql",
            "query_string": b"",
            "root_path": "",
            "headers": [(key.lower().encode(), text.encode()) for key, text in told.items()],
            "subprotocols": ["graphql-ws"],
            "extensions": {"websocket.http.response": {}} if can_refuse else {},
        }
        running = asyncio.ensure_future(self.app(scope, to_app.get, from_app.put))
        found = [await asyncio.wait_for(from_app.get(), SECONDS)]
        if found[0]["type"] == "websocket.accept":
            found += [await asyncio.wait_for(from_app.get(), SECONDS) for _ in range(answers)]
        to_app.put_nowait({"type": "websocket.disconnect", "code": 1000})
        await asyncio.wait_for(running, SECONDS)
        return found
