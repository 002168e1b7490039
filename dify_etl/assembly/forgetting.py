"""Take one person's texts and names out of a home: planned, applied, audited."""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dify_etl.assembly.home_files import fingerprint_key
from dify_etl.assembly.named_files import NamedFile, Searched, clean_files, find_files
from dify_etl.assembly.ops_copies import OPS_TABLES
from dify_etl.assembly.rewriting import LOCK_WAIT_SECONDS, rewrite_files
from dify_etl.home import Home, user_name
from dify_etl.operations.audit import AuditEntry, AuditFile, Outcome
from dify_etl.operations.errors import PlanStale
from dify_etl.raw.forgotten import Forgotten
from dify_etl.raw.name_words import is_searched, word_length, word_shape
from dify_etl.raw.privacy import Privacy
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.sync.forgetting import (
    Person,
    chunks,
    find_person,
    is_cut_off,
    known_forgotten,
    learn_rows,
    note_forgotten,
    note_person,
)
from dify_etl.sync.ledger import APP_VERSIONS
from dify_etl.sync.lock import home_lock
from dify_etl.sync.migrations import STEPS
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.migrations import migrate_home
from dify_etl.warehouse.publish import CopyPlace, sweep_left_behind
from dify_etl.warehouse.tables import quoted

if TYPE_CHECKING:
    from dify_etl.shared_warehouse.place import SharedPlace

FORGET = "people.forget"
Tell = Callable[[str], None]


@dataclass(frozen=True)
class ForgetPlan:
    """What would be done: rows of the person by raw table, and the files in which they are named.

    `plan_id` changes with what would be done and with the home.
    """

    person: Person
    rows: dict[str, int]
    files: tuple[NamedFile, ...]
    plan_id: str
    searched: Searched = field(repr=False)
    is_cut_off: bool = False  # it was begun before

    def lines(self, home: Path) -> Iterator[str]:
        """The plan as text."""
        ids = [*sorted(self.person.accounts), *sorted(self.person.end_users)]
        yield f"forget: {self.person.kind or 'person'} {', '.join(ids)}"
        if self.person.new_name:
            yield f"  # forgotten before as {self.person.new_name}"
        for table, rows in self.rows.items():
            yield f"  - raw.{table}: texts and names of {rows} rows"
        if self.person.names:
            yield "  - their names where they stand in rows of others, in quarantine and ledger"
        for one in self.files:
            mark = "  #" if one.fate == "left" else "  -"
            yield f"{mark} {_from_home(one.path, home)}: {one.fate}, {one.why}"
        yield "  ! cannot be undone: numbers and ids stay, both files are written anew"
        yield f"plan {self.plan_id}"


@dataclass(frozen=True)
class Forgetting:
    """What was done: the new name, rows changed by table, and where names stand all the same."""

    new_name: str
    changed: dict[str, int]
    still_named: dict[str, int]


def plan_forgetting(
    home: Path,
    privacy: Privacy,
    name: str,
    *,
    place: CopyPlace,
    dagster: Collection[Path],
    of_others: Collection[Path] = (),
) -> ForgetPlan:
    """What it would take to forget whom `name` means; `dagster`: the folders of Dagster in which
    runs of this home may be, `of_others`: where other workspaces write. PersonUnclear,
    AnotherSync, WarehouseBusy.
    """
    with home_lock(home, wait_seconds=LOCK_WAIT_SECONDS):
        migrate_home(
            home, STEPS, wait_seconds=LOCK_WAIT_SECONDS, tell=lambda line: None, place=place
        )
        with _opened(home) as database:
            return _planned(home, database, privacy, name, (dagster, of_others))


