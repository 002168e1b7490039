"""`dify-etl forget`: what it would take to forget a person, doing it, and who was forgotten."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from dify_etl.assembly.connection import copy_place, effective_settings, home_of, privacy_of
from dify_etl.assembly.forgetting import Forgetting, forget, plan_forgetting
from dify_etl.assembly.home_files import people_salt
from dify_etl.cli.dagster_home import dagster_folder
from dify_etl.cli.operating import show_lines
from dify_etl.home import Home
from dify_etl.sync.ledger import FORGOTTEN_PEOPLE, FORGOTTEN_ROWS
from dify_etl.warehouse.database import open_database
from dify_etl.warehouse.errors import NothingPublished

LOCK_WAIT_SECONDS = 10.0


def run_forget(console: Console, person: str | None, *, agreed_id: str | None) -> int:
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
        return _list(console, home)
    privacy = replace(privacy_of(settings), salt=people_salt(home))
    place, dagster = copy_place(settings), dagster_folder(settings)
    if agreed_id is None:
        plan = plan_forgetting(home, privacy, person, place=place, dagster=dagster)
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
        tell=lambda line: console.print(line, highlight=False, markup=False),
    )
    return _show(console, done)


def _show(console: Console, done: Forgetting) -> int:
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
    return 1 if done.still_named else 0


def _list(console: Console, home: Path) -> int:
    with open_database(Home(home).live, wait_seconds=LOCK_WAIT_SECONDS) as database:
        database.ensure(FORGOTTEN_PEOPLE, FORGOTTEN_ROWS)
        rows = database.rows(
            """SELECT p.person, p.kind, strftime(p.forgotten_at, '%Y-%m-%d'), count(r.row_id),
                p.rewritten_at IS NOT NULL
            FROM ops.forgotten_people p LEFT JOIN ops.forgotten_rows r USING (person)
            GROUP BY ALL ORDER BY ALL"""
        )
    for person, kind, day, count, is_done in rows:
        cut = "" if is_done else "; cut off, say it once more"
        console.print(f"{person}: {kind}, {day}, {count} rows{cut}", highlight=False, markup=False)
    if not rows:
        console.print("Nobody was forgotten.")
    return 0 if all(is_done for *_, is_done in rows) else 1
