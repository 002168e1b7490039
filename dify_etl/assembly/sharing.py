"""What an operator does with the shared warehouse: publish now, compare, compact, remove."""

import uuid
from pathlib import Path

from dify_etl.assembly.connection import copy_place, home_of, shared_place
from dify_etl.assembly.shared_publication import bring_to_shared
from dify_etl.home import Home, user_name
from dify_etl.operations.audit import AuditEntry, AuditFile, Outcome
from dify_etl.operations.errors import PlanStale
from dify_etl.settings import Settings, SettingWrong
from dify_etl.shared_warehouse.comparing import TableComparison, compare_shared
from dify_etl.shared_warehouse.engines import Figures, figures, opened_to_read
from dify_etl.shared_warehouse.errors import SharedWarehouseRefused
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.shared_warehouse.publication import Publication
from dify_etl.shared_warehouse.upkeep import (
    Removal,
    compact_shared,
    finish_removal,
    plan_removal,
    remove_workspace,
    upgrade_shared,
)
from dify_etl.sync.lock import home_lock
from dify_etl.time_zones import utc_now

LOCK_WAIT_SECONDS = 60.0
REMOVE = "warehouse.remove"


def named_place(settings: Settings) -> SharedPlace:
    """The shared warehouse of the settings. SettingWrong when they name none."""
    place = shared_place(settings)
    if place is not None:
        return place
    if settings.is_simulated:
        raise SettingWrong(
            "the simulated Dify shares no warehouse: a demo stays in its home",
            where="--simulated, or DIFY_ETL_SIMULATED",
            hint="Leave it out.",
        )
    raise SettingWrong(
        "DIFY_ETL_WAREHOUSE is not set, so there is no shared warehouse",
        where="environment and .env",
        hint="Set it to a DuckDB file, as /srv/all.duckdb, or to a lake: `dify-etl docs "
        "shared-warehouse`.",
    )


def publish_now(settings: Settings, *, takes_over: bool = False) -> Publication:
    """Bring the home's published copy into the shared warehouse; with `takes_over` also where
    another home published the workspace so far. AnotherSync, NothingPublished,
    SharedWarehouseError.
    """
    place, copy = named_place(settings), _copy(settings)
    home = home_of(settings)
    with home_lock(home, wait_seconds=LOCK_WAIT_SECONDS):
        return bring_to_shared(
            home,
            place,
            copy,
            run_id=str(uuid.uuid4()),
            is_compared=True,
            takes_over=takes_over,
        )


def opened_shared(settings: Settings) -> str:
    """Open it as analysts do; what it is, in words. SharedWarehouseError when that cannot be."""
    place = named_place(settings)
    if not place.is_lake and not place.file.exists():
        return f"{place.name}, not made yet; the first publication makes it"
    with opened_to_read(place) as warehouse:
        held = figures(warehouse)
    return f"{place.name}, {held.files} files, {held.bytes / (1 << 20):.1f} MiB"


def compare_now(settings: Settings) -> list[TableComparison]:
    """The published copy beside what the shared warehouse has of it, table by table."""
    return compare_shared(named_place(settings), _copy(settings))


def compact_now(settings: Settings, *, keep_days: int) -> tuple[Figures, Figures]:
    """Make the shared warehouse small; how large it was and is."""
    return compact_shared(named_place(settings), keep_days=keep_days)


def upgrade_now(settings: Settings) -> str | None:
    """The version of DuckLake that a lake's catalog has now; None: it is no lake."""
    return upgrade_shared(named_place(settings))


def planned_removal(settings: Settings, workspace_id: str) -> Removal:
    """What taking a workspace out of the shared warehouse would delete."""
    return plan_removal(named_place(settings), workspace_id)


def remove_now(settings: Settings, workspace_id: str, *, agreed_id: str) -> Removal:
    """Take a workspace out of the shared warehouse, as the plan of that id says; the audit of this
    home tells it. PlanStale when it is not what would be done now. A removal that was cut off when
    its rows were deleted is finished, with none.
    """
    place = named_place(settings)
    trail = AuditFile(Home(home_of(settings)).audit)
    try:
        plan = plan_removal(place, workspace_id)
    except SharedWarehouseRefused:
        if (begun := _left(trail, workspace_id, agreed_id)) is None:
            raise
        finish_removal(place)
        trail.record(begun.model_copy(update={"outcome": "done", "at": utc_now()}))
        return Removal(workspace_id, {})
    if plan.plan_id != agreed_id:
        raise PlanStale(
            f"the plan agreed to is {agreed_id}, but what would be done now is {plan.plan_id}: "
            f"{sum(plan.rows.values())} rows in {len(plan.rows)} tables",
            where=REMOVE,
            hint=f"Nothing was changed. If the plan of now is right, apply {plan.plan_id}.",
        )
    trail.record(_entry(plan, "begun"))
    done = remove_workspace(place, plan)
    trail.record(_entry(plan, "done"))
    return done


def _left(trail: AuditFile, workspace_id: str, plan_id: str) -> AuditEntry | None:
    """The entry of a removal that begun and was not done."""
    of_plan = [
        one
        for one in trail.entries()
        if (one.operation, one.target_id, one.plan_id) == (REMOVE, workspace_id, plan_id)
    ]
    return of_plan[-1] if of_plan and of_plan[-1].outcome == "begun" else None


def _copy(settings: Settings) -> Path:
    return copy_place(settings).path


def _entry(plan: Removal, outcome: Outcome) -> AuditEntry:
    return AuditEntry(
        plan_id=plan.plan_id,
        step=1,
        operation=REMOVE,
        target_kind="workspace",
        target_id=plan.workspace_id,
        target_name=plan.workspace_id,
        actor=user_name(),
        before=None,
        after=None,
        outcome=outcome,
        at=utc_now(),
    )
