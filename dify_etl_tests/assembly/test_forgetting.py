"""A person who is forgotten: nothing of them is left in the home, and no later read brings it back.

`MARK` is planted in every text of every answer that is about them, and their name in the texts of
all others.
"""

import json
import shutil
import sqlite3
import zipfile
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import httpx
import pytest

from dify_etl.alerts.incidents import Incident
from dify_etl.alerts.ledger import open_ledger
from dify_etl.assembly import forgetting, rewriting
from dify_etl.assembly.forgetting import Forgetting, forget, plan_forgetting
from dify_etl.assembly.home_files import people_salt
from dify_etl.home import COPY, LIVE, Home
from dify_etl.operations.audit import AuditFile
from dify_etl.operations.errors import PlanStale
from dify_etl.raw.privacy import DROPPED, PeopleRule, Privacy
from dify_etl.report.page_of_figures import page_of
from dify_etl.report.writing import default_report
from dify_etl.sync.errors import SourceChanged
from dify_etl.sync.run import SyncPlan
from dify_etl.warehouse.database import open_database
from dify_etl.warehouse.publish import CopyPlace
from dify_etl.warehouse.sql_files import sql_files
from dify_etl.warehouse.writing_anew import write_anew
from dify_etl_tests.assembly.test_privacy import OF_TALKS, WORDS, places_of
from dify_etl_tests.duckdb_files import opened_to_read
from dify_etl_tests.operations.test_audit import AT
from dify_etl_tests.sync.answers_changed import ChangedAnswers
from dify_etl_tests.sync.small_worlds import agent_world, brief_world
from dify_etl_tests.sync.workplace import TALK, Workplace
from dify_simulated import SimulatedDify, World

VERSION = "1.16.1"
MARK = "canary-of-hers"
CALLER, ADDRESS, ADMIN = "user-005", "anna5@example.com", "admin@dify.test"
FIGURES = "SELECT columns(lambda c: NOT regexp_full_match(c, '{}')) FROM marts.{} ORDER BY ALL"
SHOWN = "(conversation_)?name|question|answer|comment|example.*|error|title|.*_at|person.*|run_id"


class Read(NamedTuple):
    """A home that was read, and how many of its texts are of the person."""

    place: Workplace
    name: str
    texts: dict[str, int]

    @property
    def dagster(self) -> Path:
        return self.place.home / "dagster"

    def plan(
        self,
        name: str | None = None,
        people: PeopleRule = "keep",
        dagster: Sequence[Path] = (),
        of_others: Sequence[Path] = (),
    ) -> Any:
        return plan_forgetting(
            *(self.place.home, self.privacy(people), name or self.name),
            place=CopyPlace(self.place.home),
            dagster=dagster or (self.dagster,),
            of_others=of_others,
        )

    def forget(self, name: str | None = None, **how: Any) -> Forgetting:
        people, dagster = how.pop("people", "keep"), how.pop("dagster", ())
        return forget(
            *(self.place.home, self.privacy(people), name or self.name),
            agreed_id=self.plan(name, people, dagster).plan_id,
            place=CopyPlace(self.place.home),
            dagster=dagster or (self.dagster,),
            tell=lambda line: None,
            **how,
        )

    def privacy(self, people: PeopleRule = "keep") -> Privacy:
        return Privacy("keep", people, people_salt(self.place.home))

    def read(self, feeds: Sequence[str] = (), plan: SyncPlan | None = None) -> dict[str, Any]:
        return self.place.with_rules(privacy=self.privacy()).read(feeds, plan)

    def left(self) -> dict[str, int]:
        """Tables, and files of the home, in which the person is."""
        found: dict[str, int] = {}
        for file in (LIVE, COPY):
            found |= places_of(self.place.home / file, MARK, self.name)
        return found


def told_of(world: World, name: str) -> ChangedAnswers:
    """The server's answers: with the mark in what is the person's, and their name (the address of
    an account) in all else.
    """
    ids = ids_of(world, name)
    assert len(ids) > 2

    def marked(path: str, answer: Any) -> Any:
        if not OF_TALKS.search(path) or "/members" in path or "code" in answer:
            return answer
        is_theirs = any(one in path for one in ids)
        return _marked(answer, "", ids, ADMIN if " " in name else name, is_theirs)

    return ChangedAnswers(httpx.WSGITransport(app=SimulatedDify(world, VERSION)), marked)


