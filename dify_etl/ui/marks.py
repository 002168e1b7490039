"""How the processes of one Dagster find each other: files and a socket in one private folder."""

import errno
import socket
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

CODE, DAEMON = "code", "daemon"
# The tag of a run that no code server launched: the folder of the home that it holds.
HOME_TAG = "dify-etl/home"


@dataclass(frozen=True)
class Marks:
    """The folder of files by which the root of the processes tells which of them live."""

    folder: Path

    def code(self, location: str) -> Path:
        """There while the process of this code location lives."""
        return self.folder / f"{CODE}-{location}"

    @property
    def daemon(self) -> Path:
        """There while the daemon's process lives."""
        return self.folder / DAEMON

    @property
    def elsewhere(self) -> Path:
        """There when code locations are served by other machines."""
        return self.folder / "elsewhere"


def answers(path: str | Path) -> bool:
    """Whether somebody listens at this socket."""
    return _connect(path) == 0


def is_deserted(path: str | Path) -> bool:
    """Whether surely nobody listens there any more; a socket that may not be asked says nothing."""
    return _connect(path) in (errno.ENOENT, errno.ECONNREFUSED)


def _connect(path: str | Path) -> int:
    with closing(socket.socket(socket.AF_UNIX)) as probe:
        try:
            return probe.connect_ex(str(path))
        except OSError as error:  # a path that is too long for any socket
            return error.errno or errno.ENAMETOOLONG
