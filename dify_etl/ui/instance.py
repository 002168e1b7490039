"""Dagster's instance, opened so that no two processes make its storage at the same moment."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dagster import DagsterInstance

from dify_etl.ui.storage_lock import storage_lock


@contextmanager
def opened_instance() -> Iterator[DagsterInstance]:
    """The instance of DAGSTER_HOME. Code servers and syncs of several workspaces begin together:
    two that find no storage would both write down its version, and none could open it again.
    """
    folder = Path(os.environ.get("DAGSTER_HOME", ""))
    with ExitStack() as held:
        with ExitStack() as while_made:
            if folder.is_absolute():
                while_made.enter_context(storage_lock(folder))
            instance = held.enter_context(DagsterInstance.get())
        yield instance
