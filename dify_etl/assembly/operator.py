"""Who operates on the Dify of the settings, over the home whose audit is written."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from dify_etl.assembly.connection import Tell, home_of, open_dify
from dify_etl.assembly.key_rotation import first_keys_of
from dify_etl.assembly.sync_proof import LiveSyncProof
from dify_etl.home import COPY, Home
from dify_etl.operations.applying import operator_of
from dify_etl.operations.audit import AuditFile
from dify_etl.operations.request import OperationContext
from dify_etl.settings import Settings, copy_folder_of


@contextmanager
def open_operator(
    settings: Settings, *, tell: Tell, run_id: str | None = None
) -> Iterator[OperationContext]:
    """Log in, and out of nothing: sessions are kept. Raises what `open_dify` raises; SourceChanged
    when the home was loaded from another workspace than the account works in now: a schedule must
    not operate on what nobody meant.

    The audit names the run: Dagster's, or else one of its own.
    """
    home, run_id = home_of(settings), run_id or str(uuid.uuid4())
    with open_dify(settings, tell=tell, run_id=run_id) as dify:
        operator = operator_of(dify, AuditFile(Home(home).audit, run_id))
        _check_workspace(settings, operator.workspace_id)
        sync_proof_at = partial(LiveSyncProof, home, settings.zone)
        first_keys = partial(first_keys_of, operator, home, settings)
        yield OperationContext(operator, home, sync_proof_at, first_keys)


def _check_workspace(settings: Settings, workspace_id: str) -> None:
    """By the published copy, since a sync may hold the live file; before the first publication
    nothing is known, and a file that cannot be opened says nothing.
    """
    copy = copy_folder_of(settings) / COPY
    if not copy.exists():
        return
    # A home that was never published needs no DuckDB.
    import duckdb

    from dify_etl.sync.source import check_workspace
    from dify_etl.warehouse.database import Database
    from dify_etl.warehouse.errors import WarehouseError
    from dify_etl.warehouse.published_copy import opened_copy

    with suppress(WarehouseError, duckdb.CatalogException), opened_copy(copy) as connection:
        check_workspace(Database(connection, copy), workspace_id)
