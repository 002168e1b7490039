"""A file system without locks, such as NFS without its lock service: the true reason is told."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from dify_etl_tests.cli.command_line import COMMAND, Answer, Shell
from dify_etl_tests.cli.small_policies import bots_key
from dify_etl_tests.cli.small_servers import served, small_world, some_days_ago

NUMBERS = {"x86_64": 73, "aarch64": 32}  # of the system call flock
# The kernel answers every flock of the process with EOPNOTSUPP, as such a file system does.
WITHOUT_FLOCK = f"""
import ctypes, os, struct, sys
LOAD, SAME, ANSWER = 0x20, 0x15, 0x06
steps = [(LOAD, 0, 0, 0), (SAME, 0, 1, {NUMBERS.get(platform.machine())}),
         (ANSWER, 0, 0, 0x00050000 | 95), (ANSWER, 0, 0, 0x7FFF0000)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
program = Program(len(steps), ctypes.addressof(code))
prctl = ctypes.CDLL(None, use_errno=True).prctl
prctl.argtypes = [ctypes.c_int, *[ctypes.c_void_p] * 4]
if prctl(38, 1, None, None, None) or prctl(22, 2, ctypes.addressof(program), None, None):
    sys.exit(77)
os.execv(sys.argv[1], sys.argv[1:])
"""

pytestmark = pytest.mark.skipif(platform.machine() not in NUMBERS, reason="another system call")


def without_locks(shell: Shell, *words: str, **changed: str) -> Answer:
    """Run a command where no file can be locked."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_FLOCK, *COMMAND, *words],
        cwd=shell.folder,
        env=shell.environment(COLUMNS="240", **changed),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("this kernel takes no filter of system calls")
    return Answer(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("store", ["file", "memory"])
def test_sync_tells_that_there_are_no_locks(shell: Shell, store: str) -> None:
    """Not that the disk is full: the folder has to go elsewhere."""
    answer = without_locks(shell, "sync", DIFY_TOKEN_STORE=store)
    assert answer.code == 3, answer.text
    assert "locks no files" in answer.text
    assert "disk of this machine" in answer.text
    assert "This is a bug" not in answer.text
    assert "disk space" not in answer.text


def test_doctor_tells_it(own_copy: Shell) -> None:
    """The findings name it, and the rest is looked at all the same."""
    answer = without_locks(own_copy, "doctor", DIFY_TOKEN_STORE="memory")
    assert answer.code == 1
    assert "✗ sync lock its file system locks no files" in answer.text
    assert "✓ live file" in answer.text


def test_no_key_is_made_without_locks(tmp_path: Path) -> None:
    """A rotation that cannot keep others out does nothing."""
    world = small_world()
    with served(world) as dify:
        shell = Shell(tmp_path, dify.variables(some_days_ago(3)))
        key = bots_key(world, shell.folder)
        before = set(world.api_keys)
        shown = shell.run("keys", "rotate", "--compromised", key.id)
        plan_id = shown.out.rsplit(" ", 1)[1].strip()
        answer = without_locks(
            shell,
            "keys", "rotate", "--compromised", key.id, "--apply", plan_id,
            DIFY_TOKEN_STORE="memory",
        )  # fmt: skip
    assert answer.code == 1, answer.text
    assert "locks no files" in answer.text
    assert set(world.api_keys) == before
