"""A person in every text of every feed: what the rules of texts and people leave of her."""

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from dify_etl.assembly import rewriting
from dify_etl.assembly.rewriting import rewrite_home
from dify_etl.home import COPY, LIVE
from dify_etl.raw.privacy import PeopleRule, Privacy, TextRule
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.report.page_of_figures import page_of
from dify_etl.report.writing import default_report, keep_report
from dify_etl.sync.errors import SourceChanged
from dify_etl.warehouse.database import open_database
from dify_etl.warehouse.publish import CopyPlace
from dify_etl.warehouse.sql_files import sql_files
from dify_etl.warehouse.writing_anew import write_anew
from dify_etl_tests.duckdb_files import opened_to_read
from dify_etl_tests.sync.answers_changed import ChangedAnswers
from dify_etl_tests.sync.small_worlds import agent_world, app_of, brief_world
from dify_etl_tests.sync.test_app_versions import configured_world
from dify_etl_tests.sync.workplace import Workplace
from dify_simulated import World

NAME, EMAIL, SESSION = "Ada Lovelace-Canary", "ada.canary@example.com", "session-of-ada-canary"
SALT = b"a salt of the tests"
VERSION = "1.16.1"
APPS = ("apps",)
# Words of Dify and names of builders, which no rule takes out.
WORDS = re.compile(
    r"(.*_)?(id|ids|at|date|time|type|role|price|unit|provider|mode|source|hash|timezone|model)|"
    r"status|rating|version|currency|position|model_name|triggered_from|created_from|"
    r"retriever_from|transfer_method|belongs_to|event|code|finish_reason|tool|tool_name|tool_icon|"
    r"tools|has_comment|feedback_rating|feedback_rating_raw|agent_mode|icon|icon_background|unit|"
    r"(created|updated|disabled)_by|title|node_title|dataset_name|document_name|app_name|tool_labels|action_text|actions|language|__action_.*"
)
CALLERS = ("from_end_user_session_id", "session_id", "sys.user_id")
# Texts that marts show, and times and costs of the run.
SHOWN = "(conversation_)?name|question|answer|comment|example.*|error|title|.*_at|.*summary|run_id"
MOVING = "(loaded|changed|read)_at|.*url|icon|site"
LISTS_OF_WORDS = ("tool_labels", "files", "roles", "actions", "trigger_metadata", "model")
OF_TALKS = re.compile(
    r"conversations|messages|feedbacks|logs|runs|node-executions|annotations|members|segments"
)


def with_ada(path: str, answer: Any) -> Any:
    """She wrote every question, is in every answer, and started every run."""
    return written_by_ada(answer, "") if OF_TALKS.search(path) and "code" not in answer else answer


def written_by_ada(value: Any, key: str) -> Any:
    """A JSON value with her in each text of it."""
    if key in LISTS_OF_WORDS:
        return value
    if isinstance(value, dict):
        account = {"name": NAME, "email": EMAIL} if "email" in value else {}
        return {one: written_by_ada(inner, one) for one, inner in value.items()} | account
    if isinstance(value, list):
        return [written_by_ada(inner, key) for inner in value]
    if key in CALLERS:
        return value and SESSION
    if not isinstance(value, str) or not value or WORDS.fullmatch(key):
        return value
    return NAME if key == "from_account_name" else f"{value} {NAME} {EMAIL}"


def loaded(world: World, home: Path, privacy: Privacy) -> Workplace:
    """A workspace of hers, read once by these rules."""
    for document_id in list(world.documents)[4:]:
        world.delete_document(document_id)
    place = Workplace(world, home, VERSION).with_rules(privacy=privacy, segments=True)
    place.transport = ChangedAnswers(httpx.WSGITransport(app=place.server), with_ada)
    place.read()
    return place


def rules(text: TextRule, people: PeopleRule) -> Privacy:
    """The rules with the salt of the tests."""
    return Privacy(text, people, SALT)


def rewritten(place: Workplace, privacy: Privacy, *, compression: str = "auto") -> dict[str, int]:
    """Bring the home to these rules."""
    copy = CopyPlace(place.home)
    return rewrite_home(
        place.home, privacy, place=copy, tell=lambda line: None, compression=compression
    )


