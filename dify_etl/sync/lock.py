"""One sync per home: an OS lock on `sync.lock` that says who holds it and dies with its holder."""

import contextlib
import fcntl
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from dify_etl.sync.errors import AnotherSync
from dify_etl.warehouse.errors import translated

NAME = "sync.lock"


@contextmanager
def home_lock(home: Path, *, wait_seconds: float) -> Iterator[None]:
    """Hold the home's lock; AnotherSync names the holder once the deadline has passed."""
    path = home / NAME
    try:
        home.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise translated(path, error) from error
    with file:
        _acquire(file, path, wait_seconds)
        file.truncate(0)
        file.write(json.dumps(_self()))
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)
            fcntl.flock(file, fcntl.LOCK_UN)


def _acquire(file: TextIO, path: Path, wait_seconds: float) -> None:
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise AnotherSync(
                    f"another sync runs in this home: {_holder(path)}; waited {wait_seconds:g} s",
                    where=str(path),
                    hint="Let it end, or give this sync a home of its own with DIFY_ETL_HOME.",
                ) from None
            time.sleep(0.05)


def holder(home: Path) -> str | None:
    """Who syncs into the home at the moment, or None; for the doctor."""
    path = home / NAME
    with contextlib.suppress(FileNotFoundError), path.open("r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(path)
    return None


def _self() -> dict[str, object]:
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return {"pid": os.getpid(), "command": command, "since": datetime.now(UTC).isoformat()}


def _holder(path: Path) -> str:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return f"PID {told['pid']} ({told['command']}), since {told['since']}"
    except (OSError, ValueError, KeyError):
        return "a process that has not told its name yet"
