"""One sync per home: an OS lock on `sync.lock` that says who holds it and dies with its holder."""

from contextlib import AbstractContextManager
from pathlib import Path

from dify_etl.home import Home
from dify_etl.private_files import LockHeld, lock_holder, process_lock
from dify_etl.sync.errors import AnotherSync
from dify_etl.warehouse.errors import translated


def home_lock(home: Path, *, wait_seconds: float) -> AbstractContextManager[None]:
    """Hold the home's lock; AnotherSync names the holder once the deadline has passed."""
    path = Home(home).sync_lock

    def refused(error: OSError | LockHeld) -> Exception:
        if not isinstance(error, LockHeld):
            return translated(path, error)
        return AnotherSync(
            f"another sync runs in this home: {error}; waited {wait_seconds:g} s",
            where=str(path),
            hint="Let it end, or give this sync a home of its own with DIFY_ETL_HOME.",
        )

    return process_lock(path, wait_seconds=wait_seconds, refused=refused)


def holder(home: Path) -> str | None:
    """Who syncs into the home at the moment, or None; for the doctor."""
    return lock_holder(Home(home).sync_lock)
