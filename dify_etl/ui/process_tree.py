"""Several processes that live and end together; one that dies meanwhile is started again.

Each is the leader of a session of its own, so that Ctrl-C reaches only the root of the tree, which
ends the others in order: with all that they started, such as runs. They are ended by SIGTERM, which
Dagster takes like Ctrl-C, and which leaves no traceback of a process that still imports.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from dify_etl.errors import ActionableError

LOOK_SECONDS = 0.1
# For runs to note that they were interrupted, and to leave the home's lock.
PATIENCE_SECONDS = 20.0
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1


class ServiceEnded(ActionableError):
    """A process of the tree ended before all were up, or again and again, so all were ended."""


@dataclass(frozen=True)
class Service:
    """A process of the tree: what people call it, its command, open files that it takes over.

    `mark` is a file that is there while the process lives, for others to see. `environment` is its
    own, where it is not that of the root.
    """

    name: str
    command: Sequence[str]
    descriptors: Sequence[int] = ()
    mark: Path | None = None
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Pace:
    """How a process that died is started again; in seconds.

    The gap before is twice as long each time. Who lived `steady` begins anew; who dies more than
    `most_deaths` times before that is given up.
    """

    first_gap: float = 1.0
    most_gap: float = 60.0
    most_deaths: int = 5
    steady: float = 600.0

    def gap(self, death: int) -> float:
        """Before the start after this death, counted from 1."""
        return min(self.first_gap * 2.0 ** (death - 1), self.most_gap)


class _Member:
    """A service and the process that stands for it now."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.deaths = 0
        self.start()

    def start(self) -> None:
        """OSError when there is no room for a process; then it is as it was."""
        began = time.monotonic()
        self.process = subprocess.Popen(  # nosec B603 # parts of dify-etl itself
            self.service.command,
            stdin=subprocess.DEVNULL,
            pass_fds=self.service.descriptors,
            env=self.service.environment,
            start_new_session=True,
            preexec_fn=prepare_child,  # the root has one thread
        )
        self.is_down, self._due, self._began = False, 0.0, began
        self._is_over = False  # its number may soon be that of another process
        if self.service.mark is not None:
            self.service.mark.touch()

    def has_ended(self) -> bool:
        """Whether it ended by itself, and nobody has taken note of it."""
        return not self.is_down and self.process.poll() is not None

    def note_death(self, pace: Pace) -> float:
        """Count it, end what it started, and answer the gap in seconds."""
        now = time.monotonic()
        self.is_down = True
        self.deaths = 1 if now - self._began > pace.steady else self.deaths + 1
        if self.service.mark is not None:
            self.service.mark.unlink(missing_ok=True)
        self.send(signal.SIGTERM)
        gap = pace.gap(self.deaths)
        self._began, self._due = now, now + gap
        return gap

    def can_start(self) -> bool:
        """Whether the gap is over and nothing that it started is left."""
        late = time.monotonic() - self._due
        if late < 0:
            return False
        if self.has_members() and late > PATIENCE_SECONDS:
            self.send(signal.SIGKILL)
        return not self.has_members()

    def send(self, number: int) -> None:
        """A signal for the process and all that it started, unless they are gone."""
        if self._is_over:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def has_members(self) -> bool:
        """Whether the process, or one that it started, is still there."""
        if self._is_over or self.process.poll() is None:
            return not self._is_over
        with suppress(ChildProcessError):  # as the first process of a container we inherit orphans
            while os.waitpid(-self.process.pid, os.WNOHANG)[0]:
                pass
        try:
            os.killpg(self.process.pid, 0)
        except (ProcessLookupError, PermissionError):
            self._is_over = True
        return not self._is_over

    def how(self) -> str:
        """How it ended, in words."""
        code = self.process.returncode
        if code < 0:
            return f"{self.service.name} was killed by {signal.Signals(-code).name}"
        return f"{self.service.name} ended with code {code}"


class ProcessTree:
    """The root's view of the tree; `running` makes one that is ended in any case."""

    def __init__(self) -> None:
        self._members: list[_Member] = []
        self._asked: list[int] = []

    @property
    def asked_by(self) -> int | None:
        """The number of the first signal that asked for the end; None while nobody has."""
        return self._asked[0] if self._asked else None

    def start(self, service: Service) -> None:
        """Start a process, unless the end was asked for already."""
        if not self._asked:
            self._members.append(_Member(service))

    def wait(self, until: Callable[[], bool]) -> None:
        """Wait for a condition or for a signal. ServiceEnded as soon as a process has ended: what
        does not come up once is no matter of patience.
        """
        while not (self._asked or until()):
            for member in self._members:
                if member.has_ended():
                    raise _ended(member, "so the others were ended, too")
            time.sleep(LOOK_SECONDS)

    def supervise(self, tell: Callable[[str], None], pace: Pace | None = None) -> None:
        """Until a signal comes, start again what dies, with all that it started ended before.

        `tell` gets a line for each death and each start. ServiceEnded when one dies again and
        again: whoever started the tree may know more.
        """
        pace = pace or Pace()
        while not self._asked:
            for member in self._members:
                _look_after(member, tell, pace)
            time.sleep(LOOK_SECONDS)

    def note(self, number: int, frame: FrameType | None = None) -> None:
        """A signal asks for the end; a second one means: at once."""
        self._asked.append(number)

    def end(self) -> None:
        """End every process and whatever it started; after a while, or when asked twice, hard."""
        self._send(signal.SIGTERM)
        deadline, asked = time.monotonic() + PATIENCE_SECONDS, max(len(self._asked), 1)
        while any([member.has_members() for member in self._members]):
            if time.monotonic() > deadline or len(self._asked) > asked:
                self._send(signal.SIGKILL)
                deadline = time.monotonic() + PATIENCE_SECONDS
            time.sleep(LOOK_SECONDS)

    def _send(self, number: int) -> None:
        for member in reversed(self._members):
            member.send(number)


def _look_after(member: _Member, tell: Callable[[str], None], pace: Pace) -> None:
    if member.has_ended():
        gap = member.note_death(pace)
        if member.deaths > pace.most_deaths:
            raise _ended(member, f"the {member.deaths}th time in a row, so the others were ended")
        tell(f"{member.how()}; it is started again in {gap:g} s")
    elif member.is_down and member.can_start():
        tell(f"{member.service.name} is started again")
        try:
            member.start()
        except OSError as error:
            gap = member.note_death(pace)
            if member.deaths > pace.most_deaths:
                raise _ended(member, f"and cannot be started: {error.strerror}") from error
            tell(f"{member.service.name} cannot be started ({error.strerror}); again in {gap:g} s")


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


def prepare_child() -> None:
    """For `preexec_fn`: in the child signals mean something again, and it does not outlive a root
    that was killed.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _ended(member: _Member, rest: str) -> ServiceEnded:
    return ServiceEnded(
        f"{member.how()}, {rest}",
        where=" ".join(member.service.command[1:4]),
        hint="What it said stands above. Start it again; if that does not help, run "
        "`dify-etl doctor`.",
    )
