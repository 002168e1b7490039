"""Whom a name means, where they are known again, and whom nobody touches; on handwritten rows."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from dify_etl.assembly.named_files import Searched
from dify_etl.raw.forgotten import Forgotten
from dify_etl.raw.people import PEOPLE, PersonIn
from dify_etl.raw.privacy import DROPPED, Privacy
from dify_etl.raw.tables import RAW_TABLES, raw_table
from dify_etl.sync.errors import PersonUnclear
from dify_etl.sync.forgetting import Person, find_person, known_forgotten, note_person
from dify_etl.sync.privacy import rewrite
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.tables import frame

SALT = Privacy(salt=b"a salt of the tests")
NEW = SALT.pseudonym("by chance")
ODD = (
    "auth0|507f1f77bcf86cd799439011",
    "whatsapp:+4915112345678",
    "tenant/4711/anna",
    "CORP\\anna.mueller",
    "jörg.müller@firma.de",
    "张伟-007x",
    'the"quoted"7',
)


@pytest.fixture
def database(empty_file: Path, tmp_path: Path) -> Iterator[Database]:
    """A live file without rows."""
    with open_database(Path(shutil.copy(empty_file, tmp_path))) as opened:
        opened.execute("PRAGMA disable_optimizer")
        yield opened


def insert(database: Database, table: str, **values: Any) -> None:
    """One row of a raw table; its key is made of its number where it is not given."""
    number = database.value(f"SELECT count(*) FROM raw.{table}")
    row = {name: f"{table}-{number}" for name in raw_table(table).key} | values
    names = ", ".join(row)
    marks = ", ".join("?" * len(row))
    database.execute(f"INSERT INTO raw.{table} ({names}) VALUES ({marks})", list(row.values()))


def caller(database: Database, session: str, number: int = 1, **more: Any) -> None:
    """A conversation of an end user with a question, and its message."""
    ids = {"conversation_id": f"talk-{number}", "from_end_user_id": f"end-user-{number}"}
    insert(database, "conversations", **ids, from_end_user_session_id=session, app_id="app")
    insert(database, "messages", **ids, query=f"question {number}", **more)


def forgotten(database: Database, name: str) -> tuple[Person, Privacy]:
    """Whom the name means, forgotten; and the rules by which rows are loaded from then on."""
    person = find_person(database, SALT, name)
    with database.transaction():
        note_person(database, SALT, person, new_name=NEW, by="me")
    privacy = Privacy(salt=SALT.salt, forgotten=known_forgotten(database, SALT))
    rewrite(database, privacy)
    return person, privacy


def test_name_of_an_account_is_no_session(database: Database) -> None:
    """Callers who are called as an account is stay, now and when they come again; what the account
    asked goes.
    """
    insert(database, "members", account_id="eddie", email="eddie@dify.test", name="admin")
    caller(database, "admin")
    insert(
        database,
        "conversations",
        **{"conversation_id": "own", "from_account_id": "eddie", "from_account_name": "admin"},
    )
    insert(database, "messages", conversation_id="own", query="mine")
    person, privacy = forgotten(database, "eddie@dify.test")
    assert (person.kind, *person.accounts) == ("account", "eddie")
    assert database.rows("SELECT query FROM raw.messages ORDER BY ALL") == [
        (DROPPED,),
        ("question 1",),
    ]
    named = "SELECT from_end_user_session_id, from_account_name FROM raw.conversations ORDER BY ALL"
    assert database.rows(named) == [("admin", None), (None, NEW)]
    assert database.rows("SELECT email, name FROM raw.members") == [(NEW, NEW)]
    table = raw_table("conversations")
    later = {"conversation_id": "new", "from_end_user_session_id": "admin", "name": "a title"}
    rows = privacy.rows(table, frame(table, [later], tuple(later)))
    assert rows["name"].to_list() == ["a title"]
    assert rows["from_end_user_session_id"].to_list() == ["admin"]
    rating = {"from_account_name": "admin", "content": "bad"}
    table = raw_table("message_feedbacks")
    rows = privacy.rows(table, frame(table, [rating], tuple(rating)))
    assert rows.row(0) == (NEW, DROPPED)


def test_session_is_no_name_of_an_account(database: Database) -> None:
    """The account keeps its name where a caller of that name is forgotten, and the other way round
    the name itself says neither.
    """
    insert(database, "members", account_id="eddie", email="eddie@dify.test", name="admin")
    caller(database, "admin")
    with pytest.raises(PersonUnclear, match="eddie, end-user-1"):
        find_person(database, SALT, "admin")
    caller(database, "admin-7", 2)
    insert(database, "members", account_id="other", email="o@dify.test", name="admin-7")
    insert(database, "documents", created_by="other", doc_metadata='{"uploader": "admin-7"}')
    person, privacy = forgotten(database, "end-user-2")
    assert (*person.end_users, *person.names) == ("end-user-2",)
    assert privacy.forgotten.words == {}
    names = database.rows("SELECT name FROM raw.members ORDER BY 1")
    assert names == [("admin",), ("admin-7",)]
    assert database.value("SELECT doc_metadata->>'$.uploader' FROM raw.documents") == "admin-7"


def test_name_that_two_accounts_have_is_taken_beside_the_id_alone(database: Database) -> None:
    """In columns, and in the JSON of who changed a version."""
    for one in ("ada", "ida"):
        insert(database, "members", account_id=one, email=f"{one}@dify.test", name="A. Lovelace")
        changed = json.dumps({"id": one, "name": "A. Lovelace", "email": f"{one}@dify.test"})
        insert(database, "workflow_versions", created_by_name="A. Lovelace", updated_by=changed)
        insert(database, "apps", created_by=one, author_name="A. Lovelace")
    person, _ = forgotten(database, "ada@dify.test")
    assert [one.text for one in person.names] == ["ada@dify.test"]
    assert database.rows("SELECT name FROM raw.members ORDER BY 1") == [("A. Lovelace",), (NEW,)]
    authors = database.rows("SELECT created_by, author_name FROM raw.apps ORDER BY 1")
    assert authors == [("ada", NEW), ("ida", "A. Lovelace")]
    changers = database.rows("SELECT updated_by->>'$.name' FROM raw.workflow_versions ORDER BY 1")
    assert changers == [("A. Lovelace",), (NEW,)]


def test_address_is_one_person_everywhere(database: Database) -> None:
    """An account that calls by its address is named in the plan with its callers."""
    insert(database, "members", account_id="eddie", email="Eddie@dify.test", name="Eddie")
    caller(database, "eddie@dify.test")
    for name in ("eddie@dify.test", "eddie"):
        person = find_person(database, SALT, name)
        assert (*person.accounts, *person.end_users) == ("eddie", "end-user-1")
    forgotten(database, "eddie")
    assert database.rows("SELECT query FROM raw.messages") == [(DROPPED,)]


def test_two_people_of_one_name_are_both_known(database: Database) -> None:
    """An account and a caller, forgotten one after the other, each by its own kind of name."""
    insert(database, "members", account_id="eddie", email="eddie@dify.test", name="admin")
    caller(database, "admin")
    forgotten(database, "eddie@dify.test")
    person = find_person(database, SALT, "admin")
    assert (*person.end_users, person.new_name) == ("end-user-1", None)
    other = SALT.pseudonym("another")
    with database.transaction():
        note_person(database, SALT, person, new_name=other, by="me")
    known = known_forgotten(database, SALT)
    name = SALT.pseudonym("admin")
    assert (known.session_ids[name], known.account_names[name]) == (other, NEW)


def test_one_caller_alone(database: Database) -> None:
    """The id of an end user, and APP_ID/SESSION, mean that caller of one app; the same session in
    another app stays, in rows and in texts.
    """
    for app in ("one", "two"):
        insert(database, "apps", app_id=app)
    for number in (1, 2, 3):
        caller(database, "user-005", number, answer="for user-005")
        app = "one" if number == 2 else "two"
        database.execute(
            f"UPDATE raw.conversations SET app_id = ? WHERE conversation_id = 'talk-{number}'",
            [app],
        )
    forgotten(database, "end-user-1")
    person = find_person(database, SALT, "one/user-005")
    assert (*person.end_users, *person.names) == ("end-user-2",)
    sessions = "SELECT from_end_user_session_id FROM raw.conversations ORDER BY conversation_id"
    assert database.rows(sessions) == [(NEW,), ("user-005",), ("user-005",)]
    kept = database.rows("SELECT answer FROM raw.messages ORDER BY conversation_id")
    assert kept == [(DROPPED,), ("for user-005",), ("for user-005",)]


def test_callers_of_several_apps_are_several_where_the_settings_say_so(database: Database) -> None:
    """With DIFY_ETL_PERSON=app each is to be told by its app."""
    caller(database, "user-005", 1)
    caller(database, "user-005", 2)
    database.execute("UPDATE raw.conversations SET app_id = conversation_id")
    assert len(find_person(database, SALT, "user-005").end_users) == 2
    database.execute("INSERT INTO ops.model_settings VALUES ('person', 'app')")
    with pytest.raises(PersonUnclear, match="talk-1/user-005, talk-2/user-005"):
        find_person(database, SALT, "user-005")


@pytest.mark.parametrize("name", ["nobody@nowhere.test", "DEFAULT-USER", ""])
def test_names_that_mean_nobody(database: Database, name: str) -> None:
    """Nothing is guessed."""
    caller(database, "DEFAULT-USER")
    with pytest.raises(PersonUnclear):
        find_person(database, SALT, name)


def test_number_that_is_a_name_stays_a_number_elsewhere(database: Database) -> None:
    """In JSON of others it stands without quotes: a name in its place would be no JSON."""
    caller(database, "4915112345")
    caller(database, "other", 2, inputs='{"phone": 4915112345}')
    forgotten(database, "4915112345")
    assert database.rows("SELECT query, inputs FROM raw.messages ORDER BY conversation_id") == [
        (DROPPED, None),
        ("question 2", '{"phone": 4915112345}'),
    ]


def test_address_is_found_in_any_spelling(database: Database) -> None:
    """People type addresses as they like, in the command, in texts and in files."""
    caller(database, "anna5@example.com")
    caller(database, "other", 2, answer="ask Anna5@example.com")
    person, _ = forgotten(database, "ANNA5@Example.com")
    assert database.rows("SELECT answer FROM raw.messages ORDER BY conversation_id") == [
        (None,),
        (f"ask {NEW}",),
    ]
    searched = Searched(tuple(person.searched), frozenset())
    assert searched.without(b"where email = 'Anna5@example.com'", NEW).decode() == (
        f"where email = '{NEW}'"
    )


def test_who_only_answered_a_form(database: Database) -> None:
    """An end user or an account that no other table knows, whoever started the run."""
    caller(database, "somebody")
    insert(database, "members", account_id="boss", email="boss@dify.test", name="The Boss")
    for id, name in (("approver", "approver-77"), ("boss", "The Boss")):
        insert(
            database,
            "human_inputs",
            **{"human_input_id": f"run/{id}", "answered_by_id": id, "answered_by": name},
            **{"submitted_data": '{"remark": "yes"}', "message_id": "messages-0"},
            node_execution_id=f"node-{id}",
        )
        insert(database, "node_executions", node_execution_id=f"node-{id}", outputs='{"a": "yes"}')
    database.execute(
        "UPDATE raw.messages SET message_id = 'messages-0', extra_contents = ?", ['[{"a": 1}]']
    )
    assert find_person(database, SALT, "The Boss").kind == "account"
    person, _ = forgotten(database, "approver-77")
    assert (person.kind, *person.end_users) == ("end_user", "approver")
    held = database.rows("SELECT answered_by, submitted_data FROM raw.human_inputs ORDER BY 1 DESC")
    assert held == [(NEW, "{}"), ("The Boss", '{"remark": "yes"}')]
    nodes = database.rows("SELECT outputs FROM raw.node_executions ORDER BY node_execution_id")
    assert nodes == [("{}",), ('{"a": "yes"}',)]
    assert database.rows("SELECT query, extra_contents FROM raw.messages") == [
        ("question 1", "[{}]")
    ]


@pytest.mark.parametrize("name", ODD)
def test_odd_session_ids_are_found_in_every_text(database: Database, name: str) -> None:
    """As a word of a text, in JSON, in JSON inside JSON and with its letters escaped; in rows that
    are held and in those that come later; not as a part of another name.
    """
    caller(database, name)
    inner = {"text": json.dumps({"who": f"of {name}\nand"}), "list": [name]}
    texts = [f"ticket of {name}: please", f"({name})", name]
    objects = [json.dumps(inner, ensure_ascii=is_ascii) for is_ascii in (True, False)]
    others = [f"x{name}", f"{name}0", f"{name}.b", name[1:]]
    for number, text in enumerate([*texts, *others]):
        more = {"inputs": objects[number]} if number < len(objects) else {}
        caller(database, f"other {number}", 10 + number, answer=text, **more)
    _, privacy = forgotten(database, name)
    kept = "SELECT answer, inputs::VARCHAR FROM raw.messages WHERE answer IS NOT NULL "
    kept += "ORDER BY conversation_id"
    rows = database.rows(kept)
    assert [one for one, _ in rows[:3]] == [f"ticket of {NEW}: please", f"({NEW})", NEW]
    assert [one for one, _ in rows[3:]] == others
    told = {"text": json.dumps({"who": f"of {NEW}\nand"}), "list": [NEW]}
    assert [json.loads(one) for _, one in rows[:2]] == [told, told]
    later = pl.DataFrame({"message_id": ["m"] * 3, "answer": texts})
    assert privacy.rows(raw_table("messages"), later)["answer"].to_list() == [
        text.replace(name, NEW) for text in texts
    ]


@pytest.mark.parametrize("name", ODD)
def test_odd_session_ids_are_found_in_files(name: str) -> None:
    """As CSV, JSON, a link and a page write them."""
    searched = Searched((name,), frozenset())
    quoted = name.replace('"', '""')
    for text in (
        f"a,{name},1",
        f'a,"{quoted}",1',
        json.dumps({"who": name}),
        json.dumps({"who": name}, ensure_ascii=False),
        json.dumps(json.dumps([name])),
    ):
        assert searched.is_in(text.encode()), text
        assert NEW in searched.without(text.encode(), NEW).decode()
    assert not searched.is_in(f"a{name} {name}b {name[1:]}".encode())


def test_part_of_a_longer_address_is_another_one() -> None:
    """In files as in texts."""
    searched = Searched(("anna@x.de",), frozenset())
    assert not searched.is_in(b"eva.anna@x.de joanna@x.de anna@x.de.org")
    assert searched.is_in(b"mailto:Anna@x.de.")


def test_member_of_before_is_found_by_what_they_built(database: Database) -> None:
    """By name and id, and their name is gone from app, dataset and the documents' metadata."""
    names = {"create_user_name": "Greta Gone", "author_name": "Greta Gone"}
    insert(database, "apps", created_by="greta", **names)
    insert(database, "datasets", created_by="greta", author_name="Greta Gone")
    listed = json.dumps([{"id": "1", "name": "uploader", "value": "Greta Gone"}])
    insert(database, "documents", created_by="greta", doc_metadata=listed)
    for name in ("Greta Gone", "greta"):
        assert find_person(database, SALT, name).accounts == {"greta"}
    forgotten(database, "greta")
    left = "SELECT create_user_name, author_name FROM raw.apps UNION ALL "
    left += (
        "SELECT d.author_name, o.doc_metadata->>'$[0].value' FROM raw.datasets d, raw.documents o"
    )
    assert database.rows(left) == [(NEW, NEW), (NEW, NEW)]


