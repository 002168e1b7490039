"""`dify-etl source`: what the home is tied to, what answers today, and to go on with that."""

from rich.console import Console

from dify_etl.assembly.connection import effective_settings, home_of, open_dify
from dify_etl.assembly.source_change import SourceChange, accept_source, look_at_source
from dify_etl.cli.json_answers import print_json
from dify_etl.cli.operating import show_lines


def run_source(console: Console, *, agreed_id: str | None, is_json: bool = False) -> int:
    """Show both, or tie the home to what answers; 1 when they differ and nothing was done.

    SourceChanged, PlanStale, NothingPublished.
    """
    settings = effective_settings()
    home = home_of(settings)
    with open_dify(settings) as dify:
        if agreed_id is None:
            change = look_at_source(home, dify)
        else:
            change = accept_source(home, dify, agreed_id=agreed_id)
    if is_json:
        print_json(_as_json_object(change, is_accepted=agreed_id is not None))
    else:
        _show(console, change, is_accepted=agreed_id is not None)
    return 1 if change.differing and agreed_id is None else 0


def _as_json_object(change: SourceChange, *, is_accepted: bool) -> dict[str, object]:
    return {
        "tied_to": dict(change.held),
        "answers": dict(change.found),
        "differing": list(change.differing),
        "refused": change.refused,
        "notes": list(change.notes),
        "plan_id": None if change.refused or not change.differing else change.plan_id,
        "is_accepted": is_accepted,
    }


def _show(console: Console, change: SourceChange, *, is_accepted: bool) -> None:
    if not change.differing:
        found = change.found
        show_lines(
            console,
            [
                f"{found['server_origin']}, workspace {found['workspace_id']}, account "
                f"{found['account_id']}, time zone {found['timezone']}: this home is tied to what "
                "answers"
            ],
        )
        return
    show_lines(console, list(change.lines))
    if is_accepted:
        console.print("The home is tied to what answers now; the next sync goes on with it.")
    elif change.refused is None:
        console.print(
            f"Nothing was changed. To go on with what answers, add --accept {change.plan_id}",
            highlight=False,
        )
