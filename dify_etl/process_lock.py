"""An OS lock on a file that says who holds it and dies with its holder."""

import contextlib
import errno
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from dify_etl.private_home import private_files

POLLED_SECONDS = 0.05
# What a file system says that locks no files, such as NFS without its lock service.
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
ADVICE_WITHOUT_LOCKS = (
    "Put the folder on a disk of this machine, or turn locks on where it is mounted (NFS: without "
    "nolock, with its lock service): without them two processes would write over each other."
)


class LockUnavailable(OSError):
    """The file system has no locks: neither a full disk nor a right that is missing."""


class LockHeld(Exception):
    """The deadline has passed; the text tells the holder."""


@contextmanager
def process_lock(path: Path, *, wait_seconds: float) -> Iterator[None]:
    """Hold the lock of a file, which is made with its folder. Raises LockHeld, LockUnavailable,
    OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with private_files():
        opened = path.open("a+", encoding="utf-8")
    with opened as file:
        _acquire(file, path, wait_seconds)
        file.truncate(0)
        file.write(json.dumps(_self()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
            fcntl.flock(file, fcntl.LOCK_UN)


def flock(file: IO[Any] | int, how: int) -> None:
    """`fcntl.flock`; LockUnavailable where the file system locks no files."""
    try:
        fcntl.flock(file, how)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        reason = f"its file system locks no files ({error.strerror})"
        raise LockUnavailable(error.errno, reason) from error


def _acquire(file: IO[str], path: Path, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LockHeld(_told(path)) from None
            time.sleep(POLLED_SECONDS)


def lock_holder(path: Path) -> str | None:
    """Who holds the lock of a file at the moment, or None."""
    with contextlib.suppress(FileNotFoundError), path.open("r+", encoding="utf-8") as file:
        try:
            flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _told(path)
    return None


def _self() -> dict[str, object]:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return {"pid": os.getpid(), "command": command, "since": datetime.now(UTC).isoformat()}


def _told(path: Path) -> str:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return f"PID {told['pid']} ({told['command']}), since {told['since']}"
    except (OSError, ValueError, KeyError):
        return "a process that has not told its name yet"
