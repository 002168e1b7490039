"""Text files that people hand in: DSL, CSV, JSON."""

from pathlib import Path

from dify_etl.operations.errors import InputWrong


def read_text(path: Path, *, hint: str) -> str:
    """The text of a file in UTF-8, without a byte order mark. InputWrong when it cannot be read."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeError) else error.strerror
        raise InputWrong(f"the file cannot be read: {reason}", where=str(path), hint=hint) from None
