"""Exponents of growth, from the reports that benchmarks print."""

import pytest

from benchmark.growth import growths
from benchmark.markdown_table import table


def report(messages: str, seconds: float, marts: float) -> str:
    """What `benchmark.shared` and `benchmark.marts` print of one size."""
    rows = [
        ("file", "at first", f"{seconds:,.1f}", "9.0", "1,000", "6,079,421 rows"),
        ("all models, seconds", f"{marts}", ""),
    ]
    return f"# A report\n\n2,526 conversations, {messages} messages, 3 files.\n\n" + table(
        ("into", "what", "seconds", "CPU seconds", "peak MB", "rows"), rows
    )


def test_exponents() -> None:
    """Ten times the messages take ten times as long, and marts a hundred times; memory stays."""
    found = growths(
        [report("100,400", 2.5, 2), report("1,004,000", 25, 200), report("10,000,000", 2_500, 20e3)]
    )
    seconds = {one.name: one for one in found["seconds"]}
    assert set(seconds) == {"file: at first", "marts: all anew"}
    assert seconds["marts: all anew"].exponent == pytest.approx(2)
    assert seconds["marts: all anew"].error == pytest.approx(0, abs=1e-9)
    assert seconds["file: at first"].exponent == pytest.approx(1.5)
    assert seconds["file: at first"].error == pytest.approx(0.2887, abs=1e-3)
    (memory,) = found["peak MB"]
    assert memory.exponent == pytest.approx(0)


def test_two_sizes_have_no_error() -> None:
    """One line goes through any two points."""
    (one, _) = growths([report("100,000", 2, 3), report("1,000,000", 20, 30)])["seconds"]
    assert one.error is None
    assert one.exponent == pytest.approx(1)


def test_a_text_that_is_no_report() -> None:
    with pytest.raises(ValueError, match="names no messages"):
        growths(["| file | at first | 1 | 1 | 1 | 1 |"])
