"""A home that version 0.1 synced is after the first night of this version as a fresh one."""

import tarfile

import duckdb
import pytest

from dify_etl.home import LIVE
from dify_etl.raw.tables import RAW_TABLES
from dify_etl_tests.homes.make_synced_home import ARCHIVE
from dify_etl_tests.sync.comparison import EXPECTED, differences
from dify_etl_tests.sync.small_worlds import lively_world
from dify_etl_tests.sync.workplace import ORIGIN, Workplace

# As 0.1 set objects aside: a message that is well by now, and one that Dify has no more.
SET_ASIDE = """INSERT INTO ops.quarantine (quarantine_id, feed, app_id, record_id, endpoint,
        position, error_path, message, raw_json, record_class, context, run_id, seen_at)
    SELECT message_id || no, 'messages', app_id, if(no = 0, message_id, 'gone'), 'GET /x', 0,
        'answer', 'is no text', json_object('id', message_id, 'conversation_id', conversation_id),
        'Message', '{}', 'a run of 0.1', TIMESTAMPTZ '2026-03-12 16:00:00+00'
    FROM (SELECT * FROM raw.messages WHERE message_source = 'chat' ORDER BY message_id LIMIT 1)
    CROSS JOIN range(2) numbers(no)"""

# The simulated Dify of 0.1 told usage of messages that real servers do not, and nodes less.
TOLD_OTHERWISE = {
    ("messages", "message_id"): (
        *("metadata", "prompt_tokens", "prompt_unit_price", "prompt_price_unit", "prompt_price"),
        *("completion_tokens", "completion_unit_price", "completion_price_unit"),
        *("completion_price", "total_tokens", "total_price", "currency"),
        *("usage_latency_seconds", "time_to_first_token_seconds", "time_to_generate_seconds"),
    ),
    ("node_executions", "node_execution_id"): (
        *("process_data", "execution_metadata", "total_tokens", "total_price", "currency"),
    ),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, fresh: Workplace) -> Workplace:
    """That home after one night; the server stands at another address than then."""
    home = tmp_path_factory.mktemp("synced") / "home"
    home.mkdir()
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(home, filter="data")
    with duckdb.connect(home / LIVE) as connection:
        connection.execute("UPDATE ops.source SET server_origin = ?", [ORIGIN])
        connection.execute(SET_ASIDE)
        connection.execute(f"ATTACH '{fresh.home / LIVE}' AS fresh (READ_ONLY)")
        for (table, key), columns in TOLD_OTHERWISE.items():
            told = ", ".join(f"{name} = now.{name}" for name in columns)
            connection.execute(
                f"UPDATE raw.{table} AS held SET {told} FROM fresh.raw.{table} AS now "
                f"WHERE held.{key} = now.{key}"
            )
    place = Workplace(lively_world(), home)
    place.read()
    return place


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A first load of the same world by this version."""
    fresh = Workplace(lively_world(), tmp_path_factory.mktemp("fresh"))
    fresh.read()
    return fresh


def test_every_table_is_as_in_a_fresh_home(place: Workplace) -> None:
    """Rows, new columns and new tables; nothing is absent that is there."""
    assert differences(place, tuple(EXPECTED)) == []
    absent = "SELECT count(*) FROM raw.{} WHERE absent_since IS NOT NULL"
    assert [place.value(absent.format(table)) for table in ("apps", "messages")] == [0, 0]


def test_local_days_are_as_in_a_fresh_home(place: Workplace, fresh: Workplace) -> None:
    """Also of rows that this night did not read again: every instant has its day and hour."""
    queries = [
        f"SELECT {', '.join(c.name for c in raw.table.local_columns)} FROM raw.{name} ORDER BY ALL"
        for name, raw in RAW_TABLES.items()
        if raw.table.local_columns
    ]
    assert place.answers(queries) == fresh.answers(queries)


def test_books_are_as_in_a_fresh_home(place: Workplace, fresh: Workplace) -> None:
    """The state of every slice is that of a first sync of the same days."""
    states = "SELECT feed, app_id, slice_date, state, rows FROM ops.slices ORDER BY ALL"
    assert place.rows(states) == fresh.rows(states)


def test_what_was_set_aside_is_read_again(place: Workplace) -> None:
    """One object was loaded meanwhile and the other is gone: neither holds a day back."""
    assert place.value("SELECT count(*) FROM ops.quarantine") == 2
    waiting = "SELECT record_id, parent_id FROM ops.quarantine WHERE resolved_at IS NULL"
    assert place.rows(waiting) == []
