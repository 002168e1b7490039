"""What the README and the changelog say of speed and memory stands in the benchmark's report."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REPORT = (ROOT / "docs" / "benchmark.md").read_text(encoding="utf-8")
README = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def rows_under(title: str) -> dict[str, list[str]]:
    """The cells of the first table under a line that holds `title`, by the first cell of a row."""
    after = REPORT[REPORT.index(title) :]
    table = re.search(r"(?:^\|.*\n)+", after, re.MULTILINE)
    assert table is not None
    lines = (line.strip("| \n").split(" | ") for line in table.group().splitlines())
    return {cells[0]: cells for cells in lines}


def number(text: str) -> float:
    """A figure of the report."""
    return float(text.replace(",", ""))


def test_first_load_is_told_as_measured() -> None:
    """How many times the floor and dlt took, dlt's memory, and what it lost."""
    title = re.search(r"\*\*\S+ conversations, (98,\S+) messages; server: 20 ms; runs", REPORT)
    assert title is not None
    rows = rows_under(title.group())
    ours, floor, dlt = (rows[name] for name in ("dify-etl x8", "floor x8", "dlt x8"))
    times, times_of_dlt = (number(cells[1]) / number(floor[1]) for cells in (ours, dlt))
    memory = number(dlt[6]) / number(ours[6])
    assert (
        f"{title.group(1)} messages at 20 ms per answer took dify-etl {times:.1f} "
        f"times as long as the bare requests, and dlt {times_of_dlt:.1f} times, with "
        f"{memory:.0f} times the memory and {dlt[7]} lost."
    ) in README


def test_settled_night_is_told_as_measured() -> None:
    """Requests of a night in which nothing changed."""
    nights = rows_under("## A settled night")
    ours, dlt = nights["dify-etl"][4], nights["dlt, lag of 7 days"][4]
    assert f"A night in which nothing changed took {ours} requests instead of {dlt}." in README


def test_memory_is_told_as_measured() -> None:
    """The peak of a million messages."""
    measured = rows_under("## Memory")
    (peak,) = [cells[1] for messages, cells in measured.items() if messages.count(",") == 2]
    assert f"A million messages took {peak} MB." in README
    assert f"a first load of a million messages took {peak} MB." in CHANGELOG
