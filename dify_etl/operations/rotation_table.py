"""The table ops.key_rotations, filled from the ledger of rotations, which is the truth: it can be
written while another process holds the database.
"""

import json
from pathlib import Path

from dify_etl.management.rotation.ledger import RotationLedger
from dify_etl.management.rotation.states import Rotation
from dify_etl.operations.audit_table import fill_audit
from dify_etl.warehouse.database import Database, open_database, utc_now
from dify_etl.warehouse.errors import WarehouseBusy
from dify_etl.warehouse.ledger import KEY_ROTATIONS
from dify_etl.warehouse.publish import LIVE
from dify_etl.warehouse.tables import frame
from dify_etl.warehouse.upsert import upsert


def fill_rotations(database: Database, home: Path) -> None:
    """Bring the home's rotations as they are now."""
    rows = [_row(rotation) for rotation in RotationLedger(home).rotations()]
    database.ensure(KEY_ROTATIONS)
    with database.transaction():
        upsert(database, KEY_ROTATIONS, frame(KEY_ROTATIONS, rows), now=utc_now())


def fill_books(database: Database, home: Path) -> None:
    """Bring the home's audit and rotations."""
    fill_audit(database, home)
    fill_rotations(database, home)


def fill_books_of(home: Path, *, wait_seconds: float = 1.0) -> bool:
    """Rotations and audit into the warehouse; False when it is held: the next run fills it.

    A home without a live file stays without one: the first sync makes it.
    """
    if not (home / LIVE).exists():
        return False
    try:
        with open_database(home / LIVE, wait_seconds=wait_seconds) as database:
            fill_books(database, home)
    except WarehouseBusy:
        return False
    return True


def _row(rotation: Rotation) -> dict[str, object]:
    names = {column.name for column in KEY_ROTATIONS.columns}
    held = rotation.model_dump(include=names)
    old = json.dumps(list(rotation.old_key_ids))
    return held | {"old_key_ids": old, "stood_at": rotation.updated_at}
