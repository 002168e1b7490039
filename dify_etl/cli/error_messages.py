"""Errors on a terminal: always what happened, where, and what to do, wherever they came from."""

from dataclasses import dataclass
from typing import Any, Self

from rich.console import Console
from rich.markup import escape

from dify_etl.cli.log_line import print_line
from dify_etl.errors import ActionableError


@dataclass(frozen=True)
class ErrorMessage:
    """What is shown of an error: the kind is the name of its class."""

    kind: str
    what: str
    where: str
    hint: str
    is_foreseen: bool = True  # by an error of ours, which holds neither a secret nor a value

    @property
    def words(self) -> str:
        """What happened and where, for others than who sits here; of a bug nothing but its kind."""
        return f"{self.what} ({self.where})" if self.is_foreseen else ""

    @classmethod
    def of(cls, error: ActionableError) -> Self:
        """The message of one of our own errors."""
        return cls(type(error).__name__, error.what, error.where, error.hint)

    @classmethod
    def of_bug(cls, kind: str, what: str, *, where: str) -> Self:
        """The message of an error that nobody foresaw; only its first line is shown."""
        first = next(iter(what.strip().splitlines()), "no message")
        hint = (
            "This is a bug or a broken installation: run again with --debug and report what it "
            "shows. What was committed is kept; running again is safe."
        )
        return cls(kind, first, where, hint, is_foreseen=False)


def print_error(console: Console, message: ErrorMessage) -> None:
    """Three lines, never folded, so that paths and settings can be copied."""
    lines = (
        f"[bold red]{message.kind}[/]: {escape(message.what)}",
        f"  where: {escape(message.where)}",
        f"  what to do: {escape(message.hint)}",
    )
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def print_error_line(message: ErrorMessage, **fields: Any) -> None:
    """The same as one line of a JSON log."""
    told = {"kind": message.kind, "where": message.where, "what_to_do": message.hint}
    print_line(message.what, level="error", **told, **fields)
