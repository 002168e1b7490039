"""Start the Dagster UI on this project: daemon, code location and the gated web application."""

import ipaddress
import os
import signal
import socket
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import typer
from rich.console import Console

from dify_etl.assembly.connection import check_kind, effective_settings, home_of, server_name
from dify_etl.cli.clear_errors import INTERRUPTED
from dify_etl.cli.consoles import err, teller
from dify_etl.defs.schedules import nightly_schedule
from dify_etl.home import Home
from dify_etl.project_files import project_file
from dify_etl.settings import Settings, SettingWrong
from dify_etl.ui.process_tree import ProcessTree, Service, running
from dify_etl.warehouse.errors import translated

INSTANCE_SETTINGS = project_file("dagster.yaml")
DEFINITIONS = "dify_etl.definitions"
BACKLOG = 128


def run_dagster(console: Console, *, host: str, port: int, log_format: str) -> None:
    """Serve the UI on this address until a signal comes.

    Raises before anything is started: SettingWrong for settings, for an address that cannot be
    used, and for one that others reach while there is no password. ServiceEnded when one of the
    processes ends by itself. Ends with exit code 130 after Ctrl-C.
    """
    settings = effective_settings()
    if not settings.is_simulated:
        settings.require_credentials()  # else every run would end with this
    check_kind(settings)
    tell = teller(err)
    tell(f"{server_name(settings)}, home {home_of(settings).absolute()}")
    nightly_schedule(settings)  # a wrong cron expression shows here, not in the UI
    with closing(listening_socket(settings, host, port)) as listening:
        os.environ.update(instance_variables(settings))
        shown = f"[{host}]" if ":" in host else host
        told = f"Dagster UI: http://{shown}:{port} (data in {home_of(settings).resolve()})"
        console.print(told, highlight=False, markup=False, soft_wrap=True)
        with tempfile.TemporaryDirectory(prefix="dify-etl-") as folder, running() as tree:
            _serve(tree, listening, Path(folder), host=host, log_format=log_format)
            asked = tree.asked_by
    if asked == signal.SIGINT:
        raise typer.Exit(INTERRUPTED)


def _serve(
    tree: ProcessTree, listening: socket.socket, folder: Path, *, host: str, log_format: str
) -> None:
    # A socket in a folder that only this user may enter: whoever reaches the code location needs
    # no web application. Its path is short, for the sake of the system's limit of 108 characters.
    code, workspace = folder / "code", folder / "workspace.yaml"
    workspace.write_text(
        f"load_from:\n- grpc_server:\n    location_name: {DEFINITIONS}\n    socket: {code}\n"
    )
    logs = ("--log-format", log_format)
    python = (sys.executable, "-m")
    start = ("dagster", "code-server", "start", "-m", DEFINITIONS, "--location-name", DEFINITIONS)
    tree.start(
        Service("the code location", (*python, *start, "-s", str(code), "--log-level", "warning"))
    )
    tree.wait(until=lambda: _answers(code))
    daemon = ("dagster._daemon", "run", "-w", str(workspace), *logs)
    tree.start(Service("the daemon", (*python, *daemon)))
    number = listening.fileno()
    serving = ("dify_etl.ui.webserver", str(number), str(workspace), *_name_of(host))
    tree.start(Service("the web application", (*python, *serving), (number,)))
    listening.close()  # from now on the web application alone has it
    tree.wait()


def _answers(path: Path) -> bool:
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        return probe.connect_ex(str(path)) == 0


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


def instance_variables(settings: Settings) -> dict[str, str]:
    """What every process of Dagster is told: its home, and that it sends nothing to its makers,
    whatever the settings of somebody's own DAGSTER_HOME say.
    """
    return {"DAGSTER_HOME": str(dagster_home(settings)), "DAGSTER_DISABLE_TELEMETRY": "yes"}


def dagster_home(settings: Settings) -> Path:
    """DAGSTER_HOME, or `dagster` in the home; it gets the project's dagster.yaml if it has none.

    WarehouseUnwritable when the folder cannot be made.
    """
    home = dagster_folder(settings)
    target = home / "dagster.yaml"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not target.exists():
            target.write_bytes(INSTANCE_SETTINGS.read_bytes())
    except OSError as error:
        raise translated(target, error) from error
    return home


def dagster_folder(settings: Settings) -> Path:
    """DAGSTER_HOME, or `dagster` in the home, whether it is there or not."""
    return Path(os.environ.get("DAGSTER_HOME") or Home(settings.home).dagster).resolve()
