"""One sync per home: an OS lock on `sync.lock` that says who holds it and dies with its holder."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dify_etl.process_lock import LockHeld, lock_holder, process_lock
from dify_etl.sync.errors import AnotherSync
from dify_etl.warehouse.errors import translated

NAME = "sync.lock"


@contextmanager
def home_lock(home: Path, *, wait_seconds: float) -> Iterator[None]:
    """Hold the home's lock; AnotherSync names the holder once the deadline has passed."""
    path = home / NAME
    with ExitStack() as held:
        try:
            held.enter_context(process_lock(path, wait_seconds=wait_seconds))
        except OSError as error:
            raise translated(path, error) from error
        except LockHeld as error:
            raise AnotherSync(
                f"another sync runs in this home: {error}; waited {wait_seconds:g} s",
                where=str(path),
                hint="Let it end, or give this sync a home of its own with DIFY_ETL_HOME.",
            ) from None
        yield


def holder(home: Path) -> str | None:
    """Who syncs into the home at the moment, or None; for the doctor."""
    return lock_holder(home / NAME)
