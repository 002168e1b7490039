"""What operations keep in files of the home, brought to the warehouse for analysts."""

from pathlib import Path

from dify_etl.assembly.audit_table import fill_audit
from dify_etl.assembly.rotation_table import fill_rotations
from dify_etl.home import Home
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.errors import WarehouseBusy


def fill_books(database: Database, home: Path) -> None:
    """Bring the home's audit and rotations to `ops.audit` and `ops.key_rotations`."""
    fill_audit(database, home)
    fill_rotations(database, home)


def fill_books_of(home: Path, *, wait_seconds: float = 1.0) -> bool:
    """The same for a home whose live file may be held; False when it is: the next run fills it.

    A home without a live file stays without one: the first sync makes it.
    """
    if not Home(home).live.exists():
        return False
    try:
        with open_database(Home(home).live, wait_seconds=wait_seconds) as database:
            fill_books(database, home)
    except WarehouseBusy:
        return False
    return True
