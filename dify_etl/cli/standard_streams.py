"""stdout and stderr as files that end no command: whoever reads may have gone, the disk of a log
may be full, the encoding of a terminal may lack letters. What a command does, it does to its end.

A reader who has enough, as `head` has, is no error. Where stdout is lost otherwise, a command whose
answer it takes ends with 1 (OutputUnwritable); a sync, a demo, alerts and servers go on, say once
on stderr that nobody hears them, and keep their own exit code.
"""

import errno
import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import wraps
from typing import Any, TextIO

from dify_etl.errors import ActionableError
from dify_etl.lossy_files import LossyFile

_CLOSED = OSError(errno.EBADF, "it is closed")


class OutputUnwritable(ActionableError):
    """stdout takes no more, and what it was to take is all that the command is for."""


@dataclass(frozen=True)
class StandardStreams:
    """What a command says goes here; asked at its end whether it could be said."""

    out: LossyFile

    def exit_code(self, own: int) -> int:
        """The exit code of a command that would end with `own`: 1 instead of 0 where its answer
        could not be written. OutputUnwritable says so on stderr.
        """
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        failure = self.out.failure
        if failure is None or isinstance(failure, BrokenPipeError) or _needs_no_output():
            return own
        from dify_etl.cli.consoles import err
        from dify_etl.cli.error_messages import ErrorMessage, print_error

        print_error(err, ErrorMessage.of(_unwritable(failure)))
        return own or 1


def lasting_streams() -> StandardStreams | None:
    """Put such files in the places of sys.stdout and sys.stderr, in the encodings they have; what
    these lack is written as a Python escape. None where stdout is no file, as in a test.
    """
    closed = [number for number in range(3) if not _is_open(number)]
    # The next file that is opened would be stdout: what is printed would stand in it.
    for _ in closed:
        os.open(os.devnull, os.O_RDWR)
    if sys.stdin is None:
        sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    if sys.stderr is None or _has_file(sys.stderr):
        sys.stderr = _written_to(_file_of(sys.stderr, 2), sys.stderr)
    if sys.stdout is not None and not _has_file(sys.stdout):
        return None
    out = _file_of(sys.stdout, 1, _say_once)
    sys.stdout = _written_to(out, sys.stdout)
    return StandardStreams(out)


def goes_on_unheard(command: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a command whose work is worth more than what it says."""

    @wraps(command)
    def marked(*arguments: Any, **options: Any) -> Any:
        _UNHEARD.append(None)
        return command(*arguments, **options)

    return marked


def is_output_lost() -> bool:
    """Whether nothing that is written to stdout comes to anybody any more."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return isinstance(raw, LossyFile) and raw.failure is not None


_UNHEARD: list[None] = []


def _needs_no_output() -> bool:
    return bool(_UNHEARD)


def _say_once(error: OSError) -> None:
    if _needs_no_output():
        reason = error.strerror or type(error).__name__
        with suppress(OSError, ValueError):
            sys.stderr.write(f"stdout takes no more ({reason}); the command goes on without it.\n")
            sys.stderr.flush()


def _unwritable(failure: OSError) -> OutputUnwritable:
    return OutputUnwritable(
        f"what the command answers cannot be written: {failure.strerror or failure}",
        where="stdout",
        hint="Free the disk on which the output goes, or send it elsewhere; what the command did "
        "besides is done.",
    )


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _has_file(stream: TextIO) -> bool:
    try:
        stream.fileno()
    except (OSError, AttributeError, ValueError):
        return False
    return isinstance(stream, io.TextIOWrapper)


def _file_of(
    stream: TextIO | None, number: int, on_failure: Callable[[OSError], None] = lambda _: None
) -> LossyFile:
    if stream is None:
        return LossyFile(number, fails_with=_CLOSED, on_failure=on_failure)
    with suppress(OSError, ValueError):
        stream.flush()
    return LossyFile(stream.fileno(), on_failure=on_failure)


def _written_to(file: LossyFile, stream: TextIO | None) -> io.TextIOWrapper:
    kept: dict[str, Any] = {"encoding": "utf-8"}
    if isinstance(stream, io.TextIOWrapper):
        kept = {
            "encoding": stream.encoding,
            "line_buffering": stream.line_buffering,
            "write_through": stream.write_through,
        }
    return io.TextIOWrapper(io.BufferedWriter(file), errors="backslashreplace", **kept)
