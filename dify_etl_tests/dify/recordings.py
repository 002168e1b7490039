"""The recorded exchanges of real servers, and a transport that plays one back."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from dify_etl.dify import DifyClient
from dify_etl.dify.http.session import RetryPolicy

RECORDED = Path(__file__).parent.parent / "recorded"
VERSIONS = ("main-2026-08", "1.16.1", "1.12.1", "1.7.2")
Handler = Callable[[httpx.Request], httpx.Response]


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its answer."""

    version: str
    area: str
    name: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    status: int
    headers: tuple[tuple[str, str], ...]
    body: Any
    body_text: str | None

    def response(self) -> httpx.Response:
        """The answer as httpx gives it."""
        headers = [(name, value) for name, value in self.headers if name != "content-length"]
        if self.body is None and self.body_text is not None:
            return httpx.Response(self.status, headers=headers, text=self.body_text)
        return httpx.Response(self.status, headers=headers, json=self.body)


@cache
def exchanges(version: str) -> tuple[Exchange, ...]:
    """Everything recorded of one version."""
    return tuple(
        _exchange(version, file.stem, json.loads(line))
        for file in sorted((RECORDED / version).glob("*.jsonl"))
        for line in file.read_text("utf-8").splitlines()
    )


def exchange(version: str, area: str, name: str) -> Exchange:
    """The exchange of this name."""
    return next(e for e in exchanges(version) if (e.area, e.name) == (area, name))


def by_area(found: Iterable[Exchange]) -> dict[str, list[Exchange]]:
    """Thousands of exchanges, by version and area: a test takes those of an area."""
    areas: dict[str, list[Exchange]] = {}
    for one in found:
        areas.setdefault(f"{one.version}-{one.area}", []).append(one)
    return areas


def complaints(check: Callable[[Exchange], None], found: Iterable[Exchange]) -> dict[str, str]:
    """What a check says of each exchange that it fails for, by the exchange's name."""
    told = {}
    for one in found:
        try:
            check(one)
        except (Exception, pytest.fail.Exception) as error:
            told[one.name] = f"{type(error).__name__}: {error}"
    return told


def playing(recorded: Exchange) -> DifyClient:
    """A client whose server gives this one answer to whatever is asked."""
    session = {
        "/ping": "setup-status-after",
        "/login": "login-ok",
        "/account/profile": "profile",
    }

    def answer(request: httpx.Request) -> httpx.Response:
        name = session.get(request.url.path.removeprefix("/console/api"))
        if name is None or request.url.path == recorded.path:
            return recorded.response()
        return exchange(recorded.version, "auth", name).response()

    return client(answer)


def client(handler: Handler, **options: Any) -> DifyClient:
    """A client over a fake server that never waits."""
    return DifyClient(
        "https://dify.test",
        **{
            "email": "owner@difylab.test",
            "password": SecretStr("Difylab2026"),
            "transport": httpx.MockTransport(handler),
            "retry": RetryPolicy(attempts=1),
            **options,
        },
    )


def _exchange(version: str, area: str, line: dict[str, Any]) -> Exchange:
    request, response = line["request"], line["response"]
    return Exchange(
        version=version,
        area=area,
        name=line["name"],
        method=request["method"],
        path=request["path"],
        query=tuple((name, value) for name, value in request["query"]),
        status=response["status"],
        headers=tuple((name, value) for name, value in response["headers"]),
        body=_as_cut(response["body"], line.get("note") or ""),
        body_text=response.get("body_text"),
    )


def _as_cut(body: Any, note: str) -> Any:
    """A list without pages that was cut for the recording tells the rows that are left of it: no
    server sends a part of such a list.
    """
    if "`data` is cut here" in note and "total" in body and "page" not in body:
        return {**body, "total": len(body["data"])}
    return body
