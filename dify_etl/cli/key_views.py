"""Keys and rotations as they are shown: the table of keys, and both for machines."""

from typing import Any

from rich.console import Console
from rich.markup import escape

from dify_etl.cli.operating import show_notes
from dify_etl.cli.shown_tables import ShownTable
from dify_etl.operations.keys.inventory import HeldKey, Inventory
from dify_etl.operations.keys.states import Rotation

COLUMNS = (
    "app",
    "key id",
    "begins, ends",
    "standing",
    "consumer",
    "owner",
    "days old",
    "last used",
)
# Of a rotation everything but what keys are known again by.
FINGERPRINTS = {"old_fingerprints", "new_fingerprint", "found_digest", "replaced_fingerprint"}


def rotation_object(rotation: Rotation) -> dict[str, Any]:
    """A rotation for machines: ids, times and what it waits for."""
    told = {"is_over": rotation.is_over, "has_no_way_back": rotation.has_no_way_back}
    return rotation.model_dump(exclude=FINGERPRINTS) | told


def inventory_object(inventory: Inventory) -> dict[str, Any]:
    """The keys for machines, without the keys: `masked_token` is begin and end, as Dify shows."""
    return {
        "keys": [_key_object(held, inventory) for held in inventory.keys],
        "problems": [*inventory.problems],
        "unseen": [*inventory.unseen],
    }


def _key_object(held: HeldKey, inventory: Inventory) -> dict[str, Any]:
    rule = held.target.rule if held.target else None
    return {
        "app_id": held.key.app_id,
        "app_name": held.app_name,
        "api_key_id": held.key.api_key_id,
        "masked_token": held.key.masked_token,
        "standing": held.standing,
        "consumer": rule and rule.consumer,
        "owner": rule and rule.owner,
        "age_days": held.age_days(inventory.at),
        "created_at": held.key.created_at,
        "last_used_at": held.key.last_used_at,
    }


def show_inventory(console: Console, inventory: Inventory) -> None:
    """A line per key, those of nobody known last."""
    show_notes(console, (*inventory.problems, *inventory.unseen))
    table = ShownTable(title=f"{len(inventory.keys)} keys", title_justify="left")
    for heading in COLUMNS:
        table.add_column(heading, overflow="fold", no_wrap=heading == "key id")
    held = sorted(inventory.keys, key=lambda one: (one.standing == "unowned", one.app_name))
    for one in held:
        rule = one.target.rule if one.target else None
        used = one.key.last_used_at
        cells = (
            one.app_name,
            one.key.api_key_id,
            one.key.masked_token,
            one.standing,
            rule.consumer if rule else "",
            (rule.owner or "") if rule else "",
            str(one.age_days(inventory.at)),
            f"{used:%Y-%m-%d %H:%M}" if used else "never",
        )
        table.add_row(*(escape(cell) for cell in cells))
    console.print(table)
