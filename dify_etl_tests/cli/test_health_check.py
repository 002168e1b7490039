"""`dify-etl serve --check`: what a container and systemd are told."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from dify_etl.cli.health_check import HEALTH_PATH
from dify_etl.ui import health
from dify_etl_tests.cli.command_line import Shell


@contextmanager
def answering(status: int, text: str) -> Iterator[str]:
    """A server on loopback; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == health.PATH
            self.send_response(status if known else 404)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield str(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "text", "code", "told"),
    [
        (200, "ok\n", 0, "ok"),
        (503, "daemon\n", 1, "daemon"),
        (503, "\x1b[31mred\n", 1, "\\x1b[31mred"),
        (421, "another program\n", 1, "something else than dify-etl answers on port"),
    ],
)
def test_answer_is_told(shell: Shell, status: int, text: str, code: int, told: str) -> None:
    """The word, and an exit code; no setting is needed and a proxy is not asked."""
    shell.variables = {"http_proxy": "http://127.0.0.1:9"}
    with answering(status, text) as port:
        for host in ("127.0.0.1", "0.0.0.0"):
            answer = shell.run("serve", "--check", "--port", port, "--host", host)
            assert answer.code == code
            assert answer.out.startswith(told)


def test_nobody_answers(shell: Shell) -> None:
    """Then it is the web application that does not live."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
    answer = shell.run("serve", "--check", "--port", port)
    assert (answer.code, answer.out) == (1, "web\n")


def test_check_asks_where_the_endpoint_is() -> None:
    """Two modules name the path, since one of them imports a web server."""
    assert health.PATH == HEALTH_PATH
