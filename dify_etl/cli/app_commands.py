"""`dify-etl apps`: list and show them; what is done to them is made of `operations.table`."""

from typing import Annotated

import typer

from dify_etl.cli.app_views import export_to, show_app, show_apps
from dify_etl.cli.clear_errors import Debug, clear_errors
from dify_etl.cli.consoles import out
from dify_etl.cli.json_answers import Json
from dify_etl.cli.operation_commands import add_operations
from dify_etl.cli.shared_options import Commands

apps = Commands()


@apps.command("list")
def list_apps(
    *,
    mode: Annotated[
        str | None, typer.Option(help="Only apps of this mode, such as workflow.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Only apps with this in their name.")] = None,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Show every app: name, mode, whether it was published, last change, id."""
    with clear_errors(debug=debug):
        show_apps(out, mode, name, is_json=as_json)


@apps.command("show")
def show(
    app: Annotated[str, typer.Argument(help="Id or name of an app.", metavar="APP")],
    *,
    debug: Debug = False,
) -> None:
    """Show one app: its fields, switches and how many keys it has; never a secret."""
    with clear_errors(debug=debug):
        show_app(out, app)


add_operations(apps, "apps", export=export_to)
