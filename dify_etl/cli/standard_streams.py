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

_CLOSED = OSError(errno.EBADF, "it is closed")


class OutputUnwritable(ActionableError):
    """stdout takes no more, and what it was to take is all that the command is for."""


class _Lossy(io.FileIO):
    """Writes to a descriptor that may fail: what comes after its first failure is dropped."""

    def __init__(self, descriptor: int, failure: OSError | None) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.failure: OSError | None = None
        self.on_failure: Callable[[OSError], None] = lambda _: None
        self._fails_with = failure

    def write(self, data: Any) -> int:  # bytes or a buffer
        if self.failure is not None:
            return len(data)
        try:
            if self._fails_with is not None:
                raise self._fails_with
            return super().write(data)
        except OSError as error:
            self.failure = error
            self.on_failure(error)
            return len(data)


@dataclass(frozen=True)
class StandardStreams:
    """What a command says goes here; asked at its end whether it could be said."""

    out: _Lossy

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
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None or not _has_file(sys.stderr):
        err = None if sys.stderr is not None else _lossy(2, _CLOSED)
    else:
        err = _lossy_of(sys.stderr)
    if err is not None:
        sys.stderr = err
    if sys.stdout is not None and not _has_file(sys.stdout):
        return None
    sys.stdout = _lossy(1, _CLOSED) if sys.stdout is None else _lossy_of(sys.stdout)
    raw = sys.stdout.buffer.raw  # type: ignore[attr-defined]  # of our own making
    raw.on_failure = _say_once
    return StandardStreams(raw)


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
    return isinstance(raw, _Lossy) and raw.failure is not None


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


def _lossy_of(stream: TextIO) -> io.TextIOWrapper:
    with suppress(OSError, ValueError):
        stream.flush()
    assert isinstance(stream, io.TextIOWrapper)
    return _wrapped(
        _Lossy(stream.fileno(), None),
        encoding=stream.encoding,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _lossy(number: int, failure: OSError) -> io.TextIOWrapper:
    return _wrapped(_Lossy(number, failure), encoding="utf-8")


def _wrapped(raw: _Lossy, **options: Any) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedWriter(raw), errors="backslashreplace", **options)
