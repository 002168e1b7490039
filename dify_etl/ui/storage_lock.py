"""The lock of a folder of Dagster's: its storage and settings are made by one process at a time."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from dify_etl.private_files import LockHeld, process_lock

# Making SQLite files takes seconds where the machine is busy.
WAIT_SECONDS = 60.0


@contextmanager
def storage_lock(folder: Path) -> Iterator[None]:
    """Hold the lock; without locks, or behind who holds it too long, it goes on without."""
    with ExitStack() as held:
        with suppress(OSError, LockHeld):
            held.enter_context(
                process_lock(
                    folder / "storage.lock", wait_seconds=WAIT_SECONDS, refused=lambda one: one
                )
            )
        yield
