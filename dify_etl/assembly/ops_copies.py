"""What operations keep in files of the home, brought to the warehouse for analysts.

The audit's JSON lines and the ledgers of rotations and alerts are the truth: they are written
first, and are whole even when another process holds the database.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from dify_etl.alerts.ledger import KeptIncident, open_ledger
from dify_etl.assembly.home_files import people_salt
from dify_etl.home import Home
from dify_etl.operations.audit import AuditFile
from dify_etl.operations.keys.ledger import RotationLedger
from dify_etl.operations.keys.states import Rotation
from dify_etl.raw.privacy import Privacy
from dify_etl.sync.forgetting import known_forgotten
from dify_etl.sync.ledger import (
    FORGOTTEN_NAMES,
    FORGOTTEN_PEOPLE,
    FORGOTTEN_ROWS,
    LEDGER,
    PRIVACY,
)
from dify_etl.sync.privacy import latest_note
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.errors import WarehouseBusy
from dify_etl.warehouse.tables import Column, Table, frame
from dify_etl.warehouse.upsert import upsert

AUDIT = Table(
    "ops",
    "audit",
    "One row per entry of the audit: what was done to Dify, step by step. Filled from audit.jsonl.",
    ("entry_id",),
    (
        Column("entry_id", "VARCHAR", "The entry."),
        Column("plan_id", "VARCHAR", "The plan that was applied."),
        Column("step", "BIGINT", "The step of the plan, from 1."),
        Column("operation", "VARCHAR", "What was done, such as apps.publish."),
        Column("target_kind", "VARCHAR", "To what kind of object: app, member, document, …"),
        Column("target_id", "VARCHAR", "Its id; null while it does not exist."),
        Column("target_name", "VARCHAR", "Its name, or the e-mail of a member."),
        Column("actor", "VARCHAR", "The Dify account, and the user of the machine."),
        Column("before_hash", "VARCHAR", "SHA-256 of the state before; null: there was nothing."),
        Column("before", "JSON", "That state, without secrets, long texts as their hash."),
        Column("after", "JSON", "The state that was wanted, likewise; null: it should be gone."),
        Column("http_status", "BIGINT", "Dify's answer to the write; null: none was received."),
        Column("request_id", "VARCHAR", "The server's id of the request, where it tells one."),
        Column(
            "outcome",
            "VARCHAR",
            "begun: about to be sent; verified: read back and right; done: accepted; failed; "
            "unknown: cannot be told; skipped: not sent.",
        ),
        Column("message", "VARCHAR", "What happened, for people; empty when all went well."),
        Column("recorded_at", "TIMESTAMPTZ", "When the entry was written, UTC."),
        Column(
            "run_id",
            "VARCHAR",
            "The run that did it, as in Dagster and in the User-Agent that Dify's log shows; null: "
            "of before, or of a command that asks Dify nothing.",
        ),
    ),
    keeps_history=False,
)

KEY_ROTATIONS = Table(
    "ops",
    "key_rotations",
    "One row per rotation of an API key. Filled from key_rotations.sqlite; holds no key.",
    ("rotation_id",),
    (
        Column("rotation_id", "VARCHAR", "The rotation."),
        Column("target_id", "VARCHAR", "The target: app, consumer, sink and entry."),
        Column("app_id", "VARCHAR", "The app; null for the keys of the datasets."),
        Column("app_name", "VARCHAR", "Its name when the rotation began."),
        Column("consumer", "VARCHAR", "Who uses the key, in the words of the policy."),
        Column("sink", "VARCHAR", "Where the key is kept."),
        Column("entry", "VARCHAR", "Under which name."),
        Column(
            "state",
            "VARCHAR",
            "planned, created, tested, current, overlap, drained, revoked, proven; withdrawing, "
            "failed, rolled_back.",
        ),
        Column("reason", "VARCHAR", "Why it began."),
        Column("plan_id", "VARCHAR", "The plan that took it last; see ops.audit."),
        Column("is_compromised", "BOOLEAN", "Whether the old key leaked."),
        Column("old_key_ids", "JSON", "Keys that it revokes, JSON list of ids."),
        Column("new_key_id", "VARCHAR", "The key that it made."),
        Column("new_fingerprint", "VARCHAR", "HMAC-SHA256 of that key."),
        Column("proof", "VARCHAR", "How it was seen that the old key is dead."),
        Column("needs_person", "BOOLEAN", "Whether it waits for a person."),
        Column("message", "VARCHAR", "What it waits for, or what went wrong."),
        Column("tries", "BIGINT", "Tries in a row that did not come further."),
        Column("started_at", "TIMESTAMPTZ", "When it began, UTC."),
        Column("promoted_at", "TIMESTAMPTZ", "When consumers got the new key, UTC."),
        Column("revoked_at", "TIMESTAMPTZ", "When the old key was deleted, UTC."),
        Column("stood_at", "TIMESTAMPTZ", "When it came to where it stands, UTC."),
    ),
    keeps_history=False,
)

INCIDENTS = Table(
    "ops",
    "incidents",
    "One row per incident that alerts found. Filled from alerts.sqlite, a night behind it.",
    ("incident_id",),
    (
        Column("incident_id", "BIGINT", "The incident, numbered from 1."),
        Column("kind", "VARCHAR", "Its kind: night_failed, not_whole, cost, …; see the alerts."),
        Column("incident_key", "VARCHAR", "What it is about: one incident of it is open at most."),
        Column("subject", "VARCHAR", "The same for people."),
        Column("message", "VARCHAR", "What was found last, with figures; no text of a user."),
        Column("counted", "BIGINT", "How many: objects in quarantine, figures; else 1."),
        Column("began_at", "TIMESTAMPTZ", "When it was found first, UTC."),
        Column("last_seen_at", "TIMESTAMPTZ", "When it was found last, UTC."),
        Column("ended_at", "TIMESTAMPTZ", "When it was found no more, UTC; null: it is open."),
        Column("began_sent_at", "TIMESTAMPTZ", "When the first target got the message, UTC."),
        Column("reminder_sent_at", "TIMESTAMPTZ", "When one got the last reminder, UTC."),
        Column("over_sent_at", "TIMESTAMPTZ", "When one got that it is over, UTC."),
    ),
    keeps_history=False,
)

# Where the audit names people: by the e-mail addresses of accounts and members.
_NAMING = ("actor", "target_name", "before", "after", "message")
# Of these, what is no name of a person: states of objects, as a prompt, and their names.
_TEXTS = frozenset({"target_name", "before", "after", "message"})

# All tables of schema ops.
OPS_TABLES = (*LEDGER, AUDIT, KEY_ROTATIONS, INCIDENTS)


def fill_ops_tables(database: Database, home: Path) -> None:
    """Bring the home's audit, rotations and incidents to `ops.audit`, `ops.key_rotations` and
    `ops.incidents`: before models that read them are built, and before the copy is published.
    """
    fill_audit(database, home)
    privacy = noted_privacy(database, home)
    _fill_rotations(database, home, privacy)
    _fill_incidents(database, home, privacy)


def fill_ops_tables_of(home: Path, *, wait_seconds: float = 1.0) -> bool:
    """The same for a home whose live file may be held; False when it is: the next run fills it.

    A home without a live file stays without one: the first sync makes it.
    """
    if not Home(home).live.exists():
        return False
    try:
        with open_database(Home(home).live, wait_seconds=wait_seconds) as database:
            fill_ops_tables(database, home)
    except WarehouseBusy:
        return False
    return True


def noted_privacy(database: Database, home: Path) -> Privacy:
    """The rules by which rows are loaded since the last sync, and who was forgotten."""
    note = latest_note(database)
    if note is None:
        return Privacy()
    has_salt = note.people == "hash" or Home(home).people_salt.exists()
    privacy = Privacy(note.text, note.people, people_salt(home) if has_salt else b"")
    return replace(privacy, forgotten=known_forgotten(database, privacy))


def fill_audit(database: Database, home: Path) -> int:
    """Bring entries that the table lacks from the home's audit file; answers how many were new."""
    entries = AuditFile(Home(home).audit).entries()
    rows = [entry.model_dump() | {"recorded_at": entry.at} for entry in entries]
    database.ensure(AUDIT, PRIVACY, FORGOTTEN_PEOPLE, FORGOTTEN_NAMES, FORGOTTEN_ROWS)
    privacy = noted_privacy(database, home)
    for row in rows:
        of_person = {"target_name"} if row["target_kind"] in ("member", "person") else set()
        for one in _NAMING:
            if row[one]:
                is_text = one in _TEXTS - of_person
                row[one] = privacy.operator_text(row[one], is_masked=is_text)
    with database.transaction():
        return upsert(database, AUDIT, frame(AUDIT, rows), now=utc_now()).new