def ids_of(world: World, name: str) -> set[str]:
    """The ids of an account or of the callers of a session, and of what they said and ran."""
    people = {one.id for one in world.end_users.values() if one.session_id == name}
    people |= {one.id for one in world.accounts.values() if one.name == name}
    talks = {
        one.id
        for one in world.conversations.values()
        if people & {one.from_end_user_id, one.from_account_id}
    }
    messages = {one.id for one in world.messages.values() if one.conversation_id in talks}
    runs = {one.id for one in world.workflow_runs.values() if one.created_by in people}
    return people | talks | messages | runs


def _marked(value: Any, key: str, ids: set[str], name: str, is_theirs: bool) -> Any:
    if key in ("tool_labels", "files", "roles", "actions", "trigger_metadata", "model"):
        return value
    if isinstance(value, dict):
        own = [one for one in value.values() if isinstance(one, str | dict)]
        is_theirs = is_theirs or any(one in ids for one in _values(own))
        return {one: _marked(inner, one, ids, name, is_theirs) for one, inner in value.items()}
    if isinstance(value, list):
        return [_marked(inner, key, ids, name, is_theirs) for inner in value]
    is_word = WORDS.fullmatch(key) or key in ("sys.user_id", "from_account_name")
    if not isinstance(value, str) or not value or is_word or key.endswith("session_id"):
        return value
    return f"{value} {MARK if is_theirs else f'({name})'}"


def _values(values: list[Any]) -> Iterator[str]:
    """Texts of an object, and of who made it."""
    for one in values:
        if isinstance(one, str):
            yield one
        elif "id" in one:
            yield str(one["id"])


def read_home(home: Path, name: str, world: World) -> Read:
    """A workspace that was read once."""
    place = Workplace(world, home, VERSION, transport=told_of(world, name))
    place.read()
    return Read(place, name, places_of(home / LIVE, MARK))


