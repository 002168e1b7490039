"""What a home is tied to, what answers today, and how it goes on with that in the same workspace.

A home belongs to one server, workspace and account. The account may be replaced, and Dify may move
to another address: whoever looks at what differs may tie the home to it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from dify_etl.dify.client import DifyClient
from dify_etl.home import Home, user_name
from dify_etl.operations.audit import AuditEntry, AuditFile, Outcome
from dify_etl.operations.errors import PlanStale
from dify_etl.sync.errors import SourceChanged
from dify_etl.sync.ledger import SOURCE
from dify_etl.sync.lock import home_lock
from dify_etl.sync.source import Answering, ask_source
from dify_etl.time_zones import is_same_zone, utc_now
from dify_etl.warehouse.database import Database, open_database, open_to_read
from dify_etl.warehouse.errors import NothingPublished

SOURCE_COMMAND = "dify-etl source"
LOCK_WAIT_SECONDS = 10.0
PINNED = ("server_origin", "workspace_id", "account_id", "timezone")


@dataclass(frozen=True)
class SourceChange:
    """The pinned source beside what answers, by column; both as `ops.source` has them.

    `refused` says why the home cannot go on with it, `notes` what to mind where it can.
    """

    held: Mapping[str, str]
    found: Mapping[str, str]
    refused: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def differing(self) -> tuple[str, ...]:
        """The columns that are told otherwise now; another name of the same zone is the same."""
        return tuple(
            name
            for name in PINNED
            if self.held[name] != self.found[name]
            and not (name == "timezone" and is_same_zone(self.held[name], self.found[name]))
        )

    @property
    def plan_id(self) -> str:
        """Names this very change: another one has another id."""
        told = json.dumps([dict(self.held), dict(self.found), self.notes], sort_keys=True)
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    @property
    def lines(self) -> tuple[str, ...]:
        """What differs and what to mind, a line each."""
        told = [
            f"{name.replace('_', ' ')}: {self.held[name]} was read, {self.found[name]} answers"
            for name in self.differing
        ]
        return (*told, *([f"cannot go on: {self.refused}"] if self.refused else self.notes))


def look_at_source(home: Path, dify: DifyClient) -> SourceChange:
    """What the home is tied to, and what answers. NothingPublished: it is tied to nothing yet."""
    live = Home(home).live
    if not live.exists():
        raise _tied_to_nothing(home)
    answering = ask_source(dify)
    apps = frozenset(app.app_id for app in dify.apps.list())
    with open_to_read(live, SOURCE, wait_seconds=LOCK_WAIT_SECONDS) as database:
        return _compared(home, database, dify.origin, answering, apps)


def accept_source(home: Path, dify: DifyClient, *, agreed_id: str) -> SourceChange:
    """Tie the home to what answers, as the change of that id says; in the audit, and under the
    home's lock.

    SourceChanged where it is another workspace, or none that holds what the home holds. PlanStale
    when what would be done now is something else.
    """
    with home_lock(home, wait_seconds=LOCK_WAIT_SECONDS):
        change = look_at_source(home, dify)
        if change.refused is not None:
            raise SourceChanged(
                f"this home cannot go on with what answers: {change.refused}",
                where="ops.source",
                hint="Nothing was changed. Load the other one into a home of its own with "
                "DIFY_ETL_HOME.",
            )
        if change.plan_id != agreed_id:
            told = "\n".join(change.lines)
            raise PlanStale(
                f"the change agreed to is {agreed_id}, but what would be done now is\n{told}",
                where=SOURCE_COMMAND,
                hint=f"Nothing was changed. If this one is right, accept {change.plan_id}.",
            )
        trail = AuditFile(Home(home).audit)
        trail.record(_entry(change, "begun"))
        with open_database(Home(home).live, wait_seconds=LOCK_WAIT_SECONDS) as database:
            database.ensure(SOURCE)
            with database.transaction():
                database.execute(
                    "UPDATE ops.source SET server_origin = ?, account_id = ?, pinned_at = ?",
                    [change.found["server_origin"], change.found["account_id"], utc_now()],
                )
        trail.record(_entry(change, "verified"))
        return change


def _compared(
    home: Path, database: Database, origin: str, answering: Answering, apps: frozenset[str]
) -> SourceChange:
    rows = database.rows(f"SELECT {', '.join(PINNED)} FROM ops.source")
    if not rows:
        raise _tied_to_nothing(home)
    held = dict(zip(PINNED, map(str, rows[0]), strict=True))
    found = {
        "server_origin": origin,
        "workspace_id": answering.workspace.workspace_id,
        "account_id": answering.profile.account_id,
        "timezone": str(answering.profile.timezone),
    }
    change = SourceChange(held, found)
    known = {
        app_id
        for (app_id,) in database.rows("SELECT app_id FROM raw.apps WHERE absent_since IS NULL")
    }
    shown = len(known & apps)
    refused = _why_not(change, known, shown)
    notes = () if refused else tuple(_to_mind(change, answering, len(known), shown))
    return SourceChange(held, found, refused, notes)


def _why_not(change: SourceChange, known: set[str], shown: int) -> str | None:
    if "workspace_id" in change.differing:
        return "another workspace answers, and its rows would stand among those of the first"
    if "timezone" in change.differing:
        return (
            f"days are counted in {change.held['timezone']} here, and the account has "
            f"{change.found['timezone']}: set its time zone in Dify first"
        )
    if "server_origin" in change.differing and known and not shown:
        return f"that server shows none of the {len(known)} apps that this home holds"
    return None


def _to_mind(change: SourceChange, answering: Answering, known: int, shown: int) -> Iterator[str]:
    if not change.differing:
        return
    yield f"{shown} of the {known} apps that this home holds are shown to the account"
    if "account_id" in change.differing:
        yield (
            f"the new account has the role {answering.role or 'that Dify does not tell'}: apps "
            "that it is not shown will count as gone, other lists that it is not shown are unproven"
        )
    if "server_origin" in change.differing:
        yield (
            "a copy of this Dify, as a test server made of a backup, answers alike: go on only "
            "where Dify itself moved"
        )


def _tied_to_nothing(home: Path) -> NothingPublished:
    return NothingPublished(
        "this home is tied to no Dify yet",
        where=str(home),
        hint="`dify-etl sync` reads what the settings name, and ties the home to it.",
    )


def _entry(change: SourceChange, outcome: Outcome) -> AuditEntry:
    return AuditEntry(
        plan_id=change.plan_id,
        step=1,
        operation="source.accept",
        target_kind="workspace",
        target_id=change.held["workspace_id"],
        target_name=change.held["workspace_id"],
        actor=user_name(),
        before=json.dumps({name: change.held[name] for name in change.differing}),
        after=json.dumps({name: change.found[name] for name in change.differing}),
        outcome=outcome,
        at=utc_now(),
    )
