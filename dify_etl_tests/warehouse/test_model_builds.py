"""Models are built anew only when what they read, or their SQL, changed."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dify_etl.raw.tables import raw_table
from dify_etl.sync.ledger import LEDGER
from dify_etl.time_zones import utc_now
from dify_etl.warehouse import model_builds
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.model_builds import build_all
from dify_etl.warehouse.sql_files import sql_files
from dify_etl.warehouse.tables import frame
from dify_etl.warehouse.upsert import mark_absent, upsert

APPS = raw_table("apps")
FILES = {
    "staging/stg_apps": "-- One row per app.\n-- app_id: Id.\nselect app_id from raw.apps",
    "staging/stg_members": "-- One row per member.\n-- n: Members.\n"
    "select count(*) as n from raw.members",
    "marts/apps_by_state": "-- One row per state.\n-- state: State.\n-- n: Apps.\n"
    "with counted as (select s.state, count(a.app_id) as n from ops.slices s\n"
    "left join staging.stg_apps a using (app_id) group by s.state)\n"
    "select * from counted",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, sql in FILES.items():
        path = tmp_path / "sql" / f"{name}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(sql)
    return tmp_path / "sql"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(tmp_path / "live.duckdb") as database:
        database.ensure(APPS, raw_table("members"), *LEDGER)
        yield database


def build(database: Database, folder: Path, run_id: str) -> set[str]:
    """Build all; answers the names of those that were built anew."""
    assert [error for _, error in build_all(database, sql_files(folder), run_id=run_id)] == [
        None
    ] * 3
    rows = database.rows("SELECT model FROM ops.models WHERE run_id = ?", [run_id])
    return {name for (name,) in rows}


def load(database: Database, name: str = "chat") -> None:
    row = {"app_id": "a", "name": name, "mode": "chat"}
    with database.transaction():
        upsert(database, APPS, frame(APPS, [row], [*row]), now=utc_now())


def close(database: Database, state: str, run_id: str) -> None:
    database.execute("DELETE FROM ops.slices")
    database.execute(
        "INSERT INTO ops.slices (feed, app_id, state, run_id) VALUES ('apps', 'a', ?, ?)",
        [state, run_id],
    )


def roll_back_a_write(database: Database) -> None:
    with suppress(KeyError), database.transaction():
        database.execute("UPDATE raw.apps SET name = 'other'")
        raise KeyError


def test_only_what_changed_is_built_anew(database: Database, folder: Path) -> None:
    """Rows, absence, SQL and the columns of the ledger that a query names count; a row that came
    as it was, and a ledger row of another run, do not. A view follows its SQL alone.
    """
    load(database)
    close(database, "proven", "1")
    assert len(build(database, folder, "first")) == 3
    load(database)
    close(database, "proven", "2")
    assert build(database, folder, "nothing new") == set()
    load(database, name="renamed")
    assert build(database, folder, "a row") == {"marts.apps_by_state"}
    close(database, "failed", "2")
    assert build(database, folder, "a state") == {"marts.apps_by_state"}
    assert database.rows("SELECT * FROM marts.apps_by_state") == [("failed", 1)]
    with database.transaction():
        gone = frame(APPS, [], ["app_id"])
        mark_absent(database, APPS, scope="true", present=gone, now=utc_now())
    assert build(database, folder, "absence") == {"marts.apps_by_state"}
    path = folder / "staging" / "stg_apps.sql"
    path.write_text(path.read_text() + " where mode = 'workflow'")
    assert build(database, folder, "SQL") == {"staging.stg_apps", "marts.apps_by_state"}
    assert database.rows("SELECT * FROM marts.apps_by_state") == [("failed", 0)]


def test_star_takes_all_columns_of_the_ledger(database: Database, folder: Path) -> None:
    """What a query does not name counts where a star stands for it."""
    mart = folder / "marts" / "apps_by_state.sql"
    star = "(select * from ops.slices)"
    mart.write_text(FILES["marts/apps_by_state"].replace("ops.slices", star))
    close(database, "proven", "1")
    build(database, folder, "first")
    close(database, "proven", "2")
    assert build(database, folder, "another run") == {"marts.apps_by_state"}


def test_table_as_one_value_takes_all_its_columns(database: Database, folder: Path) -> None:
    """`select s from t s` names no column and shows all."""
    mart = folder / "marts" / "apps_by_state.sql"
    mart.write_text(
        "-- One row per slice.\n-- slice: All of it.\nselect s as slice from ops.slices as s"
    )
    close(database, "proven", "1")
    build(database, folder, "first")
    close(database, "proven", "2")
    assert build(database, folder, "another run") == {"marts.apps_by_state"}


def test_column_of_the_same_name_elsewhere_does_not_count(database: Database, folder: Path) -> None:
    """The part that reads the ledger does not name its run_id; another part of the query does."""
    mart = folder / "marts" / "apps_by_state.sql"
    mart.write_text(
        "-- One row per state.\n-- n: Rows.\nwith states as (select state from ops.slices),\n"
        "runs as (select app_id as run_id from raw.apps)\n"
        "select count(*) as n from states cross join runs where run_id is not null"
    )
    close(database, "proven", "1")
    build(database, folder, "first")
    close(database, "proven", "2")
    assert build(database, folder, "another run") == set()
    close(database, "failed", "2")
    assert build(database, folder, "another state") == {"marts.apps_by_state"}


def test_capital_letters_are_the_same_names(database: Database, folder: Path) -> None:
    """Many write SQL so: what such a query reads is known all the same."""
    (folder / "staging" / "stg_members.sql").write_text(
        "-- One row per state.\n-- state: State.\n-- n: Apps.\n"
        "SELECT S.STATE, COUNT(*) AS N FROM OPS.SLICES AS S JOIN Marts.Apps_By_State AS M\n"
        "ON M.STATE = S.STATE WHERE S.FEED = 'apps' GROUP BY S.STATE"
    )
    load(database)
    close(database, "proven", "1")
    assert "staging.stg_members" in build(database, folder, "1")
    assert not build(database, folder, "2")
    close(database, "broken", "2")
    assert "staging.stg_members" in build(database, folder, "3")
    assert database.rows("FROM staging.stg_members") == [("broken", 1)]


def test_change_that_was_rolled_back_is_none(database: Database, folder: Path) -> None:
    """What is not committed makes no model stale, and the next write is noted all the same."""
    load(database)
    build(database, folder, "first")
    roll_back_a_write(database)
    assert build(database, folder, "rolled back") == set()
    roll_back_a_write(database)
    load(database, name="renamed")
    assert build(database, folder, "after it") == {"marts.apps_by_state"}


def test_view_follows_the_comment_that_it_takes(database: Database, folder: Path) -> None:
    """A raw column that is described otherwise is so in the staging view that passes it on."""
    view = folder / "staging" / "stg_apps.sql"
    view.write_text("-- One row per app.\nselect app_id from raw.apps")
    build(database, folder, "first")
    database.execute("COMMENT ON COLUMN raw.apps.app_id IS 'which app'")
    assert "staging.stg_apps" in build(database, folder, "a comment")
    comment = "SELECT comment FROM duckdb_columns() WHERE table_name = 'stg_apps'"
    assert database.value(comment) == "Which app."


def test_table_that_was_dropped_is_built_anew(database: Database, folder: Path) -> None:
    """Whoever drops a mart gets it back."""
    build(database, folder, "first")
    database.execute("DROP TABLE marts.apps_by_state")
    assert build(database, folder, "dropped") == {"marts.apps_by_state"}


def test_what_reads_a_broken_model_is_built_until_it_is_good(
    database: Database, folder: Path
) -> None:
    """Its rows may change without a sign while what it reads fails."""
    mart = folder / "marts" / "more.sql"
    mart.write_text("-- One row.\n-- n: Rows.\nselect count(*) as n from marts.apps_by_state")
    broken = folder / "marts" / "apps_by_state.sql"
    good = broken.read_text()
    close(database, "proven", "1")
    list(build_all(database, sql_files(folder), run_id="first"))
    broken.write_text(good.replace("count(a.app_id)", "error('no')::bigint"))
    for run_id in ("second", "third"):
        ended = [
            error is None for _, error in build_all(database, sql_files(folder), run_id=run_id)
        ]
        assert ended.count(False) == 1
        told = database.value("SELECT run_id FROM ops.models WHERE model = 'marts.more'")
        assert told == run_id


def build_marts(database: Database, folder: Path, query: str) -> list[str | None]:
    (folder / "marts" / "apps_by_state.sql").write_text(f"-- One row.\n-- n: N.\n{query}")
    ended = build_all(database, sql_files(folder), run_id="1")
    return [error.what if error else None for _, error in ended]


def test_builds_take_a_part_of_a_larger_machine(database: Database, folder: Path) -> None:
    """Dify may live on the same machine, and other homes are built beside this one."""
    database.execute("SET memory_limit = '160MB'")  # of the sync before it
    memory = "select current_setting('memory_limit') as n"
    ours = """SELECT CASE WHEN parse_formatted_bytes(current_setting('memory_limit')) < 1600000000
        THEN current_setting('memory_limit') ELSE format_bytes(1600000000) END"""
    database.execute("RESET GLOBAL memory_limit")
    wanted = database.value(ours)
    database.execute("SET memory_limit = '160MB'")
    assert build_marts(database, folder, memory) == [None] * 3
    assert database.value("SELECT n FROM marts.apps_by_state") == wanted


def test_what_takes_more_is_built_with_what_the_machine_has(
    database: Database,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A list is held whole: nothing of it spills."""
    monkeypatch.setattr(model_builds, "MEMORY", "60MB")
    long = "select len(list(i)) as n from range(6_000_000) as t(i)"
    assert build_marts(database, folder, long) == [None] * 3
    assert database.value("SELECT n FROM marts.apps_by_state") == 6_000_000
    assert "marts.apps_by_state takes more than 60MB" in caplog.text
    bound = database.value("SELECT current_setting('memory_limit')")
    database.bound_memory("60MB")
    assert database.value("SELECT current_setting('memory_limit')") == bound
    monkeypatch.setattr(Database, "free_memory", lambda _: None)
    errors = build_marts(database, folder, f"{long} where i > 0")
    assert ["memory" in error.lower() for error in errors if error] == [True]
