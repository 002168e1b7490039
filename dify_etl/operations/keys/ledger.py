"""The ledger of rotations: an SQLite file of the home, so that no reader of the warehouse can keep
a rotation from writing down what it is about to do.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from dify_etl.home import Home
from dify_etl.operations.keys.errors import RotationError, RotationRunning
from dify_etl.operations.keys.states import Rotation
from dify_etl.private_files import (
    ADVICE_WITHOUT_LOCKS,
    PRIVATE_FILE,
    LockHeld,
    LockUnavailable,
    process_lock,
)

BUSY_SECONDS = 30.0
_ADOPTIONS = (
    "CREATE TABLE IF NOT EXISTS adoptions "
    "(target_id TEXT, digest TEXT, PRIMARY KEY (target_id, digest))"
)


class RotationLedger:
    """All rotations of a home, the current state of each. What `write` got is on the disk."""

    def __init__(self, home: Path) -> None:
        self.path = Home(home).rotations
        self._lock = Home(home).rotation_lock

    def exclusive(self, *, wait_seconds: float = 0.0) -> AbstractContextManager[None]:
        """Only one process of a home rotates at a time. Raises RotationRunning, RotationError."""
        return process_lock(self._lock, wait_seconds=wait_seconds, refused=self._refused)

    def _refused(self, error: OSError | LockHeld) -> RotationError:
        if isinstance(error, LockHeld):
            return RotationRunning(
                f"keys are being rotated already: {error}",
                where=str(self._lock),
                hint="Let it end; what it leaves open, the next run goes on with.",
            )
        is_lockless = isinstance(error, LockUnavailable)
        return RotationError(
            f"the lock of rotations cannot be held: {error.strerror}",
            where=str(self._lock),
            hint=ADVICE_WITHOUT_LOCKS if is_lockless else "Fix its permissions.",
        )

    def rotations(self) -> tuple[Rotation, ...]:
        """All rotations, oldest first."""
        if not self.path.exists():
            return ()
        with self._opened() as ledger:
            rows = ledger.execute("SELECT body FROM rotations ORDER BY rowid").fetchall()
        return tuple(Rotation.model_validate_json(body) for (body,) in rows)

    def adoptions(self, target_id: str) -> frozenset[str]:
        """Digests of what the operator adopted for a target."""
        if not self.path.exists():
            return frozenset()
        with self._opened() as ledger:
            ledger.execute(_ADOPTIONS)
            rows = ledger.execute(
                "SELECT digest FROM adoptions WHERE target_id = ?", [target_id]
            ).fetchall()
        return frozenset(digest for (digest,) in rows)

    def adopt(self, target_id: str, digest: str) -> None:
        """Keep that a rotation of the target may overwrite the value with this digest."""
        with self._opened() as ledger, ledger:
            ledger.execute(_ADOPTIONS)
            ledger.execute("INSERT OR IGNORE INTO adoptions VALUES (?, ?)", [target_id, digest])

    def write(self, rotation: Rotation) -> None:
        """Keep the rotation as it is now."""
        values = {"id": rotation.rotation_id, "body": rotation.model_dump_json()}
        with self._opened() as ledger, ledger:
            ledger.execute(
                "INSERT INTO rotations (rotation_id, body) VALUES (:id, :body) "
                "ON CONFLICT (rotation_id) DO UPDATE SET body = :body",
                values,
            )

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.touch(mode=PRIVATE_FILE)  # SQLite would let others read it
            with closing(sqlite3.connect(self.path, timeout=BUSY_SECONDS)) as ledger:
                ledger.execute("PRAGMA synchronous = FULL")
                if self.path.stat().st_size == 0:
                    ledger.execute(
                        "CREATE TABLE IF NOT EXISTS rotations "
                        "(rotation_id TEXT PRIMARY KEY, body TEXT NOT NULL)"
                    )
                yield ledger
        except (sqlite3.Error, OSError) as error:
            raise RotationError(
                f"the ledger of rotations cannot be used: {error}",
                where=str(self.path),
                hint="Nothing was done that it does not tell. Free the disk or the file, and run "
                "again.",
            ) from error
