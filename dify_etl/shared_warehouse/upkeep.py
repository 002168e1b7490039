"""Keep the shared warehouse small, and take one workspace out of it."""

import hashlib
from dataclasses import dataclass

import duckdb

from dify_etl.shared_warehouse.copied_tables import shared_columns
from dify_etl.shared_warehouse.engines import (
    Figures,
    SharedWarehouse,
    compact,
    figures,
    opened,
    opened_to_read,
    purge,
    upgrade_catalog,
    write_catalog_anew,
)
from dify_etl.shared_warehouse.errors import SharedWarehouseRefused
from dify_etl.shared_warehouse.lake_files import lake_files
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.shared_warehouse.publication import (
    OWN_TABLES,
    let_go_of_lost,
    published_tables,
)
from dify_etl.shared_warehouse.upkeep_lock import upkeep_lock
from dify_etl.warehouse.published_copy import identifier


@dataclass(frozen=True)
class Removal:
    """What taking a workspace out would delete: rows by table. `plan_id` changes with it."""

    workspace_id: str
    rows: dict[str, int]

    @property
    def plan_id(self) -> str:
        """The id under which it is agreed to."""
        content = repr((self.workspace_id, sorted(self.rows.items())))
        return hashlib.sha256(content.encode()).hexdigest()[:12]


def compact_shared(place: SharedPlace, *, keep_days: int) -> tuple[Figures, Figures]:
    """Merge small files, let go of snapshots older than `keep_days` days and of files that nothing
    names any more; a file is written anew. Answers how large it was and is.

    SharedWarehouseBusy, SharedWarehouseUnavailable, SharedFilesLost.
    """
    with opened_to_read(place) as warehouse:
        before = figures(warehouse)
    with upkeep_lock(place), opened(place, is_anew=True) as warehouse:
        compact(warehouse, keep_days=keep_days)
    with opened_to_read(place) as warehouse:
        return before, figures(warehouse)


def plan_removal(place: SharedPlace, workspace_id: str) -> Removal:
    """What would be deleted. SharedWarehouseRefused when it has no such workspace."""
    with opened_to_read(place) as warehouse:
        try:
            return _planned(warehouse, workspace_id)
        except duckdb.Error as error:
            raise warehouse.clear(error) from None


def remove_workspace(place: SharedPlace, plan: Removal) -> Removal:
    """Delete all rows of a workspace, from older snapshots and free blocks too; answers what was
    deleted, which is more than planned when its home published meanwhile.
    """
    with upkeep_lock(place):
        let_go_of_lost(place, plan.workspace_id)
        with opened(place, is_anew=True) as warehouse:
            done = warehouse.transaction(
                lambda: _removed(warehouse, plan.workspace_id),
                message=f"workspace {plan.workspace_id} removed",
            )
            purge(warehouse)
        write_catalog_anew(place)
    return done


def upgrade_shared(place: SharedPlace) -> str | None:
    """Bring a lake's catalog to the version of DuckLake that this DuckDB has: answers which. None:
    a file needs nothing. See `upgrade_catalog`.
    """
    if not place.is_lake:
        return None
    with upkeep_lock(place):
        return upgrade_catalog(place)


def finish_removal(place: SharedPlace) -> None:
    """What a removal does after its rows are deleted: for one that was cut off then."""
    with upkeep_lock(place):
        with opened(place, is_anew=True) as warehouse:
            purge(warehouse)
        write_catalog_anew(place)


def _planned(warehouse: SharedWarehouse, workspace_id: str) -> Removal:
    if rows := _counted(warehouse, workspace_id):
        return Removal(workspace_id, rows)
    held = [str(row[0]) for row in _workspaces(warehouse)]
    raise SharedWarehouseRefused(
        "the shared warehouse has no rows of such a workspace",
        where=warehouse.place.name,
        hint=f"It has these: {', '.join(held)}." if held else "It has none at all.",
    )


def _counted(warehouse: SharedWarehouse, workspace_id: str) -> dict[str, int]:
    """Its rows by table; where files are gone, as the catalog has them."""
    files = lake_files(warehouse, workspace_id)
    lost = {one.table for one in files if one.is_lost}
    rows: dict[str, int] = {}
    for name, source in _sources(warehouse, workspace_id):
        if name in lost:
            counted = sum(one.rows for one in files if one.table == name)
        else:
            counted = warehouse.value(
                f"SELECT count(*) FROM {source} WHERE workspace_id = ?", [workspace_id]
            )
        if counted:
            rows[name] = int(counted)
    return rows


def _removed(warehouse: SharedWarehouse, workspace_id: str) -> Removal:
    rows = _counted(warehouse, workspace_id)
    for name, source in _sources(warehouse, workspace_id):
        if name in rows:
            warehouse.execute(f"DELETE FROM {source} WHERE workspace_id = ?", [workspace_id])
    return Removal(workspace_id, rows)


def _sources(warehouse: SharedWarehouse, workspace_id: str) -> list[tuple[str, str]]:
    own = {one.qualified for one in OWN_TABLES} & {*shared_columns(warehouse)}
    names = sorted(published_tables(warehouse, workspace_id) | own)
    parts = [(name, *name.split(".", 1)) for name in names]
    return [(name, f"shared.{identifier(one)}.{identifier(two)}") for name, one, two in parts]


def _workspaces(warehouse: SharedWarehouse) -> list[tuple[str]]:
    if "ops.source" not in shared_columns(warehouse):
        return []
    return warehouse.rows("SELECT workspace_id FROM shared.ops.source ORDER BY 1")
