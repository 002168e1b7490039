"""Files that their owner alone may read (mode 0600): replaced whole, added to, made once, locked.

Whatever holds a secret, or what people said, is written here. All functions raise OSError, and
LockUnavailable where a file system has no locks.
"""

import contextlib
import errno
import fcntl
import glob
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
POLLED_SECONDS = 0.05
BLOCK_BYTES = 4096
# What the disk of a file says, and never the network.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
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
def private_files() -> Iterator[None]:
    """Files that are made inside, DuckDB's too, may be read by their owner alone.

    The umask is the process's: threads may overlap, and the last one gives it back.
    """
    with _LOCK:
        if not _INSIDE:
            _BEFORE.append(os.umask(0o077))
        _INSIDE.append(None)
    try:
        yield
    finally:
        with _LOCK:
            _INSIDE.pop()
            if not _INSIDE:
                os.umask(_BEFORE.pop())


_LOCK = threading.Lock()
_INSIDE: list[None] = []
_BEFORE: list[int] = []


@contextmanager
def private_file(path: Path, mode: Literal["ab", "a+b", "xb"]) -> Iterator[BinaryIO]:
    """A file to write to, made with mode 0600 if it is missing; on the disk when the block ends."""
    with open(path, mode, opener=_opened) as file:
        yield file
        file.flush()
        _sync(file.fileno())


def replace_file(path: Path, content: bytes, *, keeps_rights: bool = False) -> None:
    """Put a file of mode 0600 in the place of another in one step, so that no reader ever sees half
    of it; it is on the disk when this returns.

    With `keeps_rights` it has owner, group, mode and ACL of the one that stood there. What a
    process leaves that is killed meanwhile, `sweep_unfinished` removes.
    """
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_unfinished(path))  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            if keeps_rights and path.exists():
                held = path.stat()
                os.fchown(descriptor, held.st_uid, held.st_gid)
                shutil.copystat(path, name)  # mode and, where there are any, extended attributes
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    sync_to_disk(path.parent)


def sweep_unfinished(path: Path) -> None:
    """Remove what killed replacements of a file left; only while nobody else can replace it."""
    for left in path.parent.glob(f"{glob.escape(_unfinished(path))}*"):
        left.unlink(missing_ok=True)


def append_line(path: Path, line: bytes) -> None:
    """Add a line to a file, one process at a time; it is on the disk when this returns."""
    with private_file(path, "a+b") as file:
        flock(file)
        # A process that died while writing left half a line: it must not take ours with it.
        end = file.seek(0, os.SEEK_END)
        if end and os.pread(file.fileno(), 1, end - 1) != b"\n":
            line = b"\n" + line
        file.write(line + b"\n")


def made_once(path: Path, content: Callable[[], bytes]) -> bytes:
    """The bytes of a file, written by whoever comes first."""
    if path.exists() and (held := path.read_bytes()):
        return held
    with private_file(path, "a+b") as file:
        flock(file)  # another process may start at the same time
        file.seek(0)
        held = file.read()
        if not held:
            held = content()
            file.write(held)
    return held


def try_to_write(folder: Path) -> None:
    """Write a block into a folder, where nobody sees it. Raises OSError: no right, or no room."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(bytes(BLOCK_BYTES))  # a full disk makes an empty file all the same


def sync_to_disk(path: Path) -> None:
    """Wait until the disk has a file that was written, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def process_lock(
    path: Path,
    *,
    wait_seconds: float,
    refused: Callable[[OSError | LockHeld], Exception],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[None]:
    """Hold the lock of a file, made with its folder, that says who holds it and dies with its
    holder. Raises what `refused` makes of LockHeld, LockUnavailable or another OSError.
    """
    with ExitStack() as opened:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what a full disk does not take would be written again when it is closed.
            file = opened.enter_context(open(path, "a+b", buffering=0, opener=_opened))
            _acquire(file, path, wait_seconds, sleep)
            file.truncate(0)
            file.write(json.dumps(_self()).encode())
        except (OSError, LockHeld) as error:
            raise refused(error) from error
        try:
            yield
        finally:
            with suppress(OSError):  # the lock ends in any case; the name of its holder may stay
                file.truncate(0)
            fcntl.flock(file, fcntl.LOCK_UN)


def flock(file: IO[Any] | int, how: int = fcntl.LOCK_EX) -> None:
    """Lock an open file, until it is closed; LockUnavailable where the file system locks none."""
    try:
        fcntl.flock(file, how)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        reason = f"its file system locks no files ({error.strerror})"
        raise LockUnavailable(error.errno, reason) from error


def lock_holder(path: Path) -> str | None:
    """Who holds the lock of a file at the moment, or None."""
    with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
        try:
            flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(path)
    return None


def _opened(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE_FILE)


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a pipe, or a file system that syncs no folders
            raise


def _unfinished(path: Path) -> str:
    """How files begin that are about to take the place of another; nobody else names files so."""
    return f".{path.name}.dify-etl-"


def _acquire(
    file: IO[bytes], path: Path, wait_seconds: float, sleep: Callable[[float], None]
) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise LockHeld(_holder(path)) from None
            sleep(POLLED_SECONDS)


def _self() -> dict[str, object]:
    # What `forget` is called with is the name of a person, and others quote this line.
    words = sys.argv[1:2] if "forget" in sys.argv[1:2] else sys.argv[1:]
    command = " ".join([Path(sys.argv[0]).name, *words])
    return {"pid": os.getpid(), "command": command, "since": datetime.now(UTC).isoformat()}


def _holder(path: Path) -> str:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return f"PID {told['pid']} ({told['command']}), since {told['since']}"
    except (OSError, ValueError, KeyError):
        return "a process that has not told its name yet"
