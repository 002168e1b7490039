"""How seconds and memory grow with the messages of a home: a plot and its exponents, from reports
of `benchmark.shared` and `benchmark.marts` of several sizes:
`python -m benchmark.growth growth.svg REPORT...`, by the Python of `.venv-bench`.

A quantity that grows as the messages to the power of b is a line of slope b in the plot. The error
of b is the standard error of the least squares through the logarithms; two sizes have none.
"""

from __future__ import annotations

import math
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression, mean

from benchmark.markdown_table import table

SECONDS, MEGABYTES = "seconds", "peak MB"
_MESSAGES = re.compile(r"([\d,]+) messages\b")
# Rows of the report of marts, and what they are in the plot.
_MARTS = {
    "all models, seconds": "marts: all anew",
    "all models after a night of 1 %, the newest": "marts: newest 1 %",
}
_LEAST_SECONDS = 1.0  # below it the start of a process is what was measured

Points = Mapping[int, float]


@dataclass(frozen=True)
class Growth:
    """One quantity over sizes, and the power of the size that it grows with."""

    name: str
    points: Points

    @property
    def exponent(self) -> float:
        """The slope through the logarithms."""
        return linear_regression(*self._logarithms).slope

    @property
    def error(self) -> float | None:
        """The standard error of the exponent."""
        xs, ys = self._logarithms
        if len(xs) < 3:
            return None
        slope, intercept = linear_regression(xs, ys)
        rest = sum((y - slope * x - intercept) ** 2 for x, y in zip(xs, ys, strict=True))
        return math.sqrt(rest / (len(xs) - 2) / sum((x - mean(xs)) ** 2 for x in xs))

    @property
    def _logarithms(self) -> tuple[list[float], list[float]]:
        sizes = sorted(self.points)
        return [math.log(size) for size in sizes], [math.log(self.points[one]) for one in sizes]


def main() -> None:
    """Draw the plot and print the table."""
    picture, *reports = sys.argv[1:]
    found = growths(Path(report).read_text() for report in reports)
    _draw(Path(picture), found)
    print(_table(found))


def growths(reports: Iterable[str]) -> dict[str, list[Growth]]:
    """By unit what grows, from the texts of reports. ValueError for a report that names no size."""
    points: dict[tuple[str, str], dict[int, float]] = defaultdict(dict)
    for report in reports:
        told = _MESSAGES.search(report)
        if told is None:
            raise ValueError("a report names no messages; take what a benchmark printed")
        size = int(float(f"{_number(told[1]):.1e}"))  # copies are whole ones: 992,400 for a million
        for unit, name, value in _quantities(report):
            points[unit, name][size] = value
    found: dict[str, list[Growth]] = defaultdict(list)
    for (unit, name), measured in points.items():
        if len(measured) > 1:
            found[unit].append(Growth(name, measured))
    if not found:
        raise ValueError("reports of two sizes at least are needed: one point has no slope")
    return found


def _quantities(report: str) -> Iterator[tuple[str, str, float]]:
    """Unit, name and value of each that a report of either kind tells."""
    for cells in _rows(report):
        if cells[0] in ("marts", "file", "lake", "s3"):
            name = f"{cells[0]}: {cells[1]}"
            yield SECONDS, name, max(_LEAST_SECONDS, _number(cells[2]))
            yield MEGABYTES, name, _number(cells[4])
        elif cells[0] in _MARTS:
            yield SECONDS, _MARTS[cells[0]], max(_LEAST_SECONDS, _number(cells[1]))


def _rows(report: str) -> Iterator[list[str]]:
    for line in report.splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def _table(found: Mapping[str, Sequence[Growth]]) -> str:
    sizes = sorted({size for some in found.values() for one in some for size in one.points})
    rows = []
    for unit, some in found.items():
        for one in some:
            values = [f"{one.points[size]:,.0f}" if size in one.points else "" for size in sizes]
            error = "" if one.error is None else f" ± {one.error:.2f}"
            rows.append((f"{one.name}, {unit}", *values, f"{one.exponent:.2f}{error}"))
    titles = ("what", *(f"{size:,} messages" for size in sizes), "grows with the power")
    return table(titles, rows)


def _draw(path: Path, found: Mapping[str, Sequence[Growth]]) -> None:
    """A panel per unit; in all of them a name has one colour."""
    import matplotlib as mpl  # in the benchmark's own environment alone

    mpl.use("svg")
    from matplotlib import pyplot  # takes the backend when it is imported

    mpl.rcParams |= {"svg.hashsalt": "growth", "svg.fonttype": "none"}  # equal figures, equal file
    figure, panels = pyplot.subplots(1, len(found), figsize=(6 * len(found), 5.5), squeeze=False)
    names = list(dict.fromkeys(one.name for some in found.values() for one in some))
    colours = mpl.colormaps["tab10"].colors
    for panel, (unit, some) in zip(panels[0], found.items(), strict=True):
        for one in some:
            sizes, colour = sorted(one.points), colours[names.index(one.name) % len(colours)]
            values = [one.points[size] for size in sizes]
            panel.plot(sizes, values, marker="o", color=colour, label=one.name)
        panel.set(xscale="log", yscale="log", xlabel="messages", ylabel=unit)
        panel.grid(which="both", alpha=0.2)
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter("{x:,.0f}")
            axis.set_minor_formatter("")
    lines = {one.get_label(): one for panel in panels[0] for one in panel.lines}
    figure.legend(lines.values(), lines.keys(), loc="lower center", ncols=4, fontsize="small")
    figure.tight_layout(rect=(0, 0.14, 1, 1))
    figure.savefig(path, metadata={"Date": None})


if __name__ == "__main__":
    main()
