"""The table ops.key_rotations, filled from the ledger of rotations, which is the truth: it can be
written while another process holds the database.
"""

import json
from pathlib import Path

from dify_etl.operations.keys.ledger import RotationLedger
from dify_etl.operations.keys.states import Rotation
from dify_etl.warehouse.database import Database, utc_now
from dify_etl.warehouse.ledger import KEY_ROTATIONS
from dify_etl.warehouse.tables import frame
from dify_etl.warehouse.upsert import upsert


def fill_rotations(database: Database, home: Path) -> None:
    """Bring the home's rotations as they are now."""
    rows = [_row(rotation) for rotation in RotationLedger(home).rotations()]
    database.ensure(KEY_ROTATIONS)
    with database.transaction():
        upsert(database, KEY_ROTATIONS, frame(KEY_ROTATIONS, rows), now=utc_now())


def _row(rotation: Rotation) -> dict[str, object]:
    names = {column.name for column in KEY_ROTATIONS.columns}
    held = rotation.model_dump(include=names)
    old = json.dumps(list(rotation.old_key_ids))
    return held | {"old_key_ids": old, "stood_at": rotation.updated_at}
