"""Processes that live and end together, with all that they started."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dify_etl.ui.process_tree import Pace, ProcessTree, Service, ServiceEnded, running

# Starts a process of its own, tells both ids, and waits.
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
with open(sys.argv[1] + ".new", "w") as file:
    file.write(f"{os.getpid()} {child.pid}")
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(60)
"""
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + PARENT


QUICK = Pace(first_gap=0.2, most_deaths=2)


def service(code: str, told: Path, name: str = "the parent") -> Service:
    return Service(name, (sys.executable, "-c", code, str(told)))


def is_there(pid: int) -> bool:
    """Whether a process runs; one that has ended but was not waited for does not."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_end_reaches_what_a_process_started(tmp_path: Path) -> None:
    """Nobody is left behind."""
    told = tmp_path / "told"
    with running() as tree:
        tree.start(service(PARENT, told))
        tree.wait(until=told.exists)
        pids = [int(text) for text in told.read_text().split()]
        assert all(is_there(pid) for pid in pids)
    assert [pid for pid in pids if is_there(pid)] == []


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("raise SystemExit(3)", "the daemon ended with code 3"),
        ("", "the daemon ended with code 0"),
        ("import os; os.kill(os.getpid(), 9)", "the daemon was killed by SIGKILL"),
    ],
)
def test_what_does_not_come_up_is_named_and_ends_the_others(
    tmp_path: Path, code: str, how: str
) -> None:
    """Nobody waits for what cannot start."""
    told = tmp_path / "told"
    with running() as tree:
        tree.start(service(PARENT, told))
        tree.wait(until=told.exists)
        tree.start(service(code, told, "the daemon"))
        with pytest.raises(ServiceEnded, match=how):
            tree.wait(until=lambda: False)
    assert [pid for pid in told.read_text().split() if is_there(int(pid))] == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_ends_the_wait(tmp_path: Path, number: signal.Signals) -> None:
    """The tree tells which it was, and has given the signals back afterwards."""
    before = signal.getsignal(number)
    with running() as tree:
        os.kill(os.getpid(), number)
        tree.supervise(print)
        assert tree.asked_by == number
        tree.start(service(PARENT, tmp_path / "told"))
    assert signal.getsignal(number) is before
    assert not (tmp_path / "told").exists()


def test_second_signal_ends_stubborn_processes_at_once(tmp_path: Path) -> None:
    """Who presses Ctrl-C twice does not want to wait."""
    told = tmp_path / "told"
    began = time.monotonic()
    with running() as tree:
        tree.start(service(STUBBORN, told))
        tree.wait(until=told.exists)
        asking = subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import os, time; time.sleep(0.4); os.kill(os.getppid(), 2);"
                "time.sleep(0.4); os.kill(os.getppid(), 2)",
            ]
        )
        tree.supervise(print)
    asking.wait()
    assert [pid for pid in told.read_text().split() if is_there(int(pid))] == []
    assert time.monotonic() - began < 15


ROOT = """
import sys
from pathlib import Path
from dify_etl.ui.process_tree import Service, running
with running() as tree:
    tree.start(Service("it", (sys.executable, "-c", sys.argv[1], sys.argv[2])))
    tree.supervise(print)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell a child of it")
def test_killed_root_leaves_no_process(tmp_path: Path) -> None:
    """SIGKILL of `dify-etl dev` ends the others, too: the system tells them."""
    told = tmp_path / "told"
    root = subprocess.Popen([sys.executable, "-c", ROOT, PARENT, str(told)])
    wait_until(told.exists)
    parent, child = (int(text) for text in told.read_text().split())
    root.kill()
    root.wait()
    wait_until(lambda: not is_there(parent))
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def test_nothing_is_started_once_the_end_was_asked_for(tmp_path: Path) -> None:
    """A signal between two starts."""
    tree = ProcessTree()
    tree.note(signal.SIGTERM)
    tree.start(service(PARENT, tmp_path / "told"))
    tree.supervise(print)
    tree.end()
    assert not (tmp_path / "told").exists()


# Lives once, and as soon as it is started again asks its root for the end.
MORTAL = """
import os, signal, sys, time
from pathlib import Path
lives = Path(sys.argv[1])
is_second = lives.exists()
lives.write_text("lived")
if is_second:
    os.kill(os.getppid(), signal.SIGTERM)
    time.sleep(60)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_dead_process_is_started_again(tmp_path: Path) -> None:
    """After a gap, with a line that says how it ended; its mark tells whether it lives."""
    mark, lives, lines = tmp_path / "mark", tmp_path / "lives", list[str]()
    marks: list[bool] = []

    def tell(line: str) -> None:
        lines.append(line)
        marks.append(mark.exists())

    command = (sys.executable, "-c", MORTAL, str(lives))
    with running() as tree:
        tree.start(Service("the daemon", command, mark=mark))
        began_with = mark.exists()
        tree.supervise(tell, QUICK)
    assert lines == [
        "the daemon was killed by SIGKILL; it is started again in 0.2 s",
        "the daemon is started again",
    ]
    assert began_with
    assert marks == [False, False]
    assert mark.exists()


def test_process_that_dies_again_and_again_ends_all(tmp_path: Path) -> None:
    """With growing gaps between; whoever started the tree may know more."""
    lines: list[str] = []
    with running() as tree:
        tree.start(Service("the daemon", (sys.executable, "-S", "-c", "raise SystemExit(3)")))
        with pytest.raises(ServiceEnded, match=r"ended with code 3, the 3th time in a row"):
            tree.supervise(lines.append, QUICK)
    gaps = [line.split("again in ")[1] for line in lines if "again in" in line]
    assert gaps == ["0.2 s", "0.4 s"]


def test_process_for_which_there_is_no_room_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others go on meanwhile."""
    lines: list[str] = []
    real, tries = subprocess.Popen, list[int]()

    def popen(*words: Any, **how: Any) -> Any:
        tries.append(1)
        if len(tries) == 2:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return real(*words, **how)

    monkeypatch.setattr(subprocess, "Popen", popen)
    with running() as tree:
        tree.start(Service("the daemon", (sys.executable, "-c", MORTAL, str(tmp_path / "lives"))))
        tree.supervise(lines.append, QUICK)
    assert lines == [
        "the daemon was killed by SIGKILL; it is started again in 0.2 s",
        "the daemon is started again",
        "the daemon cannot be started (Resource temporarily unavailable); again in 0.4 s",
        "the daemon is started again",
    ]


def test_what_a_dead_process_started_is_ended_before_the_next(tmp_path: Path) -> None:
    """Two daemons over one home would start each night twice."""
    told, lines = tmp_path / "told", list[str]()
    with running() as tree:
        tree.start(service(PARENT, told))
        tree.wait(until=told.exists)
        parent, child = (int(text) for text in told.read_text().split())
        os.kill(parent, signal.SIGKILL)

        def tell(line: str) -> None:
            lines.append(line)
            if line.endswith("started again"):
                lines.append(f"child is there: {is_there(child)}")
                tree.note(signal.SIGTERM)

        tree.supervise(tell, QUICK)
    assert lines[1:] == ["the parent is started again", "child is there: False"]


def test_gaps_grow_to_a_bound() -> None:
    """Doubled each time, a minute at most."""
    assert [Pace().gap(death) for death in (1, 2, 3, 20)] == [1.0, 2.0, 4.0, 60.0]
