"""`dify-etl members`: list, invite, set-role, remove."""

from pathlib import Path
from typing import Annotated

import typer

from dify_etl.cli.clear_errors import Debug, clear_errors
from dify_etl.cli.consoles import out
from dify_etl.cli.operating import Apply, Asked, Most, Names, Yes, opened_operator, operate
from dify_etl.cli.simulated_option import Commands

MOST_MEMBERS = 50
MOST_REMOVED = 5

members = Commands(
    help="Members of the workspace: list, invite, change roles, remove.", no_args_is_help=True
)
Who = Annotated[list[str], typer.Argument(help="E-mail or id of a member.", metavar="WHO")]


@members.command("list")
def list_members(*, debug: Debug = False) -> None:
    """Show everybody: e-mail, role, status, last activity."""
    with clear_errors(debug=debug):
        from rich.markup import escape
        from rich.table import Table as RichTable

        with opened_operator() as (operator, _):
            people = sorted(operator.dify.members.list(), key=lambda one: one.email)
        table = RichTable(title=f"{len(people)} members", title_justify="left")
        for heading in ("e-mail", "name", "role", "status", "last active", "id"):
            table.add_column(heading, overflow="fold")
        for one in people:
            active = f"{one.last_active_at:%Y-%m-%d %H:%M}" if one.last_active_at else ""
            cells = (one.email, one.name, one.role or "", one.status or "", active, one.account_id)
            table.add_row(*(escape(cell) for cell in cells))
        out.print(table)


@members.command("invite")
def invite(
    emails: Annotated[
        list[str] | None, typer.Argument(help="E-mails to invite.", metavar="EMAIL")
    ] = None,
    *,
    csv: Annotated[
        Path | None, typer.Option(help="CSV with the columns email and role (may be left out).")
    ] = None,
    role: Annotated[
        str, typer.Option(help="admin, editor, normal or dataset_operator.")
    ] = "normal",
    language: Annotated[
        str | None, typer.Option(help="Language of the invitation, as en-US.")
    ] = None,
    links: Annotated[
        Path | None,
        typer.Option(help="Private file for the activation links; they are shown nowhere else."),
    ] = None,
    apply: Apply = None,
    most: Most = MOST_MEMBERS,
    debug: Debug = False,
) -> None:
    """Invite people, each judged by itself; who is a member already is left as it is."""
    with clear_errors(debug=debug):
        from dify_etl.operations.invitees import invitees
        from dify_etl.operations.members import LinkFile, invite_operation

        people = invitees(emails or (), role=role, csv_path=csv)
        kept = LinkFile(links) if links else None
        raise typer.Exit(
            operate(
                out,
                lambda operator, home: invite_operation(
                    operator, people, language=language, links=kept
                ),
                Asked(apply, most),
            )
        )


@members.command("set-role")
def set_role(
    who: Who,
    *,
    role: Annotated[str, typer.Option(help="admin, editor, normal or dataset_operator.")],
    apply: Apply = None,
    most: Most = MOST_MEMBERS,
    debug: Debug = False,
) -> None:
    """Give members another role; only an owner may."""
    with clear_errors(debug=debug):
        from dify_etl.operations.members import set_role_operation

        raise typer.Exit(
            operate(
                out,
                lambda operator, home: set_role_operation(operator, who, role),
                Asked(apply, most),
            )
        )


@members.command("remove")
def remove(
    who: Who,
    *,
    apply: Apply = None,
    most: Most = MOST_REMOVED,
    name: Names = None,
    yes: Yes = False,
    debug: Debug = False,
) -> None:
    """Remove members from the workspace; their accounts stay in Dify."""
    with clear_errors(debug=debug):
        from dify_etl.operations.members import remove_operation

        raise typer.Exit(
            operate(
                out,
                lambda operator, home: remove_operation(operator, who),
                Asked(apply, most, tuple(name or ()), yes),
            )
        )
