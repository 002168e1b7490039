"""A SQL file is all that a model needs; what is wrong with one is said with its name."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.errors import ModelBroken
from dify_etl.warehouse.models import build, read_model
from dify_etl.warehouse.sql_files import sql_files
from dify_etl_tests.warehouse.good_models import load_models

VIEW = """\
-- One row per note.
-- note_id: The note's id.
-- has_text: Whether it says something.

with notes as (
    select id, text from raw.notes
)

-- This comment is no header.
select
    id as note_id,
    text <> '' as has_text
from notes
"""
MART = """\
-- One row: all notes.
-- notes: How many there are.

select count(*) as notes from staging.stg_notes
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of two models."""
    write(tmp_path / "sql", "staging/stg_notes", VIEW)
    write(tmp_path / "sql", "marts/all_notes", MART)
    return tmp_path / "sql"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A live file with two notes."""
    with open_database(tmp_path / "live.duckdb") as opened:
        opened.execute(
            "CREATE TABLE raw.notes AS SELECT * FROM (VALUES (1, 'a'), (2, '')) t(id, text)"
        )
        yield opened


def write(folder: Path, name: str, text: str) -> Path:
    """A model's file."""
    path = folder / f"{name}.sql"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def build_all(database: Database, folder: Path) -> None:
    """Build the models of a folder in their order."""
    for model in load_models(folder):
        with database.transaction():
            build(database, model)


def test_file_says_all_of_its_model(folder: Path) -> None:
    """Grain and columns come from the header, the rest is the query."""
    model = read_model(folder / "staging" / "stg_notes.sql")
    assert model.qualified == "staging.stg_notes"
    assert model.grain == "One row per note."
    assert model.columns == {
        "note_id": "The note's id.",
        "has_text": "Whether it says something.",
    }
    assert model.query.startswith("with notes as (")


def test_dependencies_come_from_the_query(folder: Path) -> None:
    """Tables with a schema are read; names without one are the query's own parts."""
    reads = {model.name: model.reads for model in load_models(folder)}
    assert reads == {"stg_notes": ("raw.notes",), "all_notes": ("staging.stg_notes",)}


def test_folder_decides_view_or_table(database: Database, folder: Path) -> None:
    """Staging files become views, which follow their tables; marts become tables."""
    build_all(database, folder)
    database.execute("INSERT INTO raw.notes VALUES (3, 'c')")
    assert database.value("SELECT count(*) FROM staging.stg_notes") == 3
    assert database.value("SELECT notes FROM marts.all_notes") == 2


def test_staging_model_that_many_ask_is_a_table(database: Database, folder: Path) -> None:
    """With a line in its header it keeps its rows, and is built anew like a mart when they change;
    without it, it is a view again.
    """
    write(
        folder,
        "staging/stg_notes",
        VIEW.replace("-- note_id", "-- materialized: table\n-- note_id"),
    )
    build_all(database, folder)
    kind = "SELECT table_type FROM information_schema.tables WHERE table_name = 'stg_notes'"
    assert database.value(kind) == "BASE TABLE"
    database.execute("INSERT INTO raw.notes VALUES (3, 'c')")
    assert database.value("SELECT count(*) FROM staging.stg_notes") == 2
    build_all(database, folder)
    assert database.value("SELECT notes FROM marts.all_notes") == 3
    write(folder, "staging/stg_notes", VIEW)
    build_all(database, folder)
    assert database.value(kind) == "VIEW"


def test_new_mart_needs_a_file_only(database: Database, folder: Path) -> None:
    """A file that reads another mart is found, put after it, and built."""
    write(
        folder,
        "marts/a_twice",
        "-- One row.\n-- n: Twice.\nselect 2 * notes as n from marts.all_notes",
    )
    build_all(database, folder)
    assert database.value("SELECT n FROM marts.a_twice") == 4


