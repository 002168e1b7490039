"""The table of keys."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from dify_etl.cli.operating import show_notes
from dify_etl.operations.keys.inventory import Inventory

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


def show_inventory(console: Console, inventory: Inventory) -> None:
    """A line per key, those of nobody known last."""
    show_notes(console, (*inventory.problems, *inventory.unseen))
    table = RichTable(title=f"{len(inventory.keys)} keys", title_justify="left")
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
