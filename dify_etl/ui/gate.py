"""The gate in front of Dagster's web application, which itself lets every web page do everything.

It lets through what the UI's own pages send, and what a program on this machine sends as JSON:

- the `Host` is a name that was allowed (no page of a stranger's domain that points here);
- `Origin` and `Sec-Fetch-Site`, where there are any, tell of this very site; only a link that
  somebody clicks may come from elsewhere;
- whatever is not a read is a POST with a body of JSON, which no form and no image can send;
- with a password, everybody shows it first.

Websockets pass the same checks. Answers may stand in no frame of another page.
"""

import base64
import binascii
import hmac
import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

READS = ("GET", "HEAD")
GRAPHQL = "graphql"
LOOPBACK_NAME = "localhost"
# Beside the policy that Dagster's own page brings: a browser follows both.
PROTECTION: Mapping[str, str] = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}
NO_FRAMES = "frame-ancestors 'none'"
CHALLENGE = {"WWW-Authenticate": 'Basic realm="dify-etl", charset="UTF-8"'}


@dataclass(frozen=True)
class Refusal:
    """Why a request is not let through: an HTTP status and a sentence for whoever sent it."""

    status: int
    reason: str

    def response(self) -> PlainTextResponse:
        """The answer; with 401 a browser asks for the password."""
        told = CHALLENGE if self.status == 401 else None
        return PlainTextResponse(f"dify-etl refused this: {self.reason}\n", self.status, told)


class Gate:
    """An ASGI application that refuses, or hands on to `app`.

    `hosts`: names beside the loopback ones under which the UI may be reached, without ports.
    `password`: of everybody, by HTTP Basic with any user name; None: nobody is asked.
    """

    def __init__(
        self, app: ASGIApp, *, hosts: Collection[str] = (), password: str | None = None
    ) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._password = password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request or a websocket's handshake; all else is handed on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        is_socket = scope["type"] == "websocket"
        if refusal is None:
            await self._app(scope, receive, send if is_socket else _protecting(send))
        elif not is_socket:
            await refusal.response()(scope, receive, _protecting(send))
        elif "websocket.http.response" in scope.get("extensions", {}):
            await refusal.response()(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": refusal.reason})

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        return (
            self._of_host(headers)
            or _of_origin(scope, headers)
            or self._of_password(headers)
            or (_of_method(scope, headers) if scope["type"] == "http" else None)
        )

    def _of_host(self, headers: Headers) -> Refusal | None:
        given = headers.getlist("host")
        name = _hostname(given[0]) if len(given) == 1 else None
        if name is None:
            return Refusal(400, "it names no host, or several.")
        if _is_loopback(name) or name in self._hosts:
            return None
        return Refusal(
            421,
            "the UI is not served under this name. Whoever runs it can allow names with "
            "DIFY_ETL_HOSTS=name,name.",
        )

    def _of_password(self, headers: Headers) -> Refusal | None:
        if self._password is None or _shows(headers.getlist("authorization"), self._password):
            return None
        return Refusal(401, "give the password of DIFY_ETL_UI_PASSWORD; the user's name is free.")


def _of_origin(scope: Scope, headers: Headers) -> Refusal | None:
    """What a browser tells about the page that sends; programs tell nothing."""
    host = headers["host"].lower()
    foreign = Refusal(403, "another web page sent it.")
    for origin in headers.getlist("origin"):
        scheme, _, rest = origin.lower().partition("://")
        if scheme not in ("http", "https") or rest != host:
            return foreign
    if all(site in ("same-origin", "none") for site in headers.getlist("sec-fetch-site")):
        return None
    is_link = (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )
    return None if is_link else foreign


def _of_method(scope: Scope, headers: Headers) -> Refusal | None:
    method = scope["method"]
    if method in READS:
        # Dagster takes a GraphQL mutation from the address, too.
        is_graphql = scope["path"].strip("/").endswith(GRAPHQL)
        if not is_graphql or _only_reads(QueryParams(scope["query_string"])):
            return None
        return Refusal(405, "by GET nothing is changed. Send it by POST, as JSON.")
    if method != "POST":
        return Refusal(405, f"{method} is nothing that the UI needs.")
    kinds = headers.getlist("content-type")
    # Not `in`: `text/plain; x=application/json` is what any page may send.
    if len(kinds) != 1 or kinds[0].partition(";")[0].strip().lower() != "application/json":
        return Refusal(415, "what is sent by POST is JSON, with Content-Type: application/json.")
    return None


def _only_reads(query: QueryParams) -> bool:
    try:
        documents = [parse(text) for text in query.getlist("query")]
    except (GraphQLError, RecursionError):
        return False
    return all(
        node.operation is OperationType.QUERY
        for document in documents
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
    )


def _hostname(host: str) -> str | None:
    """The name in a Host header, without port and brackets; None when it is none."""
    if not host or set(host) & set("/\\@?# \t,"):
        return None
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    return parts.hostname


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == LOOPBACK_NAME


def _shows(given: list[str], password: str) -> bool:
    """Whether one Basic authorization with this password was given; takes equally long."""
    scheme, _, told = (given[0] if len(given) == 1 else "").partition(" ")
    try:
        pair = base64.b64decode(told.strip(), validate=True)
    except binascii.Error:
        pair = b""
    _, _, shown = pair.partition(b":")
    is_right = hmac.compare_digest(shown, password.encode())
    return is_right and scheme.lower() == "basic"


def _protecting(send: Send) -> Send:
    async def protected(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.update(PROTECTION)
            headers.append("Content-Security-Policy", NO_FRAMES)
        await send(message)

    return protected
