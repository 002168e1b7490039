"""Apps on a terminal: the list, one app, and what an export wrote."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from dify_etl.cli.consoles import err, out
from dify_etl.cli.json_answers import print_json
from dify_etl.cli.operating import opened_operator
from dify_etl.cli.shown_tables import ShownTable
from dify_etl.operations.apps import every_app, found_app
from dify_etl.operations.errors import InputWrong
from dify_etl.operations.exchange import Export, ExportApps
from dify_etl.operations.request import Agreement

LISTED = ("app_id", "name", "mode", "workflow_id", "created_at", "updated_at")
SHOWN = (
    "app_id",
    "name",
    "mode",
    "description",
    "icon",
    "icon_background",
    "max_active_requests",
    "is_site_enabled",
    "is_api_enabled",
    "api_base_url",
    "workflow_id",
    "created_at",
    "updated_at",
)


def show_apps(
    console: Console, mode: str | None, name: str | None, *, is_json: bool = False
) -> None:
    """One row per app, by name."""
    with opened_operator() as context:
        dify = context.operator.dify
        listed = dify.apps.list(mode=mode, name=name) if mode else every_app(dify, name=name)
        found = sorted(listed, key=lambda app: (app.name, app.app_id))
    if is_json:
        print_json([{field: getattr(app, field) for field in LISTED} for app in found])
        return
    table = ShownTable(title=f"{len(found)} apps", title_justify="left")
    for heading in ("name", "mode", "published", "changed (UTC)", "id"):
        table.add_column(heading, overflow="fold")
    for app in found:
        changed = app.updated_at or app.created_at
        published = "yes" if app.workflow_id else ""
        cells = (app.name, app.mode, published, f"{changed:%Y-%m-%d %H:%M}", app.app_id)
        table.add_row(*(escape(cell) for cell in cells))
    console.print(table)


def show_app(console: Console, text: str) -> None:
    """The stored fields of one app, and the number of its keys."""
    with opened_operator() as context:
        dify = context.operator.dify
        app_id = found_app(dify, text).app_id
        detail, keys = dify.apps.get(app_id), len(dify.api_keys.of_app(app_id))
    table = RichTable(show_header=False)
    for name in SHOWN:
        value = getattr(detail, name)
        table.add_row(name, "" if value is None else escape(str(value)))
    table.add_row("API keys", str(keys))
    console.print(table)


def export_to(request: ExportApps, agreement: Agreement) -> int:
    """Export these apps or all, tell what changed and where secrets are; 1 when an app could not
    be exported or, with `fail_on_secret`, has or may have a secret.
    """
    if bool(request.apps) == request.everything:
        raise InputWrong(
            "name the apps to export, or say --all", where="apps export", hint="One of the two."
        )
    with opened_operator() as context:
        export = request.export(context.operator.dify, request.to)
    if agreement.as_json:
        print_json(_export_object(export))
    else:
        _show_export(out, export)
    has_secret = bool(export.hidden or export.doubtful)
    return 1 if export.failed or (request.fail_on_secret and has_secret) else 0


def _export_object(export: Export) -> dict[str, Any]:
    return {
        "written": export.written,
        "unchanged": export.unchanged,
        "of_no_app": export.orphans,
        "without_a_draft": export.empty,
        "failed": [{"app": name, "reason": reason} for name, reason in export.failed],
        "hidden_secrets": _places(export.hidden),
        "doubtful": _places(export.doubtful),
    }


def _places(found: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"app": name, "place": place} for name, place in found]


def _show_export(console: Console, export: Export) -> None:
    for path in export.written:
        console.print(f"wrote {escape(str(path))}", highlight=False, soft_wrap=True)
    console.print(
        f"{len(export.written)} written, {len(export.unchanged)} as they were", highlight=False
    )
    for path in export.orphans:
        console.print(
            f"belongs to no app any more: {escape(str(path))}", highlight=False, soft_wrap=True
        )
    for name in export.empty:
        console.print(
            f"{escape(name)} has nothing to export yet: nobody has saved a draft",
            highlight=False,
            soft_wrap=True,
        )
    for name, reason in export.failed:
        err.print(f"{escape(name)} was not exported: {escape(reason)}", soft_wrap=True)
    _show_places(console, "Known secrets were left out of the files", export.hidden)
    _show_places(console, "May hold other secrets: look before you share", export.doubtful)


def _show_places(console: Console, title: str, places: Sequence[tuple[str, str]]) -> None:
    if places:
        console.print(f"{title}:", highlight=False)
    for name, place in places:
        told = f"  {name}: {place or 'outside of any node'}"
        console.print(told, markup=False, highlight=False, soft_wrap=True)
