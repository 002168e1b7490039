"""The process that serves Dagster's web application behind the gate.

    python -m dify_etl.ui.webserver <descriptor> <workspace file> <marks> <log format> [host ...]

`process_tree` starts it: the socket of the descriptor listens already, the folder `marks` tells
which of the other processes live, and hosts are allowed beside DIFY_ETL_HOSTS.
"""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import uvicorn
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import WorkspaceFileTarget, WorkspaceLoadTarget
from dagster_webserver.app import create_app_from_workspace_process_context
from dagster_webserver.version import __version__
from starlette.types import ASGIApp

from dify_etl.settings import Settings, load_settings
from dify_etl.ui.gate import Gate
from dify_etl.ui.health import HealthEndpoint
from dify_etl.ui.liveness import DagsterParts
from dify_etl.ui.log_lines import set_up_logs
from dify_etl.ui.marks import Marks

POLL_MILLISECONDS = 2000  # how often an open page asks for news, as `dagster dev` has it
# As dagster-webserver sets them: a page may wait, and connections are not kept for ever.
STATEMENT_MILLISECONDS, RECYCLE_SECONDS, MOST_OVERFLOW = 15_000, 3600, 20
GRACE_SECONDS = 5  # for open websockets when the server ends


@contextmanager
def gated_ui(
    instance: DagsterInstance,
    workspace: WorkspaceLoadTarget,
    settings: Settings,
    hosts: Collection[str] = (),
    *,
    marks: Marks,
) -> Iterator[ASGIApp]:
    """Dagster's web application over a workspace, behind the gate that the settings describe; and
    before the gate the health of all parts.
    """
    secret = settings.ui_password
    with WorkspaceProcessContext(instance, workspace, version=__version__) as context:
        gate = Gate(
            create_app_from_workspace_process_context(
                context, "", POLL_MILLISECONDS, lifespan=_lifespan
            ),
            hosts=(*settings.ui_hosts, *hosts),
            password=secret.get_secret_value() if secret else None,
        )
        yield HealthEndpoint(gate, DagsterParts(context, marks))


@asynccontextmanager
async def _lifespan(app: ASGIApp) -> AsyncIterator[None]:
    with suppress(asyncio.CancelledError):  # how uvicorn ends it at Ctrl-C
        yield


def serve(listening: socket.socket, workspace: Path, marks: Marks, hosts: Collection[str]) -> None:
    """Serve until interrupted."""
    instance = DagsterInstance.get()
    instance.optimize_for_webserver(STATEMENT_MILLISECONDS, RECYCLE_SECONDS, MOST_OVERFLOW)
    target = WorkspaceFileTarget([str(workspace)])
    with instance, gated_ui(instance, target, load_settings(), hosts, marks=marks) as app:
        config = uvicorn.Config(
            app,
            log_config=None,  # as `set_up_logs` has it
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    descriptor, file, folder, log_format, *allowed = sys.argv[1:]
    set_up_logs("json" if log_format == "json" else "colored")
    serve(socket.socket(fileno=int(descriptor)), Path(file), Marks(Path(folder)), allowed)