@pytest.fixture(scope="module")
def caller_home(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Read once for the tests that begin with it."""
    return read_home(tmp_path_factory.mktemp("caller") / "home", CALLER, brief_world(VERSION))


@pytest.fixture
def home(caller_home: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """A copy of that home, over the same world; models are not built, which takes half the time."""
    monkeypatch.setattr(rewriting, "sql_files", lambda own: [])
    place = caller_home.place
    shutil.copytree(place.home, tmp_path / "home")
    own = Workplace(place.world, tmp_path / "home", VERSION, transport=place.transport)
    return caller_home._replace(place=own)


@pytest.mark.parametrize("kind", ["caller", "agents", "account"])
def test_nothing_is_left_and_nothing_comes_back(
    home: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Neither their texts nor their name in any column, nor a figure that is another one; what
    others wrote stays; the next night and a full read change no row and bring nothing, and every
    slice is as good as before.
    """
    if kind == "caller":  # models show what raw tables hold: once is enough
        monkeypatch.setattr(rewriting, "sql_files", sql_files)
        rewriting.rewrite_home(
            *(home.place.home, home.privacy()),
            place=CopyPlace(home.place.home),
            tell=lambda line: None,
        )
    read = home
    if kind == "agents":
        read = read_home(tmp_path / "read", "anna0@example.com", agent_world())
    elif kind == "account":
        read = read_home(tmp_path / "read", "Ada Admin", brief_world(VERSION))
    states = "SELECT feed, app_id, slice_date, state, rows FROM ops.slices ORDER BY ALL"
    before, figures = read.place.rows(states), figures_of(read.place)
    assert bool(figures) == (kind == "caller")
    asked = "SELECT count(*) FROM raw.messages WHERE query NOT IN ('', '(dropped)')"
    questions = read.place.value(asked)
    assert len(read.texts) > (0 if kind == "account" else 4)
    planned = read.plan()
    done = read.forget()
    assert done.still_named == {}
    assert read.left() == {}
    assert figures_of(read.place) == figures
    assert kind != "account" or places_of(read.place.home / LIVE, ADMIN) == {}
    dropped = read.place.value(f"SELECT count(*) FROM raw.messages WHERE query = '{DROPPED}'")
    assert bool(dropped) == ("messages" in planned.rows)
    assert dropped <= planned.rows.get("messages", 0)
    assert read.place.value(asked) == questions - dropped
    for plan in (None, SyncPlan(is_full=True)) if kind == "caller" else (SyncPlan(is_full=True),):
        reports = read.read(plan=plan)
        assert read.left() == {}
        moving = {"members", "apps", "datasets"}  # the time of the last call and such
        changed = {
            one for one, report in reports.items() if report.changes.new or report.changes.changed
        }
        assert changed <= moving
    assert read.place.rows(states) == before
    counted = read.place.rows(
        "SELECT feed, sum(forgotten)::BIGINT FROM ops.slices WHERE forgotten > 0 GROUP BY 1"
    )
    of_slices = ("conversations", "workflow_runs", "members")
    assert {feed: rows for feed, rows in counted if feed in of_slices} == {
        feed: rows for feed, rows in planned.rows.items() if feed in of_slices
    }


def figures_of(place: Workplace) -> dict[str, list[Any]]:
    """Numbers of some marts, and the number of people; none where no model was built."""
    if not (place.home / COPY).exists():
        return {}
    marts = ("costs", "app_daily_usage", "workspace_daily_usage", "conversation_quality", "latency")
    with opened_to_read(place.home / COPY) as connection:
        built = connection.execute("SELECT 1 FROM duckdb_tables() WHERE schema_name = 'marts'")
        if not built.fetchall():
            return {}
        found = {one: connection.execute(FIGURES.format(SHOWN, one)).fetchall() for one in marts}
        people = "SELECT count(DISTINCT person_id) FROM marts.people"
        return found | {"people": connection.execute(people).fetchall()}


def test_what_they_do_later_stays_out_too(home: Read) -> None:
    """A new talk of a caller who was forgotten is counted, and not kept."""
    world = home.place.world
    person = home.forget().new_name
    caller = next(one for one in world.end_users.values() if one.session_id == CALLER)
    at = world.now() - timedelta(hours=1)
    talk = world.add_conversation(caller.app_id, at=at, end_user_id=caller.id, name=MARK)
    world.add_message(talk.id, at=at, query=f"{MARK} {CALLER}")
    home.read(TALK)
    kept = "SELECT name, from_end_user_session_id FROM raw.conversations WHERE conversation_id = "
    assert home.place.rows(f"{kept} '{talk.id}'") == [(DROPPED, person)]
    asked = f"SELECT query FROM raw.messages WHERE conversation_id = '{talk.id}'"
    assert home.place.rows(asked) == [(DROPPED,)]
    assert home.left() == {}


@pytest.mark.parametrize("is_anew", [True, False], ids=["as shipped", "without the rewriting"])
def test_nothing_is_in_the_bytes(
    home: Read, monkeypatch: pytest.MonkeyPatch, is_anew: bool
) -> None:
    """DuckDB keeps old values in free blocks: only a file that is written anew is without them."""
    live = home.place.home / LIVE
    with open_database(live) as database:  # as no compression would hide anything
        write_anew(database, live, compression="uncompressed")
    assert MARK.encode() in live.read_bytes()
    if not is_anew:
        monkeypatch.setattr(rewriting, "write_anew", lambda *_, **__: None)
    home.forget(compression="uncompressed")
    held = b"".join(path.read_bytes() for path in home.place.home.iterdir() if path.is_file())
    assert is_anew == (MARK.encode() not in held)
    if is_anew:
        assert CALLER.encode() not in held


def test_files_of_the_home_are_cleaned(home: Read) -> None:
    """Audit, query history, Dagster's storage and logs; exports of hers go, those of others and
    what is not ours to change stay, and the plan names each.
    """
    folder = home.place.home
    audit = {"entry_id": "e1", "plan_id": "p", "step": 1, "operation": "o", "target_kind": "app"}
    audit |= {"target_id": None, "target_name": f"of {CALLER}", "actor": "me", "outcome": "done"}
    audit |= {"at": "2026-03-01T00:00:00Z"}
    (folder / "audit.jsonl").write_text(json.dumps(audit) + "\n")
    (folder / "query_history").write_text(f"select * from x where s = '{CALLER}'\n")
    events = folder / "dagster" / "history" / "runs" / "one.db"
    events.parent.mkdir(parents=True)
    with sqlite3.connect(events) as storage:
        storage.execute("CREATE TABLE event_logs (id INTEGER, event TEXT)")
        told = json.dumps({"text": json.dumps({"reason": f"bad: {CALLER}"})})
        storage.executemany("INSERT INTO event_logs VALUES (?, ?)", [(1, told), (2, "other")])
    (folder / "dagster" / "compute.err").write_bytes(
        f"trouble with {CALLER}\n\xff".encode("latin1")
    )
    (folder / "others.csv").write_text("id\n1\n")
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT '{CALLER}' AS s) TO '{folder / 'talks.parquet'}'")
    with zipfile.ZipFile(folder / "talks.xlsx", "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/sheet1.xml", f"<c>{CALLER}</c>")
    (folder / "broken.xlsx").write_text("no book")
    (folder / "escrow").mkdir()
    (folder / "escrow" / "app.yml").write_text(f"app: of {CALLER}\n")
    (folder / "notes.txt").write_text(f"ask {CALLER}\n")
    report = folder / "reports" / "mine.html"
    report.parent.mkdir()
    report.write_bytes(page_of({"about": {}, "tables": {}}, state="", language=None))
    ids = home.place.rows(
        f"SELECT conversation_id FROM raw.conversations WHERE from_end_user_session_id = '{CALLER}'"
    )
    (folder / "talks.csv").write_text("id\n" + "".join(f"{one}\n" for (one,) in ids[:1]))

    fates = {str(one.path.relative_to(folder)): one.fate for one in home.plan().files}
    assert fates == {
        "audit.jsonl": "written anew",
        "query_history": "written anew",
        "dagster/history/runs/one.db": "written anew",
        "dagster/compute.err": "written anew",
        "talks.csv": "deleted",
        "talks.parquet": "deleted",
        "talks.xlsx": "deleted",
        "reports/mine.html": "deleted",  # it may quote without a name
        "broken.xlsx": "left",
        "escrow/app.yml": "left",
        "notes.txt": "left",
    }
    done = home.forget()
    left = {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and CALLER.encode() in path.read_bytes()
    }
    assert left == {"escrow/app.yml", "notes.txt"}
    assert not report.exists()
    assert not [
        one for one in ("talks.csv", "talks.parquet", "talks.xlsx") if (folder / one).exists()
    ]
    assert (folder / "others.csv").exists()
    assert (folder / "dagster" / "compute.err").read_bytes().endswith(b"\xff")
    with sqlite3.connect(events) as storage:
        kept = storage.execute("SELECT event FROM event_logs ORDER BY id").fetchall()
    assert json.loads(json.loads(kept[0][0])["text"]) == {"reason": f"bad: {done.new_name}"}
    entries = AuditFile(Home(folder).audit).entries()
    steps = [(one.operation, one.target_name, one.outcome) for one in entries]
    assert steps == [
        ("o", f"of {done.new_name}", "done"),
        ("people.forget", done.new_name, "begun"),
        ("people.forget", done.new_name, "verified"),
    ]


