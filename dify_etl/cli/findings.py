"""What a look at the surroundings has found, as a table on a terminal or for machines."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.console import Console
from rich.markup import escape

from dify_etl.cli.shown_tables import ShownTable
from dify_etl.errors import ActionableError


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: its name, what was found, and what to do (None: nothing).

    `is_limit`: it is as it is for this account; syncs go on without it, and nothing must be done.
    `is_skipped`: nobody looked, since it hangs on something that failed before it.
    """

    subject: str
    found: str
    to_do: str | None = None
    is_limit: bool = False
    is_skipped: bool = False

    @classmethod
    def of(cls, subject: str, error: ActionableError) -> "Finding":
        """What went wrong while something was looked at."""
        return cls(subject, f"{error.what} [{error.where}]", error.hint)

    def with_advice(self, advice: str) -> "Finding":
        """The same with other words on what to do."""
        return replace(self, to_do=advice)

    @property
    def is_bad(self) -> bool:
        """Whether something must be done."""
        return bool(self.to_do) and not self.is_limit

    @property
    def state(self) -> str:
        """good, limit (not for this account), skipped, or bad."""
        if self.is_skipped:
            return "skipped"
        if self.is_limit:
            return "limit"
        return "bad" if self.to_do else "good"


_MARKS = {
    "good": "[green]✓[/]",
    "limit": "[yellow]○[/]",
    "skipped": "[dim]–[/]",
    "bad": "[red]✗[/]",
}


def show_findings(console: Console, title: str, findings: Sequence[Finding]) -> None:
    """A line each: ✓ good, ○ not for this account, – not looked at, ✗ something is to be done."""
    table = ShownTable(title=title, title_justify="left")
    for heading in ("", "checked", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    for one in findings:
        table.add_row(
            _MARKS[one.state], escape(one.subject), escape(one.found), escape(one.to_do or "")
        )
    console.print(table)


def rows_of(findings: Sequence[Finding]) -> list[dict[str, str | None]]:
    """For machines: checked, state (good, limit, skipped, bad), found, to_do."""
    return [
        {"checked": one.subject, "state": one.state, "found": one.found, "to_do": one.to_do}
        for one in findings
    ]
