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
    write_catalog_anew,
)
from dify_etl.shared_warehouse.errors import SharedWarehouseRefused
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.shared_warehouse.publication import OWN_TABLES, published_tables
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

    SharedWarehouseBusy, SharedWarehouseUnavailable.
    """
    with opened_to_read(place) as warehouse:
        before = figures(warehouse)
    with opened(place, is_anew=True) as warehouse:
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
    with opened(place, is_anew=True) as warehouse:
        done = warehouse.transaction(
            lambda: _removed(warehouse, plan.workspace_id),
            message=f"workspace {plan.workspace_id} removed",
        )
        purge(warehouse)
    write_catalog_anew(place)
    return done


def finish_removal(place: SharedPlace) -> None:
    """What a removal does after its rows are deleted: for one that was cut off then."""
    with opened(place, is_anew=True) as warehouse:
        purge(warehouse)
    write_catalog_anew(place)


def _planned(warehouse: SharedWarehouse, workspace_id: str) -> Removal:
    rows: dict[str, int] = {}
    for name, source in _sources(warehouse, workspace_id):
        counted = warehouse.value(
            f"SELECT count(*) FROM {source} WHERE workspace_id = ?", [workspace_id]
        )
        if counted:
            rows[name] = int(counted)
    if rows:
        return Removal(workspace_id, rows)
    held = [str(row[0]) for row in _workspaces(warehouse)]
    raise SharedWarehouseRefused(
        "the shared warehouse has no rows of such a workspace",
        where=warehouse.place.name,
        hint=f"It has these: {', '.join(held)}." if held else "It has none at all.",
    )


def _removed(warehouse: SharedWarehouse, workspace_id: str) -> Removal:
    plan = _planned(warehouse, workspace_id)
    for name, source in _sources(warehouse, workspace_id):
        if name in plan.rows:
            warehouse.execute(f"DELETE FROM {source} WHERE workspace_id = ?", [workspace_id])
    return plan


def _sources(warehouse: SharedWarehouse, workspace_id: str) -> list[tuple[str, str]]:
    own = {one.qualified for one in OWN_TABLES} & {*shared_columns(warehouse)}
    names = sorted(published_tables(warehouse, workspace_id) | own)
    parts = [(name, *name.split(".", 1)) for name in names]
    return [(name, f"shared.{identifier(one)}.{identifier(two)}") for name, one, two in parts]


def _workspaces(warehouse: SharedWarehouse) -> list[tuple[str]]:
    if "ops.source" not in shared_columns(warehouse):
        return []
    return warehouse.rows("SELECT workspace_id FROM shared.ops.source ORDER BY 1")
