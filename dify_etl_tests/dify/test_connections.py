"""The connections: one client per request under way, and nothing that outlives its answer."""

import gc
import gzip
import json
import ssl
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from pydantic import SecretStr

from dify_etl.dify.errors import UnexpectedAnswer
from dify_etl.dify.http.bounds import AnswerBounds
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.connections import Connections
from dify_etl.dify.http.server import Server
from dify_etl.dify.http.session import Session
from dify_etl.dify.http.usage import RequestDone, Usage
from dify_etl_tests.certificates import certificate
from dify_etl_tests.dify.pretend_server import PROFILE, PretendServer
from dify_etl_tests.dify.recordings import client

S = TypeVar("S", bound=ThreadingHTTPServer)
ROWS = json.dumps({"data": ["row"] * 1_000})


class CompressingServer(ThreadingHTTPServer):
    """A server on a socket that compresses when it may, and counts the connections to it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), CompressingHandler)
        self.connections = 0
        self.meeting = threading.Barrier(1)


class CompressingHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: CompressingServer

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        self.server.meeting.wait(10)
        body = ROWS.encode()
        is_small = "gzip" in self.headers.get("accept-encoding", "")
        body = gzip.compress(body) if is_small else body
        self.send_response(200)
        if is_small:
            self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Be quiet."""


@contextmanager
def compressing_server() -> Iterator[CompressingServer]:
    with serving(CompressingServer()) as server:
        yield server


@contextmanager
def serving(server: S) -> Iterator[S]:
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def connections() -> Connections:
    return Connections(on_sent=lambda request: None, on_answered=lambda response: None)


def request_to(server: CompressingServer, **headers: str) -> httpx.Request:
    return httpx.Request("GET", f"http://127.0.0.1:{server.server_port}/x", headers=headers)


def test_requests_at_the_same_time_have_connections_of_their_own_and_keep_them() -> None:
    """Three at once take three connections; what follows one by one takes no new one."""
    with compressing_server() as server:
        ours = connections()
        server.meeting = threading.Barrier(3)
        threads = [
            threading.Thread(target=ours.send, args=(request_to(server), None)) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        server.meeting = threading.Barrier(1)
        at_once = server.connections

        for _ in range(5):
            ours.send(request_to(server), None)
        ours.close()

    assert (at_once, server.connections) == (3, 3)


def test_answers_travel_compressed() -> None:
    """Pages are mostly text: a server that can compress is told that it may."""
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.headers["accept-encoding"])
        return httpx.Response(200, json=PROFILE)

    client(PretendServer(answer=answer)).account.profile()
    with compressing_server() as server:
        ours = connections()
        answered = ours.send(request_to(server, **{"accept-encoding": asked[0]}), None)
        ours.close()

    assert asked == ["gzip, deflate"]
    assert answered.text == ROWS
    assert answered.num_bytes_downloaded < len(ROWS) / 10


def test_answer_is_freed_with_its_last_user() -> None:
    """No answer waits for the garbage collector: thousands of pages would fill the memory."""
    with compressing_server() as server:
        ours = connections()
        gc.disable()
        try:
            freed = [weakref.ref(ours.send(request_to(server), None)) for _ in range(3)]
            assert [answer() for answer in freed] == [None, None, None]
        finally:
            gc.enable()
        ours.close()


def test_no_cookie_is_kept_or_set() -> None:
    """The clients take no cookies from answers, and nobody gives them any by mistake."""
    ours = connections()
    with (
        ours._borrow(encrypted=True) as one,
        pytest.raises(AttributeError, match="keeps no cookies"),
    ):
        one.cookies = {"a": "b"}


def test_authorities_are_loaded_for_https_alone() -> None:
    """They take longer than a small command; a service API may have https where the console has
    none, and then its certificate is looked at as any.
    """
    ours = Connections(on_sent=lambda request: None, on_answered=lambda response: None)
    for encrypted in (False, True, False):
        with ours._borrow(encrypted):
            pass
    trusted = [ours._plain, ours._trusting]
    assert [isinstance(one, ssl.SSLContext) and one.verify_mode for one in trusted] == [
        ssl.CERT_REQUIRED
    ] * 2
    assert [
        isinstance(one, ssl.SSLContext) and one.cert_store_stats()["x509_ca"] > 0 for one in trusted
    ] == [False, True]


def test_https_is_trusted_beside_http(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a console at http:// and a service API at https://: by whom the machine trusts."""
    key, certified = certificate(tmp_path, days=1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certified, key)
    encrypting = CompressingServer()
    encrypting.socket = context.wrap_socket(encrypting.socket, server_side=True)
    encrypted = httpx.Request("GET", f"https://127.0.0.1:{encrypting.server_port}/x")
    with compressing_server() as server, serving(encrypting):
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            connections().send(encrypted, None)
        monkeypatch.setenv("SSL_CERT_FILE", str(certified))
        ours = connections()
        for request in (request_to(server), encrypted, request_to(server)):
            assert ours.send(request, None).text == ROWS
        ours.close()


class ExcessiveHandler(BaseHTTPRequestHandler):
    """Answers more than anybody wants: a small body that swells, or one that never ends, or headers
    that never do.
    """

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if "headers" in self.path:
            self.drip_headers(0.01 if "drip" in self.path else 2.0)
            return
        self.send_response(200)
        self.send_header("x-version", "1.16.1")
        if self.path.endswith("swelling"):
            body = gzip.compress(b"[" + b" " * (3 << 20) + b"]")
            self.send_header("content-encoding", "gzip")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(b"1\r\n \r\n")
                time.sleep(0.01)

    def drip_headers(self, gap: float) -> None:
        """A status, and then headers byte by byte with a gap, for longer than anybody waits."""
        self.wfile.write(b"HTTP/1.1 200 OK\r\nx-version: 1.16.1\r\n")
        ends = time.monotonic() + 1.5
        with suppress(OSError):
            while time.monotonic() < ends:
                self.wfile.write(b"x")
                time.sleep(gap)
            self.wfile.write(b": y\r\ncontent-length: 2\r\n\r\n{}")

    def log_message(self, format: str, *args: Any) -> None:
        """Be quiet."""


@pytest.mark.parametrize(
    ("path", "setting"),
    [
        ("swelling", "DIFY_ETL_MAX_ANSWER_MIB"),
        ("dripping", "DIFY_ETL_MAX_ANSWER_SECONDS"),
        ("headers-that-drip", "DIFY_ETL_MAX_ANSWER_SECONDS"),
        ("headers-that-wait", "DIFY_ETL_MAX_ANSWER_SECONDS"),
    ],
)
def test_answer_beyond_the_bounds_is_dropped(path: str, setting: str) -> None:
    """After decompression, and although bytes come all the time; it is asked once."""
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), ExcessiveHandler)) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        sent: list[RequestDone] = []
        session = Session(
            Server(address, Clock()),
            httpx.Auth(),
            usage=Usage(sent.append),
            bounds=AnswerBounds(mebibytes=2, seconds=60 if path == "swelling" else 0.1),
        )
        with pytest.raises(UnexpectedAnswer, match=setting):
            session.get_with_key(httpx.URL(address), f"/{path}", key=SecretStr("none"))
        assert len(sent) == 1
        session.close()