def test_comments_arrive_and_survive_a_rebuild(database: Database, folder: Path) -> None:
    """The catalog holds grains and sentences, also after models were built anew."""
    for _ in range(2):
        build_all(database, folder)
    assert database.rows("SELECT comment FROM duckdb_views() WHERE view_name = 'stg_notes'") == [
        ("One row per note.",)
    ]
    assert database.rows("SELECT comment FROM duckdb_tables() WHERE table_name = 'all_notes'") == [
        ("One row: all notes.",)
    ]
    columns = database.rows(
        "SELECT column_name, comment FROM duckdb_columns() "
        "WHERE schema_name IN ('staging', 'marts') ORDER BY column_name"
    )
    assert columns == [
        ("has_text", "Whether it says something."),
        ("note_id", "The note's id."),
        ("notes", "How many there are."),
    ]


def comments_of(database: Database, table: str) -> list[tuple[str, str]]:
    """The comments on the columns of a table or view, in order."""
    return [
        (row[0], row[1])
        for row in database.rows(
            "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = ? "
            "ORDER BY column_index",
            [table],
        )
    ]


def test_staging_view_takes_what_the_raw_table_says(database: Database, folder: Path) -> None:
    """A column that a view passes on has the comment of the raw column, as the file has it now."""
    database.execute("COMMENT ON COLUMN raw.notes.id IS 'id of the note'")
    path = write(
        folder,
        "staging/stg_notes",
        "-- One row per note.\n-- body: What it says.\nselect id, text as body from raw.notes",
    )
    build(database, read_model(path))
    assert comments_of(database, "stg_notes") == [
        ("id", "Id of the note."),
        ("body", "What it says."),
    ]
    database.execute("COMMENT ON COLUMN raw.notes.id IS 'Number of the note, from 1.'")
    build(database, read_model(path))
    assert comments_of(database, "stg_notes")[0] == ("id", "Number of the note, from 1.")


def test_header_has_the_last_word(database: Database, folder: Path) -> None:
    """A view that says otherwise of a column than its raw table keeps its own sentence."""
    database.execute("COMMENT ON COLUMN raw.notes.id IS 'id of the note'")
    path = write(
        folder, "staging/stg_notes", "-- One row per note.\n-- id: Key.\nselect id from raw.notes"
    )
    build(database, read_model(path))
    assert comments_of(database, "stg_notes") == [("id", "Key.")]


@pytest.mark.parametrize(
    ("place", "query"),
    [
        ("staging/stg_notes", "select id, text from raw.notes"),
        ("staging/stg_notes", "select text as id from raw.notes"),
        ("staging/stg_notes", "select id + 1 as id from raw.notes"),
        ("staging/stg_notes", "select n.id from raw.notes as n, raw.others"),
        ("staging/stg_notes", "select * from raw.notes"),
        ("marts/notes", "select id from raw.notes"),
    ],
    ids=["no comment", "renamed", "computed", "two tables", "star", "mart"],
)
def test_nothing_else_is_left_out_of_a_header(
    database: Database, folder: Path, place: str, query: str
) -> None:
    """Only what a staging view passes on from its one raw table, as it is, needs no sentence."""
    database.execute("COMMENT ON COLUMN raw.notes.id IS 'id of the note'")
    database.execute("CREATE TABLE raw.others AS SELECT 1 AS other")
    model = read_model(write(folder, place, f"-- One row per note.\n{query}"))
    with pytest.raises(ModelBroken, match="not in the header"):
        build(database, model)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("select 1 as a", "grain"),
        ("", "grain"),
        ("-- a: A column.\nselect 1 as a", "grain"),
        ("-- One row.\n-- no column\nselect 1 as a", "no column"),
        ("-- One row.\n-- A: Upper case.\nselect 1 as a", "no column"),
        ("-- One row.\n-- a: A.\nselekt 1 as a", "syntax error"),
        ("-- One row.\n-- a: A.\n", "not one query"),
        ("-- One row.\n-- a: A.\nselect 1 as a; select 2 as a", "not one query"),
        ("-- One row.\n-- a: A.\ndrop table raw.notes", "SELECT"),
    ],
)
def test_broken_file_is_named(folder: Path, text: str, what: str) -> None:
    """A file without grain, with a wrong header line or without a query says so by name."""
    write(folder, "marts/broken", text)
    with pytest.raises(ModelBroken) as caught:
        load_models(folder)
    assert caught.value.where == "sql/marts/broken.sql"
    assert what in caught.value.what
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("-- One row.\n-- a: A.\nselect 1 as a, 2 as b", "not in the header ['b']"),
        ("-- One row.\n-- a: A.\n-- b: B.\nselect 1 as a", "not in the query ['b']"),
        ("-- One row.\n-- b: B.\n-- a: A.\nselect 1 as a, 2 as b", "differ"),
        ("-- One row.\n-- a: A.\nselect a from raw.nothing", "nothing"),
        ("-- One row.\n-- a: A.\nselect nonsense as a from raw.notes", "nonsense"),
        ("-- One row.\n-- a: A.\nselect text::integer as a from raw.notes", "Could not convert"),
    ],
    ids=["undocumented", "unknown", "order", "no table", "no column", "no number"],
)
def test_model_that_does_not_build_is_named(
    database: Database, folder: Path, text: str, what: str
) -> None:
    """What DuckDB refuses, and columns without their sentence, are the file's fault."""
    model = read_model(write(folder, "marts/broken", text))
    with pytest.raises(ModelBroken) as caught:
        build(database, model)
    assert caught.value.where == "sql/marts/broken.sql"
    assert what in caught.value.what


