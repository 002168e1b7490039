"""One at a time looks after the files of a lake, over all processes and machines.

What compacts a lake, or takes out what was forgotten, writes files of every workspace before its
catalog names them: to another one they look like left-overs. Who only publishes needs no lock.
"""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import duckdb

from dify_etl.interrupts import check_interrupt
from dify_etl.private_files import LockHeld, process_lock
from dify_etl.shared_warehouse.engines import held_by, load_extension, unavailable
from dify_etl.shared_warehouse.errors import SharedWarehouseBusy
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.warehouse.tables import quoted

# The key of PostgreSQL's advisory lock: "dify-etl" as a number.
_KEY = int.from_bytes(b"dify-etl", "big") >> 1
_ASK = f"SELECT pg_try_advisory_xact_lock({_KEY}) AS is_ours"


@contextmanager
def upkeep_lock(place: SharedPlace) -> Iterator[None]:
    """Hold it: beside the file of a lake's catalog, or in its PostgreSQL. A file of DuckDB that is
    no lake has a lock of its own. SharedWarehouseBusy after `wait_seconds`,
    SharedWarehouseUnavailable.
    """
    if not place.is_lake:
        yield
        return
    if (path := place.catalog_file) is None:
        with _advisory_lock(place):
            yield
        return

    def refused(error: OSError | LockHeld) -> Exception:
        is_held = isinstance(error, LockHeld)
        return _busy(place, str(error)) if is_held else unavailable(place, error)

    lock = path.resolve().with_name(f"{path.name}.upkeep.lock")
    with process_lock(lock, wait_seconds=place.wait_seconds, refused=refused):
        yield


@contextmanager
def _advisory_lock(place: SharedPlace) -> Iterator[None]:
    """That of a transaction, so that it ends with its session, behind a pooler too."""
    with duckdb.connect() as connection:
        load_extension(connection, "postgres_scanner")
        deadline = time.monotonic() + place.wait_seconds
        try:
            connection.execute(
                f"ATTACH {quoted(place.catalog_address)} AS catalog (TYPE postgres, READ_ONLY)"
            )
            connection.execute("BEGIN TRANSACTION")
            asked = f"SELECT is_ours FROM postgres_query('catalog', {quoted(_ASK)})"
            while connection.execute(asked).fetchone() != (True,):
                check_interrupt()
                if time.monotonic() >= deadline:
                    raise _busy(place, "")
                time.sleep(random.uniform(0.1, 0.4))  # nosec B311 # no secret
        except duckdb.Error as error:
            raise unavailable(place, error) from None
        try:
            yield
        finally:
            # Said here: what a connection does while it is closed ends the process when the server
            # is gone.
            for statement in ("ROLLBACK", "DETACH catalog"):
                with suppress(duckdb.Error):
                    connection.execute(statement)


def _busy(place: SharedPlace, holder: str) -> SharedWarehouseBusy:
    said = f" ({holder})" if holder else ""
    return held_by(place, f"it is compacted, or a workspace or person is being taken out{said}")
