"""Start the Dagster UI on this project: daemon, code location and the gated web application."""

import fcntl
import ipaddress
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import typer
from rich.console import Console

from dify_etl.assembly.connection import (
    Tell,
    check_kind,
    effective_settings,
    home_of,
    server_name,
)
from dify_etl.cli.clear_errors import INTERRUPTED
from dify_etl.cli.consoles import err, teller
from dify_etl.cli.dagster_home import enter_dagster_home
from dify_etl.cli.log_line import LOG, line_teller
from dify_etl.defs.schedules import nightly_schedule
from dify_etl.private_files import LockHeld, flock, process_lock
from dify_etl.setting_sources import WORKSPACE
from dify_etl.settings import Settings, SettingWrong, setting_names
from dify_etl.ui.marks import Marks, answers
from dify_etl.ui.process_tree import ProcessTree, Service, running
from dify_etl.warehouse.errors import translated
from dify_etl.workspaces import WorkspaceTable, all_workspaces, environment_of

DEFINITIONS = "dify_etl.definitions"
PYTHON = (sys.executable, "-m")
BACKLOG = 128


def run_dagster(
    console: Console, *, host: str, port: int, is_server: bool, code_servers: Path | None = None
) -> None:
    """Serve the UI on this address until a signal comes; what dies meanwhile is started again.

    With `code_servers`, a workspace.yaml of Dagster's, code locations are those that it names, on
    whatever machines; no workspace and no Dify of these settings is looked at. For a server logs
    are JSON lines, unless the settings say otherwise, and the code is loaded once; else the UI can
    load it anew.

    Raises before anything is started: SettingWrong for settings, for an address that cannot be
    used, and for one that others reach while there is no password. ServiceEnded when one of the
    processes does not come up, or dies again and again. Ends with exit code 130 after Ctrl-C, 0
    after SIGTERM.
    """
    settings = effective_settings()
    served = _served() if code_servers is None else []
    if code_servers is not None and not code_servers.is_file():
        raise SettingWrong(
            "there is no such file",
            where=f"--code-servers {code_servers}",
            hint="Give a workspace.yaml of Dagster's, as deploy/cluster/celery/workspace.yaml.",
        )
    is_json = (settings.log or ("json" if is_server else "text")) == "json"
    tell = line_teller() if is_json else teller(err)
    warn = line_teller(level="warning") if is_json else tell
    for one in served:
        _check(one.settings)
        name = "" if one.settings.workspace is None else f"{one.settings.workspace}: "
        tell(f"{name}{server_name(one.settings)}, home {one.home.absolute()}")
    with closing(listening_socket(settings, host, port)) as listening:
        dagster = enter_dagster_home(settings)
        os.environ[LOG] = "json" if is_json else "text"  # of runs, too
        shown = f"[{host}]" if ":" in host else host
        told = f"Dagster UI: http://{shown}:{port} (data in {home_of(settings).resolve()})"
        (tell if is_json else teller(console))(told)
        with (
            _alone(dagster) as is_alone,
            _private_folder() as folder,
            running() as tree,
        ):
            how = [*([] if is_server else ["reload"]), *(["alone"] if is_alone else [])]
            log_format = "json" if is_json else "colored"
            commands = _Commands(folder, log_format, tuple(how), code_servers)
            _serve(tree, listening, commands, served, host=host, tell=warn)
            asked = tree.asked_by
            if asked is not None:
                tell(f"{signal.Signals(asked).name}: all processes are ended, runs too")
    if asked == signal.SIGINT:
        raise typer.Exit(INTERRUPTED)


@dataclass(frozen=True)
class _Served:
    """A code location: its name, the settings of its workspace, and the tables of all, if several
    have one each.
    """

    name: str
    settings: Settings
    tables: Mapping[str, WorkspaceTable] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str] | None:
        """That of its process; None: the one of all."""
        return environment_of(self.name, self.tables) if self.tables else None

    @property
    def home(self) -> Path:
        return home_of(self.settings).resolve()


def _served() -> list[_Served]:
    """A code location per workspace; the one of all settings where no file names several, or one
    of them is chosen.
    """
    settings = effective_settings()
    tables = all_workspaces(setting_names())
    if settings.workspace is not None or not tables:
        return [_Served(DEFINITIONS, settings)]
    return [_Served(name, effective_settings(**{WORKSPACE: name}), tables) for name in tables]


def _check(settings: Settings) -> None:
    """SettingWrong for what would end every run, before anything is started."""
    if not settings.is_simulated:
        settings.require_credentials()
    check_kind(settings)
    nightly_schedule(settings)  # a wrong cron expression shows here, not in the UI


@contextmanager
def _alone(dagster: Path) -> Iterator[bool]:
    """Whether nobody else serves from this DAGSTER_HOME; while the block lasts nobody else will."""

    def refused(error: OSError | LockHeld) -> Exception:
        return error if isinstance(error, LockHeld) else translated(dagster, error)

    with ExitStack() as held:
        is_alone = True
        try:
            held.enter_context(
                process_lock(dagster / "serve.lock", wait_seconds=0.0, refused=refused)
            )
        except LockHeld:
            is_alone = False
        yield is_alone


