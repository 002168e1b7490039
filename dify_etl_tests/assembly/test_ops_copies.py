"""ops.audit follows the audit file, whoever holds the database meanwhile."""

import json
from pathlib import Path

import pytest

from dify_etl.alerts.incidents import Incident
from dify_etl.alerts.ledger import open_ledger
from dify_etl.assembly.home_files import people_salt
from dify_etl.assembly.ops_copies import fill_audit, fill_ops_tables, fill_ops_tables_of
from dify_etl.home import LIVE, Home
from dify_etl.operations.audit import AuditFile
from dify_etl.raw.privacy import PeopleRule, Privacy, TextRule
from dify_etl.sync.ledger import PRIVACY, RUNS
from dify_etl.sync.privacy import note_rules
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


@pytest.mark.parametrize(("text", "people"), [("mask", "keep"), ("keep", "hash")])
def test_copies_follow_the_rules_of_texts_and_people(
    tmp_path: Path, text: TextRule, people: PeopleRule
) -> None:
    """States and messages in the audit, and names of apps in incidents; who did it, and to which
    member, are names of people.
    """
    privacy = Privacy(text, people, people_salt(tmp_path))
    state = {"name": "Olga", "email": "olga@x.de", "about": "call +49 30 901820"}
    told = {"target_kind": "member", "target_name": "olga@x.de", "actor": "bob@x.de"}
    row = entry("of olga@x.de").model_copy(update=told | {"before": json.dumps(state)})
    AuditFile(Home(tmp_path).audit).record(row)
    with open_ledger(tmp_path) as ledger:
        ledger.note([Incident("cost", "app", "Ask olga@x.de", "dear")], {"cost"}, AT)
    with open_database(tmp_path / LIVE) as database:
        database.ensure(PRIVACY, RUNS)
        with database.transaction():
            note_rules(database, privacy)
        fill_ops_tables(database, tmp_path)
        (found,) = database.rows("SELECT actor, target_name, before, message FROM ops.audit")
        subject = database.value("SELECT subject FROM ops.incidents")
    is_hashed = people == "hash"
    bob, name, address = (
        privacy.pseudonym(one) if is_hashed else one for one in ("bob@x.de", "Olga", "olga@x.de")
    )
    masked = address if is_hashed else "(e-mail)"
    about = state["about"] if is_hashed else "call (phone)"
    assert found[:2] == (bob, address)
    assert json.loads(found[2]) == {"name": name, "email": masked, "about": about}
    assert (found[3], subject) == (f"of {masked}", f"Ask {masked}")


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
