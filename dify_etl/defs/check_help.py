"""Where people read on when a check is red."""

PAGE = "docs/troubleshooting.md"


def with_help(check: str, sentence: str) -> str:
    """The description of a check, with the place of the documents that helps when it is red."""
    return f"{sentence} When it is red: {PAGE}#{check}"
