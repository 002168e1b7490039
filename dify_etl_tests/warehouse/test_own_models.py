"""Models of one's own (DIFY_ETL_SQL): what is taken, what is left out; nothing else stops."""

import os
import re
from pathlib import Path

import dagster as dg
import pytest

from dify_etl.assembly.connection import folder_of_own_sql, rules_of
from dify_etl.defs.groups import group_of_schema
from dify_etl.defs.model_assets import model_assets
from dify_etl.manual import pages
from dify_etl.raw.tables import raw_table
from dify_etl.settings import SettingWrong, load_settings
from dify_etl.sync.ledger import LEDGER
from dify_etl.warehouse.database import open_database
from dify_etl.warehouse.model_builds import broken_models, build_all
from dify_etl.warehouse.sql_files import SqlFile, sql_files

HEADER = "-- One row per app.\n-- app_id: The app.\n"
GOOD = HEADER + "select app_id from raw.apps"


def written(folder: Path, *names: str, text: str = GOOD) -> Path:
    """Files of these names, all of the same text."""
    for name in names:
        path = folder / f"{name}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def own_of(files: list[SqlFile]) -> dict[str, str]:
    """By name what is wrong with the files that do not come with dify-etl."""
    shipped = {one.qualified for one in sql_files()}
    found = {one.qualified: str(one.error or "") for one in files}
    return {name: error for name, error in found.items() if name not in shipped}


def test_example_of_the_manual_is_a_model(tmp_path: Path) -> None:
    """What docs/querying.md shows can be copied."""
    (shown,) = re.findall(r"```sql\n(-- .*?)```", pages()["querying"], re.DOTALL)
    (tmp_path / "app_questions.sql").write_text(shown)
    model = next(one.model for one in sql_files(own=tmp_path) if one.name == "app_questions")
    assert model is not None
    assert tuple(model.columns) == model.selects


def test_folders_say_the_schema_and_what_lies_above_is_a_mart(tmp_path: Path) -> None:
    """Each after what it reads, also when that is one of dify-etl."""
    written(tmp_path, "flat", "marts/mart", "exports/export")
    reading = HEADER + "select app_id from staging.stg_apps join marts.flat using (app_id)"
    written(tmp_path, "staging/stg_own", text=reading)
    files = sql_files(own=tmp_path)
    names = ["marts.flat", "marts.mart", "exports.export", "staging.stg_own"]
    assert {*own_of(files).items()} == {(name, "") for name in names}
    order = [one.qualified for one in files]
    assert order.index("marts.flat") < order.index("staging.stg_own")
    assert {*order} - {*names} == {one.qualified for one in sql_files()}


def test_what_cannot_be_a_model_is_left_out_and_named(tmp_path: Path) -> None:
    """The name of a model of dify-etl, a name twice, one that is none, no text, no file."""
    written(tmp_path, "costs", "marts/costs", "marts/twice", "twice", "x; drop", "Apps")
    (tmp_path / "marts" / "folder.sql").mkdir()
    (tmp_path / "latin.sql").write_bytes(b"-- One row per app\xe9.\n")
    files = sql_files(own=tmp_path)
    own = {re.sub("_[0-9a-f]{6}$", "", name): text for name, text in own_of(files).items()}
    assert own.pop("marts.twice") == ""
    says = {
        "left_out_costs": "marts.costs is a model of dify-etl",
        "left_out_marts_costs": "marts.costs is a model of dify-etl",
        "left_out_twice": "two files are marts.twice",
        "left_out_x__drop": "no name of a table",
        "left_out_apps": "no name of a table",
        "folder": "cannot be read",
        "latin": "no UTF-8 text",
    }
    assert own.keys() == {f"marts.{name}" for name in says}
    assert [name for name, text in says.items() if text not in own[f"marts.{name}"]] == []
    (costs,) = [one for one in files if one.qualified == "marts.costs"]
    assert costs.model is not None
    assert not costs.model.is_own


def test_names_that_are_none_stay_apart(tmp_path: Path) -> None:
    """In other scripts, or with other signs: equal names would keep Dagster from loading."""
    written(tmp_path, "模型一", "用量表", "My Model", "my-model", "a-b", "marts/a-b", "x" * 70)
    own = own_of(sql_files(own=tmp_path))
    assert len(own) == 7
    shipped = {spec.key for spec in model_assets().specs}
    keys = [spec.key for spec in model_assets(own=tmp_path).specs]
    assert len(keys) == len(set(keys)) == 7 + len(shipped)


def test_what_hides_what_it_reads_is_no_model(tmp_path: Path) -> None:
    """It would be built once and never again, with whoever is forgotten meanwhile."""
    for name, source in (("one", "query_table('raw.apps')"), ("two", "QUERY('from raw.apps')")):
        written(tmp_path, name, text=HEADER + f"select app_id from {source}")
    own = own_of(sql_files(own=tmp_path))
    assert [name for name, text in own.items() if "hides what it reads" in text] == [*own]
    assert len(own) == 2


def test_every_file_is_an_asset(tmp_path: Path) -> None:
    """In the group of its schema, with its check; what is left out says why."""
    written(tmp_path, "flat", "costs")
    built = model_assets(own=tmp_path)
    specs = {"/".join(spec.key.path): spec for spec in built.specs}
    assert specs["marts/flat"].group_name == group_of_schema("marts")
    (left_out,) = [spec for key, spec in specs.items() if "left_out_costs" in key]
    assert "marts.costs is a model of dify-etl" in str(left_out.description)
    checked = {spec.asset_key for spec in built.check_specs}
    assert dg.AssetKey(["marts", "flat"]) in checked


def test_file_that_is_not_there_breaks_its_reader_alone(tmp_path: Path) -> None:
    """To DuckDB it looks like a home that cannot be written; the next models are built."""
    own = written(tmp_path / "own", "good")
    written(own, "bad", text=HEADER + "select app_id from read_csv('/no/such/file.csv')")
    with open_database(tmp_path / "live.duckdb") as database:
        database.ensure(raw_table("apps"), *LEDGER)
        empty = tmp_path / "shipped"
        ended = {
            one.qualified: error
            for one, error in build_all(database, sql_files(empty, own=own), run_id="run")
        }
        (broken,) = broken_models(database)
    assert ended["marts.good"] is None
    assert str(own / "bad.sql") in str(ended["marts.bad"])
    assert broken.where == "bad.sql in the folder of DIFY_ETL_SQL"


def test_folder_that_is_not_there_is_a_wrong_setting(tmp_path: Path) -> None:
    """A run says so before it begins."""
    settings = load_settings(DIFY_ETL_HOME=tmp_path, DIFY_ETL_SQL=tmp_path / "gone")
    with pytest.raises(SettingWrong, match="DIFY_ETL_SQL"):
        rules_of(settings)


@pytest.mark.parametrize("closed", [".", "marts"])
def test_folder_that_cannot_be_read_is_a_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    """Without that its models would seem to be gone, or the night would end after all was read."""
    own = written(tmp_path / "own", "marts/one")
    closed_one = own / closed
    monkeypatch.setattr(os, "access", lambda path, how: path != closed_one)
    settings = load_settings(DIFY_ETL_HOME=tmp_path, DIFY_ETL_SQL=own)
    with pytest.raises(SettingWrong, match="DIFY_ETL_SQL"):
        folder_of_own_sql(settings)
