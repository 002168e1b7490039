"""Private files are their owner's alone from the first byte, whole, and locked by name."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dify_etl.dify.errors import TokenStoreFailed
from dify_etl.dify.http.tokens import FileTokenStore
from dify_etl.operations.keys.ledger import RotationLedger
from dify_etl.private_files import (
    LockHeld,
    append_line,
    lock_holder,
    made_once,
    private_file,
    process_lock,
    replace_file,
    sweep_unfinished,
)


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """A process that lets everybody read what it makes."""
    before = os.umask(0)
    yield
    os.umask(before)


def lock(path: Path, wait_seconds: float = 0.0) -> object:
    """Take and give back its lock."""
    with process_lock(path, wait_seconds=wait_seconds, refused=_as_error):
        return lock_holder(path)


def _as_error(error: OSError | LockHeld) -> Exception:
    return error


def append(path: Path) -> None:
    """Add to a file that is none of lines."""
    with private_file(path, "ab") as file:
        file.write(b"text")


WRITERS: dict[str, Callable[[Path], object]] = {
    "replaced": lambda path: replace_file(path, b"text"),
    "line": lambda path: append_line(path, b"text"),
    "made once": lambda path: made_once(path, lambda: b"text"),
    "added to": append,
    "lock": lock,
    "ledger of rotations": lambda path: RotationLedger(path.parent).adopt("target", "digest"),
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_new_file_is_its_owners_alone(tmp_path: Path, write: Callable[[Path], object]) -> None:
    """Whatever the umask says, nobody else may read what is written."""
    write(tmp_path / "file")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o600}


def test_a_replacement_is_private_or_as_the_old_one(tmp_path: Path) -> None:
    """Mode 0600, unless the rights of the old file are asked for."""
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o640)
    replace_file(path, b"new", keeps_rights=True)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o640)
    replace_file(path, b"newer")
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"newer", 0o600)


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    """What stands where a link leads stays as it is."""
    (tmp_path / "elsewhere").write_bytes(b"theirs")
    (tmp_path / "file").symlink_to(tmp_path / "elsewhere")
    replace_file(tmp_path / "file", b"ours")
    assert (tmp_path / "elsewhere").read_bytes() == b"theirs"
    assert not (tmp_path / "file").is_symlink()


def test_a_failed_replacement_leaves_the_old_file(tmp_path: Path) -> None:
    """Nothing of the new one is left, nor is the old one touched."""
    (tmp_path / "file").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(tmp_path / "file", b"text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_killed_replacements_left_is_swept(tmp_path: Path) -> None:
    """Only theirs: a name with a star in it means no other files."""
    for name in (".fi*e.dify-etl-1", ".file.dify-etl-1", "fi*e"):
        (tmp_path / name).write_bytes(b"")
    sweep_unfinished(tmp_path / "fi*e")
    assert {path.name for path in tmp_path.iterdir()} == {".file.dify-etl-1", "fi*e"}


def test_half_a_line_takes_no_other_with_it(tmp_path: Path) -> None:
    """After a process that died while writing, the next line is whole."""
    (tmp_path / "file").write_bytes(b"one\nha")
    append_line(tmp_path / "file", b"two")
    assert (tmp_path / "file").read_bytes() == b"one\nha\ntwo\n"


def test_what_is_made_once_stays(tmp_path: Path) -> None:
    """Whoever comes second gets what the first one wrote."""
    assert made_once(tmp_path / "file", lambda: b"first") == b"first"
    assert made_once(tmp_path / "file", lambda: b"second") == b"first"


def test_a_pipe_may_be_written_to(tmp_path: Path) -> None:
    """What no disk keeps is not waited for."""
    reading, writing = os.pipe()
    with private_file(Path(f"/dev/fd/{writing}"), "ab") as file:
        file.write(b"text")
    assert os.read(reading, 10) == b"text"
    os.close(reading)
    os.close(writing)


def test_a_held_lock_names_its_holder(tmp_path: Path) -> None:
    """Those who wait for a session are told as well which process to end."""
    store = FileTokenStore(tmp_path / "session.json", lock_seconds=0.0)
    with (
        store.locked("key"),
        pytest.raises(LockHeld, match=f"PID {os.getpid()}"),
    ):
        lock(tmp_path / "session.json.lock")
    with (
        store.locked("key"),
        pytest.raises(TokenStoreFailed, match=f"holds it: PID {os.getpid()}"),
        store.locked("key"),
    ):
        pass
    assert lock_holder(tmp_path / "session.json.lock") is None
