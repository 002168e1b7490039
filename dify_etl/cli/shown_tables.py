"""Tables on a terminal: where it is too narrow for the columns, each row is lines of its own."""

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Column, Table
from rich.text import Text

# A column may be cut to this many characters, a date's, if no word of its heading is longer.
LEAST_CHARACTERS = 10


class ShownTable(Table):
    """Rich's table; without its frame where the terminal is too narrow for it, and where that does
    not help, lines `heading value` by row: no column is cut to pieces.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wide = options.update(width=100_000)
        for column in self.columns:
            column.min_width = _least(console, wide, column)
        if not self._fits(console, options):
            self.box, self.padding = SIMPLE_HEAD, 0
        if not self.rows or self._fits(console, options):
            yield from super().__rich_console__(console, options)
        else:
            yield from self._lines(console, "--" if options.ascii_only else "──")

    def _fits(self, console: Console, options: ConsoleOptions) -> bool:
        """Whether the widths that Rich takes, with the least of each column, have room."""
        room = options.max_width - self._extra_width
        return sum(self._calculate_column_widths(console, options.update(width=room))) <= room

    def _lines(self, console: Console, rule: str) -> Iterator[RenderableType]:
        if self.title is not None:
            yield console.render_str(self.title) if isinstance(self.title, str) else self.title
        cells = [[*column.cells] for column in self.columns]
        for number, row in enumerate(zip(*cells, strict=True), start=1):
            yield Text(f"{rule} row {number}")
            lines = Table.grid(padding=(0, 1))
            for column, value in zip(self.columns, row, strict=True):
                lines.add_row(_heading(console, column), value)
            lines.columns[1].overflow = "fold"
            yield lines


def _heading(console: Console, column: Column) -> Text:
    told = column.header
    text = console.render_str(told) if isinstance(told, str) else told
    assert isinstance(text, Text)
    return Text(text.plain, style="bold")


def _least(console: Console, options: ConsoleOptions, column: Column) -> int:
    """The longest word of the heading; of cells as much, or all of what is not wrapped."""
    heading = Measurement.get(console, options, _heading(console, column)).minimum
    cells = [Measurement.get(console, options, cell) for cell in column.cells]
    if column.no_wrap:
        return max([heading, *(one.maximum for one in cells)])
    return max([heading, *(min(LEAST_CHARACTERS, one.minimum) for one in cells)])
