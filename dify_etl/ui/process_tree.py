"""Several processes that live and end together.

Each is the leader of a session of its own, so that Ctrl-C reaches only the root of the tree, which
ends the others in order: with all that they started, such as runs.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import FrameType

from dify_etl.errors import ActionableError

LOOK_SECONDS = 0.1
# For runs to note that they were interrupted, and to leave the home's lock.
PATIENCE_SECONDS = 20.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1


class ServiceEnded(ActionableError):
    """A process of the tree has ended by itself, so all of it was ended."""


@dataclass(frozen=True)
class Service:
    """A process of the tree: what people call it, its command, open files that it takes over."""

    name: str
    command: Sequence[str]
    descriptors: Sequence[int] = ()


class ProcessTree:
    """The root's view of the tree; `running` makes one that is ended in any case."""

    def __init__(self) -> None:
        self._started: list[tuple[Service, subprocess.Popen[bytes]]] = []
        self._asked: list[int] = []

    @property
    def asked_by(self) -> int | None:
        """The number of the first signal that asked for the end; None while nobody has."""
        return self._asked[0] if self._asked else None

    def start(self, service: Service) -> None:
        """Start a process, unless the end was asked for already."""
        if self._asked:
            return
        process = subprocess.Popen(  # nosec B603 # parts of dify-etl itself
            service.command,
            stdin=subprocess.DEVNULL,
            pass_fds=service.descriptors,
            start_new_session=True,
            preexec_fn=_prepare_child,  # the root has one thread
        )
        self._started.append((service, process))

    def wait(self, until: Callable[[], bool] = lambda: False) -> None:
        """Wait for a condition or for a signal. ServiceEnded as soon as a process has ended."""
        while not (self._asked or until()):
            for service, process in self._started:
                if process.poll() is not None:
                    raise _ended(service, process.returncode)
            time.sleep(LOOK_SECONDS)

    def note(self, number: int, frame: FrameType | None = None) -> None:
        """A signal asks for the end; a second one means: at once."""
        self._asked.append(number)

    def end(self) -> None:
        """End every process and whatever it started; after a while, or when asked twice, hard."""
        _send(self._started, signal.SIGINT)
        deadline, asked = time.monotonic() + PATIENCE_SECONDS, max(len(self._asked), 1)
        while self._is_alive():
            if time.monotonic() > deadline or len(self._asked) > asked:
                _send(self._started, signal.SIGKILL)
                deadline = time.monotonic() + PATIENCE_SECONDS
            time.sleep(LOOK_SECONDS)

    def _is_alive(self) -> bool:
        return any([_has_members(process) for _, process in self._started])


@contextmanager
def running() -> Iterator[ProcessTree]:
    """A tree that ends with the block; inside, signals are noted and interrupt nothing."""
    tree = ProcessTree()
    before = {number: signal.signal(number, tree.note) for number in ENDING}
    try:
        yield tree
    finally:
        tree.end()
        for number, handler in before.items():
            signal.signal(number, handler)


def _prepare_child() -> None:
    """In the child: Ctrl-C means something again, and nobody outlives a root that was killed."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def _send(started: Sequence[tuple[Service, subprocess.Popen[bytes]]], number: int) -> None:
    for _, process in reversed(started):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


def _has_members(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process, or one that it started, is still there."""
    if process.poll() is None:
        return True
    with suppress(ChildProcessError):  # as the first process of a container we inherit orphans
        while os.waitpid(-process.pid, os.WNOHANG)[0]:
            pass
    try:
        os.killpg(process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _ended(service: Service, code: int) -> ServiceEnded:
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return ServiceEnded(
        f"{service.name} {how}, so the others were ended, too",
        where=" ".join(service.command[1:4]),
        hint="What it said stands above. Start it again; if that does not help, run "
        "`dify-etl doctor`.",
    )
