"""`dify-etl privacy`: by which rules texts and people are kept, and older rows brought to them."""

from typing import Any

from rich.console import Console

from dify_etl.assembly.connection import (
    copy_place,
    effective_settings,
    folder_of_own_sql,
    home_of,
    privacy_of,
    shared_place,
)
from dify_etl.assembly.rewriting import rewrite_home
from dify_etl.cli.consoles import err, teller
from dify_etl.cli.json_answers import print_json
from dify_etl.home import Home
from dify_etl.settings import Settings
from dify_etl.sync.ledger import PRIVACY
from dify_etl.sync.privacy import REWRITE, PrivacyNote, doubts_of, latest_note
from dify_etl.warehouse.database import open_to_read
from dify_etl.warehouse.errors import NothingPublished

LOCK_WAIT_SECONDS = 10.0


def run_privacy(console: Console, *, is_to_rewrite: bool, is_json: bool = False) -> int:
    """Print the rules, or rewrite; 1 when rows are left that are by other rules."""
    settings = effective_settings()
    home = home_of(settings)
    changed: dict[str, int] = {}
    if is_to_rewrite:
        if not Home(home).live.exists():
            raise NothingPublished(
                "no sync has read anything yet",
                where=str(home),
                hint="There is nothing to rewrite: run `dify-etl sync`.",
            )
        changed = rewrite_home(
            home,
            privacy_of(settings),
            place=copy_place(settings),
            own_sql=folder_of_own_sql(settings),
            shared=shared_place(settings),
            tell=teller(err if is_json else console),
        )
    note = _note(settings)
    if is_json:
        print_json(_as_json_object(settings, note, changed))
    else:
        for table, rows in sorted(changed.items()):
            console.print(f"{table}: {rows} rows", highlight=False)
        console.print(_sentence(settings, note), highlight=False, markup=False)
    return 0 if _is_met(settings, note) else 1


def _as_json_object(
    settings: Settings, note: PrivacyNote | None, changed: dict[str, int]
) -> dict[str, Any]:
    """The settings, the rules of the last sync, and whether all rows are by the settings."""
    return {
        "text": settings.text,
        "people": settings.people,
        "loaded_by": note and {"text": note.text, "people": note.people},
        "is_met": _is_met(settings, note),
        "says": _sentence(settings, note),
        "rewritten_rows": changed,
    }


def _note(settings: Settings) -> PrivacyNote | None:
    live = Home(home_of(settings)).live
    if not live.exists():
        return None
    with open_to_read(live, PRIVACY, wait_seconds=LOCK_WAIT_SECONDS) as database:
        return latest_note(database)


def _is_met(settings: Settings, note: PrivacyNote | None) -> bool:
    if note is None:
        return True
    is_same = (note.text, note.people) == (settings.text, settings.people)
    return is_same and note.is_met


def _sentence(settings: Settings, note: PrivacyNote | None) -> str:
    rules = f"DIFY_ETL_TEXT={settings.text}, DIFY_ETL_PEOPLE={settings.people}"
    if note is None:
        return f"{rules}: the first sync will load rows so"
    if (note.text, note.people) != (settings.text, settings.people):
        return (
            f"{rules}: rows were loaded by DIFY_ETL_TEXT={note.text}, "
            f"DIFY_ETL_PEOPLE={note.people}; the next sync loads by the new ones, and `{REWRITE}` "
            "brings older rows to them"
        )
    return "\n".join(doubts_of(note)) or f"{rules}: all rows are so"
