"""What can go wrong with the DuckDB files.

WarehouseError
├── WarehouseBusy        another process holds the file
├── WarehouseUnwritable  disk full, no permission, read-only home
├── ModelBroken          a SQL file that cannot be built
├── NothingPublished     there is no copy for analysts yet
├── QueryWrong           what was asked of the copy cannot be answered
└── ExportRefused        a file that cannot be written as asked
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from dify_etl.errors import ActionableError
from dify_etl.private_files import ADVICE_WITHOUT_LOCKS, LockUnavailable

if TYPE_CHECKING:  # these errors are known before DuckDB is loaded
    import duckdb


class WarehouseError(ActionableError):
    """The warehouse cannot do what was asked."""


class WarehouseBusy(WarehouseError):
    """Another process has the live file open; names its PID and command."""


class WarehouseNewer(WarehouseError):
    """A newer version of dify-etl made or mended this file; what it means by it is unknown."""


class WarehouseUnwritable(WarehouseError):
    """The home cannot be written: disk full, read-only, or somebody else's."""


class ModelBroken(WarehouseError):
    """A SQL file under sql/ whose header or query is wrong."""


class NothingPublished(WarehouseError):
    """No sync has made the analysts' copy yet."""


class QueryWrong(WarehouseError):
    """A query, a table, an app or a filter that the published copy cannot answer."""


class ExportRefused(WarehouseError):
    """A file of that name, kind or size is not written; what stood there is as it was."""


_HOLDER = re.compile(r"lock is held in (?P<command>.*?) \(PID (?P<pid>\d+)\)")
_COMMAND = re.compile(r"[a-z]{1,16}")
_UNWRITABLE = (
    "no space left",
    "permission denied",
    "read-only",
    "disk quota",
    "cannot open file",
    "could not write file",
    "database has been invalidated",  # after one of these, until the file is opened anew
)


# At a commit or a checkpoint DuckDB says so amid other words.
_LACK_OF_MEMORY = ("Out of Memory Error", "failed to pin block", "failed to allocate")


def is_locked(error: "duckdb.Error") -> bool:
    """Whether DuckDB says that another process holds the file."""
    return "Could not set lock" in str(error)


def holder_of(error: "duckdb.Error") -> str:
    """The PID and command that DuckDB names as holder of the file."""
    found = _HOLDER.search(str(error))
    if not found:
        return "a process it does not name"
    return f"PID {found['pid']} ({own_command(int(found['pid'])) or found['command']})"


def own_command(pid: int) -> str | None:
    """`dify-etl status`, say, when the process is ours: without its further words, which may name a
    person or hold a query. None: it is another program's, or nobody tells.
    """
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").split("\0")
    except OSError:
        return None
    for place, word in enumerate(words[:4]):
        is_module = word == "dify_etl" and words[place - 1] == "-m"
        if is_module or Path(word).name == "dify-etl":
            command = words[place + 1] if place + 1 < len(words) else ""
            return f"dify-etl {command}".strip() if _COMMAND.fullmatch(command) else "dify-etl"
    return None


def busy(path: Path, error: "duckdb.Error", waited_seconds: float) -> WarehouseBusy:
    """The error for a file that stayed locked until the deadline."""
    return WarehouseBusy(
        f"{path.name} is held by {holder_of(error)}; waited {waited_seconds:g} s",
        where=str(path),
        hint="Let that process end or close its connection. "
        "To query, open the published copy dify.duckdb instead of the live file.",
    )


def lacks_memory(error: BaseException) -> bool:
    """Whether DuckDB says that what it was to do takes more memory than it may have."""
    return any(sign in str(error) for sign in _LACK_OF_MEMORY)


def out_of_memory(path: Path, error: BaseException) -> WarehouseUnwritable:
    """The error for rows that take more memory to load than DuckDB may have."""
    return WarehouseUnwritable(
        f"cannot write {path.name}, for lack of memory: {str(error).splitlines()[0]}",
        where=str(path.parent),
        hint="Give this machine, or its container, more memory: rows with long texts take most. "
        "What was committed before is kept, and the next run reads the rest.",
    )


def translated(path: Path, error: "duckdb.Error | OSError") -> Exception:
    """The actionable error behind a DuckDB or file-system one; the same error when it is a bug."""
    if isinstance(error, LockUnavailable):
        return WarehouseUnwritable(
            f"cannot lock {path.name}: {error.strerror}",
            where=str(path.parent),
            hint=f"{ADVICE_WITHOUT_LOCKS} Nothing was read.",
        )
    if "checkpoint failed" in str(error).lower() and lacks_memory(error):
        return out_of_memory(path, error)
    if isinstance(error, OSError) or any(sign in str(error).lower() for sign in _UNWRITABLE):
        return WarehouseUnwritable(
            f"cannot write {path.name}: {str(error).splitlines()[0]}",
            where=str(path.parent),
            hint="Free disk space or fix the permissions, or point DIFY_ETL_HOME elsewhere; "
            "what was committed before is kept, and the next run reads the rest.",
        )
    return error
