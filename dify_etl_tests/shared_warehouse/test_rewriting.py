"""`privacy --rewrite` of a whole home: what was taken out is nowhere in the shared warehouse."""

import dataclasses
import shutil
from pathlib import Path

import pytest
from pydantic import SecretStr

from dify_etl.assembly import rewriting
from dify_etl.assembly.rewriting import rewrite_home
from dify_etl.raw.privacy import Privacy
from dify_etl.shared_warehouse.comparing import compare_shared
from dify_etl.shared_warehouse.engines import opened, opened_to_read
from dify_etl.shared_warehouse.lake_files import METADATA
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.shared_warehouse.publication import publish_shared
from dify_etl.sync.shared_note import shared_behind
from dify_etl.warehouse.publish import CopyPlace
from dify_etl.warehouse.sql_files import sql_files
from dify_etl_tests.assembly.test_privacy import EMAIL, NAME, SESSION, VERSION, loaded, rules
from dify_etl_tests.shared_warehouse.conftest import HAS_LAKE, KINDS, SOAK, MakePlace
from dify_etl_tests.shared_warehouse.small_copies import change, small_copy
from dify_etl_tests.shared_warehouse.test_forgetting import uncompressed
from dify_etl_tests.sync.small_worlds import brief_world
from dify_etl_tests.sync.workplace import Workplace

__all__ = ["uncompressed"]
HERS = (NAME, EMAIL, SESSION)
# Of her questions, as a model of one's own holds them; and a fact, whose type changes.
MINE = "-- A row.\n-- question: Text.\nselect query as question from raw.messages\n"
FACT = "-- A row.\n-- first: When.\nselect {} as first from raw.messages\n"


@pytest.fixture(scope="module")
def kept_once(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A workspace of hers, read once with everything kept."""
    return loaded(brief_world(VERSION), tmp_path_factory.mktemp("kept") / "home", Privacy())


def held_in(place: SharedPlace, folder: Path) -> set[str]:
    """Files, and tables of a catalog in PostgreSQL, in which a word of hers stands."""
    files = [one for one in folder.rglob("*") if one.is_file()]
    found = {
        str(one.relative_to(folder))
        for one in files
        if any(word.encode() in one.read_bytes() for word in HERS)
    }
    if place.catalog == "postgres" and place.is_lake:
        is_there = " OR ".join(f"contains(t::VARCHAR, '{word}')" for word in HERS)
        with opened(place) as warehouse:
            for (table,) in warehouse.rows(
                f"SELECT table_name FROM duckdb_tables() WHERE database_name = '{METADATA}'"
            ):
                if warehouse.value(f"SELECT count(*) FROM {METADATA}.{table} t WHERE {is_there}"):
                    found.add(table)
    return found


def rows_with_her(place: SharedPlace) -> dict[str, int]:
    """Table -> rows in which a word of hers stands, as analysts see it."""
    found = {}
    is_there = " OR ".join(f"contains(t::VARCHAR, '{word}')" for word in HERS)
    with opened_to_read(place) as warehouse:
        for (name,) in warehouse.rows(
            "SELECT schema_name || '.' || table_name FROM duckdb_tables() "
            "WHERE database_name = 'shared'"
        ):
            rows = warehouse.value(f"SELECT count(*) FROM shared.{name} t WHERE {is_there}")
            if rows:
                found[name] = int(rows)
    return found


@pytest.mark.parametrize("kind", KINDS if SOAK or not HAS_LAKE else ("postgres",))
@pytest.mark.usefixtures("uncompressed")
def test_nothing_of_before_is_in_it(
    kind: str,
    kept_once: Workplace,
    make_place: MakePlace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No value and no byte, of raw tables and of models, of one that is gone, and of one that is
    left out as another workspace's is of another type; what others published is as it was.
    """
    shutil.copytree(kept_once.home, tmp_path / "home")
    home = dataclasses.replace(kept_once, home=tmp_path / "home")
    shared = tmp_path / "shared"
    shared.mkdir()
    made = make_place(kind)
    place = dataclasses.replace(
        made,
        target=SecretStr(made.target.get_secret_value().replace(str(tmp_path), str(shared))),
        data_path=made.data_path and str(shared / "data"),
    )
    if place.is_lake:
        with opened(place) as warehouse:
            warehouse.execute("CALL shared.set_option('parquet_compression', 'uncompressed')")
    own = tmp_path / "sql"
    for schema in ("staging", "marts", "exports"):
        (own / schema).mkdir(parents=True)
    for name in ("mine", "gone"):
        (own / "marts" / f"{name}.sql").write_text(MINE)
    (own / "marts" / "fact.sql").write_text(FACT.format("query"))
    monkeypatch.setattr(rewriting, "sql_files", lambda own_sql=None, **_: sql_files(own))

    def rewrite(privacy: Privacy) -> list[str]:
        said: list[str] = []
        copy = CopyPlace(home.home)
        rewrite_home(home.home, privacy, place=copy, tell=said.append, own_sql=own, shared=place)
        return said

    other = change(
        small_copy(tmp_path / "other.duckdb", "other"),
        "CREATE TABLE marts.fact AS SELECT 'w' AS workspace_id, 'text' AS first",
    )
    rewrite(Privacy())  # builds the models, and publishes
    publish_shared(place, other, run_id="other")
    assert {"raw.messages", "marts.mine", "marts.gone", "marts.fact"} <= {*rows_with_her(place)}
    assert held_in(place, shared)

    (own / "marts" / "gone.sql").unlink()
    said = rewrite(rules("drop", "hash"))
    assert [line for line in said if "older snapshots are gone" in line]
    assert rows_with_her(place) == {}
    assert held_in(place, shared) == set()
    assert shared_behind(home.home) is None
    compared = [*compare_shared(place, home.home / "dify.duckdb"), *compare_shared(place, other)]
    assert [one.table for one in compared if not one.is_equal] == []
