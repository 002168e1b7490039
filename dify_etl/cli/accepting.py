"""`dify-etl accept`: list the holes in the ledger, and take known ones out of the verdict."""

import getpass
import json
import uuid
from collections.abc import Sequence
from datetime import date

from rich.console import Console

from dify_etl.assembly.connection import effective_settings, home_of
from dify_etl.assembly.ops_copies import OPS_TABLES
from dify_etl.cli.json_answers import print_json
from dify_etl.cli.summary import show_accepted, show_bad_slices, show_waiting
from dify_etl.cli.verdict_json import verdict_object
from dify_etl.home import Home
from dify_etl.operations.audit import AuditEntry, AuditFile
from dify_etl.sync.accepting import BadRow, accept, find_bad
from dify_etl.sync.errors import WindowWrong
from dify_etl.sync.lock import home_lock
from dify_etl.sync.verdict import Verdict, judge
from dify_etl.time_zones import utc_now
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.errors import NothingPublished

ACCEPT = "holes.accept"
LOCK_WAIT_SECONDS = 10.0


def run_accept(
    console: Console,
    names: Sequence[str],
    *,
    reason: str | None,
    until: date | None,
    is_json: bool = False,
) -> int:
    """Accept these slices, or without any list what is not whole; 1 when something is left."""
    home = home_of(effective_settings())
    if not Home(home).live.exists():
        raise NothingPublished(
            "no sync has read anything yet", where=str(home), hint="Run `dify-etl sync` first."
        )
    if names and not (reason or "").strip():
        raise WindowWrong(
            "no reason is given",
            where="--reason",
            hint="Say why the hole is accepted: it is shown in every listing.",
        )
    if until is not None and until < utc_now().date():
        raise WindowWrong(
            f"{until} is over, so nothing would be accepted",
            where="--until",
            hint="Name a later day, or leave it out: then it counts until the slice changes.",
        )
    with (
        home_lock(home, wait_seconds=LOCK_WAIT_SECONDS),
        open_database(Home(home).live, wait_seconds=LOCK_WAIT_SECONDS) as database,
    ):
        for table in OPS_TABLES:
            database.ensure(table)
        judge(database)  # ends acceptances of slices that changed since
        rows = find_bad(database, names)
        for row in rows:
            AuditFile(Home(home).audit).record(_entry(row, (reason or "").strip(), until))
        _write(database, rows, (reason or "").strip(), until)
        verdict = judge(database)
    if is_json:
        print_json({"accepted_now": len(rows), **verdict_object(verdict)})
    else:
        _show(console, len(rows), verdict)
    return 0 if verdict.is_good or names else 1


def _show(console: Console, accepted_now: int, verdict: Verdict) -> None:
    if accepted_now:
        console.print(f"{accepted_now} slices accepted; they stay in ops.slices", highlight=False)
    show_bad_slices(console, verdict.bad)
    show_accepted(console, verdict.accepted)
    show_waiting(console, verdict)
    if verdict.is_good:
        nothing = "Nothing else" if accepted_now or verdict.accepted else "Nothing"
        console.print(f"{nothing} is failed or incomplete, and no object waits in quarantine.")


def _write(database: Database, rows: Sequence[BadRow], reason: str, until: date | None) -> None:
    with database.transaction():
        accept(database, rows, why=reason, until=until, by=getpass.getuser(), now=utc_now())


def _entry(row: BadRow, reason: str, until: date | None) -> AuditEntry:
    return AuditEntry(
        plan_id=uuid.uuid4().hex[:12],
        step=1,
        operation=ACCEPT,
        target_kind="slice",
        target_id=row.app_id,
        target_name=row.name,
        actor=getpass.getuser(),
        before=json.dumps({"state": row.state, "reason": row.reason}, ensure_ascii=False),
        after=json.dumps(
            {"accepted": reason, "until": until and until.isoformat()}, ensure_ascii=False
        ),
        outcome="done",
        message=reason,
        at=utc_now(),
    )
