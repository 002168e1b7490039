"""The raw tables are specified without a gap: keys, descriptions, marks, secrets."""

import re
from pathlib import Path

import pytest

from dify_etl.raw.tables import RAW_TABLES
from dify_etl.warehouse.database import open_database
from dify_etl_tests.sync.small_worlds import quiet_world
from dify_etl_tests.sync.workplace import Workplace

NAMES = list(RAW_TABLES)
# Dify's own words, which the staging views put into ours.
NAMED_BY_DIFY = {"detail_of", "need_summary"}
ENDINGS = {"TIMESTAMPTZ": "_at$", "DATE": "_date$", "BOOLEAN": "^(is|has)_|_is_"}


@pytest.mark.parametrize("name", NAMES)
def test_key_columns_are_columns_and_never_volatile(name: str) -> None:
    """A row is found again by columns that exist and that no read changes."""
    table = RAW_TABLES[name].table
    columns = [table.column(key) for key in table.key]
    assert [one.name for one in columns if one.is_volatile or one.keeps_last] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_column_has_a_sentence_and_a_plain_name(name: str) -> None:
    """Columns are described, and named in lower case; times end in _at, days in _date."""
    for column in RAW_TABLES[name].table.columns:
        assert column.description
        assert re.fullmatch(r"[a-z][a-z0-9_]*", column.name)
        if column.type in ENDINGS and column.name not in NAMED_BY_DIFY:
            assert re.search(ENDINGS[column.type], column.name)


@pytest.mark.parametrize("name", NAMES)
def test_columns_are_named_once(name: str) -> None:
    """Records that fill one table share their columns."""
    names = [column.name for column in RAW_TABLES[name].table.all_columns]
    assert sorted(set(names)) == sorted(names)


def test_no_column_holds_a_secret() -> None:
    """Of tokens only a masked form and a fingerprint have a column, and no rest beside them."""
    named = {column.name for raw in RAW_TABLES.values() for column in raw.table.columns}
    suspicious = {name for name in named if re.search(r"token$|secret|password|code$", name)}
    assert suspicious == {"masked_token"}
    keys = ("app_api_keys", "dataset_api_keys")
    assert ["extra" in {one.name for one in RAW_TABLES[key].table.columns} for key in keys] == [
        False,
        False,
    ]


def test_file_has_the_comments_of_the_specification(tmp_path: Path) -> None:
    """Grain, key and every sentence are in the warehouse itself, for whoever opens it."""
    place = Workplace(quiet_world(), tmp_path)
    place.read(("apps",))
    with open_database(place.home / "live.duckdb") as database:
        tables = dict(
            database.rows("SELECT table_name, comment FROM duckdb_tables() WHERE schema_name='raw'")
        )
        silent = database.rows(
            "SELECT table_name, column_name FROM duckdb_columns() "
            "WHERE schema_name IN ('raw', 'ops') AND comment IS NULL"
        )
    assert tables["messages"].startswith("One row per message")
    assert tables["messages"].endswith("Key: conversation_id, message_id.")
    assert silent == []
