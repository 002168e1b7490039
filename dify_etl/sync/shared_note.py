"""What a home remembers of the shared warehouse: since when it has not what was published, and why.

A file of its own: whoever cannot write into the shared warehouse may not open the live file either.
It holds no address and no value.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from dify_etl.errors import ActionableError
from dify_etl.home import Home
from dify_etl.private_files import replace_file
from dify_etl.time_zones import utc_now

CUT_OFF = "the publication into it was cut off: killed, or the machine went down"
UNREADABLE = "what this home remembers of it cannot be read"


@dataclass(frozen=True)
class SharedBehind:
    """The shared warehouse lacks what this home has published: since when, UTC, and why."""

    since: datetime
    reason: str


def shared_behind(home: Path) -> SharedBehind | None:
    """Whether it is behind; None: it has all, or nothing was ever published into one."""
    note = Home(home).shared_note
    try:
        since = datetime.fromtimestamp(note.stat().st_mtime, UTC)
    except OSError:
        return None
    try:
        held = json.loads(note.read_text("utf-8"))
        return SharedBehind(datetime.fromisoformat(held["since"]), str(held["reason"]))
    except (OSError, ValueError, KeyError, TypeError):  # somebody's hand, or a disk
        return SharedBehind(since, UNREADABLE)


@contextmanager
def noted_publication(home: Path) -> Iterator[None]:
    """Note how the publication inside goes; its error is raised as it is. A note that cannot be
    written ends nothing.
    """
    before = shared_behind(home)
    since = before.since if before else utc_now()
    _note(home, SharedBehind(since, CUT_OFF))
    try:
        yield
    except Exception as error:
        _note(home, SharedBehind(since, _words(error)))
        raise
    forget_shared(home)


def forget_shared(home: Path) -> None:
    """It has all, or the settings name none any more."""
    with suppress(OSError):
        Home(home).shared_note.unlink(missing_ok=True)


def _note(home: Path, behind: SharedBehind) -> None:
    content = json.dumps({**asdict(behind), "since": behind.since.isoformat()})
    with suppress(OSError):
        replace_file(Home(home).shared_note, content.encode())


def _words(error: Exception) -> str:
    """Of an error that is none of ours its kind alone: its message may quote a value."""
    name = type(error).__name__
    return f"{name}: {error.what}" if isinstance(error, ActionableError) else name
