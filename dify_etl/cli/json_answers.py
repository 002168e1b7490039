"""`--json`: what a command lists, for machines, as one JSON document on stdout."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="A JSON document for machines, no table.")]


def print_json(rows: Sequence[dict[str, Any]]) -> None:
    """A list of objects; times and days as ISO 8601. Control codes are escaped, as JSON has it."""
    text = json.dumps(rows, indent=2, default=_iso)
    print(text)


def _iso(value: Any) -> str:
    return str(value.isoformat()) if hasattr(value, "isoformat") else str(value)
