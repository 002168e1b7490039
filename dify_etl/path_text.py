"""Paths as people write them into settings and files: no shell has expanded their `~`."""

import os
from pathlib import Path

# What may stand before the path in a setting that names a file in a longer way.
_BEFORE_PATH = ("ducklake:sqlite:", "ducklake:duckdb:", "ducklake:", "file:")


def expanded(path: Path) -> Path:
    """The path with a `~` or `~account` at its begin replaced by that home; relative ones stay.

    ValueError when this machine knows no such account: else a folder of that name would be made.
    It quotes nothing: somebody may have written a secret where its file should be named.
    """
    found = Path(os.path.expanduser(path))  # Path.expanduser raises what no setting expects
    if str(found).startswith("~"):
        raise ValueError("begins with ~ and an account that this machine does not know")
    return found


def expanded_text(text: str) -> str:
    """The same for a setting's text in which a path stands, behind `file:` or `ducklake:` too."""
    before = next((one for one in _BEFORE_PATH if text.startswith(one)), "")
    path = text.removeprefix(before)
    return f"{before}{expanded(Path(path))}" if path.startswith("~") else text