def forget(
    home: Path,
    privacy: Privacy,
    name: str,
    *,
    agreed_id: str,
    place: CopyPlace,
    dagster: Collection[Path],
    tell: Tell,
    of_others: Collection[Path] = (),
    compression: str = "auto",
    own_sql: Path | None = None,
    shared: "SharedPlace | None" = None,
) -> Forgetting:
    """Do what the plan of that id says. PlanStale when it is not what would be done now.

    Whoever cuts it off says it once more, by the same name: what was done stays.
    """
    plan = plan_forgetting(home, privacy, name, place=place, dagster=dagster, of_others=of_others)
    if plan.plan_id != agreed_id and not plan.is_cut_off:
        told = "\n".join(plan.lines(home))
        raise PlanStale(
            f"the plan agreed to is {agreed_id}, but what would be done now is\n{told}",
            where=FORGET,
            hint=f"Nothing was changed. If the plan of now is right, apply {plan.plan_id}.",
        )
    new_name = plan.person.new_name or privacy.pseudonym(secrets.token_hex(16))
    trail = AuditFile(Home(home).audit)
    trail.record(_entry(plan, new_name, "begun"))

    # First who is being forgotten, so that another try takes the same name; then the files: whoever
    # is cut off behind the database has no name left to search them by.
    with home_lock(home, wait_seconds=LOCK_WAIT_SECONDS):
        with _opened(home) as database, database.transaction():
            note_person(database, privacy, plan.person, new_name=new_name, by=user_name())
        clean_files(plan.files, plan.searched, new_name)

    def begin(database: Database) -> None:
        with database.transaction():
            _clean_ledger(database, plan.searched, new_name)

    changed = rewrite_files(
        home,
        Privacy(salt=privacy.salt),  # nothing else is taken out than what the plan says
        begin=begin,
        done=lambda database: note_forgotten(database, new_name),
        place=place,
        tell=tell,
        compression=compression,
        own_sql=own_sql,
        shared=shared,
    )
    sweep_left_behind(home)
    with _opened(home) as database:
        still_named = _still_named(database, plan.searched)
    trail.record(_entry(plan, new_name, "done" if still_named else "verified"))
    return Forgetting(new_name, changed, still_named)


def _planned(
    home: Path,
    database: Database,
    privacy: Privacy,
    name: str,
    folders: tuple[Collection[Path], Collection[Path]],
) -> ForgetPlan:
    dagster, of_others = folders
    known_forgotten(database, privacy)  # before anything is noted with another salt
    person = find_person(database, privacy, name)
    trial = replace(privacy, forgotten=_forgotten(privacy, person))
    learn_rows(database, trial)
    rows = _count_rows(database, trial)
    ids = {id for known in trial.forgotten.parents.values() for id in known}
    searched = Searched(tuple(sorted(person.searched)), frozenset(ids))
    files = tuple(find_files(Home(home), dagster, searched, of_others))
    content = json.dumps(
        [
            sorted(person.end_users | person.accounts),
            sorted(person.names),
            rows,
            [[str(one.path), one.fate] for one in files],
        ]
    )
    plan_id = hmac.new(fingerprint_key(home), content.encode(), hashlib.sha256).hexdigest()[:12]
    return ForgetPlan(person, rows, files, plan_id, searched, is_cut_off(database, person))


def _forgotten(privacy: Privacy, person: Person) -> Forgotten:
    new_name = person.new_name or secrets.token_hex(16)  # nobody is called so
    forgotten = Forgotten(actors=dict.fromkeys(person.end_users | person.accounts, new_name))
    for one in person.names:
        length, shape = word_length(one.text), word_shape(one.text)
        if one.is_shared:
            length = shape = None
        forgotten.add_name(
            privacy.pseudonym(one.text), one.kind, new_name, length=length, shape=shape
        )
    return forgotten


def _count_rows(database: Database, privacy: Privacy) -> dict[str, int]:
    counted = {}
    for name, raw in RAW_TABLES.items():
        texts = [one.name for one in raw.table.columns if one.type == "VARCHAR" and not one.is_text]
        rows = sum(
            chunk.height - privacy.whose(raw.table, chunk).null_count()
            for chunk in chunks(database, raw.table, texts)
        )
        if rows:
            counted[name] = rows
    return counted


