"""`dify-etl apps`: list, show, create, update, publish, export, import, delete."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dify_etl.cli.clear_errors import Debug, clear_errors
from dify_etl.cli.consoles import out
from dify_etl.cli.operating import Apply, Asked, Most, Names, Yes, operate
from dify_etl.cli.simulated_option import Commands

if TYPE_CHECKING:
    from dify_etl.operations.applying import Operation, Operator

MOST_APPS = 10
MOST_DELETED = 1

apps = Commands(
    help="Apps of the workspace: look, make, change, publish, move, delete.", no_args_is_help=True
)
AnApp = Annotated[str, typer.Argument(help="Id or name of an app.", metavar="APP")]
SomeApps = Annotated[list[str], typer.Argument(help="Id or name of an app.", metavar="APP")]
Twin = Annotated[bool, typer.Option("--twin", help="Also when an app of this name exists.")]
Description = Annotated[str | None, typer.Option(help="What it is for, up to 400 characters.")]
Icon = Annotated[str | None, typer.Option(help="An emoji.")]
IconBackground = Annotated[str | None, typer.Option(help="Colour, as #FFEAD5.")]


@apps.command("list")
def list_apps(
    *,
    mode: Annotated[
        str | None, typer.Option(help="Only apps of this mode, such as workflow.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Only apps with this in their name.")] = None,
    debug: Debug = False,
) -> None:
    """Show every app: name, mode, whether it was published, last change, id."""
    with clear_errors(debug=debug):
        from dify_etl.cli.app_views import show_apps

        show_apps(out, mode, name)


@apps.command("show")
def show(app: AnApp, *, debug: Debug = False) -> None:
    """Show one app: its fields, switches and how many keys it has; never a secret."""
    with clear_errors(debug=debug):
        from dify_etl.cli.app_views import show_app

        show_app(out, app)


@apps.command("create")
def create(
    name: Annotated[str, typer.Argument(help="Name of the new app.", metavar="NAME")],
    *,
    mode: Annotated[
        str, typer.Option(help="chat, agent-chat, advanced-chat, workflow or completion.")
    ],
    description: Description = None,
    icon: Icon = None,
    icon_background: IconBackground = None,
    twin: Twin = False,
    apply: Apply = None,
    debug: Debug = False,
) -> None:
    """Make an empty app."""
    with clear_errors(debug=debug):
        from dify_etl.operations.apps import create_operation, drafted

        draft = drafted(name, mode, description, icon, icon_background)
        raise typer.Exit(
            operate(
                out,
                lambda operator, home: create_operation(operator, draft, is_twin_wanted=twin),
                Asked(apply, 1),
            )
        )


@apps.command("update")
def update(
    app: AnApp,
    *,
    name: Annotated[str | None, typer.Option(help="New name.")] = None,
    description: Description = None,
    icon: Icon = None,
    icon_background: IconBackground = None,
    max_active_requests: Annotated[
        int | None, typer.Option(min=0, help="Parallel requests; 0: no limit.")
    ] = None,
    answer_icon: Annotated[
        bool | None, typer.Option(help="Whether answers show the app's icon.")
    ] = None,
    site: Annotated[bool | None, typer.Option("--site/--no-site", help="The web app.")] = None,
    api: Annotated[bool | None, typer.Option("--api/--no-api", help="The service API.")] = None,
    model_config: Annotated[
        Path | None,
        typer.Option(help="JSON object: keys of Dify's model configuration to replace."),
    ] = None,
    apply: Apply = None,
    debug: Debug = False,
) -> None:
    """Change what is given; everything else stays as it is."""
    with clear_errors(debug=debug):
        from dify_etl.operations.apps import Wishes, changed, update_operation
        from dify_etl.operations.model_configs import read_config

        wishes = Wishes(
            changed(
                name,
                description,
                icon,
                icon_background,
                max_active_requests=max_active_requests,
                use_icon_as_answer_icon=answer_icon,
            ),
            is_site_on=site,
            is_api_on=api,
            model_config=read_config(model_config) if model_config else None,
        )
        raise typer.Exit(
            operate(
                out,
                lambda operator, home: update_operation(operator, app, wishes),
                Asked(apply, 1),
            )
        )


@apps.command("publish")
def publish(
    app: SomeApps,
    *,
    version_name: Annotated[str, typer.Option(help="Name of the version, 20 characters.")] = "",
    comment: Annotated[str, typer.Option(help="Comment, 100 characters.")] = "",
    apply: Apply = None,
    most: Most = MOST_APPS,
    debug: Debug = False,
) -> None:
    """Publish the drafts of workflows and chatflows; each makes a new version."""
    with clear_errors(debug=debug):
        from dify_etl.operations.publishing import publish_operation

        raise typer.Exit(
            operate(
                out,
                lambda operator, home: publish_operation(
                    operator, app, name=version_name, comment=comment
                ),
                Asked(apply, most),
            )
        )


@apps.command("export")
def export(
    app: Annotated[
        list[str] | None, typer.Argument(help="Id or name of an app.", metavar="APP")
    ] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="Every app of the workspace.")] = False,
    to: Annotated[Path, typer.Option(help="Folder for the files; fit for git.")] = Path("apps"),
    fail_on_secret: Annotated[
        bool,
        typer.Option(
            "--fail-on-secret", help="Exit code 1 when an app holds a secret, or may hold one."
        ),
    ] = False,
    debug: Debug = False,
) -> None:
    """Write the DSL of apps as files that change only when the app does; known secrets are left
    out, and what may hold others is named.
    """
    with clear_errors(debug=debug):
        from dify_etl.cli.app_views import export_to

        raise typer.Exit(export_to(out, app or (), to, is_all=all_, fails_on_secret=fail_on_secret))


@apps.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="A DSL file.", metavar="FILE")],
    *,
    name: Annotated[
        str | None, typer.Option(help="Another name than the file's, or than that of --over.")
    ] = None,
    over: Annotated[
        str | None,
        typer.Option(
            help="Overwrite the draft of this workflow or chatflow (id or name), which keeps its "
            "name."
        ),
    ] = None,
    twin: Twin = False,
    apply: Apply = None,
    debug: Debug = False,
) -> None:
    """Make a new app of a file, or overwrite the draft of one; nothing is published."""
    with clear_errors(debug=debug):
        from dify_etl.operations.exchange import dsl_operation, read_dsl

        text = read_dsl(file)

        def plan(operator: "Operator", home: Path) -> "Operation":
            return dsl_operation(
                operator, text, where=str(file), over=over, name=name, is_twin=twin
            )

        raise typer.Exit(operate(out, plan, Asked(apply, 1)))


@apps.command("delete")
def delete(
    app: SomeApps,
    *,
    accept_unproven: Annotated[
        bool,
        typer.Option("--accept-unproven", help="Also with data that were read without a proof."),
    ] = False,
    synced_within: Annotated[
        int, typer.Option(min=1, help="Minutes that the app's last sync may be old.")
    ] = 60,
    apply: Apply = None,
    most: Most = MOST_DELETED,
    name: Names = None,
    yes: Yes = False,
    debug: Debug = False,
) -> None:
    """Delete apps whose data are in the warehouse; the DSL and a manifest are kept in files."""
    with clear_errors(debug=debug):
        from dify_etl.assembly.connection import effective_settings
        from dify_etl.assembly.sync_proof import escrow_of
        from dify_etl.operations.app_deletion import delete_operation

        def plan(operator: "Operator", home: Path) -> "Operation":
            escrow = escrow_of(
                home,
                zone=effective_settings().zone,
                now=operator.clock.now(),
                synced_within=timedelta(minutes=synced_within),
                accepts_unproven=accept_unproven,
            )
            return delete_operation(operator, app, escrow)

        raise typer.Exit(operate(out, plan, Asked(apply, most, tuple(name or ()), yes)))
