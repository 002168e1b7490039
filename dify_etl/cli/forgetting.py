"""`dify-etl forget`: what it would take to forget a person, doing it, and who was forgotten."""

from dataclasses import asdict, replace
from pathlib import Path
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
from dify_etl.assembly.forgetting import ForgetPlan, Forgetting, forget, plan_forgetting
from dify_etl.assembly.home_files import people_salt
from dify_etl.cli.consoles import err, teller
from dify_etl.cli.dagster_home import dagster_folders
from dify_etl.cli.json_answers import print_json
from dify_etl.cli.operating import show_lines
from dify_etl.home import Home
from dify_etl.settings import Settings, setting_names
from dify_etl.sync.ledger import FORGOTTEN_PEOPLE, FORGOTTEN_ROWS
from dify_etl.warehouse.database import open_to_read
from dify_etl.warehouse.errors import NothingPublished
from dify_etl.workspaces import all_workspaces, folders_of_others

LOCK_WAIT_SECONDS = 10.0


def run_forget(
    console: Console, person: str | None, *, agreed_id: str | None, is_json: bool = False
) -> int:
    """Show the plan, or carry it out; 1 when a name stands somewhere all the same.

    PersonUnclear, PlanStale, NothingPublished.
    """
    settings = effective_settings()
    home = home_of(settings)
    if not Home(home).live.exists():
        raise NothingPublished(
            "no sync has read anything yet",
            where=str(home),
            hint="There is nobody to forget: run `dify-etl sync`.",
        )
    if person is None:
        return _list(console, home, is_json=is_json)
    privacy = replace(privacy_of(settings), salt=people_salt(home))
    place, dagster = copy_place(settings), dagster_folders(settings)
    of_others = _folders_of_others(settings)
    if agreed_id is None:
        plan = plan_forgetting(
            home, privacy, person, place=place, dagster=dagster, of_others=of_others
        )
        if is_json:
            print_json(_plan_object(plan))
            return 0
        show_lines(console, list(plan.lines(home)))
        console.print(
            f"Nothing was changed. To do exactly this, add --apply {plan.plan_id}", highlight=False
        )
        return 0
    done = forget(
        home,
        privacy,
        person,
        agreed_id=agreed_id,
        place=place,
        dagster=dagster,
        of_others=of_others,
        own_sql=folder_of_own_sql(settings),
        shared=shared_place(settings),
        tell=teller(err if is_json else console),
    )
    if is_json:
        print_json(asdict(done))
    else:
        _show(console, done)
    return 1 if done.still_named else 0


def _folders_of_others(settings: Settings) -> set[Path]:
    """What must not be taken for files of this home, though it may lie in it."""
    tables = all_workspaces(setting_names())
    return folders_of_others(settings.workspace, tables) if settings.workspace else set()


def _plan_object(plan: ForgetPlan) -> dict[str, Any]:
    """What would be done. Ids tell who is meant; names stand in no answer."""
    return {
        "plan_id": plan.plan_id,
        "kind": plan.person.kind or "person",
        "ids": [*sorted(plan.person.accounts), *sorted(plan.person.end_users)],
        "forgotten_before_as": plan.person.new_name or None,
        "rows": {f"raw.{table}": rows for table, rows in plan.rows.items()},
        "files": [asdict(one) for one in plan.files],
    }


def _show(console: Console, done: Forgetting) -> None:
    for table, rows in sorted(done.changed.items()):
        console.print(f"{table}: {rows} rows", highlight=False)
    console.print(
        f"Forgotten: {done.new_name} stands for the person in ops.forgotten_people. Copies that "
        "analysts took, exports elsewhere and backups still hold them.",
        highlight=False,
    )
    for column, rows in done.still_named.items():
        console.print(
            f"{column}: {rows} texts still hold a name",
            highlight=False,
        )


def _list(console: Console, home: Path, *, is_json: bool) -> int:
    tables = (FORGOTTEN_PEOPLE, FORGOTTEN_ROWS)
    with open_to_read(Home(home).live, *tables, wait_seconds=LOCK_WAIT_SECONDS) as database:
        rows = database.rows(
            """SELECT p.person, p.kind, strftime(p.forgotten_at, '%Y-%m-%d'), count(r.row_id),
                p.rewritten_at IS NOT NULL
            FROM ops.forgotten_people p LEFT JOIN ops.forgotten_rows r USING (person)
            GROUP BY ALL ORDER BY ALL"""
        )
    if is_json:
        names = ("person", "kind", "forgotten_date", "rows", "is_done")
        print_json([dict(zip(names, row, strict=True)) for row in rows])
        return 0 if all(is_done for *_, is_done in rows) else 1
    for person, kind, day, count, is_done in rows:
        cut = "" if is_done else "; cut off, say it once more"
        console.print(f"{person}: {kind}, {day}, {count} rows{cut}", highlight=False, markup=False)
    if not rows:
        console.print("Nobody was forgotten.")
    return 0 if all(is_done for *_, is_done in rows) else 1
