"""Checks on API keys. They look by themselves, so each can be run alone; they change nothing."""

from collections.abc import Callable, Iterator, Mapping

import dagster as dg

from dify_etl.defs.check_help import with_help
from dify_etl.defs.key_runs import NO_POLICY, KeyOperations
from dify_etl.defs.location import Location
from dify_etl.defs.markdown import listed
from dify_etl.defs.resources import clear_failures
from dify_etl.operations.keys.inventory import Inventory
from dify_etl.operations.keys.judging import (
    STUCK_AFTER,
    over_age,
    stuck,
    without_one_current,
    without_owner,
)
from dify_etl.operations.keys.running import KeyRotation

Judge = Callable[[Inventory, KeyRotation], list[str]]

JUDGES: Mapping[str, Judge] = {
    "no_key_over_age": lambda inventory, rotation: over_age(inventory, rotation.policy),
    "no_key_without_owner": lambda inventory, rotation: without_owner(inventory),
    "exactly_one_current_key_per_target": lambda inventory, rotation: without_one_current(
        inventory
    ),
    "no_rotation_stuck": lambda inventory, rotation: _stuck(inventory, rotation),
}


def _stuck(inventory: Inventory, rotation: KeyRotation) -> list[str]:
    """Rotations that do not come further, and targets for which none could begin."""
    return [*stuck(inventory), *rotation.plan_over(inventory).stopped]


def api_key_checks(at: Location) -> list[dg.AssetChecksDefinition]:
    """Two on the inventory, two on what became of rotations; a stuck one fails the run."""
    kept = [
        dg.AssetCheckSpec(
            "no_key_over_age",
            asset=at.key_inventory,
            description=with_help(
                "no_key_over_age",
                "No key of a target is older than the policy allows, give or take a day, "
                "unless it is being replaced.",
            ),
        ),
        dg.AssetCheckSpec(
            "no_key_without_owner",
            asset=at.key_inventory,
            description=with_help(
                "no_key_without_owner",
                "Every key belongs to a target, or the policy says to leave it alone.",
            ),
        ),
    ]
    replaced = [
        dg.AssetCheckSpec(
            "exactly_one_current_key_per_target",
            asset=at.keys_revoked,
            description=with_help(
                "exactly_one_current_key_per_target",
                "Each target has one key that its consumers are meant to use, in Dify.",
            ),
        ),
        dg.AssetCheckSpec(
            "no_rotation_stuck",
            asset=at.keys_revoked,
            blocking=True,
            description=with_help(
                "no_rotation_stuck",
                "No rotation failed, waits for a person, or stands for "
                f"{STUCK_AFTER.days} days beyond its grace period; no target is passed over.",
            ),
        ),
    ]
    return [
        _checks("keys_of_the_policy", kept, at.pool),
        _checks("rotations_come_to_an_end", replaced, at.pool),
    ]


def _checks(
    name: str, specs: list[dg.AssetCheckSpec], pool: str | None
) -> dg.AssetChecksDefinition:
    @dg.multi_asset_check(name=name, specs=specs, can_subset=True, pool=pool)
    def judge(
        context: dg.AssetCheckExecutionContext, key_operations: KeyOperations
    ) -> Iterator[dg.AssetCheckResult]:
        with clear_failures():
            rotation = key_operations.rotation_of_policy()
            if rotation is None:
                for chosen in sorted(context.selected_asset_check_keys):
                    yield dg.AssetCheckResult(
                        passed=True,
                        asset_key=chosen.asset_key,
                        check_name=chosen.name,
                        metadata={"policy": NO_POLICY},
                    )
                return
            inventory = rotation.inventory()
            judged = {
                chosen: JUDGES[chosen.name](inventory, rotation)
                for chosen in context.selected_asset_check_keys
            }
        for chosen, found in sorted(judged.items()):
            yield dg.AssetCheckResult(
                passed=not found,
                asset_key=chosen.asset_key,
                check_name=chosen.name,
                metadata={"found": listed(found)} if found else {},
            )

    return judge
