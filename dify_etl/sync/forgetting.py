"""People who are forgotten: found by what somebody calls them, noted, and known again by a sync."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from dify_etl.raw.forgotten import PARENTS, Forgotten, is_searched
from dify_etl.raw.privacy import NOBODY, Privacy
from dify_etl.raw.tables import raw_table
from dify_etl.sync.errors import PersonUnclear, SourceChanged
from dify_etl.sync.ledger import FORGOTTEN_NAMES, FORGOTTEN_PEOPLE
from dify_etl.sync.report import Slice
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.database import ArrowStream, Database
from dify_etl.warehouse.tables import Table, frame, quoted
from dify_etl.warehouse.upsert import put

ROWS_AT_A_TIME = 5_000
# Where an id of a person stands beside their names, in the raw tables.
_END_USERS = (
    ("conversations", "from_end_user_id", ("from_end_user_session_id",)),
    ("workflow_runs", "created_by_end_user_id", ("created_by_end_user_session_id",)),
    ("archived_runs", "created_by_end_user_id", ("created_by_end_user_session_id",)),
    ("node_executions", "created_by_end_user_id", ("created_by_end_user_session_id",)),
)
_CREATED_BY = ("created_by_account_name", "created_by_account_email")
_ACCOUNTS = (
    ("members", "account_id", ("email", "name")),
    ("workflow_runs", "created_by_account_id", _CREATED_BY[::-1]),
    ("archived_runs", "created_by_account_id", _CREATED_BY[::-1]),
    ("node_executions", "created_by_account_id", _CREATED_BY[::-1]),
    ("workflow_versions", "created_by_id", ("created_by_email", "created_by_name")),
    ("message_feedbacks", "from_account_id", ("from_account_email", "from_account_name")),
    ("conversations", "from_account_id", ("from_account_name",)),
)


@dataclass(frozen=True)
class Person:
    """Whom a name means: ids of their end users and accounts, and their names as they are held.

    `new_name` is what stands for them where they were forgotten before.
    """

    end_users: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    names: frozenset[str] = field(default=frozenset(), repr=False)
    new_name: str | None = None

    @property
    def kind(self) -> str:
        """account, end_user, or both."""
        kinds = [("account", self.accounts), ("end_user", self.end_users)]
        return ", ".join(kind for kind, ids in kinds if ids)


def find_person(database: Database, privacy: Privacy, name: str) -> Person:
    """Whom a session id, an id of an end user or account, an e-mail address or the name of an
    account means; APP_ID/SESSION: that caller of one app. PersonUnclear.
    """
    if name == NOBODY or not name:
        raise _unclear(f"{name or 'an empty name'} is nobody: all callers that name no user")
    app_id, _, session = name.partition("/")
    is_of_one_app = bool(session) and _is_app(database, app_id)
    wanted = {session if is_of_one_app else name}
    wanted |= {one.lower() for one in wanted if "@" in one}
    wanted |= {privacy.pseudonym(one) for one in wanted}
    end_users = _ids(database, _END_USERS, wanted, app_id if is_of_one_app else None)
    accounts = frozenset() if is_of_one_app else _accounts(database, wanted, name)
    # The same session may be somebody else in another app: an id means that caller alone.
    is_alone = is_of_one_app or name in end_users
    if not is_alone:
        _check_one_person(database, end_users, name)
    known = _known_as(database, {*end_users, *accounts, privacy.pseudonym(name), name})
    if not (end_users or accounts or known):
        raise _unclear(f"nobody goes by {name!r}")
    if len(known) > 1:
        raise _unclear(f"{name!r} means {len(known)} people who were forgotten one by one")
    person = next(iter(known), None)
    if not (end_users or accounts):  # their names were taken out of the rows already
        ids = database.rows(
            "SELECT kind, known_by FROM ops.forgotten_names WHERE person = ?", [person]
        )
        end_users = frozenset(one for kind, one in ids if kind == "end_user")
        accounts = frozenset(one for kind, one in ids if kind == "account")
    names: set[str] = set()
    if not is_alone:
        names = {*_names(database, _END_USERS, end_users), *_own_names(database, accounts), name}
    return Person(
        end_users,
        accounts,
        frozenset(names - end_users - accounts - known - {NOBODY, ""}),
        person,
    )


def _check_one_person(database: Database, end_users: frozenset[str], name: str) -> None:
    """PersonUnclear where callers of one name are people by app, and this is of several apps."""
    is_by_app = database.rows(
        "SELECT 1 FROM ops.model_settings WHERE setting = 'person' AND value = 'app'"
    )
    if not is_by_app:
        return
    apps = {
        app_id
        for table, column, _ in _END_USERS
        for (app_id,) in database.rows(
            f"SELECT DISTINCT app_id FROM raw.{table} WHERE list_contains(?, {column})",
            [sorted(end_users)],
        )
    }
    if len(apps) > 1:
        told = ", ".join(f"{app_id}/{name}" for app_id in sorted(apps))
        raise _unclear(f"{name!r} is a person of {len(apps)} apps (DIFY_ETL_PERSON=app): {told}")


def _own_names(database: Database, accounts: frozenset[str]) -> set[str]:
    """The names and addresses of accounts, without names that another account has as well."""
    names = set(_names(database, _ACCOUNTS, accounts))
    return {one for one in names if "@" in one or _ids(database, _ACCOUNTS, {one}) <= accounts}


def note_person(
    database: Database, privacy: Privacy, person: Person, *, new_name: str, by: str
) -> None:
    """Write down by what this person is known again. Call it inside a transaction."""
    row = {
        "person": new_name,
        "kind": person.kind,
        "salt_check": salt_check(privacy.salt),
        "forgotten_at": utc_now(),
        "forgotten_by": by,
        "rewritten_at": None,
    }
    known: list[dict[str, object]] = [
        {"known_by": one, "kind": kind, "word_length": None, "person": new_name}
        for kind, ids in (("end_user", person.end_users), ("account", person.accounts))
        for one in sorted(ids)
    ]
    known += [
        {
            "known_by": privacy.pseudonym(one),
            "kind": "name",
            "word_length": len(one) if is_searched(one) else None,
            "person": new_name,
        }
        for one in sorted(person.names - {new_name})
    ]
    put(database, FORGOTTEN_PEOPLE, frame(FORGOTTEN_PEOPLE, [row]))
    put(database, FORGOTTEN_NAMES, frame(FORGOTTEN_NAMES, known))


def is_cut_off(database: Database, person: Person) -> bool:
    """Whether this person was being forgotten, and it did not come to its end."""
    return bool(
        database.rows(
            "SELECT 1 FROM ops.forgotten_people WHERE person = ? AND rewritten_at IS NULL",
            [person.new_name],
        )
    )


def note_forgotten(database: Database, new_name: str) -> None:
    """Say that nothing in the home holds this person any more."""
    database.execute(
        "UPDATE ops.forgotten_people SET rewritten_at = ? WHERE person = ?", [utc_now(), new_name]
    )


def known_forgotten(database: Database, privacy: Privacy) -> Forgotten:
    """The people who were forgotten, as far as the ledger knows them.

    SourceChanged when the salt is not the one by which their names were noted.
    """
    salts = database.rows("SELECT DISTINCT salt_check FROM ops.forgotten_people")
    if not salts:
        return Forgotten()
    if salts != [(salt_check(privacy.salt),)]:
        raise another_salt()
    forgotten = Forgotten()
    for known_by, kind, length, person in database.rows(
        "SELECT known_by, kind, word_length, person FROM ops.forgotten_names"
    ):
        (forgotten.names if kind == "name" else forgotten.actors)[known_by] = person
        if length is not None:
            forgotten.lengths.add(length)
    for name, column in PARENTS.items():
        rows = database.rows(
            "SELECT string_split(row_id, '/')[-1], person FROM ops.forgotten_rows "
            "WHERE table_name = ?",
            [name],
        )
        forgotten.parents[column].update(rows)
    made_of_theirs = """SELECT m.annotation_id, f.person FROM raw.messages m
        JOIN ops.forgotten_rows f ON f.table_name = 'messages'
            AND f.row_id = concat_ws('/', m.conversation_id, m.message_id)
        WHERE m.annotation_id IS NOT NULL"""
    forgotten.parents["annotation_id"].update(database.rows(made_of_theirs))
    return forgotten


def learn_rows(database: Database, privacy: Privacy) -> None:
    """Find the conversations, messages, runs and annotations of forgotten people among all that are
    held: what hangs on them is theirs.
    """
    for name in PARENTS:
        table = raw_table(name)
        texts = [one.name for one in table.columns if one.type == "VARCHAR" and not one.is_text]
        for rows in chunks(database, table, texts):
            privacy.forgotten.learn(table, rows, privacy.whose(table, rows))


def note_rows(database: Database, privacy: Privacy, table: Table, rows: pl.DataFrame) -> None:
    """Write down which of these rows, that are loaded, are of forgotten people."""
    whose = privacy.whose(table, rows)
    if whose.null_count() == rows.height:
        return
    privacy.forgotten.learn(table, rows, whose)
    theirs = rows.select(*table.key, whose.alias("person")).filter(pl.col("person").is_not_null())
    theirs = theirs.unique(list(table.key), keep="last")
    database.connection.register("_theirs", ArrowStream(theirs))
    same = " AND ".join(f't."{name}" IS NOT DISTINCT FROM s."{name}"' for name in table.key)
    names = {column.name for column in table.columns}
    app = "t.app_id" if "app_id" in names else "NULL"
    day = f't."{table.day_column}"' if table.day_column else "NULL"
    database.execute(
        f"""INSERT INTO ops.forgotten_rows
            (table_name, row_id, person, app_id, slice_date, forgotten_at)
        SELECT {quoted(table.name)}, {_row_id(table, "t")}, s.person, {app}, {day}, ?
        FROM _theirs s JOIN {table.qualified} t ON {same}
        WHERE NOT EXISTS (SELECT 1 FROM ops.forgotten_rows f
            WHERE f.table_name = {quoted(table.name)} AND f.row_id = {_row_id(table, "t")})""",
        [utc_now()],
    )
    database.connection.unregister("_theirs")


def with_forgotten(database: Database, table: Table, slices: Sequence[Slice]) -> list[Slice]:
    """The slices with how many of their rows are of forgotten people, deleted ones too."""
    noted = database.rows(
        "SELECT app_id, slice_date, count(*) FROM ops.forgotten_rows WHERE table_name = ? "
        "GROUP BY ALL",
        [table.name],
    )
    if not noted:
        return list(slices)
    return [
        replace(
            one,
            forgotten=sum(
                rows
                for app_id, day, rows in noted
                if one.app_id in (None, app_id) and one.day in (None, day)
            ),
        )
        for one in slices
    ]


def chunks(database: Database, table: Table, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """All rows of a table, some at a time: `_row` (its place), its key and `columns` as texts."""
    if not database.rows(f"SELECT 1 FROM {table.qualified} LIMIT 1"):
        return  # as of most tables of most homes: no frame of all their columns is made for that
    names = dict.fromkeys([*columns, *table.key])
    listed = ", ".join(
        f'"{one}"::VARCHAR AS "{one}"' if one in columns else f'"{one}"' for one in names
    )
    last = -1
    while True:
        rows = database.frame(
            f"SELECT rowid AS _row, {listed} FROM {table.qualified} WHERE rowid > {last} "
            f"ORDER BY rowid LIMIT {ROWS_AT_A_TIME}"
        )
        if rows.is_empty():
            return
        last = int(rows["_row"][-1])
        yield rows
        if rows.height < ROWS_AT_A_TIME:
            return


def salt_check(salt: bytes) -> str:
    """By which one sees that the salt is another one, and never what it is."""
    return hashlib.sha256(b"which salt is it? " + salt).hexdigest()[:16]


def another_salt() -> SourceChanged:
    """The home has pseudonyms that were made with another salt."""
    return SourceChanged(
        "the salt of people's pseudonyms is not the one that rows were loaded with",
        where="people.salt in the home",
        hint="Put the file back from a backup of the home. If it is lost, load into a home of "
        "its own with DIFY_ETL_HOME: the same person would be two here.",
    )


def _row_id(table: Table, side: str) -> str:
    parts = ", ".join(f'{side}."{name}"::VARCHAR' for name in table.key)
    return f"concat_ws('/', {parts})"


def _is_app(database: Database, app_id: str) -> bool:
    return bool(database.rows("SELECT 1 FROM raw.apps WHERE app_id = ? LIMIT 1", [app_id]))


_Places = Sequence[tuple[str, str, tuple[str, ...]]]


def _ids(
    database: Database, places: _Places, wanted: set[str], app_id: str | None = None
) -> frozenset[str]:
    """The ids that are among the wanted, or stand beside a name that is."""
    found: set[str] = set()
    for table, column, names in places:
        is_wanted = " OR ".join(
            f"list_contains($wanted, {one}) OR list_contains($wanted, lower({one}))"
            for one in (column, *names)
        )
        of_app = f" AND app_id = {quoted(app_id)}" if app_id else ""
        rows = database.rows(
            f"SELECT DISTINCT {column} FROM raw.{table} "
            f"WHERE {column} IS NOT NULL AND ({is_wanted}){of_app}",
            {"wanted": sorted(wanted)},
        )
        found.update(one for (one,) in rows)
    return frozenset(found)


def _accounts(database: Database, wanted: set[str], name: str) -> frozenset[str]:
    """The accounts of an id, an e-mail address or a name. PersonUnclear: two have that name."""
    found = _ids(database, _ACCOUNTS, wanted)
    if len(found) > 1:
        raise _unclear(f"{len(found)} accounts go by {name!r}: {', '.join(sorted(found))}")
    return found


def _names(database: Database, places: _Places, ids: frozenset[str]) -> frozenset[str]:
    """All names that stand beside these ids."""
    found: set[str] = set()
    for table, column, names in places:
        for name in names if ids else ():
            rows = database.rows(
                f"SELECT DISTINCT {name} FROM raw.{table} "
                f"WHERE list_contains(?, {column}) AND {name} IS NOT NULL",
                [sorted(ids)],
            )
            found.update(one for (one,) in rows)
    return frozenset(found)


def _known_as(database: Database, known_by: set[str]) -> set[str]:
    """The people who were forgotten under these ids or pseudonyms."""
    rows = database.rows(
        "SELECT DISTINCT person FROM ops.forgotten_names WHERE list_contains(?, known_by)",
        [sorted(known_by)],
    )
    return {one for (one,) in rows}


def _unclear(what: str) -> PersonUnclear:
    return PersonUnclear(
        what,
        where="PERSON",
        hint="Give a session id, an id of an end user or account, or an e-mail address, as "
        "staging.stg_people and raw.members tell them; APP_ID/SESSION means one app's caller.",
    )