def places_of(file: Path, *words: str) -> dict[str, int]:
    """Table or view -> rows in which one of these words stands."""
    found = {}
    with opened_to_read(file) as connection:
        connection.execute("PRAGMA disable_optimizer")  # plans would cost more than the few rows
        names = connection.execute(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() UNION ALL "
            "SELECT schema_name || '.' || view_name FROM duckdb_views() WHERE NOT internal"
        ).fetchall()
        assert len(names) > 40
        for (name,) in names:
            is_there = " OR ".join(f"contains(t::VARCHAR, '{word}')" for word in words)
            query = f"SELECT count(*) FROM {name} t WHERE {is_there}"
            (rows,) = connection.execute(query).fetchall()[0]
            if rows:
                found[name] = rows
    return found


def raw_rows(place: Workplace) -> dict[str, list[tuple[Any, ...]]]:
    """All raw rows, without when they were loaded."""
    return {
        name: place.rows(
            f"SELECT columns(lambda c: NOT regexp_full_match(c, '{MOVING}')) FROM raw.{name} "
            "ORDER BY ALL"
        )
        for name in RAW_TABLES
    }


@pytest.fixture
def few_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model is built: it takes half the time of a rewriting, and what is left in raw tables is
    what models would show. Others of these tests build them all.
    """
    monkeypatch.setattr(rewriting, "sql_files", lambda own: [])


@pytest.fixture(scope="module")
def kept_once(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A workspace of hers, read once with everything kept."""
    return loaded(brief_world(VERSION), tmp_path_factory.mktemp("kept"), Privacy())


