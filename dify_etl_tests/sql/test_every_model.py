"""What holds for every SQL file: headers, names, columns, and that it builds on nothing at all."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dify_etl.raw.tables import RAW_TABLES
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.models import Model, column_sentences, sql_folder
from dify_etl_tests.sql.hand_written import MODELS, HandWritten
from dify_etl_tests.warehouse.good_models import build_models

FILES = sorted(sql_folder().glob("*/*.sql"))
STAGING = [model for model in MODELS if model.schema == "staging"]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.qualified)

# Views that stand between raw tables and marts: no raw table has their rows.
BETWEEN = {
    "stg_activities",
    "stg_actors",
    "stg_answers",
    "stg_people",
    "stg_charges",
    "stg_model_prices",
    "stg_largest_figures",
    "stg_read_days",
}
BETWEEN |= {"stg_app_versions", "stg_first_days", "stg_model_currencies", "stg_nearest_prices"}
BETWEEN |= {"stg_repeating_nodes", "stg_questions", "stg_annotated_groups", "stg_citing_apps"}
BETWEEN |= {"stg_message_rows", "stg_waiting_messages", "stg_log_ratings"}
# What marts of all history ask of each day.
BETWEEN |= {"stg_active_people", "stg_charged_models", "stg_daily_seconds", "stg_errors"}
BETWEEN |= {"stg_daily_conversations", "stg_lost_runs", "stg_row_changes", "stg_shown_prices"}
MODELS_ASKED = {f"staging.stg_{one}_models" for one in ("node", "message")}
BETWEEN |= {name.removeprefix("staging.") for name in MODELS_ASKED}
_STAR = re.compile(r"(?m)(^|[\s.])\*,?$")

Columns = dict[str, str]  # name -> type, or name -> comment


@pytest.fixture(scope="module")
def built(empty_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A file in which every model is built on nothing."""
    copy = tmp_path_factory.mktemp("models") / "live.duckdb"
    shutil.copy(empty_file, copy)
    with open_database(copy) as database:
        build_models(database, MODELS)
        yield database


@pytest.fixture(scope="module")
def columns(built: Database) -> dict[str, Columns]:
    """The columns of every model with their types, as DuckDB describes them."""
    return {
        model.qualified: {row[0]: row[1] for row in built.rows(f"DESCRIBE {model.qualified}")}
        for model in MODELS
    }


@pytest.fixture(scope="module")
def comments(built: Database) -> dict[str, Columns]:
    """The comments on the columns of every table and view of the file, in order."""
    found: dict[str, Columns] = {}
    for table, column, comment in built.rows(
        "SELECT schema_name || '.' || table_name, column_name, comment FROM duckdb_columns() "
        "WHERE database_name = 'live' ORDER BY 1, column_index"
    ):
        found.setdefault(table, {})[column] = comment
    return found


def raw_descriptions(model: Model) -> Columns:
    """What the raw table of a staging view says of its columns."""
    if model.described_by is None:
        return {}
    table = RAW_TABLES[model.described_by.removeprefix("raw.")].table
    return {column.name: column.description for column in table.all_columns}


def test_views_read_in_other_versions_of_duckdb(built: Database) -> None:
    """DuckDB 2.0.0 keeps `->` chains and `if` in a form that 1.5 and 2.0.1 do not read."""
    views = built.rows("SELECT view_name, sql FROM duckdb_views() WHERE database_name = 'live'")
    assert len(views) > 20
    assert [name for name, sql in views if re.search(r'->|"if"\(|\bif\(', sql)] == []


def test_every_file_is_a_model() -> None:
    """No SQL file is left out of the build."""
    places = {f"sql/{path.parent.name}/{path.name}" for path in FILES}
    assert {model.where for model in MODELS} == places


def test_every_raw_table_has_a_staging_view() -> None:
    """Analysts find each raw table under stg_<entity>, and beside them what marts are made of."""
    views = {model.name: model.reads for model in MODELS if model.schema == "staging"}
    assert set(views) == {f"stg_{name}" for name in RAW_TABLES} | BETWEEN
    for name in set(views) - BETWEEN:
        named = {"ops.source", "staging.stg_actors", "staging.stg_apps", *MODELS_ASKED}
        assert set(views[name]) - named == {f"raw.{name.removeprefix('stg_')}"}


def test_marts_read_no_raw_table() -> None:
    """Marts stand on staging, other marts and the ledger."""
    reads = {read for model in MODELS if model.schema == "marts" for read in model.reads}
    assert {read.split(".")[0] for read in reads} <= {"staging", "marts", "ops"}