def test_session_id_that_is_no_plain_word(home: Read) -> None:
    """Rows of others, ledger and files are searched for it, however they write its letters."""
    name, folder = "CORP\\jörg.müller|7", home.place.home
    told = f"ticket of {name}: please"
    with open_database(folder / LIVE) as database:
        for table, column in (
            ("conversations", "from_end_user_session_id"),
            ("workflow_runs", "created_by_end_user_session_id"),
            ("node_executions", "created_by_end_user_session_id"),
        ):
            database.execute(
                f"UPDATE raw.{table} SET {column} = ? WHERE {column} = ?", [name, CALLER]
            )
        other = "SELECT min(message_id) FROM raw.messages m JOIN raw.conversations c "
        other += f"USING (conversation_id) WHERE c.from_end_user_session_id = '{ADDRESS}'"
        database.execute(
            f"UPDATE raw.messages SET query = ?, inputs = ? WHERE message_id = ({other})",
            [told, json.dumps({"of": name})],
        )
        database.execute("UPDATE ops.slices SET reason = ?", [told])
    exported = {
        "people.csv": f"person_id,messages\n{name},12\n",
        "people.json": json.dumps([{"person_id": name}]),
        "people.jsonl": json.dumps({"person_id": name}, ensure_ascii=False),
    }
    for file, content in exported.items():
        (folder / file).write_text(content)
    (folder / "query_history").write_text(f"where person_id = '{name}'\n")
    with open_ledger(folder) as ledger:
        ledger.note([Incident("cost", "app", f"Ask {name}", "dear")], {"cost"}, AT)
    fates = {one.path.name: one.fate for one in home.plan(name).files}
    assert fates == {
        **dict.fromkeys(exported, "deleted"),
        **dict.fromkeys(("query_history", "alerts.sqlite"), "written anew"),
    }
    done = home.forget(name)
    assert done.still_named == {}
    assert (folder / "query_history").read_text() == f"where person_id = '{done.new_name}'\n"
    kept = told.replace(name, done.new_name)
    assert home.place.rows("SELECT DISTINCT reason FROM ops.slices") == [(kept,)]
    asked = f"SELECT inputs->>'$.of' FROM raw.messages WHERE query = '{kept}'"
    assert home.place.rows(asked) == [(done.new_name,)]
    for path in (one for one in folder.iterdir() if one.is_file()):
        assert b"ller|7" not in path.read_bytes(), path


