"""Values reach the page to the last digit, and texts without what anybody obeys."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from dify_etl.report.columns import by_columns, exact


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Decimal("0.0111575000"), "0.0111575"),
        (Decimal("12345678901234567890.0000000001"), "12345678901234567890.0000000001"),
        (Decimal("100.0000000000"), 100),
        (Decimal("-0.5000000000"), "-0.5"),
        (Decimal("0E-10"), 0),
        (9007199254740993, "9007199254740993"),
        (True, True),
        (float("nan"), None),
        (date(2026, 1, 31), "2026-01-31"),
        (datetime(2026, 1, 31, 9, 30, 1, 5, tzinfo=UTC), "2026-01-31T09:30:01Z"),
        ("a\x1b[2J\u202eb\u2028", "a\\x1b[2J\\u202eb\\u2028"),
        (None, None),
    ],
)
def test_values_are_exact(value: Any, expected: Any) -> None:
    """Decimals are text unless JavaScript holds them as a number."""
    assert exact(value) == expected


def test_columns_say_how_many_rows_there_are() -> None:
    """Texts that come often are told once; the rows behind a LIMIT are counted."""
    rows = [("a", 1, 9), (None, 2, 9), ("a", 3, 9)]
    assert by_columns(["name", "count", "all_rows"], rows) == {
        "rows": 3,
        "all_rows": 9,
        "columns": {"name": {"values": ["a"], "codes": [0, -1, 0]}, "count": [1, 2, 3]},
    }
