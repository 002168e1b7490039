"""The two consoles: what a command answers goes to stdout, what went wrong to stderr.

What a terminal would obey in texts of strangers (escape codes, other control characters, marks that
turn the direction of text) is shown, not sent.
"""

import os
import sys
from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from dify_etl.control_codes import harmless

# A log is no 80 columns wide: lines that go into a file are not folded there.
_IS_TERMINAL = sys.stdout is not None and sys.stdout.isatty()  # None where it is closed
LOG_COLUMNS = None if _IS_TERMINAL or "COLUMNS" in os.environ else 160


class HarmlessConsole(Console):
    """A console that sends no control code which stands in a text; its own colours it does."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Every text that is printed, also in the cells of tables, comes through here: before
        columns are measured.
        """
        return super().render_str(harmless(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """What comes to the console in another way, such as tracebacks and bars."""
        for one in super().render(renderable, options):
            yield one if one.control else one._replace(text=harmless(one.text))


def teller(console: Console) -> Callable[[str], None]:
    """Prints lines as they are, whole: for what a run says of itself before it begins."""

    def tell(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    return tell


out = HarmlessConsole(width=LOG_COLUMNS)
err = HarmlessConsole(stderr=True, width=LOG_COLUMNS)
