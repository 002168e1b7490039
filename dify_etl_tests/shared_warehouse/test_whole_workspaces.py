"""Three workspaces in a file, in a lake by one process, in a lake by several at once: equal."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dify_etl.shared_warehouse.comparing import compare_shared
from dify_etl.shared_warehouse.copied_tables import VIEWS
from dify_etl.shared_warehouse.engines import opened_to_read
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.shared_warehouse.publication import publish_shared
from dify_etl_tests.shared_warehouse.conftest import SOAK, MakePlace

Rows = list[tuple[Any, ...]]
PUBLISH = """
import sys; from pathlib import Path; from pydantic import SecretStr
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.shared_warehouse.publication import publish_shared
target, data, spill, copy = sys.argv[1:]
publish_shared(SharedPlace(SecretStr(target), data, Path(spill)), Path(copy), run_id="run")
"""


def cells(copy: Path) -> dict[str, Rows]:
    """Every cell of what is published of a copy, as text, with the workspace before it."""
    views = ", ".join(f"'{one}'" for one in VIEWS)
    with duckdb.connect(str(copy), read_only=True) as connection:
        ((workspace,),) = connection.execute("SELECT workspace_id FROM ops.source").fetchall()
        names = connection.execute(
            f"""SELECT schema_name, table_name FROM duckdb_tables() UNION ALL
            SELECT schema_name, view_name FROM duckdb_views()
            WHERE NOT internal AND view_name IN ({views}) ORDER BY ALL"""
        ).fetchall()
        return {
            f"{schema}.{table}": connection.execute(
                "SELECT ?, columns(lambda c: c <> 'workspace_id')::VARCHAR "
                f"FROM {schema}.{table} ORDER BY ALL",
                [workspace],
            ).fetchall()
            for schema, table in names
        }


def publish_at_once(place: SharedPlace, copies: Sequence[Path]) -> None:
    """Publish each in a process of its own."""
    where = (place.target.get_secret_value(), str(place.data_path), str(place.spill))
    processes = [
        subprocess.Popen([sys.executable, "-c", PUBLISH, *where, str(copy)]) for copy in copies
    ]
    assert [one.wait(timeout=300) for one in processes] == [0] * len(copies)


@pytest.mark.parametrize(
    ("kind", "is_at_once"),
    [("file", False), ("postgres", True), *([("postgres", False)] if SOAK else [])],
    ids=lambda value: {True: "at once", False: "one process"}.get(value, str(value)),
)
def test_every_cell_is_there(
    kind: str, is_at_once: bool, make_place: MakePlace, copies: Sequence[Path]
) -> None:
    """Every table holds the rows of all, and each row its workspace before all other columns."""
    place = make_place(kind)
    if is_at_once:
        publish_at_once(place, copies)
    for copy in () if is_at_once else copies:
        publish_shared(place, copy, run_id="run")
    wanted: dict[str, Rows] = {}
    for copy in copies:
        for table, rows in cells(copy).items():
            wanted.setdefault(table, []).extend(rows)
    assert len(wanted) > 70
    with opened_to_read(place) as warehouse:
        found = {
            table: warehouse.rows(f"SELECT columns(*)::VARCHAR FROM shared.{table} ORDER BY ALL")
            for table in wanted
        }
        assert warehouse.value("SELECT count(*) FROM shared.staging.stg_workspaces") == 3
    assert {
        table
        for table, rows in wanted.items()
        if sorted(rows, key=str) != sorted(found[table], key=str)
    } == set()
    assert sum(map(len, found.values())) > 3000
    compared = compare_shared(place, copies[0]) if SOAK else []
    assert [one.table for one in compared if not one.is_equal] == []
