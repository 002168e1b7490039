"""The table ops.audit, filled from the audit's JSON lines: these are written first and are whole
even when another process holds the database.
"""

from pathlib import Path

from dify_etl.home import Home
from dify_etl.operations.audit import AuditFile
from dify_etl.warehouse.database import Database, utc_now
from dify_etl.warehouse.ledger import AUDIT
from dify_etl.warehouse.tables import frame
from dify_etl.warehouse.upsert import upsert


def fill_audit(database: Database, home: Path) -> int:
    """Bring entries that the table lacks from the home's audit file; answers how many were new."""
    entries = AuditFile(Home(home).audit).entries()
    rows = [entry.model_dump() | {"recorded_at": entry.at} for entry in entries]
    database.ensure(AUDIT)
    with database.transaction():
        return upsert(database, AUDIT, frame(AUDIT, rows), now=utc_now()).new