def test_everybody_is_found_where_a_table_tells_them(database: Database) -> None:
    """By id, and by each name that stands beside it, though no other table knows them."""
    for place in PEOPLE:
        insert(database, place.table, **_told(place))
        for name in ("an id", "a name") if place.names else ("an id",):
            person = find_person(database, SALT, name)
            assert person.end_users | person.accounts == {"an id"}, place
        database.execute(f"DELETE FROM raw.{place.table}")


def _told(place: PersonIn) -> dict[str, str]:
    """A row in which this place alone tells a person."""
    if place.table == "workflow_versions" and "json" in place.id:
        return {"updated_by": json.dumps({"id": "an id", "name": "a name", "email": "a name"})}
    if place.table == "documents" and place.names:
        return {"created_by": "an id", "doc_metadata": json.dumps({"uploader": "a name"})}
    return {place.id: "an id"} | dict.fromkeys(place.names, "a name")


def test_no_column_of_people_is_beyond_reach() -> None:
    """Ids of accounts and end users are those by which people are found; and whatever column names
    a person names them no more, where their id stands beside it. A new column has to be told in
    `PEOPLE`.
    """
    an_id = re.compile(r"(?:.*_)?(?:account|end_user|maintainer)_id|.*_by(?:_id)?")
    for name, raw in RAW_TABLES.items():
        table = raw.table
        places = [one for one in PEOPLE if one.table == name]
        told = " ".join(part for one in places for part in (one.id, *one.names))
        for column in table.columns:
            is_id = column.type == "VARCHAR" and an_id.fullmatch(column.name)
            if (is_id or column.is_person) and name != "members":
                assert re.search(rf"\b{column.name}\b", told), f"{name}.{column.name}"
        people = [one for one in table.columns if one.is_person and one.type == "VARCHAR"]
        ids = {one.id: "an id" for one in places if one.id in table.names}
        if not people:
            continue
        row = dict.fromkeys(table.key, "k") | {one.name: "a name" for one in people} | ids
        forgotten = Privacy(salt=SALT.salt, forgotten=Forgotten(actors={"an id": NEW}))
        kept = forgotten.rows(table, frame(table, [row], tuple(row)))
        assert {kept[one.name][0] for one in people} == {NEW}, name
