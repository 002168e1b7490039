"""Tell on the terminal what is being measured."""

import sys
import time

_BEGAN = time.monotonic()


def say(text: str) -> None:
    """One line with the minutes since the start."""
    minutes, seconds = divmod(int(time.monotonic() - _BEGAN), 60)
    print(f"{minutes:3d}:{seconds:02d}  {text}", file=sys.stderr, flush=True)
