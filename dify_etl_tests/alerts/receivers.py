"""Servers that alerts are really sent to: a webhook's and a mail server, both on loopback."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from aiosmtpd.controller import Controller

SECRET = "geheim-4711"


@dataclass
class Received:
    """What came: title and text of each message; `status` is what the server answers."""

    url: str = ""
    status: int = 200
    messages: list[tuple[str, str]] = field(default_factory=list)

    def take(self) -> list[tuple[str, str]]:
        """What came since the last look."""
        found, self.messages = self.messages, []
        return found

    def titles(self) -> list[str]:
        """The headings of what came since the last look, without the name of the Dify."""
        return [title.partition(": ")[2] for title, _ in self.take()]


@contextmanager
def webhook(port: int = 0) -> Iterator[Received]:
    """A server that takes JSON, with a token in its address; Apprise's URL of it."""
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if received.status == 200:
                received.messages.append((told["title"], told["message"]))
            self.send_response(received.status)
            self.end_headers()
            self.wfile.write(f"the answer of a server, {SECRET}".encode())

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    received.url = f"json://user:{SECRET}@127.0.0.1:{server.server_address[1]}/{SECRET}"
    try:
        yield received
    finally:
        server.shutdown()
        server.server_close()


class _Mailbox:
    def __init__(self, received: Received) -> None:
        self._received = received

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content, policy=policy.default)
        body = mail.get_body(("plain", "html"))
        assert body is not None
        self._received.messages.append((str(mail["Subject"]), body.get_content()))
        return "250 taken"


@contextmanager
def mail_server() -> Iterator[Received]:
    """A mail server, and Apprise's URL of a mailbox on it."""
    received = Received()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(_Mailbox(received), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        received.url = f"mailto://127.0.0.1:{port}?from=etl@example.com&to=ops@example.com"
        yield received
    finally:
        controller.stop()
