"""What a home has forgotten is gone from the shared warehouse: files, snapshots, free blocks and
what a catalog keeps of values.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from dify_etl.shared_warehouse import engines, publication
from dify_etl.shared_warehouse.comparing import compare_shared
from dify_etl.shared_warehouse.engines import opened
from dify_etl.shared_warehouse.lake_files import METADATA
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.shared_warehouse.publication import publish_shared
from dify_etl_tests.shared_warehouse.conftest import HAS_LAKE, KINDS, SOAK, MakePlace
from dify_etl_tests.shared_warehouse.small_copies import change, small_copy

MARK = "zz-canary-of-hers"  # the largest of all texts: least and largest values are kept


@pytest.fixture
def uncompressed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files in which a byte search finds every text."""
    connected = engines._connected

    @contextmanager
    def plain(place: SharedPlace) -> Iterator[duckdb.DuckDBPyConnection]:
        with connected(place) as connection:
            connection.execute("SET force_compression = 'uncompressed'")
            yield connection

    monkeypatch.setattr(engines, "_connected", plain)


def held(place: SharedPlace, folder: Path) -> set[str]:
    """In what kinds of files, or tables of the catalog, the text still is."""
    files = [path for path in folder.rglob("*") if path.is_file() and "copy" not in path.name]
    found = {path.suffix for path in files if MARK.encode() in path.read_bytes()}
    if place.catalog == "postgres" and place.is_lake:
        with opened(place) as warehouse:
            tables = warehouse.rows(
                f"SELECT table_name FROM duckdb_tables() WHERE database_name = '{METADATA}'"
            )
            for (table,) in tables:
                of_text = f"contains(t::VARCHAR, '{MARK}')"
                if warehouse.value(f"SELECT count(*) FROM {METADATA}.{table} t WHERE {of_text}"):
                    found.add(table)
    return found


@pytest.mark.parametrize(
    ("kind", "is_purged"),
    # A small file uses its free blocks again at once: without the purge it is clean by chance.
    [(kind, is_purged) for kind in KINDS for is_purged in (True, *([False] if HAS_LAKE else []))],
)
@pytest.mark.usefixtures("uncompressed")
def test_forgotten_text_is_in_no_byte(
    kind: str, is_purged: bool, make_place: MakePlace, tmp_path: Path
) -> None:
    """One row of a month and app that keeps others; another workspace is as it was; and a file of
    a writer that was killed amid its work goes, too.
    """
    place = make_place(kind)
    if place.is_lake:
        with opened(place) as warehouse:
            warehouse.execute("CALL shared.set_option('parquet_compression', 'uncompressed')")
    copy, other = (small_copy(tmp_path / f"copy-{one}.duckdb", one) for one in "ab")
    publish_shared(place, other, run_id="run")
    of_hers = "message_id = '0-1-2'"
    publish_shared(
        place,
        change(copy, f"UPDATE raw.messages SET query = '{MARK}' WHERE {of_hers}"),
        run_id="run",
    )
    assert held(place, tmp_path)
    left = tmp_path / "data-0/raw/messages/workspace_id=a/year=2026/ducklake-left.parquet"
    if place.is_lake:
        left.parent.mkdir(parents=True, exist_ok=True)
        left.write_bytes(MARK.encode())
    change(copy, f"UPDATE raw.messages SET query = '(dropped)' WHERE {of_hers}")
    publish_shared(place, copy, run_id="run", is_purged=is_purged)
    assert bool(held(place, tmp_path)) != is_purged
    for one in (copy, other):
        assert [table for table in compare_shared(place, one) if not table.is_equal] == []


@pytest.mark.skipif(not HAS_LAKE, reason="it needs the extensions of a lake")
@pytest.mark.parametrize("step", ["delete_left_files", "write_catalog_anew"])
@pytest.mark.usefixtures("uncompressed")
def test_each_step_is_needed(
    step: str, make_place: MakePlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one of them the test above is red."""
    monkeypatch.setattr(publication, step, lambda *_: None)
    with pytest.raises(AssertionError):
        test_forgotten_text_is_in_no_byte("duckdb", True, make_place, tmp_path)


@pytest.mark.parametrize("kind", KINDS if SOAK or not HAS_LAKE else ("sqlite",))
def test_purge_hides_no_row(kind: str, make_place: MakePlace, tmp_path: Path) -> None:
    """After one workspace was purged and another one published, rows of both are found by their
    texts, and are replaced: bounds of a column that lack a value let DuckDB pass it over.
    """
    place = make_place(kind)
    names = ("a", "b", "c")
    copies = [small_copy(tmp_path / f"copy-{one}.duckdb", one) for one in names]
    for copy in (copies[1], copies[0], copies[2]):
        publish_shared(place, copy, run_id="run", is_purged=copy is copies[0])
    counted = "SELECT count(*) FROM shared.raw.messages WHERE workspace_id = ?"
    for name, copy in zip(names, copies, strict=True):
        with opened(place) as warehouse:
            rows = warehouse.value(counted, [name])
        assert rows == 24
        publish_shared(
            place, change(copy, f"UPDATE raw.messages SET query = '{name}'"), run_id="run"
        )
        with opened(place) as warehouse:
            of_text = "SELECT count(*) FROM shared.raw.messages WHERE query = ?"
            assert [warehouse.value(one, [name]) for one in (counted, of_text)] == [24, 24]
        assert [one.table for one in compare_shared(place, copy) if not one.is_equal] == []