def _clean_ledger(database: Database, searched: Searched, new_name: str) -> None:
    """The new name for the names in every text of schema ops, but what they are known again by.

    What apps were called is rewritten with raw.apps, with which it is compared.
    """
    for table in OPS_TABLES:
        if table.name.startswith("forgotten_") or table is APP_VERSIONS:
            continue
        types = {one.name: one.type for one in table.columns if one.type in ("VARCHAR", "JSON")}
        for column, texts in _naming(database, table.qualified, tuple(types), searched).items():
            for text in texts:
                kept = searched.without(text.encode(), new_name).decode()
                database.execute(
                    f'UPDATE {table.qualified} SET "{column}" = CAST(? AS {types[column]}) '
                    f'WHERE "{column}"::VARCHAR = ?',
                    [kept, text],
                )


def _naming(
    database: Database, table: str, columns: Sequence[str], searched: Searched
) -> dict[str, list[str]]:
    """The different texts in which a name stands as a word, by column; others are left out.

    Nearly no column has any: all of a table are looked through in one query.
    """
    if not searched.names or not columns:
        return {}
    forms = {form for one in searched.names for form in (one.lower(), *_in_json(one.lower()))}
    is_near = {
        column: " OR ".join(
            f'contains(lower("{column}"::VARCHAR), {quoted(one)})' for one in sorted(forms)
        )
        for column in columns
    }
    has_any = ", ".join(f"bool_or({condition})" for condition in is_near.values())
    (found,) = database.rows(f"SELECT {has_any} FROM {table}")
    naming = {}
    for column in (one for one, is_there in zip(columns, found, strict=True) if is_there):
        texts = database.rows(
            f'SELECT DISTINCT "{column}"::VARCHAR FROM {table} WHERE {is_near[column]}'
        )
        naming[column] = [text for (text,) in texts if searched.is_in(text.encode())]
    return {column: texts for column, texts in naming.items() if texts}


def _in_json(name: str) -> Iterator[str]:
    """A name as it stands in JSON, and in JSON inside JSON."""
    for is_ascii in (True, False):
        once = json.dumps(name, ensure_ascii=is_ascii)[1:-1]
        yield once
        yield json.dumps(once, ensure_ascii=is_ascii)[1:-1]


def _still_named(database: Database, searched: Searched) -> dict[str, int]:
    """Columns in which a name stands all the same, with how many different texts.

    What people are called in texts, as in "Ask Ada Lovelace", is not looked for.
    """
    names = tuple(one for one in searched.names if is_searched(one))
    tables = database.rows(
        "SELECT schema_name || '.' || c.table_name, list(column_name) FROM duckdb_columns() c "
        "JOIN duckdb_tables() t USING (database_name, schema_name, table_name) "
        "WHERE database_name = 'live' AND data_type IN ('VARCHAR', 'JSON') "
        "AND NOT starts_with(c.table_name, 'forgotten_') GROUP BY ALL ORDER BY ALL"
    )
    searched = Searched(names, frozenset())
    return {
        f"{table}.{column}": len(texts)
        for table, columns in tables
        for column, texts in _naming(database, table, columns, searched).items()
    }


def _entry(plan: ForgetPlan, new_name: str, outcome: Outcome) -> AuditEntry:
    return AuditEntry(
        plan_id=plan.plan_id,
        step=1,
        operation=FORGET,
        target_kind="person",
        target_id=None,
        target_name=new_name,
        actor=user_name(),
        before=json.dumps({"rows": plan.rows, "files": len(plan.files)}),
        after=None,
        outcome=outcome,
        at=utc_now(),
    )


@contextmanager
def _opened(home: Path) -> Iterator[Database]:
    with open_database(Home(home).live.resolve(), wait_seconds=LOCK_WAIT_SECONDS) as database:
        database.ensure(*(raw.table for raw in RAW_TABLES.values()), *OPS_TABLES)
        yield database


def _from_home(path: Path, home: Path) -> str:
    return os.path.relpath(path, home) if path.is_relative_to(home) else str(path)
