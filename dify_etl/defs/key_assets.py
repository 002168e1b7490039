"""Rotation of API keys as assets: inventory -> plan -> rotated -> revoked."""

from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from dify_etl.defs.groups import KEYS
from dify_etl.defs.key_runs import NO_POLICY, KeyOperations, inventory_table
from dify_etl.defs.location import Location
from dify_etl.defs.markdown import listed
from dify_etl.defs.operation_runs import plan_metadata
from dify_etl.defs.resources import clear_failures
from dify_etl.defs.schedules import sleeping_schedule
from dify_etl.operations.keys.judging import rotation_lines
from dify_etl.operations.keys.planning import REVOCATION
from dify_etl.settings import Settings

ROTATE_KEYS = "rotate_api_keys"
KEY_OPERATIONS = "key_operations"
KEY_FEEDS = ("app_api_keys", "dataset_api_keys")  # the keys that it is about, as nights read them


def key_assets(at: Location) -> list[dg.AssetsDefinition]:
    """The four assets, in the order in which they run."""
    return [_inventory(at), _plan(at), _rotated(at), _revoked(at)]


def rotation_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Every day at half past four, once it is turned on."""

    def run_config(token: str) -> Mapping[str, Any]:
        config = {"dry_run": False, "schedule_token": token}
        return {"resources": {KEY_OPERATIONS: {"config": config}}}

    return sleeping_schedule(
        settings,
        ROTATE_KEYS,
        "30 4 * * *",
        run_config,
        description="Off until you turn it on. From then on it creates, hands over and revokes API "
        "keys in Dify every night, by the policy alone: nobody is shown a plan or asked to agree. "
        "Look at `dify-etl keys plan` first.",
    )


def _inventory(at: Location) -> dg.AssetsDefinition:
    @dg.asset(
        key=at.key_inventory,
        pool=at.pool,
        deps=[at.feed(name) for name in KEY_FEEDS],
        group_name=KEYS,
        kinds={"dify"},
        description="All API keys: whose they are, how old, when last used. Changes nothing.",
    )
    def list_keys(key_operations: KeyOperations) -> dg.MaterializeResult[None]:
        with clear_failures():
            inventory = key_operations.look().inventory()
        return dg.MaterializeResult(
            metadata={
                "keys": len(inventory.keys),
                "targets": len(inventory.targets),
                "inventory": inventory_table(inventory),
                "problems": listed(inventory.problems),
                "unseen": listed(inventory.unseen),
            }
        )

    return list_keys


def _plan(at: Location) -> dg.AssetsDefinition:
    @dg.asset(
        key=at.rotation_plan,
        pool=at.pool,
        deps=[at.key_inventory],
        group_name=KEYS,
        kinds={"dify"},
        output_required=False,
        description="What a rotation would do now, with the id that applying needs.",
    )
    def plan_rotation(
        context: dg.AssetExecutionContext, key_operations: KeyOperations
    ) -> Iterator[dg.MaterializeResult[None]]:
        with clear_failures():
            rotation = key_operations.rotation_of_policy()
            if rotation is None:
                context.log.info(NO_POLICY)
                return
            planned = rotation.plan(key_operations.asked)
        yield dg.MaterializeResult(metadata=plan_metadata(planned.plan, planned.held_back))

    return plan_rotation


def _rotated(at: Location) -> dg.AssetsDefinition:
    @dg.asset(
        key=at.keys_rotated,
        pool=at.pool,
        deps=[at.rotation_plan],
        group_name=KEYS,
        kinds={"dify"},
        output_required=False,
        description="New keys made, tried and handed over, as the plan says. A dry run makes none.",
    )
    def rotate_keys(
        context: dg.AssetExecutionContext, key_operations: KeyOperations
    ) -> Iterator[dg.MaterializeResult[None]]:
        with clear_failures():
            rotation = key_operations.rotation_of_policy()
            if rotation is None:
                context.log.info(NO_POLICY)
                return
            planned = rotation.plan(key_operations.asked)
            metadata: dict[str, dg.RawMetadataValue] = {"dry run": key_operations.dry_run}
            metadata |= plan_metadata(planned.plan, planned.held_back)
            if not key_operations.dry_run:
                try:
                    plan = planned.plan
                    agreed = key_operations.agreed_id(context, plan.operation, plan)
                    done = rotation.apply(agreed, key_operations.asked, revokes=False)
                finally:
                    key_operations.fill_ops_tables()
                metadata["rotations"] = listed(rotation_lines(done))
        yield dg.MaterializeResult(metadata=metadata)

    return rotate_keys


def _revoked(at: Location) -> dg.AssetsDefinition:
    @dg.asset(
        key=at.keys_revoked,
        pool=at.pool,
        deps=[at.keys_rotated],
        group_name=KEYS,
        kinds={"dify"},
        output_required=False,
        description="Old keys that nobody uses any more: deleted, and proven dead. Rotations of "
        "the run's plan only; all of them in a run of the schedule. A dry run deletes none.",
    )
    def revoke_keys(
        context: dg.AssetExecutionContext, key_operations: KeyOperations
    ) -> Iterator[dg.MaterializeResult[None]]:
        with clear_failures():
            rotation = key_operations.rotation_of_policy()
            if rotation is None:
                context.log.info(NO_POLICY)
                return
            metadata: dict[str, dg.RawMetadataValue] = {"dry run": key_operations.dry_run}
            if not key_operations.dry_run:
                try:
                    done = rotation.revoke(key_operations.agreed_id(context, REVOCATION))
                finally:
                    key_operations.fill_ops_tables()
                metadata["rotations"] = listed(rotation_lines(done))
            kept = rotation.ledger.rotations()
        metadata["proven"] = sum(one.state == "proven" for one in kept)
        metadata["open"] = listed(rotation_lines(one for one in kept if not one.is_over))
        yield dg.MaterializeResult(metadata=metadata)

    return revoke_keys
