"""The process that serves Dagster's web application behind the gate.

    python -m dify_etl.ui.webserver <file descriptor of the socket> <workspace file> [host ...]

`process_tree` starts it: the socket listens already, and hosts are allowed beside DIFY_ETL_HOSTS.
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
) -> Iterator[ASGIApp]:
    """Dagster's web application over a workspace, behind the gate that the settings describe."""
    secret = settings.ui_password
    with WorkspaceProcessContext(instance, workspace, version=__version__) as context:
        yield Gate(
            create_app_from_workspace_process_context(
                context, "", POLL_MILLISECONDS, lifespan=_lifespan
            ),
            hosts=(*settings.ui_hosts, *hosts),
            password=secret.get_secret_value() if secret else None,
        )


@asynccontextmanager
async def _lifespan(app: ASGIApp) -> AsyncIterator[None]:
    with suppress(asyncio.CancelledError):  # how uvicorn ends it at Ctrl-C
        yield


def serve(listening: socket.socket, workspace: Path, hosts: Collection[str]) -> None:
    """Serve until interrupted."""
    instance = DagsterInstance.get()
    instance.optimize_for_webserver(STATEMENT_MILLISECONDS, RECYCLE_SECONDS, MOST_OVERFLOW)
    target = WorkspaceFileTarget([str(workspace)])
    with instance, gated_ui(instance, target, load_settings(), hosts) as app:
        config = uvicorn.Config(
            app,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    descriptor, file, *allowed = sys.argv[1:]
    serve(socket.socket(fileno=int(descriptor)), Path(file), allowed)
