"""What goes on at once in a lake, and what is gone: files that are merged, deleted and lost."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from pydantic import SecretStr

from dify_etl.shared_warehouse import publication
from dify_etl.shared_warehouse.comparing import compare_shared
from dify_etl.shared_warehouse.engines import opened, opened_to_read
from dify_etl.shared_warehouse.errors import (
    SharedCatalogOfAnotherVersion,
    SharedFilesLost,
    SharedWarehouseBusy,
    SharedWarehouseRefused,
)
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.shared_warehouse.publication import publish_shared
from dify_etl.shared_warehouse.upkeep import (
    compact_shared,
    plan_removal,
    remove_workspace,
    upgrade_shared,
)
from dify_etl.shared_warehouse.upkeep_lock import upkeep_lock
from dify_etl_tests.shared_warehouse.conftest import MakePlace
from dify_etl_tests.shared_warehouse.small_copies import change, messages_of, small_copy

FILES = ("raw/messages", "ops/published_partitions")


@pytest.fixture
def lake(make_place: MakePlace) -> SharedPlace:
    """An empty lake with its catalog in a file."""
    return make_place("duckdb")


def files(place: SharedPlace, table: str = "", workspace: str = "") -> list[Path]:
    """The data files of a lake, of a table and a workspace alone."""
    within = f"{table}/workspace_id={workspace}/" if workspace else table
    return sorted(
        one for one in Path(str(place.data_path)).rglob("*.parquet") if within in str(one)
    )


def with_small_files(place: SharedPlace, copy: Path) -> Path:
    """A copy that was published four times: there is something to merge."""
    publish_shared(place, copy, run_id="0")
    for number in range(3):
        change(
            copy,
            f"""INSERT INTO raw.messages SELECT app_id, 'x-{number}-' || message_id, created_at,
            created_date, 'q{number}', NULL, 1 FROM raw.messages WHERE app_id = 'app-0'""",
        )
        publish_shared(place, copy, run_id=str(number + 1))
    return copy


@contextmanager
def amid(
    name: str, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]
) -> Iterator[None]:
    """Something happens once in the midst of a publication: after its function of this name."""
    real: Any = getattr(publication, name)
    begun: list[bool] = []

    def slow(*words: Any, **how: Any) -> Any:
        done = real(*words, **how)
        if not begun:
            begun.append(True)
            happens()
        return done

    with monkeypatch.context() as patched:
        patched.setattr(publication, name, slow)
        yield
    assert begun


def assert_equal(place: SharedPlace, copy: Path) -> None:
    """The lake holds what was published."""
    assert [one.table for one in compare_shared(place, copy) if not one.is_equal] == []


@pytest.mark.parametrize("kind", ["postgres", "duckdb"])
def test_one_looks_after_the_files_at_a_time(kind: str, make_place: MakePlace) -> None:
    """What forgets waits while another compacts, and does nothing when it may not; a publication
    goes on.
    """
    place = make_place(kind)
    copy = small_copy(place.spill.with_name("copy.duckdb"), "a")
    publish_shared(place, copy, run_id="1")
    hasty = SharedPlace(place.target, place.data_path, place.spill, wait_seconds=0.3)
    change(copy, "UPDATE raw.messages SET query = '(forgotten)'")
    with upkeep_lock(place):
        for work in (
            lambda: publish_shared(hasty, copy, run_id="2", is_purged=True),
            lambda: compact_shared(hasty, keep_days=0),
            lambda: remove_workspace(hasty, plan_removal(hasty, "a")),
        ):
            with pytest.raises(SharedWarehouseBusy):
                work()
        with opened_to_read(place) as warehouse:
            asked = "SELECT DISTINCT query FROM shared.raw.messages"
            assert warehouse.rows(asked) == [("asked of 0",)]
        publish_shared(place, copy, run_id="3")
    publish_shared(hasty, copy, run_id="4", is_purged=True)
    assert_equal(place, copy)


def test_publication_goes_on_when_files_are_merged_amid_it(
    make_place: MakePlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compaction of another home deletes the files that this transaction would read."""
    place = make_place("postgres")
    copy = with_small_files(place, small_copy(place.spill.with_name("copy.duckdb"), "a"))
    change(copy, "UPDATE raw.messages SET query = 'new'")
    with amid("_find_differing", monkeypatch, lambda: compact_shared(place, keep_days=0)):
        publish_shared(place, copy, run_id="5")
    assert_equal(place, copy)


@pytest.mark.parametrize("table", FILES)
def test_lost_file_is_noticed_and_written_anew(table: str, lake: SharedPlace) -> None:
    """By a night, the check and the compaction; `warehouse publish` mends it, and touches no row of
    others. Everything is there once then, nothing twice.
    """
    copies = [small_copy(lake.spill.with_name(f"{one}.duckdb"), one) for one in ("a", "b")]
    for copy in copies:
        publish_shared(lake, copy, run_id="1")
        change(copy, "UPDATE raw.messages SET query = 'x' WHERE app_id = 'app-0'")
        publish_shared(lake, copy, run_id="2")
    for lost in files(lake, table, "a")[:1]:
        lost.unlink()
    for work in (
        lambda: publish_shared(lake, copies[0], run_id="3"),
        lambda: publish_shared(lake, copies[0], run_id="3", is_purged=True),
        lambda: compare_shared(lake, copies[0]),
        lambda: compact_shared(lake, keep_days=0),
    ):
        with pytest.raises(SharedFilesLost) as told:
            work()
        assert f"workspace a ({table.replace('/', '.')})" in str(told.value)
    publish_shared(lake, copies[1], run_id="3")
    publish_shared(lake, copies[0], run_id="4", is_compared=True)
    change(copies[0], "UPDATE raw.messages SET query = 'y'")
    publish_shared(lake, copies[0], run_id="5")
    for copy in copies:
        assert_equal(lake, copy)
    compact_shared(lake, keep_days=0)
    with opened_to_read(lake) as warehouse:
        assert warehouse.value("SELECT count(*) FROM shared.raw.messages") == 2 * messages_of(0)