def _fill_rotations(database: Database, home: Path, privacy: Privacy) -> None:
    rows = [_row(rotation) for rotation in RotationLedger(home).rotations()]
    _keep_texts(rows, ("app_name", "reason", "proof", "message"), privacy)
    database.ensure(KEY_ROTATIONS)
    with database.transaction():
        upsert(database, KEY_ROTATIONS, frame(KEY_ROTATIONS, rows), now=utc_now())


def _fill_incidents(database: Database, home: Path, privacy: Privacy) -> None:
    database.ensure(INCIDENTS)
    if not Home(home).alerts.exists():
        return
    with open_ledger(home, is_copy=True) as ledger:
        sent = ledger.sent_times()
        rows = [_incident_row(one, sent.get(one.incident_id, {})) for one in ledger.incidents()]
    _keep_texts(rows, ("incident_key", "subject", "message"), privacy)
    with database.transaction():
        upsert(database, INCIDENTS, frame(INCIDENTS, rows), now=utc_now())


def _keep_texts(rows: list[dict[str, Any]], names: Sequence[str], privacy: Privacy) -> None:
    """Names of apps and quoted errors, as far as the rules keep them."""
    for row in rows:
        row |= {one: privacy.operator_text(row[one], is_masked=True) for one in names if row[one]}


def _incident_row(one: KeptIncident, sent: Mapping[str, datetime]) -> dict[str, Any]:
    return {
        **{name: getattr(one, name) for name in ("incident_id", "kind", "subject")},
        **{"incident_key": one.key, "message": one.text, "counted": one.count},
        **{"began_at": one.began_at, "last_seen_at": one.seen_at, "ended_at": one.ended_at},
        **{f"{phase}_sent_at": sent.get(phase) for phase in ("began", "reminder", "over")},
    }


def _row(rotation: Rotation) -> dict[str, Any]:
    names = {column.name for column in KEY_ROTATIONS.columns}
    held = rotation.model_dump(include=names)
    old = json.dumps(list(rotation.old_key_ids))
    return held | {"old_key_ids": old, "stood_at": rotation.updated_at}
