"""People who are forgotten: found by what somebody calls them, noted, and known again by a sync."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import polars as pl

from dify_etl.raw.forgotten import PARENTS, Forgotten, NameKind
from dify_etl.raw.name_words import is_searched, word_length, word_shape
from dify_etl.raw.people import ACCOUNTS, END_USERS, OF_FORMS, PersonIn
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


class KnownName(NamedTuple):
    """A name of a person, what it is, and whether somebody else has it too, in columns of another
    kind: then it is looked for in no text.
    """

    text: str
    kind: NameKind
    is_shared: bool = False


@dataclass(frozen=True)
class Person:
    """Whom a name means: ids of their end users and accounts, and their names as they are held.

    `new_name` is what stands for them where they were forgotten before.
    """

    end_users: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    names: frozenset[KnownName] = field(default=frozenset(), repr=False)
    new_name: str | None = None

    @property
    def kind(self) -> str:
        """account, end_user, or both."""
        kinds = [("account", self.accounts), ("end_user", self.end_users)]
        return ", ".join(kind for kind, ids in kinds if ids)

    @property
    def searched(self) -> set[str]:
        """Names by which files and the ledger are searched: addresses, ids, whole names."""
        alone = {one.text for one in self.names if not one.is_shared}
        return {one for one in alone if is_searched(one) or (" " in one and len(one) > 5)}


def find_person(database: Database, privacy: Privacy, name: str) -> Person:
    """Whom a session id, an id of an end user or account, an e-mail address or the name of an
    account means; APP_ID/SESSION: that caller of one app. PersonUnclear.
    """
    if name == NOBODY or not name:
        raise _unclear(f"{name or 'an empty name'} is nobody: all callers that name no user")
    end_users, accounts, is_alone = _found(database, privacy, name)
    known = _known_as(database, {*end_users, *accounts})
    if not (end_users or accounts):
        known = _known_as(database, {privacy.pseudonym(name), name})
    if end_users and accounts and not ("@" in name or {name} & {*accounts, *known}):
        told = ", ".join([*sorted(accounts), *sorted(end_users)])
        raise _unclear(f"{name!r} is the name of an account, and the session id of callers: {told}")
    if not (end_users or accounts or known):
        raise _unclear(f"nobody goes by {name!r}")
    if len(known) > 1:
        raise _unclear(f"{name!r} means {len(known)} people who were forgotten one by one")
    person = next(iter(known), None)
    if not (end_users or accounts):  # their names were taken out of the rows already
        return _forgotten_before(database, privacy, name, person)
    names: frozenset[KnownName] = frozenset()
    if not is_alone:
        names = _names_of(database, privacy, end_users, accounts, called=name)
    kept_out = {*end_users, *accounts, *known, NOBODY, ""}
    return Person(
        end_users, accounts, frozenset(one for one in names if one.text not in kept_out), person
    )


def _found(
    database: Database, privacy: Privacy, name: str
) -> tuple[frozenset[str], frozenset[str], bool]:
    """The end users and accounts that raw tables know by a name, and whether it means a caller of
    one app alone. PersonUnclear: two accounts have it.
    """
    app_id, _, session = name.partition("/")
    is_of_one_app = bool(session) and _is_app(database, app_id)
    wanted = _spellings(privacy, [session if is_of_one_app else name])
    end_users = _ids(database, END_USERS, wanted, app_id if is_of_one_app else None)
    accounts = frozenset() if is_of_one_app else _ids(database, ACCOUNTS, wanted)
    if answered := _ids(database, (OF_FORMS,), wanted):
        of_accounts = answered & _ids(database, ACCOUNTS, {*answered})
        end_users -= of_accounts
        accounts |= frozenset() if is_of_one_app else of_accounts
    if len(accounts) > 1:
        told = ", ".join(sorted(accounts))
        raise _unclear(f"{len(accounts)} accounts go by {name!r}: {told}")
    # The same session may be somebody else in another app: an id means that caller alone.
    is_alone = is_of_one_app or name in end_users
    if not is_alone:
        _check_one_person(database, end_users, name)
        end_users = end_users | _of_addresses(database, privacy, accounts)
    return end_users, accounts, is_alone


def _spellings(privacy: Privacy, names: Collection[str]) -> set[str]:
    """As these names may stand in a home: an address in small letters, and pseudonyms."""
    plain = {*names} | {one.lower() for one in names if "@" in one}
    return plain | {privacy.pseudonym(one) for one in plain}


def _of_addresses(database: Database, privacy: Privacy, accounts: frozenset[str]) -> frozenset[str]:
    """The end users whose session id is the e-mail address of one of these accounts."""
    addresses = {one for one in _names(database, ACCOUNTS, accounts) if "@" in one}
    wanted = _spellings(privacy, addresses)
    return _ids(database, END_USERS, wanted) if addresses else frozenset()


def _forgotten_before(
    database: Database, privacy: Privacy, name: str, person: str | None
) -> Person:
    """A person whom no raw table names any more, by what is known of them."""
    noted = database.rows(
        "SELECT kind, known_by FROM ops.forgotten_names WHERE person = ?", [person]
    )
    of_kind = {
        kind: frozenset(one for noted_kind, one in noted if noted_kind == kind)
        for kind in ("end_user", "account")
    }
    kinds: tuple[NameKind, ...] = ("name", "session_id", "account_name")
    called = {privacy.pseudonym(name)}
    names = {KnownName(name, kind) for kind in kinds for one in called if (kind, one) in noted}
    return Person(of_kind["end_user"], of_kind["account"], frozenset(names), person)


def _check_one_person(database: Database, end_users: frozenset[str], name: str) -> None:
    """PersonUnclear where callers of one name are people by app, and this is of several apps."""
    is_by_app = database.rows(
        "SELECT 1 FROM ops.model_settings WHERE setting = 'person' AND value = 'app'"
    )
    if not is_by_app:
        return
    found = _asked(
        database,
        [
            f"SELECT DISTINCT app_id FROM raw.{one.table} "
            f"WHERE list_contains($wanted, {one.id}) AND app_id IS NOT NULL"
            for one in END_USERS
        ],
        end_users,
    )
    apps = {app_id for (app_id,) in found}
    if len(apps) > 1:
        told = ", ".join(f"{app_id}/{name}" for app_id in sorted(apps))
        raise _unclear(f"{name!r} is a person of {len(apps)} apps (DIFY_ETL_PERSON=app): {told}")


def _names_of(
    database: Database,
    privacy: Privacy,
    end_users: frozenset[str],
    accounts: frozenset[str],
    *,
    called: str,
) -> frozenset[KnownName]:
    """What these are called, and are `called` by the user, without names by which columns of their
    kind name somebody else as well.
    """
    held: list[tuple[NameKind, tuple[PersonIn, ...], frozenset[str]]] = [
        ("session_id", END_USERS, end_users),
        ("account_name", ACCOUNTS, accounts),
    ]
    own = {kind: {*_names(database, places, ids)} for kind, places, ids in held}
    spellings = _spellings(privacy, [called])
    for kind, _, ids in held:
        if ids and own[kind] & spellings:
            own[kind].add(called)
    wanted = _spellings(privacy, own["session_id"] | own["account_name"])
    # Who answered a form may be told as an end user, and be an account.
    theirs = {None, *end_users, *accounts}

    def others(places: Sequence[PersonIn]) -> set[str]:
        beside = _beside(database, places, wanted)
        return {privacy.pseudonym(name) for id, name in beside if id not in theirs}

    of_others = {
        kind: others([one for one in places if one is not OF_FORMS]) for kind, places, _ in held
    }
    anybody = of_others["session_id"] | of_others["account_name"] | others([OF_FORMS])
    found: set[KnownName] = set()
    for kind, _, _ in held:
        for name in own[kind]:
            pseudonym = privacy.pseudonym(name)
            if "@" in name and pseudonym not in anybody:
                found.add(KnownName(name, "name"))
            elif pseudonym not in of_others[kind]:
                found.add(KnownName(name, kind, is_shared=pseudonym in anybody))
    return frozenset(found)


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
        {"known_by": one, "kind": kind, "person": new_name}
        for kind, ids in (("end_user", person.end_users), ("account", person.accounts))
        for one in sorted(ids)
    ]
    known += [
        {
            "known_by": privacy.pseudonym(one.text),
            "kind": one.kind,
            "word_length": None if one.is_shared else word_length(one.text),
            "word_shape": None if one.is_shared else word_shape(one.text),
            "person": new_name,
        }
        # Texts have the plain name, not what stands for it in a hashed home: it comes last.
        for one in sorted(
            person.names, key=lambda one: (one.text != privacy.pseudonym(one.text), one)
        )
        if one.text != new_name
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
    for known_by, kind, length, shape, person in database.rows(
        "SELECT known_by, kind, word_length, word_shape, person FROM ops.forgotten_names"
    ):
        if kind in ("end_user", "account"):
            forgotten.actors[known_by] = person
        else:
            forgotten.add_name(known_by, kind, person, length=length, shape=shape)
    for name, column in PARENTS.items():
        # A message is known by its own id, of the two of its key.
        row_id = "string_split(row_id, '/')[-1]" if name == "messages" else "row_id"
        rows = database.rows(
            f"SELECT {row_id}, person FROM ops.forgotten_rows WHERE table_name = ?", [name]
        )
        forgotten.parents[column].update(rows)
    made_of_theirs = """SELECT m.annotation_id, f.person FROM raw.messages m
        JOIN ops.forgotten_rows f ON f.table_name = 'messages'
            AND f.row_id = concat_ws('/', m.conversation_id, m.message_id)
        WHERE m.annotation_id IS NOT NULL"""
    forgotten.parents["annotation_id"].update(database.rows(made_of_theirs))
    learn_answers(database, forgotten)
    return forgotten


def learn_answers(database: Database, forgotten: Forgotten) -> None:
    """Know the executions and messages in which a form stands that a forgotten person answered."""
    forms = raw_table("human_inputs")
    rows = database.frame(
        """SELECT h.human_input_id, h.node_execution_id, h.message_id, f.person
        FROM raw.human_inputs h JOIN ops.forgotten_rows f
            ON f.table_name = 'human_inputs' AND f.row_id = h.human_input_id"""
    )
    forgotten.learn(forms, rows, rows["person"])


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


def _ids(
    database: Database,
    places: Sequence[PersonIn],
    wanted: set[str],
    app_id: str | None = None,
) -> frozenset[str]:
    """The ids that are among the wanted, or stand beside a name that is."""
    of_app = f" AND app_id = {quoted(app_id)}" if app_id else ""
    found = _asked(
        database,
        [
            f"SELECT DISTINCT {one.id} FROM raw.{one.table} WHERE {one.id} IS NOT NULL "
            f"AND ({' OR '.join(map(_is_wanted, (one.id, *one.names)))}){of_app}"
            for one in places
        ],
        wanted,
    )
    return frozenset(id for (id,) in found)


def _beside(
    database: Database, places: Sequence[PersonIn], wanted: set[str]
) -> set[tuple[str | None, str]]:
    """The ids that stand beside these names, each with the name; None: no id does."""
    return _asked(
        database,
        [
            f"SELECT DISTINCT {one.id}, {name} FROM raw.{one.table} WHERE {_is_wanted(name)}"
            for one in places
            for name in one.names
        ],
        wanted,
    )


def _names(database: Database, places: Sequence[PersonIn], ids: frozenset[str]) -> frozenset[str]:
    """All names that stand beside these ids."""
    found = _asked(
        database,
        [
            f"SELECT DISTINCT {name} FROM raw.{one.table} "
            f"WHERE list_contains($wanted, {one.id}) AND {name} IS NOT NULL"
            for one in places
            for name in one.names
        ],
        ids,
    )
    return frozenset(name for (name,) in found)


def _is_wanted(told: str) -> str:
    return f"list_contains($wanted, {told}) OR list_contains($wanted, lower({told}))"


def _asked(
    database: Database, queries: Sequence[str], wanted: Collection[str]
) -> set[tuple[Any, ...]]:
    """The different rows of these queries over the wanted."""
    if not wanted:
        return set()
    return set(database.rows(" UNION ALL ".join(queries), {"wanted": sorted(wanted)}))


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