def test_lake_without_any_file_is_written_anew(lake: SharedPlace) -> None:
    """Its catalog is there, its folder was lost."""
    copy = small_copy(lake.spill.with_name("copy.duckdb"), "a")
    publish_shared(lake, copy, run_id="1")
    for lost in files(lake):
        lost.unlink()
    publish_shared(lake, copy, run_id="2", is_compared=True)
    assert_equal(lake, copy)


@pytest.mark.parametrize("table", FILES)
def test_workspace_with_a_lost_file_can_be_taken_out(table: str, lake: SharedPlace) -> None:
    """Though nobody can read what it has; others stay."""
    copies = [small_copy(lake.spill.with_name(f"{one}.duckdb"), one) for one in ("a", "b")]
    for copy in copies:
        publish_shared(lake, copy, run_id="1")
    for lost in files(lake, table, "a")[:1]:
        lost.unlink()
    plan = plan_removal(lake, "a")
    assert plan.rows["raw.messages"] == messages_of(0)
    remove_workspace(lake, plan)
    assert files(lake, "raw/messages", "a") == []
    assert_equal(lake, copies[1])
    with opened_to_read(lake) as warehouse:
        assert warehouse.rows("SELECT DISTINCT workspace_id FROM shared.raw.messages") == [("b",)]


def test_files_of_another_lake_are_left_alone(make_place: MakePlace) -> None:
    """Of two lakes in one folder each would delete what the other one has: the later is refused."""
    one, other = make_place("duckdb"), make_place("duckdb")
    same = SharedPlace(other.target, one.data_path, other.spill)
    copy = small_copy(one.spill.with_name("copy.duckdb"), "a")
    publish_shared(one, copy, run_id="1")
    with pytest.raises(SharedWarehouseRefused) as told:
        publish_shared(same, copy, run_id="1")
    assert "DIFY_ETL_LAKE_PATH" in str(told.value)
    before, old = files(one), time.time() - 3 * 86_400
    for file in before:
        os.utime(file, (old, old))
    with pytest.raises(SharedWarehouseRefused):
        compact_shared(same, keep_days=0)
    assert files(one) == before
    compact_shared(one, keep_days=0)
    assert_equal(one, copy)


def test_lake_of_before_is_marked_when_it_is_next_written(lake: SharedPlace) -> None:
    """By its catalog, whatever the folder says already: nobody has to do anything."""
    copy = small_copy(lake.spill.with_name("copy.duckdb"), "a")
    publish_shared(lake, copy, run_id="1")
    (marker,) = Path(str(lake.data_path)).glob("dify-etl-lake*")
    held = marker.read_text()
    marker.unlink()
    publish_shared(lake, copy, run_id="2")
    assert marker.read_text() == held
    marker.write_text("")  # as a full disk leaves it: whose files these are nobody knows
    with pytest.raises(SharedWarehouseRefused) as told:
        publish_shared(lake, copy, run_id="3")
    assert f"delete {marker} alone" in str(told.value)
    marker.unlink()
    with opened(SharedPlace(SecretStr(lake.target.get_secret_value()), None, lake.spill)):
        pass


def set_version(place: SharedPlace, version: str) -> None:
    """Have the catalog be of another DuckLake; from 0.4 to 1.0 its tables are nearly the same."""
    with duckdb.connect(str(place.catalog_file)) as catalog:
        catalog.execute("UPDATE ducklake_metadata SET value = ? WHERE key = 'version'", [version])


def test_catalog_of_an_older_ducklake_is_upgraded_by_a_command(lake: SharedPlace) -> None:
    """A publication changes nothing, and names the command and what it means for analysts."""
    copy = small_copy(lake.spill.with_name("copy.duckdb"), "a")
    publish_shared(lake, copy, run_id="1")
    ours = upgrade_shared(lake)
    set_version(lake, "0.4")
    for work in (
        lambda: publish_shared(lake, copy, run_id="2"),
        lambda: compare_shared(lake, copy),
    ):
        with pytest.raises(SharedCatalogOfAnotherVersion) as told:
            work()
        assert "dify-etl warehouse upgrade" in told.value.hint
        assert f"need DuckDB {duckdb.__version__}" in told.value.hint
        assert "AUTOMATIC" not in str(told.value)
    assert upgrade_shared(lake) == ours
    publish_shared(lake, copy, run_id="3")
    assert_equal(lake, copy)


def test_catalog_of_a_newer_ducklake_is_left_alone(lake: SharedPlace) -> None:
    """Neither a publication nor the upgrade brings it back; the home has to be upgraded."""
    copy = small_copy(lake.spill.with_name("copy.duckdb"), "a")
    publish_shared(lake, copy, run_id="1")
    set_version(lake, "99.0")
    for work in (lambda: publish_shared(lake, copy, run_id="2"), lambda: upgrade_shared(lake)):
        with pytest.raises(SharedCatalogOfAnotherVersion) as told:
            work()
        assert "upgrade dify-etl here" in told.value.hint
