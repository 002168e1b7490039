"""The ledger of alerts: an SQLite file of the home, as a night that fails because nobody can open
the warehouse must be heard of as well, and only once.

No secret stands in it: a target is the HMAC of its URL, with the key of the home.
"""

import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from dify_etl.alerts.incidents import Incident
from dify_etl.home import Home
from dify_etl.private_files import PRIVATE_FILE

Outcome = Literal["published", "failed", "skipped", "interrupted"]
Phase = Literal["began", "grew", "reminder", "over"]
REMIND_AFTER = timedelta(days=7)
BUSY_SECONDS = 30.0
_TABLES = """
CREATE TABLE IF NOT EXISTS nights (
  run_id TEXT PRIMARY KEY, began_at TEXT NOT NULL, ended_at TEXT, outcome TEXT, what TEXT);
CREATE TABLE IF NOT EXISTS incidents (
  incident_id INTEGER PRIMARY KEY, kind TEXT NOT NULL, key TEXT NOT NULL, began_at TEXT NOT NULL,
  seen_at TEXT NOT NULL, ended_at TEXT, subject TEXT NOT NULL, text TEXT NOT NULL,
  count INTEGER NOT NULL, grown_at TEXT);
CREATE TABLE IF NOT EXISTS targets (target TEXT PRIMARY KEY, first_seen_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS deliveries (
  incident_id INTEGER, target TEXT, phase TEXT NOT NULL, sent_at TEXT NOT NULL,
  PRIMARY KEY (incident_id, target, phase));
CREATE TABLE IF NOT EXISTS watched (since_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS source (name TEXT NOT NULL, server TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Night:
    """A nightly sync: when it began and ended, how, and of one that failed what happened.

    Without an outcome it runs, or was cut off.
    """

    run_id: str
    began_at: datetime
    ended_at: datetime | None
    outcome: Outcome | None
    what: str


@dataclass(frozen=True)
class KeptIncident:
    """An incident of the ledger; all times UTC, `ended_at` None while it is open.

    `grown_at`: when it last counted more than at the evaluation before.
    """

    incident_id: int
    kind: str
    key: str
    began_at: datetime
    seen_at: datetime
    ended_at: datetime | None
    subject: str
    text: str
    count: int
    grown_at: datetime | None


@dataclass(frozen=True)
class Due:
    """An incident that a target has to hear of, and why now."""

    incident: KeptIncident
    phase: Phase


class AlertLedger:
    """Nights, incidents, and which target heard of which; what is written is on the disk.

    Where the disk takes no more, it is kept in memory for one evaluation (`is_kept` is false): a
    full disk must be heard of, even twice.
    """

    def __init__(self, connection: sqlite3.Connection, *, is_kept: bool) -> None:
        self._connection = connection
        self.is_kept = is_kept

    def begin_night(self, run_id: str, at: datetime) -> None:
        """A night begins."""
        self._write(
            "INSERT OR IGNORE INTO nights (run_id, began_at) VALUES (?, ?)", run_id, _text(at)
        )

    def end_night(self, night: Night) -> None:
        """A night has ended; one that ended already stays as it is."""
        self.begin_night(night.run_id, night.began_at)
        self._write(
            "UPDATE nights SET ended_at = ?, outcome = ?, what = ? "
            "WHERE run_id = ? AND outcome IS NULL",
            _text(night.ended_at),
            night.outcome,
            night.what,
            night.run_id,
        )

    def loaded_from(self, name: str, server: str) -> None:
        """What the workspace is called in Dify, and its host, as the warehouse says now."""
        if (name, server) not in (("", ""), self.source()):
            with self._connection:
                self._connection.execute("DELETE FROM source")
                self._connection.execute("INSERT INTO source VALUES (?, ?)", [name, server])

    def source(self) -> tuple[str, str]:
        """The same, as it was told last; "" before."""
        return next(iter(self._rows("SELECT name, server FROM source")), ("", ""))

    def nights(self, last: int = 50) -> list[Night]:
        """The last nights, newest first."""
        rows = self._rows(
            "SELECT run_id, began_at, ended_at, outcome, coalesce(what, '') FROM nights "
            "ORDER BY began_at DESC LIMIT ?",
            last,
        )
        return [
            Night(run_id, datetime.fromisoformat(began), _time(ended), outcome, what)
            for run_id, began, ended, outcome, what in rows
        ]

    def watched_since(self, now: datetime) -> datetime:
        """When this home was evaluated first: nights before that are not missed."""
        held = self._rows("SELECT since_at FROM watched")
        if not held:
            self._write("INSERT INTO watched VALUES (?)", _text(now))
            return now
        return datetime.fromisoformat(held[0][0])

    def note(self, found: Sequence[Incident], looked: Collection[str], now: datetime) -> None:
        """Keep what was found: what is new begins, what is found no more ends, if its kind was
        looked at; the others stay as they are.
        """
        open_ones = {(one.kind, one.key): one for one in self.incidents() if not one.ended_at}
        with self._connection:
            for one in found:
                if (one.kind, one.key) in open_ones:
                    held = open_ones.pop((one.kind, one.key))
                    grown_at = now if one.count > held.count else held.grown_at
                    self._connection.execute(
                        "UPDATE incidents SET seen_at = ?, subject = ?, text = ?, count = ?, "
                        "grown_at = ? WHERE incident_id = ?",
                        [
                            *(_text(now), one.subject, one.text, one.count),
                            *(_text(grown_at), held.incident_id),
                        ],
                    )
                else:
                    self._connection.execute(
                        "INSERT INTO incidents (kind, key, began_at, seen_at, subject, text, count)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?)",
                        [one.kind, one.key, *2 * [_text(now)], one.subject, one.text, one.count],
                    )
            for gone in open_ones.values():
                if gone.kind in looked:
                    self._connection.execute(
                        "UPDATE incidents SET ended_at = ? WHERE incident_id = ?",
                        [_text(now), gone.incident_id],
                    )

    def incidents(self) -> list[KeptIncident]:
        """All of them, oldest first."""
        rows = self._rows(
            "SELECT incident_id, kind, key, began_at, seen_at, ended_at, subject, text, count, "
            "grown_at FROM incidents ORDER BY incident_id"
        )
        return [
            KeptIncident(
                number,
                kind,
                key,
                datetime.fromisoformat(began),
                datetime.fromisoformat(seen),
                _time(ended),
                subject,
                text,
                count,
                _time(grown),
            )
            for number, kind, key, began, seen, ended, subject, text, count, grown in rows
        ]

    def due(self, target: str, grows: Collection[str], now: datetime) -> list[Due]:
        """What a target has to hear now; `grows` are kinds that are sent again when they grew.

        What ended while a target could not be reached is told once, as over; what ended before the
        target was first seen, never.
        """
        self._write("INSERT OR IGNORE INTO targets VALUES (?, ?)", target, _text(now))
        ((since,),) = self._rows("SELECT first_seen_at FROM targets WHERE target = ?", target)
        sent = {
            number: (datetime.fromisoformat(at), bool(is_over))
            for number, at, is_over in self._rows(
                "SELECT incident_id, max(sent_at), max(phase = 'over') FROM deliveries "
                "WHERE target = ? GROUP BY incident_id",
                target,
            )
        }
        found = []
        for one in self.incidents():
            phase = _phase(one, sent.get(one.incident_id), one.kind in grows, now)
            is_old = one.ended_at is not None and one.ended_at <= datetime.fromisoformat(since)
            if phase and not (is_old and one.incident_id not in sent):
                found.append(Due(one, phase))
        return found

    def sent(self, target: str, due: Sequence[Due], now: datetime) -> None:
        """A target got a message about these."""
        with self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO deliveries VALUES (?, ?, ?, ?)",
                [(one.incident.incident_id, target, one.phase, _text(now)) for one in due],
            )

    def sent_times(self) -> dict[int, dict[str, datetime]]:
        """By incident and phase, when the first target got it; of reminders, when the last did."""
        found: dict[int, dict[str, datetime]] = {}
        for number, phase, first, last in self._rows(
            "SELECT incident_id, phase, min(sent_at), max(sent_at) FROM deliveries GROUP BY 1, 2"
        ):
            at = datetime.fromisoformat(last if phase == "reminder" else first)
            found.setdefault(number, {})[phase] = at
        return found

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, values).fetchall()

    def _write(self, sql: str, *values: object) -> None:
        with self._connection:
            self._connection.execute(sql, values)


def _phase(
    one: KeptIncident, sent: tuple[datetime, bool] | None, grows: bool, now: datetime
) -> Phase | None:
    if one.ended_at is not None:
        return None if sent is not None and sent[1] else "over"
    if sent is None:
        return "began"
    at, _ = sent
    if grows and one.grown_at is not None and one.grown_at > at:
        return "grew"
    return "reminder" if now - at >= REMIND_AFTER else None


@contextmanager
def open_ledger(home: Path, *, is_copy: bool = False) -> Iterator[AlertLedger]:
    """The ledger of a home; of one that cannot be written, and with `is_copy`, what can be read of
    it, in memory.
    """
    path = Home(home).alerts
    connection = None if is_copy else _opened(path)
    is_kept = connection is not None
    with closing(connection or _copied(path)) as opened:
        yield AlertLedger(opened, is_kept=is_kept)


def _opened(path: Path) -> sqlite3.Connection | None:
    """None when the disk is full, or the file is somebody else's or damaged."""
    try:
        path.touch(mode=PRIVATE_FILE)  # SQLite would let others read it
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS)
    except (sqlite3.Error, OSError):
        return None
    try:
        connection.executescript(_TABLES)
        with connection:  # a full disk shows when something is written
            connection.execute("PRAGMA user_version = 1")
    except sqlite3.Error:
        connection.close()
        return None
    return connection


def _copied(path: Path) -> sqlite3.Connection:
    copy = sqlite3.connect(":memory:")
    if path.exists():
        with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as held:
            held.backup(copy)
    copy.executescript(_TABLES)
    return copy


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
