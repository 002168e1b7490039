"""Whether the shared warehouse holds what a home has published: rows and digests of each table."""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from dify_etl.shared_warehouse.column_types import columns_to_change
from dify_etl.shared_warehouse.copied_tables import (
    CopiedTable,
    compared_rows,
    shared_columns,
    spelled_as_held,
    tables_of_copy,
)
from dify_etl.shared_warehouse.engines import SharedWarehouse, attach_copy, opened_to_read
from dify_etl.shared_warehouse.lake_files import require_files
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.shared_warehouse.publication import (
    published_tables,
    require_copy,
    workspace_of_copy,
)
from dify_etl.warehouse.published_copy import identifier


@dataclass(frozen=True)
class TableComparison:
    """A table on both sides: its rows in the home and of the workspace in the shared warehouse
    (None: there is no such table), and whether every value of every row is equal.
    """

    table: str
    home_rows: int | None
    shared_rows: int | None
    is_equal: bool


def compare_shared(place: SharedPlace, copy: Path) -> list[TableComparison]:
    """Every table of the published copy beside the workspace's rows in the shared warehouse, and
    every other table in which the workspace has rows there.

    SharedWarehouseBusy, SharedWarehouseUnavailable, SharedFilesLost, NothingPublished.
    """
    require_copy(copy)
    with opened_to_read(place) as warehouse:
        attach_copy(warehouse, copy)
        workspace_id = workspace_of_copy(warehouse, copy).workspace_id
        try:
            require_files(warehouse, workspace_id)
            held = shared_columns(warehouse)
            tables = {
                one.qualified: one for one in spelled_as_held(tables_of_copy(warehouse), held)
            }
            found = [
                _compared(warehouse, workspace_id, one, held.get(name))
                for name, one in tables.items()
            ]
            others = sorted(published_tables(warehouse, workspace_id) - {*tables})
            return found + [
                TableComparison(name, None, rows, False)
                for name in others
                if (rows := _rows_of(warehouse, workspace_id, name))
            ]
        except duckdb.Error as error:
            raise warehouse.clear(error) from None


def _compared(
    warehouse: SharedWarehouse,
    workspace_id: str,
    table: CopiedTable,
    held: dict[str, str] | None,
) -> TableComparison:
    # Where a column's type is another one, so that values would be lost, no digest can be taken.
    if (
        held is None
        or {*table.columns} - {*held}
        or columns_to_change(warehouse, workspace_id, table, held)
    ):
        rows = warehouse.value(f"SELECT count(*) FROM home.{table.sql}")
        there = None if held is None else _rows_of(warehouse, workspace_id, table.qualified)
        return TableComparison(table.qualified, rows, there, is_equal=False)
    return TableComparison(table.qualified, *compared_rows(warehouse, workspace_id, table, held))


def _rows_of(warehouse: SharedWarehouse, workspace_id: str, name: str) -> int:
    schema, _, bare = name.partition(".")
    source = f"shared.{identifier(schema)}.{identifier(bare)}"
    counted = f"SELECT count(*) FROM {source} WHERE workspace_id = ?"
    return int(warehouse.value(counted, [workspace_id]))