@contextmanager
def _private_folder() -> Iterator[Path]:
    """A folder in the system's own for such, which cleans away what is old but not what is locked:
    the files in it are made once and then only looked at.
    """
    with tempfile.TemporaryDirectory(prefix="dify-etl-") as name:
        held = os.open(name, os.O_RDONLY)
        try:
            with suppress(OSError):  # a file system without locks
                flock(held, fcntl.LOCK_SH)
            yield Path(name)
        finally:
            os.close(held)


@dataclass(frozen=True)
class _Commands:
    """The processes, which find each other in one private folder.

    A code location listens at a socket there: whoever reaches that one needs no web application.
    Its path is short, for the sake of the system's limit of 108 characters.
    """

    folder: Path
    log_format: str
    how: tuple[str, ...]  # how code locations are to start
    code_servers: Path | None = None  # the file of those that are started elsewhere

    def socket(self, number: int) -> Path:
        return self.folder / f"socket{number}"

    @property
    def workspace(self) -> Path:
        elsewhere = self.code_servers
        return self.folder / "workspace.yaml" if elsewhere is None else elsewhere.absolute()

    def code(self, number: int, served: _Served) -> Service:
        where = (str(self.socket(number)), DEFINITIONS, served.name, self.log_format)
        command = (*PYTHON, "dify_etl.ui.code_server", *where, str(served.home), *self.how)
        name = "the code location"
        return Service(
            name if not served.tables else f"{name} {served.name}",
            command,
            mark=Marks(self.folder).code(served.name),
            environment=served.environment,
        )

    def daemon(self) -> Service:
        command = ("dagster._daemon", "run", "-w", str(self.workspace))
        logs = ("--log-format", self.log_format)
        return Service("the daemon", (*PYTHON, *command, *logs), mark=Marks(self.folder).daemon)

    def web(self, number: int, host: str) -> Service:
        files = (str(number), str(self.workspace), str(self.folder), self.log_format)
        command = ("dify_etl.ui.webserver", *files, *_name_of(host))
        return Service("the web application", (*PYTHON, *command), (number,))


def _serve(
    tree: ProcessTree,
    listening: socket.socket,
    commands: _Commands,
    served: Sequence[_Served],
    *,
    host: str,
    tell: Tell,
) -> None:
    if commands.code_servers is None:
        _serve_code(tree, commands, served)
    else:
        Marks(commands.folder).elsewhere.touch()
    tree.start(commands.daemon())
    # The root keeps the socket: while a web application is started again, browsers wait.
    tree.start(commands.web(listening.fileno(), host))
    tree.supervise(tell)


def _serve_code(tree: ProcessTree, commands: _Commands, served: Sequence[_Served]) -> None:
    places = [
        f"- grpc_server:\n    location_name: {one.name}\n    socket: {commands.socket(number)}\n"
        for number, one in enumerate(served)
    ]
    commands.workspace.write_text(f"load_from:\n{''.join(places)}")
    for number, one in enumerate(served):
        tree.start(commands.code(number, one))
    sockets = [commands.socket(number) for number, _ in enumerate(served)]
    tree.wait(until=lambda: all(map(answers, sockets)))


def _name_of(host: str) -> tuple[str, ...]:
    """The host as a name under which the UI may be reached, unless it stands for all addresses."""
    try:
        return () if ipaddress.ip_address(host).is_unspecified else (host,)
    except ValueError:
        return (host,)


def listening_socket(settings: Settings, host: str, port: int) -> socket.socket:
    """A socket that listens there. SettingWrong: unknown host, port in use, or a missing password.

    Other machines are let in only when there is a password: whoever reaches the UI can do there
    what the account can do in Dify.
    """
    where = f"--host {host} --port {port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        found.sort(key=lambda one: one[0] != socket.AF_INET)  # localhost: 127.0.0.1 before ::1
        is_local = all(ipaddress.ip_address(one[4][0]).is_loopback for one in found)
    except (OSError, UnicodeError, ValueError) as error:
        raise SettingWrong(
            f"{host!r} is no address of this machine: {error}",
            where=where,
            hint="Leave --host out to serve this machine alone, or give one of its addresses.",
        ) from error
    if not is_local and settings.ui_password is None:
        raise SettingWrong(
            f"{host} can be reached from other machines, and DIFY_ETL_UI_PASSWORD is not set",
            where=where,
            hint="Set it to a long password, and DIFY_ETL_HOSTS to the name that people use; or "
            "leave --host out to serve this machine alone.",
        )
    family, kind, _, _, address = found[0]
    listening = socket.socket(family, kind)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise SettingWrong(
            f"port {port} of {host} cannot be used: {error.strerror}",
            where=where,
            hint="End what listens there, or choose another port with --port.",
        ) from error
    return listening
