"""Dagster's instance, opened so that no two processes make its storage at the same moment."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from dagster import DagsterInstance

from dify_etl.private_files import LockHeld, process_lock

# Making SQLite files takes seconds where the machine is busy.
WAIT_SECONDS = 60.0


@contextmanager
def opened_instance() -> Iterator[DagsterInstance]:
    """The instance of DAGSTER_HOME. Code servers and syncs of several workspaces begin together:
    two that find no storage would both write down its version, and none could open it again.
    """
    with ExitStack() as held:
        with _lock():
            instance = held.enter_context(DagsterInstance.get())
        yield instance


@contextmanager
def _lock() -> Iterator[None]:
    with ExitStack() as held:
        with suppress(OSError, LockHeld):  # without locks it goes on as with one process
            folder = Path(os.environ.get("DAGSTER_HOME", ""))
            if folder.is_absolute():
                held.enter_context(
                    process_lock(
                        folder / "storage.lock", wait_seconds=WAIT_SECONDS, refused=lambda one: one
                    )
                )
        yield
