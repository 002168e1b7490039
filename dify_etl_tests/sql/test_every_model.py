"""What holds for every SQL file: headers, names, columns, and that it builds on nothing at all."""

import shutil
from pathlib import Path

import pytest

from dify_etl.raw.tables import RAW_TABLES
from dify_etl.warehouse.database import open_database
from dify_etl.warehouse.models import Model, build, sql_folder
from dify_etl_tests.sql.hand_written import MODELS, HandWritten

FILES = sorted(sql_folder().glob("*/*.sql"))
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.qualified)

Columns = dict[str, str]  # name -> type


@pytest.fixture(scope="module")
def columns(empty_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Columns]:
    """The columns of every model, as DuckDB describes them."""
    copy = tmp_path_factory.mktemp("models") / "live.duckdb"
    shutil.copy(empty_file, copy)
    with open_database(copy) as database:
        for model in MODELS:
            build(database, model)
        return {
            model.qualified: {
                row[0]: row[1] for row in database.rows(f"DESCRIBE {model.qualified}")
            }
            for model in MODELS
        }


def test_every_file_is_a_model() -> None:
    """No SQL file is left out of the build."""
    assert {model.path for model in MODELS} == set(FILES)


def test_every_raw_table_has_a_staging_view() -> None:
    """Analysts find each raw table under stg_<entity>, and nothing else there."""
    views = {model.name: model.reads for model in MODELS if model.schema == "staging"}
    assert set(views) == {f"stg_{name}" for name in RAW_TABLES}
    for name, reads in views.items():
        assert set(reads) - {"ops.source"} == {f"raw.{name.removeprefix('stg_')}"}


def test_marts_read_no_raw_table() -> None:
    """Marts stand on staging, other marts and the books."""
    reads = {read for model in MODELS if model.schema == "marts" for read in model.reads}
    assert {read.split(".")[0] for read in reads} <= {"staging", "marts", "ops"}


@every_model
def test_header_is_what_the_query_answers(model: Model, columns: dict[str, Columns]) -> None:
    """The header names the columns of DESCRIBE, in their order."""
    assert list(columns[model.qualified]) == list(model.columns)


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
def test_header_is_sentences(model: Model) -> None:
    """The grain begins with "One row per"; every text ends like a sentence."""
    assert model.grain.startswith("One row per ")
    for text in (model.grain, *model.columns.values()):
        assert text[-1] in ".…", text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_columns_are_listed(path: Path) -> None:
    """Lines fit 100 columns; no view and no last select hides its columns behind a star."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert max(map(len, lines)) <= 100
    if path.parent.name == "staging":
        assert not any("*" in line for line in lines)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_words_of_sql_are_lower_case(path: Path) -> None:
    """SQL is written in lower case, outside of literals and comments."""
    lines = path.read_text(encoding="utf-8").splitlines()
    code = " ".join(line for line in lines if not line.startswith("--"))
    outside_literals = "".join(code.split("'")[::2])
    assert outside_literals == outside_literals.lower()


@every_model
def test_empty_workspace_gives_empty_models(model: Model, warehouse: HandWritten) -> None:
    """A workspace without a row builds every model, each without a row."""
    assert warehouse.rows_of(model.qualified) == []
