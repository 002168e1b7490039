"""What a home publishes is in the shared warehouse, and nothing else changes there."""

import os
import re
import subprocess
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pydantic import SecretStr

from dify_etl.shared_warehouse import engines, inserts, publication
from dify_etl.shared_warehouse.comparing import compare_shared
from dify_etl.shared_warehouse.engines import SharedWarehouse, opened, opened_to_read
from dify_etl.shared_warehouse.errors import (
    SharedTableRefused,
    SharedWarehouseBusy,
    SharedWarehouseRefused,
    SharedWarehouseUnavailable,
)
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.shared_warehouse.publication import (
    Publication,
    publish_into,
    publish_shared,
)
from dify_etl.shared_warehouse.upkeep import compact_shared, plan_removal, remove_workspace
from dify_etl.warehouse.errors import NothingPublished
from dify_etl_tests.postgres import OWNER, SEARCHED, Postgres
from dify_etl_tests.shared_warehouse.conftest import HAS_LAKE, KINDS, SOAK
from dify_etl_tests.shared_warehouse.small_copies import change, messages_of, small_copy

Rows = list[tuple[Any, ...]]


def publish(place: SharedPlace, copy: Path, **how: Any) -> Publication:
    return publish_shared(place, copy, run_id="run", **how)


def asked(place: SharedPlace, sql: str) -> Rows:
    """What an analyst is answered."""
    with opened_to_read(place) as warehouse:
        return warehouse.rows(sql)


def differing(place: SharedPlace, copy: Path) -> list[str]:
    return [one.table for one in compare_shared(place, copy) if not one.is_equal]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that are sent to shared warehouses."""
    found: list[str] = []
    execute = SharedWarehouse.execute

    def noted(warehouse: SharedWarehouse, sql: str, parameters: object = None) -> Any:
        found.append(sql)
        return execute(warehouse, sql, parameters)

    monkeypatch.setattr(SharedWarehouse, "execute", noted)
    return found


def test_a_large_table_goes_in_parts(
    place: SharedPlace, tmp_path: Path, sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Partition by partition, and one that is too large alone by parts of it; rows without a day or
    an app, and whole tables that are one partition, too. Every value is there.
    """
    for name in ("LAKE_BYTES", "FILE_BYTES"):
        monkeypatch.setattr(inserts, name, 200)
    copy = small_copy(tmp_path / "a.duckdb", "a", rows=9)
    change(
        copy,
        "INSERT INTO raw.messages (message_id) SELECT 'x' || n FROM range(20) r(n)",
        "INSERT INTO raw.messages (app_id, message_id) VALUES ('app-1', 'y')",
        "CREATE TABLE marts.own AS SELECT n, [n, n + 1] AS numbers, 'text' AS text "
        "FROM range(99) r(n)",
    )
    publish(place, copy)
    assert differing(place, copy) == []
    for name, least in (("messages", 12), ("own", 4)):
        assert (
            len([one for one in sent if re.search(rf'INSERT INTO shared.*"{name}"', one)]) > least
        )
    change(copy, "UPDATE raw.messages SET query = 'changed' WHERE created_date < DATE '2026-02-01'")
    assert publish(place, copy).partitions == 2
    assert differing(place, copy) == []


@pytest.mark.parametrize("statement_bytes", [3_000_000, 1 << 40])
def test_memory_is_bounded(
    place: SharedPlace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    statement_bytes: int,
) -> None:
    """A table of many months that is larger than the bound goes by statements that are not; what
    takes more than the bound all the same is done with all memory, and said.
    """
    monkeypatch.setattr(engines, "MEMORY_LIMIT", "50MB")
    for name in ("LAKE_BYTES", "FILE_BYTES"):
        monkeypatch.setattr(inserts, name, statement_bytes)
    copy = small_copy(tmp_path / "a.duckdb", "a")
    change(
        copy,
        """INSERT INTO raw.messages (app_id, message_id, created_at, created_date, query)
        SELECT 'app-' || (n % 5), n, made_at, made_at::DATE, repeat(md5(n::VARCHAR), 30)
        FROM (SELECT n, TIMESTAMP '2024-01-01' + INTERVAL (n % 700) DAY AS made_at
            FROM range(60000) r(n))""",
    )
    publish(place, copy)
    assert differing(place, copy) == []
    assert ("takes more than 50MB" in caplog.text) == (statement_bytes > 3_000_000)


