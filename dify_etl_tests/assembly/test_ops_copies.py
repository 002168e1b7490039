"""ops.audit follows the audit file, whoever holds the database meanwhile."""

from pathlib import Path

from dify_etl.assembly.ops_copies import fill_audit, fill_ops_tables_of
from dify_etl.home import LIVE, Home
from dify_etl.operations.audit import AuditFile
from dify_etl.warehouse.database import open_database
from dify_etl_tests.operations.test_audit import AT, entry


def test_table_gets_each_entry_once(tmp_path: Path) -> None:
    """Filling twice changes nothing; later entries are added."""
    file = AuditFile(Home(tmp_path).audit)
    file.record(entry("first"))
    with open_database(tmp_path / LIVE) as database:
        assert fill_audit(database, tmp_path) == 1
        file.record(entry("second"))
        assert fill_audit(database, tmp_path) == 1
        assert fill_audit(database, tmp_path) == 0
        found = database.rows(
            "SELECT message, outcome, step, recorded_at FROM ops.audit ORDER BY message"
        )
    assert found == [("first", "verified", 1, AT), ("second", "verified", 1, AT)]


def test_held_database_is_filled_later(tmp_path: Path) -> None:
    """Without a live file, nothing is made; entries wait in the audit file."""
    AuditFile(Home(tmp_path).audit).record(entry())
    assert not fill_ops_tables_of(tmp_path)
    assert not (tmp_path / LIVE).exists()
    with open_database(tmp_path / LIVE):
        pass
    assert fill_ops_tables_of(tmp_path)
    with open_database(tmp_path / LIVE) as database:
        assert database.value("SELECT count(*) FROM ops.audit") == 1
