"""What is kept of texts and people: noted when rows are loaded by it, and applied to older rows."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

import polars as pl

from dify_etl.dify.http.exact_json import decode
from dify_etl.raw.privacy import PeopleRule, Privacy, TextRule
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.sync.app_configurations import rewrite_app_versions
from dify_etl.sync.forgetting import another_salt, chunks, learn_rows, note_rows, salt_check
from dify_etl.sync.ledger import (
    ACCEPTED_SLICES,
    APP_VERSIONS,
    CONVERSATION_READS,
    DOCUMENT_READS,
    PRIVACY,
    QUARANTINE,
    RUN_READS,
    SLICES,
)
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.database import ArrowStream, Database
from dify_etl.warehouse.tables import Column, Table, frame
from dify_etl.warehouse.upsert import put

REWRITE = "dify-etl privacy --rewrite"
# How much is taken out, from nothing to all.
_STRENGTH = {"keep": 0, "mask": 1, "drop": 2, "hash": 1}


class PrivacyNote(NamedTuple):
    """By which rules rows are loaded `since`; `rewritten_at`: when all older ones became so.

    `takes_more`: more is taken out than from some older rows when they were loaded; `took_more`:
    less.
    """

    text: TextRule
    people: PeopleRule
    salt_check: str | None
    since: datetime
    rewritten_at: datetime | None
    takes_more: bool = False
    took_more: bool = False

    @property
    def is_met(self) -> bool:
        """Whether nothing is left in older rows that the rules take out."""
        return self.rewritten_at is not None or not self.takes_more


def latest_note(database: Database) -> PrivacyNote | None:
    """The rules of the last sync; None before the first."""
    rows = database.rows(
        "SELECT text_rule, people_rule, salt_check, since_at, rewritten_at FROM ops.privacy "
        "ORDER BY since_at"
    )
    if not rows:
        return None
    *earlier, last = (PrivacyNote(*row) for row in rows)
    # Homes of versions that knew no rules hold what Dify told.
    before = [(one.text, one.people) for one in earlier] or [("keep", "keep")]
    strengths = [(_STRENGTH[text], _STRENGTH[people]) for text, people in before]
    own = (_STRENGTH[last.text], _STRENGTH[last.people])
    # Rows from before a rewriting became as it made them.
    rewritten = [place for place, one in enumerate(earlier) if one.rewritten_at is not None]
    of_now = strengths[rewritten[-1] :] if rewritten else strengths
    return last._replace(
        takes_more=any(text < own[0] or people < own[1] for text, people in of_now),
        took_more=any(text > own[0] or people > own[1] for text, people in strengths),
    )


def keep_privacy(database: Database, privacy: Privacy, tell: Callable[[str], None]) -> None:
    """Note a change of the rules, and tell as long as older rows are of others.

    Call it inside a transaction, before any row is loaded. SourceChanged as `note_rules`.
    """
    held = latest_note(database)
    note_rules(database, privacy)
    note = latest_note(database)
    is_changed = held is not None and note is not None and held.since != note.since
    for line in doubts_of(note) if note and (is_changed or not note.is_met) else ():
        tell(line)


def doubts_of(note: PrivacyNote) -> Iterator[str]:
    """What a user should know of older rows."""
    rules = (
        f"DIFY_ETL_TEXT={note.text} and DIFY_ETL_PEOPLE={note.people} count since {note.since:%F}"
    )
    if not note.is_met:
        yield f"{rules}: rows loaded before are as they were; `{REWRITE}` rewrites them"
    if note.took_more:
        yield (
            f"{rules}: what was masked, dropped or hashed before comes back only where Dify is "
            "read again (`dify-etl sync --full`)"
        )


def note_rules(database: Database, privacy: Privacy) -> None:
    """Note by which rules rows are loaded, where others or none are noted.

    SourceChanged when pseudonyms would be made with another salt than those that are held: each
    person would be two.
    """
    held, now = latest_note(database), utc_now()
    if held is not None and not _differs(held, privacy):
        return
    salts = database.rows("SELECT salt_check FROM ops.privacy WHERE salt_check IS NOT NULL")
    if privacy.people == "hash" and {salt for (salt,) in salts} - {_check(privacy)}:
        raise another_salt()
    is_new = not database.rows("SELECT 1 FROM ops.runs LIMIT 1")
    _write(database, _note(privacy, now, now if is_new else None))


def rewrite(database: Database, privacy: Privacy) -> dict[str, int]:
    """Bring all rows to the rules; answers per table how many were changed, tables without leave.

    It may be cut off anywhere: whoever calls it again goes on. The bytes of what was taken out stay
    in the file until it is written anew.
    """
    changed: dict[str, int] = {}
    if privacy.forgotten:
        learn_rows(database, privacy)
    for raw in RAW_TABLES.values():
        with database.transaction():
            rows = _rewrite_table(database, raw.table, privacy)
        if rows:
            changed[raw.table.qualified] = rows
    for name, rewritten in (
        (QUARANTINE.qualified, _rewrite_quarantine),
        (SLICES.qualified, _rewrite_reasons),
        (APP_VERSIONS.qualified, rewrite_app_versions),
    ):
        with database.transaction():
            if rows := rewritten(database, privacy):
                changed[name] = rows
    return changed


def note_rewritten(database: Database) -> None:
    """Say that all rows are by the rules noted last, in every file."""
    if (note := latest_note(database)) is not None:
        with database.transaction():
            _write(database, note._replace(rewritten_at=utc_now()))


def _rewrite_table(database: Database, table: Table, privacy: Privacy) -> int:
    texts = [one for one in table.columns if one.type in ("VARCHAR", "JSON")]
    changed = 0
    for rows in chunks(database, table, [one.name for one in texts]):
        kept = privacy.rows(table, rows)
        if privacy.forgotten:
            note_rows(database, privacy, table, kept)
        columns = [one for one in texts if not kept[one.name].equals(rows[one.name])]
        if columns:
            differs = pl.any_horizontal(
                rows[one.name].ne_missing(kept[one.name]) for one in columns
            )
            changed += _write_back(database, table, kept.filter(differs), columns)
    return changed


def _write_back(database: Database, table: Table, rows: pl.DataFrame, columns: list[Column]) -> int:
    database.connection.register("_kept", ArrowStream(rows))
    told = ", ".join(f'"{one.name}" = CAST(k."{one.name}" AS {one.type})' for one in columns)
    database.execute(
        f"UPDATE {table.qualified} SET {told} FROM _kept k WHERE {table.qualified}.rowid = k._row"
    )
    database.connection.unregister("_kept")
    return rows.height


def _rewrite_quarantine(database: Database, privacy: Privacy) -> int:
    held = database.rows(
        "SELECT quarantine_id, feed, message, raw_json::VARCHAR, parent_id, record_id, "
        "context::VARCHAR FROM ops.quarantine"
    )
    changed = 0
    for quarantine_id, feed, message, raw, parent_id, record_id, context in held:
        hangs_on = [parent_id, record_id, decode((context or "{}").encode())]
        kept = [
            privacy.message(message or ""),
            privacy.odd_row(RAW_TABLES[feed].table, raw, hangs_on),
        ]
        if kept != [message or "", raw]:
            database.execute(
                "UPDATE ops.quarantine SET message = ?, raw_json = ? WHERE quarantine_id = ?",
                [*kept, quarantine_id],
            )
            changed += 1
    return changed


def _rewrite_reasons(database: Database, privacy: Privacy) -> int:
    """Sentences of the ledger that may quote a refusal of Dify; answers how many were changed."""
    changed = 0
    for table in (SLICES, ACCEPTED_SLICES, CONVERSATION_READS, RUN_READS, DOCUMENT_READS):
        for column in (one.name for one in table.columns if one.name.endswith("reason")):
            for (told,) in database.rows(
                f"SELECT DISTINCT {column} FROM {table.qualified} WHERE {column} IS NOT NULL"
            ):
                if (kept := privacy.message(told)) != told:
                    database.execute(
                        f"UPDATE {table.qualified} SET {column} = ? WHERE {column} = ?",
                        [kept, told],
                    )
                    changed += 1
    return changed


def _note(privacy: Privacy, since: datetime, rewritten_at: datetime | None) -> PrivacyNote:
    return PrivacyNote(privacy.text, privacy.people, _check(privacy), since, rewritten_at)


def _check(privacy: Privacy) -> str | None:
    return None if privacy.people == "keep" else salt_check(privacy.salt)


def _differs(note: PrivacyNote, privacy: Privacy) -> bool:
    return (note.text, note.people, note.salt_check) != (
        *(privacy.text, privacy.people),
        _check(privacy),
    )


def _write(database: Database, note: PrivacyNote) -> None:
    names = ("text_rule", "people_rule", "salt_check", "since_at", "rewritten_at")
    row = dict(zip(names, note, strict=False))
    put(database, PRIVACY, frame(PRIVACY, [row]))
