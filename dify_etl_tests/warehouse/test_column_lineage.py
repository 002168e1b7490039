"""Of which columns the columns of a model are made."""

from pathlib import Path

import pytest

from dify_etl.assembly.ops_copies import OPS_TABLES
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.warehouse import column_lineage as lineage
from dify_etl.warehouse.column_lineage import Source, column_lineage
from dify_etl.warehouse.models import Model, read_model
from dify_etl_tests.warehouse.good_models import load_models

TABLES = {"raw.talks": ["id", "name", "price"], "raw.apps": ["id", "title"]}


def model_of(folder: Path, query: str, *, name: str = "asked") -> Model:
    """A mart with that query."""
    (folder / "marts").mkdir(exist_ok=True)
    path = folder / "marts" / f"{name}.sql"
    path.write_text(f"-- One row.\n\n{query}\n", encoding="utf-8")
    return read_model(path)


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ("select id, name as title from raw.talks", {"id": ["id"], "title": ["name"]}),
        ("select count(*) as talks from raw.talks where price > 0", {"talks": []}),
        (
            "select count(*) filter (where price > 0) as priced from raw.talks",
            {"priced": ["price"]},
        ),
        (
            "with a as (select id, price * 2 as twice from raw.talks), b as (select * from a) "
            "select b.twice + 1 as more from b",
            {"more": ["price"]},
        ),
        (
            "select * exclude (id) from raw.talks as t",
            {"name": ["name"], "price": ["price"]},
        ),
        (
            "select id, name from raw.talks union all select name, cast(null as varchar) "
            "from raw.talks",
            {"id": ["id", "name"], "name": ["name"]},
        ),
        (
            "select id from raw.talks union all by name select price as cost from raw.talks",
            {"id": ["id"], "cost": ["price"]},
        ),
        (
            "select (select max(t.price) from raw.talks as t) as most, list_transform([1], "
            "lambda x: x + 1) as others from raw.talks",
            {"most": ["price"], "others": []},
        ),
        (
            "select sum(price) over (partition by name) as share, share + 1 as more from raw.talks",
            {"share": ["name", "price"], "more": ["name", "price"]},
        ),
        (
            "with recursive r as (select price as n from raw.talks union all select n + 1 from r "
            "where n < 3) select n from r",
            {"n": ["price"]},
        ),
        (
            "select name in (select title from raw.apps) as is_app from raw.talks",
            {"is_app": ["name", "title"]},
        ),
        (
            "select price, title from (select price from raw.talks), (select title from raw.apps)",
            {"price": ["price"], "title": ["title"]},
        ),
        (
            "select i.price from (select price from raw.talks) as i",
            {"price": ["price"]},
        ),
    ],
)
def test_sources_of_columns(tmp_path: Path, query: str, columns: dict[str, list[str]]) -> None:
    """Renamed, computed, counted, through parts, unions, subqueries and windows."""
    model = model_of(tmp_path, query)
    found = column_lineage([model], TABLES)[model.qualified]
    assert {name: sorted(one.column for one in of) for name, of in found.items()} == columns
    assert list(found) == list(columns)


def test_joined_tables_are_told_apart(tmp_path: Path) -> None:
    """By the name under which the query knows them; a column of both by USING is of both."""
    model = model_of(
        tmp_path,
        "select id, t.name, a.title from raw.talks as t inner join raw.apps as a using (id)",
    )
    found = column_lineage([model], TABLES)[model.qualified]
    assert found["title"] == {Source("raw.apps", "title")}
    assert found["id"] == {Source("raw.talks", "id"), Source("raw.apps", "id")}


@pytest.mark.parametrize(
    "query",
    [
        "with m as (select id from raw.talks) select M.* from m",
        "select id from talk",
        "select * from marts.broken union all select id from raw.talks",
        "select id from raw.talks union all select * from (values (1), (2))",
        "select columns('.*d') from raw.talks union all select id from raw.talks",
        "select t.id from generate_series(3) as t(id)",
        "from raw.talks",
    ],
)
def test_what_is_not_known_ends_nothing(tmp_path: Path, query: str) -> None:
    """Whoever writes such a model has it built, and sees less of where its columns come from."""
    model = model_of(tmp_path, query)
    good = model_of(tmp_path, "select id from raw.apps", name="good")
    found = column_lineage([model, good], TABLES)
    assert found["marts.good"] == {"id": {Source("raw.apps", "id")}}


def test_tree_of_another_form_is_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a later DuckDB may make it."""
    monkeypatch.setattr(lineage, "syntax_of", lambda model: {"type": "SELECT_NODE"})
    model = model_of(tmp_path, "select id from raw.apps")
    assert column_lineage([model], TABLES) == {"marts.asked": {}}


def test_columns_of_all_models_are_found() -> None:
    """In the order of the header; what a view passes on as it is comes from the raw column, and of
    the columns that people join and count by none is without a source.
    """
    tables = {
        table.qualified: [column.name for column in table.all_columns]
        for table in (*(raw.table for raw in RAW_TABLES.values()), *OPS_TABLES)
    }
    models = load_models()
    found = column_lineage(models, tables)
    for model in models:
        columns = found[model.qualified]
        if model.schema == "marts":
            assert list(columns) == list(model.columns), model.qualified
        if model.described_by is not None and len(model.reads) == 1:
            for name in model.unchanged:
                assert columns[name] == {Source(model.described_by, name)}, model.qualified
        for name in columns.keys() & {"app_id", "workspace_id", "app_name", "person_id", "model"}:
            assert columns[name], f"{model.qualified}.{name}"