@pytest.mark.parametrize(
    "model",
    [model for model in MODELS if model.schema != "staging"],
    ids=lambda model: model.qualified,
)
def test_workspace_stands_first(model: Model, columns: dict[str, Columns]) -> None:
    """Marts and exports tell their workspace before anything else, so that those of several
    workspaces can be put together.
    """
    assert next(iter(columns[model.qualified])) == "workspace_id"


@every_model
def test_every_column_has_its_sentence(model: Model, comments: dict[str, Columns]) -> None:
    """In the file each column of a model is described, and each text ends like a sentence."""
    for name, text in comments[model.qualified].items():
        assert text, name
        assert text[-1] in ".…", text


@every_model
def test_header_follows_the_query(model: Model, columns: dict[str, Columns]) -> None:
    """The header names columns in their order; those of marts and exports it names all."""
    named = [name for name in columns[model.qualified] if name in model.columns]
    assert list(model.columns) == named
    assert model.schema == "staging" or named == list(columns[model.qualified])


@pytest.mark.parametrize("model", STAGING, ids=lambda model: model.name)
def test_header_repeats_no_raw_column(model: Model) -> None:
    """A column that says of itself what its raw column says is left out of the header."""
    untold = replace(model, columns={})
    inherited = column_sentences(untold, raw_descriptions(model))
    repeated = {name for name, text in model.columns.items() if inherited.get(name) == text}
    assert repeated == set()


@every_model
def test_file_alone_tells_what_a_built_view_says(
    model: Model, comments: dict[str, Columns]
) -> None:
    """What Dagster shows of a model that is not built yet is what its comments will say."""
    told = column_sentences(model, raw_descriptions(model))
    assert list(told.items()) == list(comments[model.qualified].items())


@every_model
def test_names_tell_types(model: Model, columns: dict[str, Columns]) -> None:
    """Instants end in _at, dates in _date, booleans begin with is_ or has_, ids are text."""
    for name, kind in columns[model.qualified].items():
        is_instant = name.endswith("_at") or name == "absent_since"
        assert (kind == "TIMESTAMP WITH TIME ZONE") == is_instant, name
        assert (kind == "DATE") == name.endswith("_date"), name
        assert (kind == "BOOLEAN") == name.startswith(("is_", "has_")), name
        assert kind == "VARCHAR" or not name.endswith("_id"), name


@every_model
def test_money_is_decimal_with_a_currency(model: Model, columns: dict[str, Columns]) -> None:
    """A price is exact, a sum of prices wide, and each stands beside its currency."""
    prices = {
        name: kind for name, kind in columns[model.qualified].items() if name.endswith("_price")
    }
    assert set(prices.values()) <= {"DECIMAL(28,10)", "DECIMAL(38,10)"}
    assert not prices or "currency" in columns[model.qualified]


@every_model
def test_types_are_those_that_others_read(model: Model, columns: dict[str, Columns]) -> None:
    """pandas, Excel and Arrow take every column; no sum is a HUGEINT, which becomes a float."""
    plain = "BIGINT|INTEGER|DOUBLE|DECIMAL\\(\\d+,\\d+\\)|VARCHAR|JSON|BOOLEAN|DATE"
    known = re.compile(f"{plain}|TIMESTAMP WITH TIME ZONE")
    assert {
        n: kind for n, kind in columns[model.qualified].items() if not known.fullmatch(kind)
    } == {}


def test_books_have_types_that_others_read(built: Database) -> None:
    """Of the raw tables and the ledger, too, none has a column of 128 bits."""
    assert (
        built.rows(
            "SELECT schema_name, table_name, column_name FROM duckdb_columns() "
            "WHERE database_name = 'live' AND contains(data_type, 'HUGEINT')"
        )
        == []
    )


@every_model
def test_grain_is_a_sentence(model: Model) -> None:
    """The grain begins with "One row per" and ends like a sentence."""
    assert model.grain.startswith("One row per ")
    assert model.grain[-1] in ".…"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_columns_are_listed(path: Path) -> None:
    """Lines fit 100 columns; the last select of a view hides no columns behind a star."""
    text = path.read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 100
    if path.parent.name == "staging":
        assert not _STAR.search(text[text.rindex("\nselect") :])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_words_of_sql_are_lower_case(path: Path) -> None:
    """SQL is written in lower case, outside of literals and comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    code = " ".join(line for line in lines if not line.lstrip().startswith("--"))
    outside_literals = "".join(code.split("'")[::2])
    assert outside_literals == outside_literals.lower()


@every_model
def test_empty_workspace_gives_empty_models(model: Model, warehouse: HandWritten) -> None:
    """A workspace without a row builds every model, each without a row."""
    assert warehouse.rows_of(model.qualified) == []
