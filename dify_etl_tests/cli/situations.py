"""Situations in which a command meets something bad: each is set up, and put back afterwards."""

import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx

from dify_etl.home import LIVE, Home
from dify_etl_tests.certificates import certificate
from dify_etl_tests.cli.command_line import ServedDify, Shell


@dataclass
class Stage:
    """What a situation may change: the Dify and the user's folder."""

    dify: ServedDify
    shell: Shell


@dataclass(frozen=True)
class Met:
    """What the situation adds: variables of the command, and words that its message must hold."""

    variables: dict[str, str] = field(default_factory=dict)
    says: tuple[str, ...] = ()


Arrange = Callable[[Stage], AbstractContextManager[Met]]


@contextmanager
def nothing(stage: Stage) -> Iterator[Met]:
    """Only the variables and words of the table."""
    yield Met()


@contextmanager
def no_session(stage: Stage) -> Iterator[Met]:
    """No session is kept from an earlier run, so that the account has to log in."""
    (stage.shell.home / "session.json").unlink()
    yield Met()


@contextmanager
def locked_account(stage: Stage) -> Iterator[Met]:
    """Somebody has tried seven wrong passwords for this address."""
    email = "locked@dify.test"
    for _ in range(7):
        body = {"email": email, "password": "bm8gc3VjaA==", "remember_me": True}
        httpx.post(f"{stage.dify.base_url}/console/api/login", json=body)
    yield Met({"DIFY_EMAIL": email})


@contextmanager
def low_role(stage: Stage) -> Iterator[Met]:
    """The account is a normal member, who may not read logs."""
    stage.dify.world.set_role("normal")
    try:
        yield Met()
    finally:
        stage.dify.world.set_role("owner")


@contextmanager
def account_without_zone(stage: Stage) -> Iterator[Met]:
    """The account has no time zone."""
    account = stage.dify.world.account
    zone, account.timezone = account.timezone, ""
    try:
        yield Met()
    finally:
        account.timezone = zone


@contextmanager
def clock_ahead(stage: Stage) -> Iterator[Met]:
    """The server's clock is a day ahead."""
    world = stage.dify.world
    world.set_now(datetime.now(UTC) + timedelta(days=1))
    try:
        yield Met()
    finally:
        world.set_now(None)  # it goes on; a fixed moment would be wrong for the next tests


@contextmanager
def other_workspace(stage: Stage) -> Iterator[Met]:
    """Somebody switched the account's workspace in the console."""
    world = stage.dify.world
    other = next(one for one in world.workspaces if one != world.workspace_id)
    if all(join.tenant_id != other for join in world.account.joins):
        world.join(world.account_id, other, role="owner", at=world.now())
    world.switch_workspace(world.account_id, other)
    try:
        yield Met(says=(world.workspace_id, other))
    finally:
        world.switch_workspace(world.account_id, world.workspace_id)


@contextmanager
def other_address(stage: Stage) -> Iterator[Met]:
    """The same server under another name: for us it is another one."""
    address = stage.dify.base_url.replace("127.0.0.1", "localhost")
    yield Met({"DIFY_BASE_URL": address}, (stage.dify.base_url, address))


@contextmanager
def held_live_file(stage: Stage) -> Iterator[Met]:
    """Another process has the live file open."""
    code = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('ready', flush=True); "
    with _waiting(code + "sys.stdin.read()", str(stage.shell.home / LIVE)) as pid:
        yield Met(says=(f"PID {pid}", LIVE))


@contextmanager
def running_sync(stage: Stage) -> Iterator[Met]:
    """Another sync holds the home's lock."""
    code = (
        "import sys; from pathlib import Path; from dify_etl.sync.lock import home_lock\n"
        "with home_lock(Path(sys.argv[1]), wait_seconds=5):\n"
        "    print('ready', flush=True); sys.stdin.read()"
    )
    with _waiting(code, str(stage.shell.home)) as pid:
        yield Met(says=(f"PID {pid}", str(Home(stage.shell.home).sync_lock)))


@contextmanager
def _waiting(code: str, argument: str) -> Iterator[int]:
    """A process that says when it is ready and ends when its stdin does."""
    with subprocess.Popen(
        [sys.executable, "-c", code, argument],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process.pid
        finally:
            process.stdin.close()


def env_file(content: bytes) -> Arrange:
    """A `.env` of this content in the folder."""

    @contextmanager
    def arrange(stage: Stage) -> Iterator[Met]:
        (stage.shell.folder / ".env").write_bytes(content)
        yield Met(says=(str(stage.shell.folder / ".env"),))

    return arrange


@contextmanager
def runs_are_recorded(stage: Stage) -> Iterator[Met]:
    """DAGSTER_HOME is set, so that a sync is a run of Dagster."""
    folder = stage.shell.folder / "dagster"
    folder.mkdir()
    yield Met({"DAGSTER_HOME": str(folder)})


@contextmanager
def home_is_a_file(stage: Stage) -> Iterator[Met]:
    """DIFY_ETL_HOME names a file."""
    path = stage.shell.folder / "notes.txt"
    path.write_text("mine")
    yield Met({"DIFY_ETL_HOME": str(path)}, (str(path),))


@contextmanager
def unwritable_home(stage: Stage) -> Iterator[Met]:
    """A folder in which nobody can make one, root neither."""
    yield Met({"DIFY_ETL_HOME": "/sys/dify-etl"}, ("/sys/dify-etl",))


def answering(body: str, content_type: str) -> Arrange:
    """Something answers everything with this, but it is not Dify."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.end_headers()
            self.wfile.write(body.encode())

        do_POST = do_GET

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing."""

    @contextmanager
    def arrange(stage: Stage) -> Iterator[Met]:
        with _listening(_Server(("127.0.0.1", 0), Handler)) as port:
            yield Met({"DIFY_BASE_URL": f"http://127.0.0.1:{port}"})

    return arrange


@contextmanager
def expired_certificate(stage: Stage) -> Iterator[Met]:
    """An https server whose certificate, trusted otherwise, ended yesterday."""
    with _tls_server(stage.shell.folder, days=-1) as (port, certificate):
        variables = {
            "DIFY_BASE_URL": f"https://localhost:{port}",
            "SSL_CERT_FILE": str(certificate),
        }
        yield Met(variables)


@contextmanager
def http_to_https(stage: Stage) -> Iterator[Met]:
    """The server speaks https, the base URL says http."""
    with _tls_server(stage.shell.folder, days=9) as (port, _):
        yield Met({"DIFY_BASE_URL": f"http://127.0.0.1:{port}"})


@contextmanager
def https_to_http(stage: Stage) -> Iterator[Met]:
    """The server speaks http, the base URL says https."""
    yield Met({"DIFY_BASE_URL": stage.dify.base_url.replace("http:", "https:")})


@contextmanager
def path_of_a_page(stage: Stage) -> Iterator[Met]:
    """The base URL is what stands in the browser's address line."""
    yield Met({"DIFY_BASE_URL": f"{stage.dify.base_url}/apps"}, (stage.dify.base_url,))


@contextmanager
def _tls_server(folder: Path, *, days: int) -> Iterator[tuple[int, Path]]:
    key, certified = certificate(folder, days)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certified, key)
    server = _Server(("127.0.0.1", 0), _Silent)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with _listening(server) as port:
        yield port, certified


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing about clients that hang up."""


class _Silent(BaseHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def _listening(server: ThreadingHTTPServer) -> Iterator[int]:
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
