"""What every command that changes Dify does: show the plan, or apply the one that was agreed to."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from dify_etl.cli.clear_errors import FAILED
from dify_etl.cli.consoles import err, teller
from dify_etl.control_codes import harmless

if TYPE_CHECKING:
    from dify_etl.operations.applying import Operation, Operator, Result

Apply = Annotated[
    str | None,
    typer.Option("--apply", metavar="PLAN_ID", help="Do it: the id of the plan that was shown."),
]
Most = Annotated[int, typer.Option("--most", min=1, help="Most objects that one run may touch.")]
Names = Annotated[
    list[str] | None,
    typer.Option("--name", help="Name of what is deleted, typed back; repeat for more."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Delete without typing the names back.")]

COLOURS = {"+": "green", "-": "red", "!": "bold red", "#": "dim"}
MARKS = {"verified": "[green]✓[/]", "done": "[green]✓[/]", "skipped": "[yellow]-[/]"}


@dataclass(frozen=True)
class Asked:
    """How a plan shall be treated: shown (without an id), or applied within these limits."""

    plan_id: str | None
    most: int
    names: tuple[str, ...] = ()
    is_sure: bool = False


@contextmanager
def opened_operator() -> "Iterator[tuple[Operator, Path]]":
    """The operator of the settings' Dify, and the home whose audit it writes."""
    from dify_etl.assembly.connection import effective_settings, home_of, open_dify
    from dify_etl.home import Home
    from dify_etl.operations.applying import operator_of
    from dify_etl.operations.audit import AuditFile

    settings = effective_settings()
    home = home_of(settings)
    with open_dify(settings, tell=teller(err)) as dify:
        yield operator_of(dify, AuditFile(Home(home).audit)), home


def operate(console: Console, plan: "Callable[[Operator, Path], Operation]", asked: Asked) -> int:
    """Show the plan, or apply it and show what came of each step; answers the exit code."""
    from dify_etl.assembly.ops_copies import fill_books_of
    from dify_etl.operations.plan import Cap, check_fresh

    with opened_operator() as (operator, home):
        operation = plan(operator, home)
        if (plan_id := asked.plan_id) is None:
            return _show(console, operation, asked)
        check_fresh(operation.plan, plan_id)
        if not asked.names and not asked.is_sure:
            asked = replace(asked, names=_typed_names(operation))
        try:
            results = operator.apply(
                operation,
                plan_id,
                cap=Cap(asked.most),
                typed=asked.names,
                is_sure=asked.is_sure,
            )
        except KeyboardInterrupt:
            err.print("Stopped. `dify-etl audit list` tells what was done; plan again to go on.")
            raise typer.Exit(FAILED) from None
        finally:
            fill_books_of(home)
    show_results(console, results)
    return 0 if all(result.is_good for result in results) else 1


def _show(console: Console, operation: "Operation", asked: Asked) -> int:
    from dify_etl.operations.plan import Cap

    show_notes(console, operation.notes)
    if not operation.plan.steps:
        console.print("Nothing is to be done.")
        return 0
    show_lines(console, operation.plan.lines())
    Cap(asked.most).check(operation.plan)
    console.print(
        f"Nothing was changed. To do exactly this, add --apply {operation.plan.plan_id}",
        highlight=False,
    )
    return 0


def show_notes(console: Console, notes: Sequence[str]) -> None:
    """What is left alone, and why."""
    for note in notes:
        console.print(escape(note), highlight=False, soft_wrap=True)


def show_lines(console: Console, lines: Sequence[str]) -> None:
    """A plan's lines, coloured by their first mark, never folded."""
    for line in lines:
        colour = COLOURS.get(line.strip()[:1]) if line.startswith(" ") else "bold"
        text = escape(line)
        shown = f"[{colour}]{text}[/]" if colour else text
        console.print(shown, highlight=False, soft_wrap=True)


def show_results(console: Console, results: "Sequence[Result]") -> None:
    """A line per step: what came of it, and why where it matters."""
    for result in results:
        mark = MARKS.get(result.outcome, "[red]✗[/]")
        console.print(
            f"{mark} {result.outcome} {escape(result.told)}",
            highlight=False,
            soft_wrap=True,
        )


def _typed_names(operation: "Operation") -> tuple[str, ...]:
    """Ask a person at a terminal for each name; a script has to give them."""
    from dify_etl.operations.plan import deleted_names

    names = sorted(deleted_names(operation.plan))
    if not names or not sys.stdin.isatty():
        return ()
    show_lines(err, operation.plan.lines())
    return tuple(_typed(name) for name in names)


def _typed(name: str) -> str:
    """What was typed; the name when it is what was shown of it."""
    shown = harmless(name)
    typed: str = typer.prompt(f"Type {shown} to delete it", err=True)
    return name if typed == shown else typed