@pytest.fixture(scope="module")
def strict_once(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """The same, read once by the strictest rules."""
    return loaded(brief_world(VERSION), tmp_path_factory.mktemp("strict"), rules("drop", "hash"))


@pytest.fixture
def kept(kept_once: Workplace, tmp_path: Path) -> Workplace:
    """A copy of the home that keeps everything, over the same world."""
    return copied(kept_once, tmp_path / "kept")


def copied(place: Workplace, home: Path) -> Workplace:
    """The same server and rules with a copy of the home."""
    shutil.copytree(place.home, home)
    return dataclasses.replace(place, home=home)


def test_she_is_everywhere_when_all_is_kept(kept_once: Workplace) -> None:
    """Else the tests below would show nothing."""
    place = kept_once
    everywhere = places_of(place.home / LIVE, NAME, EMAIL, SESSION)
    filled = (one for one in RAW_TABLES if place.value(f"SELECT count(*) FROM raw.{one}"))
    talking = {f"raw.{name}" for name in filled}
    of_builders = {"raw.apps", "raw.app_api_keys", "raw.dataset_api_keys", "raw.datasets"}
    of_builders |= {"raw.documents", "raw.daily_statistics", "raw.workflow_versions"}
    of_builders |= {"raw.app_triggers", "raw.agent_versions"}
    assert talking - everywhere.keys() <= of_builders
    assert len(talking - of_builders) >= 10


@pytest.mark.parametrize("kind", ["all", "agents"])
def test_nothing_of_her_is_loaded_where_texts_are_dropped(
    strict_once: Workplace, kind: str, tmp_path: Path
) -> None:
    """Neither name nor address nor session, in no column of any table, nor in a report; nothing
    fails for it. A report from before is deleted.
    """
    if kind == "all":
        place = copied(strict_once, tmp_path / "strict")
    else:
        place = loaded(agent_world(), tmp_path, rules("drop", "hash"))
    assert places_of(place.home / LIVE, NAME, EMAIL, SESSION) == {}
    assert place.rows("FROM ops.slices WHERE state IN ('failed', 'incomplete')") == []
    assert place.rows("FROM ops.quarantine") == []
    report = default_report(place.home)
    report.write_bytes(page_of({"about": {"of": NAME}, "tables": {}}, state="", language=None))
    assert rewritten(place, rules("drop", "hash")) == {}
    assert places_of(place.home / COPY, NAME, EMAIL, SESSION) == {}
    assert not report.exists()
    page = keep_report(place.home, place.home / COPY).path.read_text("utf-8")
    assert [word for word in (NAME, EMAIL, SESSION) if word in page] == []


@pytest.mark.usefixtures("few_models")
def test_masks_leave_the_text_around(kept: Workplace) -> None:
    """Her address is out of every text, her name of the columns of people; questions stay."""
    place = kept
    rewritten(place, rules("mask", "hash"))
    assert places_of(place.home / LIVE, EMAIL, SESSION) == {}
    asked = place.rows("SELECT DISTINCT query LIKE '%Canary (e-mail)' FROM raw.messages")
    assert asked == [(True,)]


def test_pseudonyms_join(strict_once: Workplace) -> None:
    """One caller is one caller in every table, and figures are those of the names."""
    place = strict_once
    names = place.rows(
        "SELECT DISTINCT from_end_user_session_id FROM raw.conversations "
        "WHERE from_end_user_session_id IS NOT NULL UNION "
        "SELECT DISTINCT created_by_end_user_session_id FROM raw.workflow_runs "
        "WHERE created_by_end_user_session_id IS NOT NULL"
    )
    assert names == [(rules("keep", "hash").pseudonym(SESSION),)]
    assert re.fullmatch("person-[0-9a-f]{16}", names[0][0])
    assert place.value("SELECT count(*) FROM raw.members WHERE email LIKE '%@%'") == 0


def test_figures_are_the_same(kept: Workplace) -> None:
    """All columns of all marts but texts, and what is grouped by them, are made of kept parts; and
    what the marts held before goes with the rows that they were made of.
    """

    def figures(text: TextRule) -> dict[str, Any]:
        rewritten(kept, rules(text, "hash"))
        found = {}
        with opened_to_read(kept.home / COPY) as connection:
            marts = connection.execute(
                "SELECT table_name FROM duckdb_tables() WHERE schema_name = 'marts'"
            ).fetchall()
            for (name,) in marts:
                query = f"SELECT columns(lambda c: NOT regexp_full_match(c, '{SHOWN}')) "
                query += f"FROM marts.{name} ORDER BY ALL"
                found[name] = connection.execute(query).fetchall()
        return found

    of_kept = figures("keep")
    assert len(of_kept) > 20
    assert "marts.feedback_log" in places_of(kept.home / COPY, EMAIL)
    of_dropped = figures("drop")
    assert places_of(kept.home / LIVE, NAME, EMAIL, SESSION) == {}
    assert places_of(kept.home / COPY, NAME, EMAIL, SESSION) == {}
    different = {name for name, rows in of_kept.items() if rows != of_dropped[name]}
    assert different <= {"errors", "unanswered_questions"}


@pytest.mark.usefixtures("few_models")
def test_older_rows_become_as_if_they_were_loaded_so(
    kept: Workplace, strict_once: Workplace
) -> None:
    """Rows that were kept and rewritten equal rows that were loaded by the rules; the next sync
    changes none of them, and both ledger and command say that all rows are so.
    """
    strict = rules("drop", "hash")
    first, later = strict_once, kept
    assert rewritten(later, strict)["raw.messages"] > 0
    assert raw_rows(later) == raw_rows(first)
    noted = later.rows("SELECT rewritten_at IS NULL FROM ops.privacy ORDER BY since_at")
    assert noted == [(False,), (False,)]
    reports = later.with_rules(privacy=strict).read()
    moving = {"members", "apps", "datasets"}  # the time of the last call and such
    changed = {name for name, one in reports.items() if one.changes.changed} - moving
    assert changed == set()


@pytest.mark.usefixtures("few_models")
@pytest.mark.parametrize("is_rewritten", [True, False])
def test_rules_that_change_are_no_change_of_an_app(tmp_path: Path, is_rewritten: bool) -> None:
    """Its history is masked with it, and has no new row when its prompt is masked, nor when it is
    told in the clear again.
    """
    world = configured_world()
    app = app_of(world)
    assert app.app_model_config is not None
    app.name = f"Ask {EMAIL}"
    app.app_model_config = dataclasses.replace(app.app_model_config, pre_prompt=f"Write to {EMAIL}")
    place = Workplace(world, tmp_path / "home", VERSION)
    place.read(APPS)
    held = "SELECT app_id, app_version, contains(app_name || configuration::VARCHAR, '@') "
    held += "FROM ops.app_versions ORDER BY app_id"
    before = place.rows(held)
    assert {is_named for *_, is_named in before} == {True, False}
    for rule in (rules("mask", "hash"), rules("drop", "keep"), rules("keep", "keep")):
        if is_rewritten:
            rewritten(place, rule)
            assert rule.text == "keep" or not any(is_named for *_, is_named in place.rows(held))
        app.updated_at = place.pass_time(hours=1)  # so that its detail is read again
        place.with_rules(privacy=rule).read(APPS)
        assert [one[:2] for one in place.rows(held)] == [one[:2] for one in before]
        told = place.rows("SELECT contains(name || app_model_config::VARCHAR, '@') FROM raw.apps")
        assert ((True,) in told) == (rule.text == "keep")
    place.pass_time(hours=1)
    app.name = "another name"
    place.read(APPS)
    changed = place.rows("SELECT changed FROM ops.app_versions WHERE app_version = 2")
    assert changed == [('["name"]',)]


@pytest.mark.usefixtures("few_models")
@pytest.mark.parametrize("is_anew", [True, False], ids=["as shipped", "without the rewriting"])
def test_nothing_of_her_is_in_the_bytes(
    kept: Workplace, monkeypatch: pytest.MonkeyPatch, is_anew: bool
) -> None:
    """DuckDB keeps old values in free blocks: only a file that is written anew is without them."""
    place = kept
    live = place.home / LIVE
    with open_database(live) as database:  # as no compression would hide anything
        write_anew(database, live, compression="uncompressed")
    assert EMAIL.encode() in live.read_bytes()
    if not is_anew:
        monkeypatch.setattr(rewriting, "write_anew", lambda *_, **__: None)
    rewritten(place, rules("drop", "hash"), compression="uncompressed")
    held = b"".join(path.read_bytes() for path in place.home.iterdir() if path.is_file())
    assert is_anew == (EMAIL.encode() not in held and SESSION.encode() not in held)


@pytest.mark.usefixtures("few_models")
def test_cut_off_rewriting_claims_nothing(kept: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as a file may hold what was taken out, the note says so, however far it came; again
    makes it good.
    """
    place = kept

    def cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    rewritten_at = "SELECT rewritten_at IS NULL FROM ops.privacy ORDER BY since_at DESC LIMIT 1"
    for step in ("build_all", "write_anew", "publish"):
        with monkeypatch.context() as patched:
            patched.setattr(rewriting, step, cut)
            with pytest.raises(KeyboardInterrupt):
                rewritten(place, rules("drop", "hash"))
        assert place.rows(rewritten_at) == [(True,)]
    rewritten(place, rules("drop", "hash"))
    assert place.rows(rewritten_at) == [(False,)]
    for file in (LIVE, COPY):
        assert places_of(place.home / file, NAME, EMAIL, SESSION) == {}


def test_table_of_a_model_that_is_not_built_is_dropped(
    kept: Workplace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that does not build, and one whose file is gone: nobody could take her out of them."""
    folder = tmp_path / "sql"
    for schema in ("staging", "marts", "exports"):
        (folder / schema).mkdir(parents=True)
    query = "select query as question from raw.messages"
    for name in ("broken", "gone"):
        (folder / "marts" / f"{name}.sql").write_text(f"-- A row.\n-- question: Text.\n{query}\n")
    monkeypatch.setattr(rewriting, "sql_files", lambda own: sql_files(folder))
    rewritten(kept, Privacy())
    assert {"marts.broken", "marts.gone"} <= places_of(kept.home / LIVE, EMAIL).keys()
    (folder / "marts" / "gone.sql").unlink()
    (folder / "marts" / "broken.sql").write_text(
        "-- A row.\n-- question: Text.\nselect 1 from no\n"
    )
    said: list[str] = []
    copy = CopyPlace(kept.home)
    rewrite_home(kept.home, rules("drop", "hash"), place=copy, tell=said.append)
    assert places_of(kept.home / LIVE, NAME, EMAIL, SESSION) == {}
    assert [line for line in said if "marts.broken" in line and "marts.gone" in line]
    assert kept.rows("SELECT state FROM ops.models WHERE model = 'marts.broken'") == [("failed",)]


def test_another_salt_is_refused(strict_once: Workplace, tmp_path: Path) -> None:
    """With it each person would be two; sync and rewriting end before any row changes."""
    place = copied(strict_once, tmp_path / "hashed")
    other = Privacy("keep", "hash", b"another salt")
    with pytest.raises(SourceChanged, match="salt"):
        rewritten(place, other)
    with pytest.raises(SourceChanged, match="salt"):
        place.with_rules(privacy=other).read(("members",))
    assert place.value("SELECT count(*) FROM ops.privacy") == 1
