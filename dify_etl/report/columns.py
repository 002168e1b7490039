"""Rows of a query as JSON by columns: exact, small, and harmless wherever they are shown."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from math import isfinite
from typing import Any

from dify_etl.control_codes import harmless

ALL_ROWS = "all_rows"  # the column that says how many rows there are without the LIMIT
SAFE_INTEGER = (1 << 53) - 1  # the largest one that a number of JavaScript holds

Column = dict[str, Any] | list[Any]


def by_columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """`{"rows": n, "all_rows": n, "columns": {name: …}}`.

    A column is a list, or `{"values": […], "codes": […]}` where few values come often; -1 is null.
    """
    held = {name: [row[at] for row in rows] for at, name in enumerate(names)}
    counted = held.pop(ALL_ROWS, None)
    return {
        "rows": len(rows),
        ALL_ROWS: counted[0] if counted else len(rows),
        "columns": {name: _coded([exact(one) for one in held[name]]) for name in held},
    }


def exact(value: Any) -> Any:
    """A value of DuckDB as JSON has it: decimals and large numbers as text, to the last digit;
    instants in UTC as 2026-01-31T09:30:00Z; what is no number as null.
    """
    match value:
        case bool() | None:
            return value
        case int():
            return value if abs(value) <= SAFE_INTEGER else str(value)
        case float():
            return value if isfinite(value) else None
        case Decimal():
            return _decimal(value)
        case datetime():
            return f"{value:%Y-%m-%dT%H:%M:%S}Z"
        case date():
            return value.isoformat()
        case _:
            return harmless(str(value))


def _decimal(value: Decimal) -> str | int:
    """Without needless zeros; whole numbers that JavaScript holds as numbers."""
    if value == value.to_integral_value() and abs(value) <= SAFE_INTEGER:
        return int(value)
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _coded(values: list[Any]) -> Column:
    if not any(isinstance(one, str) for one in values):
        return values
    codes: dict[Any, int] = {}
    for one in values:
        if one is not None:
            codes.setdefault(one, len(codes))
    if len(codes) * 2 > len(values):
        return values
    return {
        "values": list(codes),
        "codes": [-1 if one is None else codes[one] for one in values],
    }