def test_no_more_memory_than_the_bound(
    thorough_place: SharedPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine with less than the bound nothing is tried twice, and the hint is of memory."""
    asked = []

    def all_memory() -> str:
        asked.append("asked")
        return "40MB"

    def publish_in_vain(*_: object, **__: object) -> Publication:
        raise duckdb.OutOfMemoryException("no room")

    monkeypatch.setattr(engines, "_all_memory", all_memory)
    monkeypatch.setattr(publication, "_publish", publish_in_vain)
    with pytest.raises(SharedWarehouseUnavailable, match="no room") as refused:
        publish(thorough_place, small_copy(tmp_path / "a.duckdb", "a"))
    assert asked == ["asked"]
    assert "more memory" in str(refused.value.hint)


def test_second_time_changes_nothing(thorough_place: SharedPlace, tmp_path: Path) -> None:
    """Nothing is deleted and inserted when no digest differs; the publication is noted."""
    place = thorough_place
    copy = small_copy(tmp_path / "a.duckdb", "a")
    assert publish(place, copy).partitions > 6
    assert publish(place, copy).partitions == 0
    assert asked(
        place, "SELECT count(*), count(DISTINCT publication_id) FROM shared.ops.publications"
    ) == [(2, 2)]


def test_only_the_partition_of_a_change_is_replaced(place: SharedPlace, tmp_path: Path) -> None:
    """A changed, a new and a deleted row: one month of one app each; other workspaces stay."""
    copy, other = small_copy(tmp_path / "a.duckdb", "a"), small_copy(tmp_path / "b.duckdb", "b")
    publish(place, copy)
    publish(place, other)
    of_app = "app_id = 'app-1' AND created_date = DATE '2026-02-05'"
    for statements, rows in (
        ([f"UPDATE raw.messages SET query = 'changed' WHERE {of_app}"], 4),
        ([f"DELETE FROM raw.messages WHERE {of_app} AND message_id <> '1-1-0'"], 1),
        ([f"DELETE FROM raw.messages WHERE {of_app}"], 0),
        (["INSERT INTO raw.messages (app_id) VALUES (NULL)"], 1),
        (["UPDATE raw.messages SET query = 'nobody' WHERE app_id IS NULL"], 1),
        (["INSERT INTO raw.messages (created_date) VALUES (DATE '0001-01-02')"], 2),
        (["UPDATE raw.messages SET query = 'of old' WHERE app_id IS NULL"], 2),
    ):
        done = publish(place, change(copy, *statements))
        assert (done.tables, done.partitions, done.rows) == (1, 1, rows), statements
        assert differing(place, copy) == []
    assert differing(place, other) == []


def test_columns_of_newer_and_older_releases(place: SharedPlace, tmp_path: Path) -> None:
    """A new column is added, null for workspaces of before; an older release goes on beside it, and
    another type is taken over with the values of all.
    """
    new, old = small_copy(tmp_path / "a.duckdb", "a"), small_copy(tmp_path / "b.duckdb", "b")
    publish(place, new)
    publish(place, old)
    change(new, "ALTER TABLE raw.apps ADD COLUMN icon VARCHAR", "UPDATE raw.apps SET icon = 'x'")
    publish(place, new)
    publish(place, change(old, "UPDATE raw.apps SET name = 'later'"))
    sql = "SELECT DISTINCT workspace_id, icon FROM shared.raw.apps ORDER BY 1"
    assert asked(place, sql) == [("a", "x"), ("b", None)]
    change(new, "ALTER TABLE marts.app_daily_usage ALTER messages TYPE VARCHAR")
    publish(place, change(new, "UPDATE marts.app_daily_usage SET messages = 'many'"))
    publish(place, change(old, "UPDATE marts.app_daily_usage SET messages = 7"))
    sql = "SELECT DISTINCT workspace_id, messages FROM shared.marts.app_daily_usage ORDER BY 1"
    assert asked(place, sql) == [("a", "many"), ("b", "7")]
    assert differing(place, new) == differing(place, old) == []


def test_model_that_is_gone_leaves_no_rows(thorough_place: SharedPlace, tmp_path: Path) -> None:
    """Rows of a table that the home has no more are deleted, those of other workspaces are not."""
    place = thorough_place
    one, two = small_copy(tmp_path / "a.duckdb", "a"), small_copy(tmp_path / "b.duckdb", "b")
    for copy in (one, two):
        publish(place, copy)
    publish(place, change(one, "DROP TABLE marts.app_daily_usage"))
    sql = "SELECT DISTINCT workspace_id FROM shared.marts.app_daily_usage"
    assert asked(place, sql) == [("b",)]
    assert differing(place, one) == []


def test_check_names_what_differs(thorough_place: SharedPlace, tmp_path: Path) -> None:
    """Every way in which a table can differ: a value, a row more or less on either side."""
    place = thorough_place
    copy = change(
        small_copy(tmp_path / "a.duckdb", "a"),
        "CREATE TABLE marts.more AS SELECT 'a' AS workspace_id, 1 AS x",
    )
    publish(place, copy)
    change(copy, "DROP TABLE marts.more")
    with opened(place) as warehouse:
        warehouse.execute("UPDATE shared.raw.apps SET name = 'other' WHERE app_id = 'app-0'")
        warehouse.execute("INSERT INTO shared.raw.messages BY NAME SELECT 'a' AS workspace_id")
        warehouse.execute("DELETE FROM shared.marts.app_daily_usage WHERE app_id = 'app-0'")
    assert differing(place, copy) == [
        "marts.app_daily_usage",
        "raw.apps",
        "raw.messages",
        "marts.more",
    ]


def test_rows_that_somebody_took_out_come_back(thorough_place: SharedPlace, tmp_path: Path) -> None:
    """A dropped table by itself, changed and deleted rows where all values are compared."""
    place, copy = thorough_place, small_copy(tmp_path / "a.duckdb", "a")
    other = small_copy(tmp_path / "b.duckdb", "b")
    publish(place, copy)
    publish(place, other)
    done_by_hand(place, "DROP TABLE shared.raw.apps")
    publish(place, copy)
    assert differing(place, copy) == []
    assert differing(place, other) == ["raw.apps"]
    done_by_hand(
        place,
        "UPDATE shared.raw.messages SET query = 'by hand' WHERE message_id = '1-1-0'",
        "DELETE FROM shared.marts.app_daily_usage WHERE app_id = 'app-0'",
    )
    for one in (copy, other):
        publish(place, one)
        assert differing(place, one) != []
        publish(place, one, is_compared=True)
        assert differing(place, one) == []


def done_by_hand(place: SharedPlace, *statements: str) -> None:
    with opened(place) as warehouse:
        for one in statements:
            warehouse.execute(one)


def test_what_analysts_make_there_stays_theirs(thorough_place: SharedPlace, tmp_path: Path) -> None:
    """A view and tables of theirs keep nobody from comparing and removing, and are not emptied."""
    place, copy = thorough_place, small_copy(tmp_path / "a.duckdb", "a")
    publish(place, copy)
    done_by_hand(
        place,
        "CREATE VIEW shared.marts.theirs AS SELECT workspace_id, name FROM shared.raw.apps",
        "CREATE TABLE shared.raw.notes AS SELECT 'a' AS workspace_id, 'a note' AS note",
        "CREATE TABLE shared.raw.numbers AS SELECT 1 AS number",
    )
    assert differing(place, copy) == []
    remove_workspace(place, plan_removal(place, "a"))
    assert asked(place, "SELECT note FROM shared.raw.notes") == [("a note",)]
    assert asked(place, "SELECT count(*) FROM shared.raw.messages") == [(0,)]


def test_table_of_ones_own_may_be_there_first(place: SharedPlace, tmp_path: Path) -> None:
    """A lake that somebody uses already gets what it lacks."""
    with opened(place) as warehouse:
        warehouse.execute("CREATE SCHEMA shared.notes")
        warehouse.execute("CREATE TABLE shared.notes.ours AS SELECT 'a note' AS note")
    copy = small_copy(tmp_path / "copy.duckdb", "a")
    publish(place, copy)
    assert differing(place, copy) == []
    assert asked(place, "SELECT note FROM shared.notes.ours") == [("a note",)]


MINE = "CREATE OR REPLACE TABLE marts.mine AS SELECT 'w' AS workspace_id, {} AS x"


def test_table_of_another_type_is_left_out_alone(
    thorough_place: SharedPlace, tmp_path: Path
) -> None:
    """Two homes have models of one name that are others: the error tells table and column and
    quotes nobody's value; all else is published, and what others have of that name stays.
    """
    place = thorough_place
    kinds = ("uuid()", "DATE '2026-01-01'", "{'private': 1}")
    first = change(small_copy(tmp_path / "a.duckdb", "a"), MINE.format(kinds[0]))
    publish(place, first)
    for number, kind in enumerate(kinds[1:]):
        other = change(small_copy(tmp_path / f"{number}.duckdb", f"{number}"), MINE.format(kind))
        with pytest.raises(
            SharedTableRefused, match=r"marts\.mine\.x is \w+.* in this home"
        ) as told:
            publish(place, other)
        assert "private" not in f"{told.value}".replace("STRUCT(private", "")
        assert differing(place, other) == ["marts.mine"]
        change(other, "UPDATE raw.apps SET name = 'later'")
        with pytest.raises(SharedTableRefused):
            publish(place, other)
        assert differing(place, other) == ["marts.mine"]
        publish(place, change(other, "DROP TABLE marts.mine"))  # or another name
        assert differing(place, other) == []
    assert differing(place, first) == []


def test_table_that_is_left_out_keeps_its_last_rows(
    thorough_place: SharedPlace, tmp_path: Path
) -> None:
    """As a table of a file that cannot be written: until a purge, after which nothing of before
    may be there.
    """
    place, sql = thorough_place, "SELECT workspace_id, x::VARCHAR FROM shared.marts.mine ORDER BY 1"
    one, two = small_copy(tmp_path / "a.duckdb", "a"), small_copy(tmp_path / "b.duckdb", "b")
    for copy in (one, two):
        publish(place, change(copy, MINE.format("DATE '2026-01-01'")))
    change(one, MINE.format("1"))
    held = [("a", "2026-01-01"), ("b", "2026-01-01")]
    for is_compared in (False, True):
        with pytest.raises(SharedTableRefused):
            publish(place, one, is_compared=is_compared)
        assert asked(place, sql) == held
    with pytest.raises(SharedTableRefused):
        publish(place, one, is_purged=True)
    assert asked(place, sql) == held[1:]


def test_names_that_differ_in_case_alone_are_one(place: SharedPlace, tmp_path: Path) -> None:
    """As to DuckDB: `Total` goes where `total` is, and `marts.Own` into `marts.own`."""
    one, two = small_copy(tmp_path / "a.duckdb", "a"), small_copy(tmp_path / "b.duckdb", "b")
    publish(place, change(one, "CREATE TABLE marts.own AS SELECT 1 AS total"))
    publish(place, change(two, 'CREATE TABLE marts."Own" AS SELECT 2 AS "ToTal"'))
    change(one, 'CREATE OR REPLACE TABLE marts.own AS SELECT 3 AS "Total"')
    publish(place, change(one, "UPDATE raw.apps SET name = 'later'"))
    assert differing(place, one) == []
    assert differing(place, two) == []
    sql = "SELECT workspace_id, total FROM shared.marts.own ORDER BY 1"
    assert asked(place, sql) == [("a", 3), ("b", 2)]
    publish(place, change(one, "DROP TABLE marts.own"), is_purged=True)
    assert asked(place, sql) == [("b", 2)]


@pytest.mark.parametrize("day", ["infinity", "0005-01-01 (BC)"])
def test_days_of_no_month_are_replaced(day: str, place: SharedPlace, tmp_path: Path) -> None:
    """They are no month's, as rows without a day: each change leaves one row, not one more."""
    copy = small_copy(tmp_path / "a.duckdb", "a")
    change(
        copy,
        f"""CREATE TABLE marts.own AS SELECT 'app-0' AS app_id, DATE '2026-01-01' AS day, 1 AS n
        UNION ALL SELECT 'app-0', NULL, 1 UNION ALL SELECT 'app-0', DATE '{day}', 1""",
    )
    publish(place, copy)
    for number in (2, 3):
        change(copy, f"UPDATE marts.own SET n = {number} WHERE day = '{day}'")
        publish(place, copy)
    found = asked(place, "SELECT n FROM shared.marts.own ORDER BY n")
    assert found == [(1,), (1,), (3,)]


@pytest.mark.skipif(not HAS_LAKE, reason="a file keeps every type")
def test_types_that_a_lake_has_not_are_kept_as_text(place: SharedPlace, tmp_path: Path) -> None:
    """Within lists and structs as well, and arrays of a fixed length; others as they are."""
    copy = small_copy(tmp_path / "a.duckdb", "a")
    change(
        copy,
        """CREATE TABLE marts.own AS SELECT [1.5, 2]::FLOAT[2] AS pair,
        {'mood': 'ok'::ENUM('ok', 'bad')} AS state, ['101'::BIT] AS bits, 'a'::BLOB AS bytes,
        INTERVAL 1 DAY AS long, MAP {'a': uuid()} AS ids
        FROM range(2)""",
    )
    publish(place, copy)
    assert differing(place, copy) == []
    publish(place, change(copy, "INSERT INTO marts.own SELECT * FROM marts.own"))
    assert differing(place, copy) == []
    assert asked(place, "SELECT DISTINCT pair, state FROM shared.marts.own") == [
        ("[1.5, 2.0]", "{'mood': ok}")
    ]


def test_model_of_ones_own_may_change_its_type(thorough_place: SharedPlace, tmp_path: Path) -> None:
    """Values that nobody else has are in nobody's way, whatever they were."""
    place, copy = thorough_place, small_copy(tmp_path / "a.duckdb", "a")
    publish(place, small_copy(tmp_path / "b.duckdb", "b"))
    for value in ("1", "DATE '2026-01-01'", "uuid()", "{'a': 1}", "2.5::DOUBLE"):
        publish(place, change(copy, MINE.format(value)))
        assert differing(place, copy) == []
    assert asked(place, "SELECT workspace_id, x FROM shared.marts.mine") == [("a", 2.5)]


@pytest.mark.parametrize(
    ("others", "ours", "kind"),
    [
        ("7", "true", "INTEGER"),  # a number made a boolean would be lost
        ("1.25::DECIMAL(10,2)", "1.125::DECIMAL(10,3)", "DECIMAL(10,3)"),
        ("7", "1.5::DOUBLE", "DOUBLE"),
        ("7", "'seven'", "VARCHAR"),
        ("""'{"a": 1}'::JSON""", "'no JSON'", "VARCHAR"),
    ],
)
def test_no_value_is_changed_by_a_type(
    thorough_place: SharedPlace, tmp_path: Path, others: str, ours: str, kind: str
) -> None:
    """The type is that in which every value of both sides stays what it is."""
    place = thorough_place
    one, two = small_copy(tmp_path / "a.duckdb", "a"), small_copy(tmp_path / "b.duckdb", "b")
    publish(place, change(one, MINE.format(others)))
    publish(place, change(two, MINE.format(ours)), is_compared=True)
    assert differing(place, one) == differing(place, two) == []
    assert asked(place, "SELECT DISTINCT typeof(x) FROM shared.marts.mine") == [(kind,)]
    with duckdb.connect() as plain:
        expected = [
            plain.execute(f"SELECT CAST({value} AS {kind})").fetchall()[0]
            for value in (others, ours)
        ]
    assert asked(place, "SELECT x FROM shared.marts.mine ORDER BY workspace_id") == expected


def test_table_that_comes_meanwhile_is_looked_at(
    thorough_place: SharedPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two homes make a table of one name at once: who comes second takes no type unseen."""
    place, copy = thorough_place, small_copy(tmp_path / "b.duckdb", "b")
    publish(place, small_copy(tmp_path / "a.duckdb", "a"))
    looks: list[object] = []

    def looked(warehouse: SharedWarehouse, *given: Any) -> Any:
        found = fitting(warehouse, *given)
        if not looks:
            warehouse.execute("CREATE TABLE shared.marts.mine (workspace_id VARCHAR, x BOOLEAN)")
            warehouse.execute("INSERT INTO shared.marts.mine VALUES ('a', true)")
        looks.append(found)
        return found

    fitting = publication._fitting
    monkeypatch.setattr(publication, "_fitting", looked)
    publish(place, change(copy, MINE.format("7")))
    assert len(looks) == 2
    assert asked(place, "SELECT x FROM shared.marts.mine ORDER BY workspace_id") == [(1,), (7,)]


def test_no_other_account_may_read_what_is_being_written(
    thorough_place: SharedPlace, tmp_path: Path
) -> None:
    """Not for a moment, unless the setting says so."""
    place, before = thorough_place, os.umask(0o022)
    try:
        publish(place, small_copy(tmp_path / "a.duckdb", "a"))
        with opened(place, is_anew=True) as warehouse:
            publish_into(warehouse, small_copy(tmp_path / "b.duckdb", "b"), run_id="run")
            folder = Path(place.data_path or tmp_path)
            files = [*folder.rglob("*.parquet"), *tmp_path.glob(".all*"), *tmp_path.glob("all*")]
            assert len(files) >= 2
            assert [one.name for one in files if one.stat().st_mode & 0o077] == []
    finally:
        os.umask(before)


@pytest.mark.skipif(not HAS_LAKE, reason="it needs the extensions of a lake")
def test_no_cause_of_an_error_has_a_password(tmp_path: Path) -> None:
    """Tracebacks and Dagster's events show causes with their messages."""
    target = "ducklake:postgres:host=127.0.0.1 port=1 password=geheim-1 sslpassword=geheim-2"
    place = SharedPlace(SecretStr(target), str(tmp_path / "data"), tmp_path / "spill")
    assert "geheim" not in place.name
    with pytest.raises(SharedWarehouseUnavailable) as caught:
        publish(place, small_copy(tmp_path / "a.duckdb", "a"))
    assert "geheim" not in "".join(traceback.format_exception(caught.value))


def test_names_of_strangers_are_names(thorough_place: SharedPlace, tmp_path: Path) -> None:
    """Workspace, app and a model of somebody's own hold quotes and statements: all are data."""
    place = thorough_place
    evil = "'; DROP TABLE raw.apps; --"
    copy = small_copy(tmp_path / "a.duckdb", evil, server="it's")
    model, column = 'marts."it\'s ""mine"" "', '"a ""column"" of; mine"'
    change(
        copy,
        "UPDATE raw.messages SET app_id = 'a''\"; DROP SCHEMA raw; --'",
        f"CREATE TABLE {model} AS SELECT 1 AS {column}",
        f"COMMENT ON TABLE {model} IS 'it''s'",
    )
    for number in range(2):
        publish(place, change(copy, f"UPDATE {model} SET {column} = {number}"))
        assert differing(place, copy) == []
    assert asked(place, "SELECT DISTINCT workspace_id FROM shared.raw.apps") == [(evil,)]


def test_workspace_of_another_server_is_refused(
    thorough_place: SharedPlace, tmp_path: Path
) -> None:
    """A copied Dify has the same ids: neither takes the place of the other, until it is removed."""
    place = thorough_place
    publish(place, small_copy(tmp_path / "a.duckdb", "a"))
    other = small_copy(tmp_path / "b.duckdb", "a", server="https://copy.test")
    with pytest.raises(SharedWarehouseRefused, match=r"https://dify\.test"):
        publish(place, other)
    remove_workspace(place, plan_removal(place, "a"))
    publish(place, other)
    assert differing(place, other) == []


def test_cut_off_publication_is_not_seen(
    thorough_place: SharedPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All tables of a workspace change together or not at all; the next time brings them."""
    place = thorough_place
    copy = small_copy(tmp_path / "a.duckdb", "a")
    publish(place, copy)
    before = asked(
        place, "SELECT name, count(*) FROM shared.raw.apps, shared.raw.messages GROUP BY 1"
    )
    small_copy(copy, "a", version=1)
    monkeypatch.setattr(publication, "_note", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        publish(place, copy)
    monkeypatch.undo()
    assert (
        asked(place, "SELECT name, count(*) FROM shared.raw.apps, shared.raw.messages GROUP BY 1")
        == before
    )
    publish(place, copy)
    assert differing(place, copy) == []


def test_removed_workspace_leaves_the_others(place: SharedPlace, tmp_path: Path) -> None:
    """The plan tells rows by table; another workspace keeps all of its."""
    copies = [small_copy(tmp_path / f"{one}.duckdb", one) for one in "ab"]
    for copy in copies:
        publish(place, copy)
    plan = plan_removal(place, "a")
    assert plan.rows["raw.messages"] == messages_of(0)
    assert remove_workspace(place, plan).rows == plan.rows
    assert differing(place, copies[1]) == []
    assert asked(place, "SELECT DISTINCT workspace_id FROM shared.ops.published_partitions") == [
        ("b",)
    ]
    with pytest.raises(SharedWarehouseRefused, match="no rows of such a workspace"):
        plan_removal(place, "a")


def test_compaction_keeps_every_row(place: SharedPlace, tmp_path: Path) -> None:
    """Many publications leave many small files and snapshots; afterwards there are few."""
    copy = tmp_path / "a.duckdb"
    for version in range(3):
        publish(place, small_copy(copy, "a", version))
    before, after = compact_shared(place, keep_days=0)
    assert differing(place, copy) == []
    if place.is_lake:
        assert after.files < before.files
        assert after.snapshots == 1 < before.snapshots


def test_nothing_published_is_told(thorough_place: SharedPlace, tmp_path: Path) -> None:
    """A home without a copy, and a copy that no run has told the workspace of."""
    place = thorough_place
    with pytest.raises(NothingPublished):
        publish(place, tmp_path / "none.duckdb")
    copy = change(small_copy(tmp_path / "a.duckdb", "a"), "DELETE FROM ops.source")
    with pytest.raises(NothingPublished, match="of which workspace"):
        publish(place, copy)


@pytest.mark.parametrize("where", [one for one in KINDS if one != "postgres"])
def test_place_that_cannot_be_written_is_told(where: str, make_place: Any, tmp_path: Path) -> None:
    """What stands at the address is no database: one sentence, and what to do."""
    place = make_place(where)
    path = place.catalog_file or place.file
    path.write_bytes(b"no database at all" * 1000)
    with pytest.raises(SharedWarehouseUnavailable, match="cannot be used"):
        publish(place, small_copy(tmp_path / "a.duckdb", "a"))
    assert path.read_bytes().startswith(b"no database at all")


def test_held_warehouse_is_waited_for_and_then_told(make_place: Any, tmp_path: Path) -> None:
    """Another writer of the file: after the deadline its process is named."""
    place = replace(make_place("file"), wait_seconds=0.2)
    copy = small_copy(tmp_path / "a.duckdb", "a")
    with opened(place), pytest.raises(SharedWarehouseBusy, match="another process holds it: PID"):
        publish(place, copy)
    publish(place, copy)


def test_reader_of_a_file_blocks_nobody(make_place: Any, tmp_path: Path) -> None:
    """Whoever has the file open reads on what was there when it was opened."""
    place, copy = make_place("file"), tmp_path / "a.duckdb"
    publish(place, small_copy(copy, "a"))
    with duckdb.connect(str(place.file), read_only=True) as reader:
        publish(place, small_copy(copy, "a", version=1))
        assert reader.execute("SELECT DISTINCT name FROM raw.apps").fetchall() == [("App of 0",)]
    assert asked(place, "SELECT DISTINCT name FROM shared.raw.apps") == [("App of 1",)]
    assert [one.name for one in tmp_path.glob(".all*")] == []


@pytest.mark.skipif(not HAS_LAKE, reason="it needs the extensions of a lake")
def test_analyst_reads_an_older_snapshot_with_a_role_that_may_only_read(
    make_place: Any, postgres: Postgres, tmp_path: Path
) -> None:
    """As the manual says it: a role with SELECT alone, the snapshot of a publication by its id, and
    what was there in that version. Nothing can be written.
    """
    place, copy = make_place("postgres"), tmp_path / "a.duckdb"
    first = publish(place, small_copy(copy, "a"))
    publish(place, small_copy(copy, "a", version=1))
    target = place.target.get_secret_value()
    database = target.split("dbname=")[1].split()[0]
    postgres.execute("DROP ROLE IF EXISTS analyst; CREATE ROLE analyst LOGIN")
    postgres.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO analyst", database)
    role = replace(place, target=SecretStr(target.replace("user=owner", "user=analyst")))
    with opened_to_read(role) as warehouse:
        ((snapshot,),) = warehouse.rows(
            "SELECT snapshot_id FROM ducklake_snapshots('shared') WHERE commit_extra_info = ?",
            [first.publication_id],
        )
        asked = f"SELECT DISTINCT query FROM shared.raw.messages AT (VERSION => {snapshot})"
        assert warehouse.rows(asked) == [("asked of 0",)]
        assert warehouse.rows("SELECT DISTINCT query FROM shared.raw.messages") == [("asked of 1",)]
    with pytest.raises(SharedWarehouseUnavailable):
        publish(role, small_copy(copy, "a", version=2))


@pytest.mark.skipif(not (HAS_LAKE and SOAK), reason="only in make soak")
def test_commands_of_the_document_make_a_lake(postgres: Postgres, tmp_path: Path) -> None:
    """Who writes owns the database; analysts read what was there and what came, and write nothing.
    Default privileges alone would leave out the first publication.
    """
    page = (Path(__file__).parents[2] / "docs" / "shared-warehouse.md").read_text("utf-8")
    around = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGUSER": OWNER}
    making, granting = re.findall(r"^createuser [^`]+?(?=^```)", page, re.MULTILINE)

    def run(lines: str) -> None:
        environment = os.environ | around | {"PATH": SEARCHED}
        lines = re.sub(r"createuser --pwprompt \w+", known_role, lines)
        subprocess.run(["sh", "-euc", lines], env=environment, check=True)

    def known_role(line: re.Match[str]) -> str:
        return f"{line[0].replace(' --pwprompt', '')} || true"  # nobody types a password

    def address(role: str) -> str:
        return f"ducklake:postgres:dbname=lake host=127.0.0.1 port={postgres.port} user={role}"

    run(making)
    place = SharedPlace(SecretStr(address("dify_etl")), str(tmp_path / "data"), tmp_path / "spill")
    publish(place, small_copy(tmp_path / "a.duckdb", "a"))
    run(granting)
    publish(place, small_copy(tmp_path / "b.duckdb", "b"))
    analyst = replace(place, target=SecretStr(address("analyst")))
    ((rows,),) = asked(analyst, "SELECT count(*) FROM shared.raw.messages")
    assert rows == 2 * messages_of(0)
    with pytest.raises(SharedWarehouseUnavailable, match="Failed to commit"):
        publish(analyst, small_copy(tmp_path / "c.duckdb", "c"))
