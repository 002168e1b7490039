"""What every command that changes Dify does: show the plan, or apply the one that was agreed to."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from dify_etl.cli.clear_errors import INTERRUPTED
from dify_etl.cli.consoles import err, out, teller
from dify_etl.cli.plan_json import plan_json, results_json
from dify_etl.cli.prompts import asked
from dify_etl.control_codes import harmless

if TYPE_CHECKING:
    from dify_etl.operations.applying import Operation, Result
    from dify_etl.operations.plan import Cap
    from dify_etl.operations.request import Agreement, OperationContext, PlannedRequest

Apply = Annotated[
    str | None,
    typer.Option("--apply", metavar="PLAN_ID", help="Do it: the id of the plan that was shown."),
]

NOTHING = "Nothing is to be done."
COLOURS = {"+": "green", "-": "red", "!": "bold red", "#": "dim"}
MARKS = {"verified": "[green]✓[/]", "done": "[green]✓[/]", "skipped": "[yellow]-[/]"}


@contextmanager
def opened_operator() -> "Iterator[OperationContext]":
    """The operator of the settings' Dify, and the home whose audit it writes."""
    from dify_etl.assembly.connection import effective_settings
    from dify_etl.assembly.operator import open_operator

    with open_operator(effective_settings(), tell=teller(err)) as context:
        yield context


def operate(request: "PlannedRequest", agreement: "Agreement") -> int:
    """Show the plan, or apply it and show what came of each step; answers the exit code."""
    from dify_etl.assembly.ops_copies import fill_ops_tables_of
    from dify_etl.operations.plan import Cap, check_fresh

    with opened_operator() as context:
        operation = request.plan(context)
        cap = Cap(agreement.most)
        if not agreement.as_json:
            show_notes(out, operation.notes)
        if (plan_id := agreement.plan_id) is None:
            return _show(operation, cap, as_json=agreement.as_json)
        check_fresh(operation.plan, plan_id)
        typed, is_sure = agreement.names, agreement.yes
        if not typed and not is_sure:
            try:
                typed = _typed_names(operation)
            except KeyboardInterrupt:
                err.print("Stopped. Nothing was changed.")
                raise typer.Exit(INTERRUPTED) from None
        try:
            results = context.operator.apply(
                operation, plan_id, cap=cap, typed=typed, is_sure=is_sure
            )
        except KeyboardInterrupt:
            err.print("Stopped. `dify-etl audit list` tells what was done; plan again to go on.")
            raise typer.Exit(INTERRUPTED) from None
        finally:
            fill_ops_tables_of(context.home)
    if agreement.as_json:
        typer.echo(results_json(plan_id, results))
    else:
        show_results(out, results)
    return 0 if all(result.is_good for result in results) else 1


def _show(operation: "Operation", cap: "Cap", *, as_json: bool) -> int:
    if as_json:
        typer.echo(plan_json(operation.plan, operation.notes))
        cap.check(operation.plan)
        return 0
    if not operation.plan.steps:
        out.print(NOTHING)
        return 0
    show_lines(out, operation.plan.lines())
    cap.check(operation.plan)
    out.print(
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
    if not results:
        console.print(NOTHING)
    for result in results:
        mark = MARKS.get(result.outcome, "[red]✗[/]")
        console.print(
            f"{mark} {result.outcome} {escape(result.line)}",
            highlight=False,
            soft_wrap=True,
        )


def _typed_names(operation: "Operation") -> list[str]:
    """Ask a person at a terminal for each name; a script has to give them."""
    from dify_etl.operations.plan import deleted_names

    names = sorted(deleted_names(operation.plan))
    if not names or not sys.stdin.isatty():
        return []
    show_lines(err, operation.plan.lines())
    return [_typed(name) for name in names]


def _typed(name: str) -> str:
    """What was typed; the name when it is what was shown of it."""
    shown = harmless(name)
    typed = asked(f"Type {shown} to delete it", on_stderr=True)
    return name if typed == shown else typed
