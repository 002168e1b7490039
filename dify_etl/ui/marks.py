"""How the processes of one Dagster find each other: files and a socket in one private folder."""

import socket
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

CODE, DAEMON = "code", "daemon"


@dataclass(frozen=True)
class Marks:
    """The folder of files by which the root of the processes tells which of them live."""

    folder: Path

    @property
    def code(self) -> Path:
        """There while the code location's process lives."""
        return self.folder / CODE

    @property
    def daemon(self) -> Path:
        """There while the daemon's process lives."""
        return self.folder / DAEMON


def answers(path: str | Path) -> bool:
    """Whether somebody listens at this socket."""
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        try:
            return probe.connect_ex(str(path)) == 0
        except OSError:  # a path that is too long for any socket
            return False
