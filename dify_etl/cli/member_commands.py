"""`dify-etl members`: list them; what is done to them is made of `operations.table`."""

from rich.markup import escape

from dify_etl.cli.clear_errors import Debug, clear_errors
from dify_etl.cli.consoles import out
from dify_etl.cli.json_answers import Json, print_json
from dify_etl.cli.operating import opened_operator
from dify_etl.cli.operation_commands import add_operations
from dify_etl.cli.shared_options import Commands
from dify_etl.cli.shown_tables import ShownTable

LISTED = ("account_id", "email", "name", "role", "status", "last_active_at")

members = Commands()


@members.command("list")
def list_members(*, as_json: Json = False, debug: Debug = False) -> None:
    """Show everybody: e-mail, role, status, last activity."""
    with clear_errors(debug=debug):
        with opened_operator() as context:
            people = sorted(context.operator.dify.members.list(), key=lambda one: one.email)
        if as_json:
            print_json([{field: getattr(one, field) for field in LISTED} for one in people])
            return
        table = ShownTable(title=f"{len(people)} members", title_justify="left")
        for heading in ("e-mail", "name", "role", "status", "last active", "id"):
            table.add_column(heading, overflow="fold")
        for one in people:
            active = f"{one.last_active_at:%Y-%m-%d %H:%M}" if one.last_active_at else ""
            cells = (one.email, one.name, one.role or "", one.status or "", active, one.account_id)
            table.add_row(*(escape(cell) for cell in cells))
        out.print(table)


add_operations(members, "members")
