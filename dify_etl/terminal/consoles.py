"""The two consoles: what a command answers goes to stdout, what went wrong to stderr.

Names and messages in Dify are texts of strangers. What a terminal would obey in them (escape
codes, other control characters, marks that turn the direction of text) is shown, not sent.
"""

import os
import re
import sys
from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.text import Text

# A log is no 80 columns wide: lines that go into a file are not folded there.
LOG_COLUMNS = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160

# C0 but tab and newline, DEL, C1; marks and isolates of direction; line and paragraph separators.
_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """The text with everything that a terminal would obey written out, as `\\x1b`."""
    return _OBEYED.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class HarmlessConsole(Console):
    """A console that sends no control code which stands in a text; its own colours it does."""

    def render_str(self, text: str, **options: Any) -> Text:
        """Every text that is printed, also in the cells of tables, comes through here."""
        return super().render_str(harmless(text), **options)


def teller(console: Console) -> Callable[[str], None]:
    """Prints lines as they are, whole: for what a run says of itself before it begins."""

    def tell(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    return tell


out = HarmlessConsole(width=LOG_COLUMNS)
err = HarmlessConsole(stderr=True, width=LOG_COLUMNS)
