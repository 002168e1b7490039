"""One evaluation: look, keep what was found, send what each target has to hear."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from dify_etl.alerts.finding import FINDERS, Findings, find_incidents
from dify_etl.alerts.incidents import KINDS, Incident, Moment
from dify_etl.alerts.ledger import AlertLedger, open_ledger
from dify_etl.alerts.messages import Message, messages_of
from dify_etl.alerts.nights import (
    KINDS_OF_NIGHTS,
    behind_shared,
    failed_night,
    missing_night,
    stuck_keys,
)
from dify_etl.alerts.readings import loaded_from
from dify_etl.alerts.source import Source
from dify_etl.alerts.targets import Target
from dify_etl.home import Home
from dify_etl.operations.keys.errors import RotationError
from dify_etl.operations.keys.ledger import RotationLedger
from dify_etl.private_files import LockHeld, process_lock
from dify_etl.sync.lock import holder
from dify_etl.sync.shared_note import shared_behind
from dify_etl.warehouse.database import open_database
from dify_etl.warehouse.errors import WarehouseError

Tell = Callable[[str], None]
GROWING = frozenset(one.name for one in KINDS.values() if one.grows)


class AlertsBusy(Exception):
    """Another process evaluates alerts of this home right now: it sends what is to be sent."""


@dataclass(frozen=True)
class Evaluation:
    """What is wrong, and what became of the messages."""

    incidents: tuple[Incident, ...]
    sent: int
    undelivered: int
    not_looked: tuple[str, ...]  # kinds; empty when all were looked at


@contextmanager
def alerts_lock(home: Path, *, wait_seconds: float) -> Iterator[None]:
    """Only one process of a home evaluates at a time. AlertsBusy; OSError without a folder."""

    def refused(error: OSError | LockHeld) -> Exception:
        return AlertsBusy() if isinstance(error, LockHeld) else error

    with process_lock(Home(home).alerts_lock, wait_seconds=wait_seconds, refused=refused):
        yield


def evaluate(
    home: Path,
    targets: Sequence[Target],
    moment: Moment,
    source: Source,
    *,
    tell: Tell,
    wait_seconds: float,
) -> Evaluation:
    """Find, keep and send. What could not be delivered is said, and tried again the next time.
    `source` is what the settings say of whom the messages are about.

    The live file is opened for the moment of looking, and waited for `wait_seconds`; while somebody
    syncs it is left alone: that sync looks at its end. AlertsBusy.
    """
    with alerts_lock(home, wait_seconds=wait_seconds), open_ledger(home) as ledger:
        findings = look(home, ledger, moment, tell=tell, wait_seconds=wait_seconds)
        source = known_source(ledger, source)
        ledger.note(findings.incidents, findings.looked, moment.now)
        sent = undelivered = 0
        for target in targets:
            for message in messages_of(ledger.due(target.fingerprint, GROWING, moment.now), source):
                if why := target.send(message):
                    undelivered += 1
                    tell(f"an alert was not delivered to {target.name}: {why}; tried again later")
                else:
                    sent += 1
                    _note_sent(ledger, target, message, moment)
        if not ledger.is_kept:
            tell("the ledger of alerts cannot be written: alerts may come twice")
        not_looked = tuple(kind for kind in KINDS if kind not in findings.looked)
        return Evaluation(findings.incidents, sent, undelivered, not_looked)


def _note_sent(ledger: AlertLedger, target: Target, message: Message, moment: Moment) -> None:
    """Where the disk takes it no more, the other targets are told all the same."""
    try:
        ledger.sent(target.fingerprint, message.due, moment.now)
    except sqlite3.Error:
        ledger.is_kept = False


def waiting_messages(
    home: Path,
    targets: Sequence[Target],
    moment: Moment,
    source: Source,
    *,
    tell: Tell,
    wait_seconds: float,
) -> list[Message]:
    """What an evaluation would send to any target, without sending or keeping anything; without a
    target, what is open.
    """
    with open_ledger(home, is_copy=True) as ledger:
        findings = look(home, ledger, moment, tell=tell, wait_seconds=wait_seconds)
        source = known_source(ledger, source)
        ledger.note(findings.incidents, findings.looked, moment.now)
        fingerprints = [one.fingerprint for one in targets] or [""]
        due = [one for name in fingerprints for one in ledger.due(name, GROWING, moment.now)]
        once = {(one.incident.incident_id, one.phase): one for one in due}
        return list(messages_of(list(once.values()), source))


def look(
    home: Path, ledger: AlertLedger, moment: Moment, *, tell: Tell, wait_seconds: float
) -> Findings:
    """What is wrong by the ledger of alerts, that of rotations, and the live file if it is free;
    the ledger keeps from whom that was loaded.
    """
    running = holder(home)
    incidents = [
        *failed_night(ledger.nights(), moment, is_running=running is not None),
        *missing_night(ledger, moment, is_running=running is not None),
        *behind_shared(shared_behind(home), is_running=running is not None),
    ]
    looked = set(KINDS_OF_NIGHTS)
    try:
        incidents += stuck_keys(RotationLedger(home).rotations(), moment)
    except RotationError as error:
        looked.remove("rotation_stuck")
        tell(f"rotations of keys were not looked at: {error.what}")
    in_warehouse = Findings((), frozenset(FINDERS))  # of a home that was never synced
    if running is not None:
        tell(f"a sync runs ({running}); the data are looked at when it has ended")
        in_warehouse = Findings((), frozenset())
    elif Home(home).live.exists():
        try:
            with open_database(Home(home).live, wait_seconds=wait_seconds) as database:
                in_warehouse = find_incidents(database, moment)
                ledger.loaded_from(*loaded_from(database))
        except (WarehouseError, duckdb.Error) as error:
            in_warehouse = Findings((), frozenset())
            why = error.what if isinstance(error, WarehouseError) else type(error).__name__
            tell(f"the data were not looked at: {why}")
    return Findings((*incidents, *in_warehouse.incidents), in_warehouse.looked | looked)


def known_source(ledger: AlertLedger, source: Source) -> Source:
    """With what the last look into the warehouse said, which may not be free now."""
    name, server = ledger.source()
    return replace(source, name=name or source.name, server=server or source.server)