@pytest.mark.parametrize(
    ("query", "line"),
    [
        ("select 1 as a\nfrom raw.notes where\n\n", 6),
        ("select\n  1 as b,\n\n  nope as a\nfrom raw.notes", 8),
        ("select nope as a from raw.notes", 5),
    ],
    ids=["syntax", "column", "first line"],
)
def test_line_of_the_file_is_named(database: Database, folder: Path, query: str, line: int) -> None:
    """That of the file, with its header, as an editor counts; and what is to be done."""
    path = write(folder, "marts/broken", f"-- One row.\n-- a: A.\n\n\n{query}")
    with pytest.raises(ModelBroken) as caught:
        build(database, read_model(path))
    assert caught.value.what.startswith(f"line {line}: ")
    assert "DuckDB runs" not in caught.value.hint


def test_failed_build_leaves_the_old_table(database: Database, folder: Path) -> None:
    """A model that breaks keeps what analysts had before."""
    build_all(database, folder)
    broken = write(folder, "marts/all_notes", MART.replace("as notes", "as remarks"))
    with pytest.raises(ModelBroken), database.transaction():
        build(database, read_model(broken))
    assert database.value("SELECT notes FROM marts.all_notes") == 2


def test_models_that_need_each_other_are_refused(folder: Path) -> None:
    """A circle has no order to build in; its members, and who waits for them, are named."""
    for one, other in (("a", "b"), ("b", "a")):
        write(folder, f"marts/{one}", f"-- One row.\n-- x: X.\nselect x from marts.{other}")
    write(folder, "marts/c", "-- One row.\n-- x: X.\nselect x from marts.a")
    write(folder, "marts/d", "-- One row.\n-- x: X.\nselect x from marts.d")
    files = sql_files(folder)
    assert [(one.qualified, one.error and one.error.what.split(": ")[1]) for one in files] == [
        ("staging.stg_notes", None),
        ("marts.all_notes", None),
        ("marts.a", "it reads marts.b"),
        ("marts.b", "it reads marts.a"),
        ("marts.c", "it reads marts.a"),
        ("marts.d", "it reads marts.d"),
    ]


def test_project_s_own_models_are_found() -> None:
    """Without a folder the shipped models are loaded, every one after what it reads."""
    models = load_models()
    places = {model.qualified: place for place, model in enumerate(models)}
    assert "marts.app_daily_usage" in places
    for model in models:
        assert all(places.get(read, -1) < places[model.qualified] for read in model.reads)


def test_model_that_changes_its_kind_drops_the_old_one(database: Database, folder: Path) -> None:
    """A view that became a table, and a table that became a view, are built all the same."""
    database.execute("CREATE TABLE staging.stg_notes AS SELECT 1 AS old")
    database.execute("CREATE VIEW marts.all_notes AS SELECT 1 AS old")
    build_all(database, folder)
    kinds = database.rows(
        "SELECT table_name, table_type FROM information_schema.tables "
        "WHERE table_schema IN ('staging', 'marts') ORDER BY ALL"
    )
    assert kinds == [("all_notes", "BASE TABLE"), ("stg_notes", "VIEW")]
    assert database.rows("SELECT * FROM marts.all_notes") == [(2,)]
