"""Where people read on when a check is red."""


def with_help(check: str, sentence: str) -> str:
    """The description of a check, with the command that tells what to do when it is red."""
    return f"{sentence} When it is red: `dify-etl docs {check}`"
