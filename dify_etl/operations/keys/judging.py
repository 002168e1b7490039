"""What is wrong with the keys of a workspace: each answers the lines that a check shows."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from dify_etl.operations.keys.inventory import Inventory
from dify_etl.operations.keys.policy import Policy
from dify_etl.operations.keys.states import Rotation

# A daily run finds a key up to a day after it came of age.
RUN_EVERY = timedelta(days=1)
STUCK_AFTER = timedelta(days=7)


def over_age(inventory: Inventory, policy: Policy) -> list[str]:
    """Keys of targets that are too old by more than a day, and that no rotation is replacing."""
    replaced = {key for one in inventory.rotations if not one.is_over for key in one.old_key_ids}
    return [
        f"{held.target.name}: key {held.key.api_key_id} is {held.age_days(inventory.at)} days old"
        for held in inventory.keys
        if held.target is not None
        and held.standing in ("current", "old")
        and held.key.api_key_id not in replaced
        and inventory.at - held.key.created_at > policy.max_age(held.target.rule) + RUN_EVERY
    ]


def without_owner(inventory: Inventory) -> list[str]:
    """Keys that belong to no target, and that the policy does not say to leave alone."""
    return [
        f"{held.app_name}: key {held.key.api_key_id} ({held.key.masked_token})"
        for held in inventory.keys
        if held.standing == "unowned"
    ]


def without_one_current(inventory: Inventory) -> list[str]:
    """Targets with no key in Dify, or with several of which none is known to be in use."""
    found: dict[str, list[str]] = {target.target_id: [] for target in inventory.targets}
    for held in inventory.keys:
        if held.standing == "current" and held.target is not None:
            found[held.target.target_id].append(held.key.api_key_id)
    counted = [(target.name, len(found[target.target_id])) for target in inventory.targets]
    wrong = [f"{name}: {number} current keys" for name, number in counted if number != 1]
    return [*wrong, *inventory.problems]


def stuck(inventory: Inventory) -> list[str]:
    """Rotations that wait for a person or stand for a week, and targets whose last one failed."""
    targets = {target.target_id for target in inventory.targets}
    found = stuck_rotations(inventory.rotations, inventory.at)
    return rotation_lines(one for one in found if one.state != "failed" or one.target_id in targets)


def stuck_rotations(rotations: Sequence[Rotation], now: datetime) -> list[Rotation]:
    """The last rotation of a target when it failed, and those that wait or stand for a week.

    A failed one is the last until consumers have the key of the next, which may fail like it. It
    worries nobody when its target is gone.
    """
    of_target: dict[str, list[Rotation]] = {}
    for one in rotations:
        of_target.setdefault(one.target_id, []).append(one)
    failed = [last for own in of_target.values() if (last := _last_failed(own)) is not None]
    return [*failed, *(one for one in rotations if not one.is_over and _waits(one, now))]


def _last_failed(own: Sequence[Rotation]) -> Rotation | None:
    begun = [one for one in own if one.is_over or one.is_promoted]
    is_failed = begun and begun[-1].state == "failed" and not begun[-1].is_target_gone
    return begun[-1] if is_failed else None


def _waits(rotation: Rotation, now: datetime) -> bool:
    return rotation.needs_person or now - rotation.started_at > STUCK_AFTER + rotation.grace


def rotation_lines(rotations: Iterable[Rotation]) -> list[str]:
    """A line per rotation: how far it came, and what it waits for."""
    return [
        f"{one.state} {one.name}{f': {one.message}' if one.message else ''} "
        f"(rotation {one.rotation_id[:12]})"
        for one in rotations
    ]
