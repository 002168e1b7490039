"""`dify-etl audit list`: what was done to Dify from this home."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dify_etl.cli.clear_errors import Debug, clear_errors
from dify_etl.cli.consoles import out
from dify_etl.cli.json_answers import Json, print_json
from dify_etl.cli.shared_options import Commands

if TYPE_CHECKING:
    from dify_etl.operations.audit import AuditEntry

audit = Commands(help="What was done to Dify from this home.", no_args_is_help=True)


@audit.command("list")
def list_entries(
    *,
    plan: Annotated[
        str | None, typer.Option("--plan", metavar="PLAN_ID", help="Only this plan's steps.")
    ] = None,
    last: Annotated[int, typer.Option(min=1, help="How many entries, the newest ones.")] = 50,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the entries: when, plan, step, what, to what, what came of it, who."""
    with clear_errors(debug=debug):
        from dify_etl.assembly.connection import effective_settings, home_of
        from dify_etl.home import Home
        from dify_etl.operations.audit import AuditFile

        entries = AuditFile(Home(home_of(effective_settings())).audit).entries()
        chosen = [entry for entry in entries if plan in (None, entry.plan_id)][-last:]
        if as_json:
            print_json([entry.model_dump() for entry in chosen])
        else:
            _show(chosen, len(entries))


def _show(chosen: "Sequence[AuditEntry]", all_entries: int) -> None:
    from rich.markup import escape

    from dify_etl.cli.shown_tables import ShownTable

    if not chosen:
        out.print("Nothing was done yet.")
        return
    table = ShownTable(title=f"{len(chosen)} of {all_entries} entries", title_justify="left")
    for heading in ("at (UTC)", "plan", "step", "what", "to what", "outcome", "who"):
        table.add_column(heading, overflow="fold")
    for entry in chosen:
        told = f"{entry.outcome}: {entry.message}" if entry.message else entry.outcome
        cells = (
            f"{entry.at:%Y-%m-%d %H:%M:%S}",
            entry.plan_id,
            str(entry.step),
            entry.operation,
            f"{entry.target_kind} {entry.target_name}",
            told,
            entry.actor,
        )
        table.add_row(*(escape(cell) for cell in cells))
    out.print(table)