def test_cut_off_and_said_once_more(home: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until all is done the ledger says so, however far it came and however often it was cut off,
    and the same words carry it to the end.
    """

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    people = "SELECT person, kind, rewritten_at IS NULL FROM ops.forgotten_people"
    found = set()
    for step in ("rewrite", "build_all", "write_anew", "publish"):
        with monkeypatch.context() as patched:
            patched.setattr(rewriting, step, cut)
            with pytest.raises(KeyboardInterrupt):
                home.forget()
        found.update(home.place.rows(people))
    ((person, kind, is_open),) = found
    assert (kind, is_open) == ("end_user", True)
    assert home.forget().new_name == person
    assert home.place.rows(people) == [(person, "end_user", False)]
    assert home.left() == {}
    again = home.forget(person)  # by the name that stands for them, too: nothing is left to do
    assert (again.new_name, again.still_named) == (person, {})
    assert home.place.rows(people) == [(person, "end_user", False)]


def test_hashed_people_are_found_by_their_names(home: Read) -> None:
    """Where a home holds pseudonyms, the plain name is who it was; nothing tells it afterwards."""
    hashed = home.privacy("hash")
    place = CopyPlace(home.place.home)
    rewriting.rewrite_home(home.place.home, hashed, place=place, tell=lambda line: None)
    planned = home.plan(people="hash")
    assert planned.rows["conversations"] > 0
    home.forget(people="hash")
    home.place.with_rules(privacy=hashed).read(TALK)
    pseudonym = hashed.pseudonym(CALLER)
    assert places_of(home.place.home / LIVE, MARK, CALLER).keys() == set()
    assert places_of(home.place.home / LIVE, pseudonym).keys() == {"ops.forgotten_names"}


def test_what_is_odd_of_theirs_waits_without_texts(home: Read) -> None:
    """An object that is no valid record is set aside without what they said."""
    read = home
    read.forget()
    inner = read.place.transport
    assert isinstance(inner, ChangedAnswers)

    def odd(path: str, answer: Any) -> Any:
        if path.endswith("/chat-messages"):
            for one in answer["data"]:
                one["message_tokens"] = "many"
                one["created_at"] = "yesterday"
        return answer

    read.place.transport = ChangedAnswers(inner, odd)
    read.read(TALK, SyncPlan(is_full=True))
    waiting = (
        "SELECT count(*) FROM ops.quarantine WHERE resolved_at IS NULL AND raw_json IS NOT NULL"
    )
    assert read.place.value(waiting) > 0
    assert places_of(read.place.home / LIVE, MARK, CALLER) == {}


def test_world_that_moved_is_planned_anew(home: Read) -> None:
    """An id of another plan does nothing."""
    with pytest.raises(PlanStale, match="what would be done now is"):
        forget(
            *(home.place.home, home.privacy(), CALLER),
            agreed_id="0" * 12,
            place=CopyPlace(home.place.home),
            dagster=(home.dagster,),
            tell=lambda line: None,
        )
    assert places_of(home.place.home / LIVE, MARK) == home.texts


def test_without_the_salt_nobody_is_known_again(home: Read) -> None:
    """With another one no sync brings them back, and nobody else is noted; with the right salt in
    its place all is as it was.
    """
    home.forget()
    salt = home.place.home / "people.salt"
    right = salt.read_bytes()
    salt.unlink()
    with pytest.raises(SourceChanged, match="salt"):
        home.read(TALK)
    assert home.left() == {}
    with pytest.raises(SourceChanged, match="salt"):
        home.forget(ADDRESS)
    salt.write_bytes(right)
    home.read(("apps",))
    assert home.place.value("SELECT count(*) FROM ops.forgotten_people") == 1


def test_nothing_of_others_is_touched(home: Read) -> None:
    """Settings of now are not applied to their rows, longer names are other names, an account of
    the same name keeps it, and a file that names only others stays.
    """
    texts = "SELECT count(*) FROM raw.messages WHERE query NOT IN ('', '(dropped)')"
    before = home.place.value(texts)
    with open_database(home.place.home / LIVE) as database:
        database.execute(
            "UPDATE raw.members SET name = 'Ada Admin' WHERE account_id IN "
            "(SELECT account_id FROM raw.members WHERE email IN "
            "('admin@dify.test', 'eddie@dify.test'))"
        )
        database.execute(
            f"UPDATE raw.messages SET query = 'ask {CALLER}0 or x{CALLER}' WHERE message_id = "
            "(SELECT min(message_id) FROM raw.messages WHERE query <> '')"
        )
    others = home.place.home / "others.csv"
    others.write_text(f"{CALLER}0\n")
    strict = Privacy("drop", "keep", people_salt(home.place.home))
    for name in (CALLER, ADMIN):
        place, folder = CopyPlace(home.place.home), home.place.home
        plan = plan_forgetting(folder, strict, name, place=place, dagster=(home.dagster,))
        forget(
            *(folder, strict, name),
            agreed_id=plan.plan_id,
            place=place,
            dagster=(home.dagster,),
            tell=lambda line: None,
        )
    assert others.exists()
    left = home.place.value(texts)
    dropped = home.place.value("SELECT count(*) FROM raw.messages WHERE query = '(dropped)'")
    assert (left, dropped > 0) == (before - dropped, True)
    assert home.place.value(f"SELECT count(*) FROM raw.messages WHERE query LIKE '%{CALLER}0%'")
    names = home.place.rows("SELECT email FROM raw.members WHERE name = 'Ada Admin'")
    assert names == [("eddie@dify.test",)]


def test_comment_of_an_account_stays_out(home: Read) -> None:
    """Exported ratings tell the name of an account and no id."""
    comment = "SELECT count(*) FROM raw.message_feedbacks WHERE content NOT IN ('', '(dropped)') "
    comment += "AND from_account_name = 'Olga Owner'"
    assert home.place.value(comment) > 0
    home.forget("owner@dify.test")
    home.read(TALK, SyncPlan(is_full=True))
    left = "SELECT count(*) FROM raw.message_feedbacks f JOIN ops.forgotten_people p "
    left += "ON f.from_account_name = p.person WHERE content NOT IN ('', '(dropped)')"
    assert home.place.value(comment) == home.place.value(left) == 0


def test_files_that_others_need_stay(home: Read) -> None:
    """The session with Dify is no export; in a folder that others use nothing is searched."""
    folder = home.place.home
    for name in ("session.json", "own.json"):
        (folder / name).write_text(json.dumps({"email": CALLER}))
    fates = {one.path.name: one.fate for one in home.plan().files}
    assert fates == {"session.json": "left", "own.json": "deleted"}
    (folder / "home.json").write_text(json.dumps({"is_shared": True}))
    report = default_report(folder)
    report.write_bytes(page_of({"about": {}, "tables": {}}, state="", language=None))
    fates = {one.path.name: one.fate for one in home.plan().files}
    assert fates == {report.name: "deleted", folder.name: "left"}
    home.forget()
    assert CALLER in (folder / "own.json").read_text()


def test_person_whose_files_were_not_cleaned_is_not_called_done(
    home: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a rewriting nor the forgetting of somebody else says so of them."""

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(forgetting, "clean_files", cut)
        with pytest.raises(KeyboardInterrupt):
            home.forget()
    place = CopyPlace(home.place.home)
    rewriting.rewrite_home(home.place.home, home.privacy(), place=place, tell=lambda line: None)
    home.forget(ADDRESS)
    open_ones = "SELECT count(*) FROM ops.forgotten_people WHERE rewritten_at IS NULL"
    assert home.place.value(open_ones) == 1
    home.forget()
    assert home.place.value(open_ones) == 0
