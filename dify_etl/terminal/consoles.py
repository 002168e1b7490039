"""The two consoles: what a command answers goes to stdout, what went wrong to stderr."""

import os
import sys

from rich.console import Console

# A log is no 80 columns wide: lines that go into a file are not folded there.
LOG_COLUMNS = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160

out = Console(width=LOG_COLUMNS)
err = Console(stderr=True, width=LOG_COLUMNS)
