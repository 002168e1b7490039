"""`--json`: what a command answers, for machines, as one JSON document on stdout."""

import json
from datetime import date, datetime
from typing import Annotated, Any

import typer

Json = Annotated[bool, typer.Option("--json", help="A JSON document for machines, no table.")]


def json_text(value: Any) -> str:
    """A JSON document: instants and days as ISO 8601, decimals as text. ASCII alone and no control
    code, so that no terminal obeys it.
    """
    return json.dumps(value, indent=2, default=_plain).replace("\x7f", "\\u007f")


def print_json(value: Any) -> None:
    """Print it."""
    print(json_text(value))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
