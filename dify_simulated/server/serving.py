"""The simulated Dify behind a socket: threads, HTTP/1.1, connections kept alive."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from os import close
from sys import stderr
from threading import Thread
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

# SO_LINGER with zero seconds: close() sends RST instead of FIN.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class RunningServer:
    """Where the server listens."""

    base_url: str
    port: int


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    application: WSGIApplication

    def handle_error(self, request: object, client_address: object) -> None:
        """Stay silent about clients that hang up; the application answers its own errors."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet per small answer
    disable_nagle_algorithm = True
    server: _Server

    def handle_one_request(self) -> None:
        """Answer any method through the WSGI application."""
        self.raw_requestline = self.rfile.readline(65_537)
        if not self.raw_requestline:
            self.close_connection = True
        elif self.parse_request():
            self._answer()

    def _answer(self) -> None:
        try:
            body = b"".join(self.server.application(self._environ(), self._start_response))
        except (ConnectionResetError, TimeoutError):
            self._reset()
            return
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        close(self.connection.detach())
        self.close_connection = True

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: object = None, /
    ) -> Callable[[bytes], object]:
        code, _, reason = status.partition(" ")
        self.send_response_only(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        return self.wfile.write

    def _environ(self) -> dict[str, object]:
        path, _, query = self.path.partition("?")
        length = int(self.headers.get("Content-Length") or 0)
        environ: dict[str, object] = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path, "iso-8859-1"),
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(length),
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(self.server.server_address[1]),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(self.rfile.read(length)),
            "wsgi.errors": stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            environ.setdefault(f"HTTP_{name.upper().replace('-', '_')}", value)
        return environ

    def log_message(self, format: str, *arguments: object) -> None:
        """Write no log: SimulatedDify records its requests itself."""


@contextmanager
def serve(application: WSGIApplication, port: int = 0) -> Iterator[RunningServer]:
    """Serve on 127.0.0.1 while the block runs; port 0 takes a free one. OSError when taken."""
    server = _Server(("127.0.0.1", port), _Handler)
    server.application = application
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        actual = int(server.server_address[1])
        yield RunningServer(base_url=f"http://127.0.0.1:{actual}", port=actual)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
