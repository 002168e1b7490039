"""A disk that is full is named as such by whoever meets it, and nobody else is blamed."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dify_etl.private_files import LockHeld, process_lock
from dify_etl.warehouse.errors import WarehouseUnwritable, translated
from dify_etl_tests.cli.command_line import Shell

DISK_MIB = 64


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small disk of its own."""
    folder = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nobody but root may mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="module")
def full(disk: Path, loaded: Shell) -> Shell:
    """A loaded home on a disk without a block that is free."""
    shutil.copytree(loaded.home, disk / "home")
    fill(disk)
    return Shell(disk, dict(loaded.variables) | {"COLUMNS": "240"})


def fill(folder: Path) -> None:
    """Take what is left."""
    with (folder / "filled").open("ab", buffering=0) as file, suppress(OSError):
        while file.write(bytes(1 << 16)):
            pass
    assert os.statvfs(folder).f_bavail == 0


def test_a_sync_tells_that_its_home_is_full(full: Shell) -> None:
    """Not that Dify cannot be reached, also where the session has to be made anew."""
    for store in ("file", "memory"):
        answer = full.run("sync", DIFY_TOKEN_STORE=store)
        assert (answer.code, len(answer.err.splitlines())) == (3, 3), answer.err
        assert answer.err.startswith("WarehouseUnwritable: cannot write ")
        assert "No space left on device" in answer.err


def test_the_doctor_shows_its_table(full: Shell) -> None:
    """The home is red, and Dify is looked at all the same."""
    answer = full.run("doctor")
    assert answer.code == 1
    assert "cannot be written: No space left on device" in answer.text
    assert "Free some space" in answer.text
    assert "This is a bug" not in answer.text
    assert "✓ server" in answer.text


@pytest.mark.parametrize("ending", ["xlsx", "csv", "parquet", "jsonl"])
def test_an_export_tells_that_its_disk_is_full(full: Shell, ending: str) -> None:
    """One message, whoever writes the format; no file is left."""
    target = full.folder / f"talks.{ending}"
    sql = "select i, md5(i::varchar) as x from range(20000) t(i)"
    answer = full.run("export", sql, "--to", str(target))
    assert answer.err.startswith(f"ExportRefused: {target.name} cannot be written: "), answer.err
    assert "No space left on device" in answer.err.splitlines()[0]
    assert (answer.code, len(answer.err.splitlines())) == (2, 3), answer.err
    assert not list(full.folder.glob("*talks*"))


def test_a_lock_that_cannot_name_its_holder_is_refused(disk: Path) -> None:
    """By the error of whoever wants it, and once: not again when its file is closed."""

    def refused(error: OSError | LockHeld) -> Exception:
        assert isinstance(error, OSError)
        return translated(disk / "a.lock", error)

    (disk / "a.lock").touch()
    fill(disk)
    with (
        pytest.raises(WarehouseUnwritable, match="No space left"),
        process_lock(disk / "a.lock", wait_seconds=0.0, refused=refused),
    ):
        pytest.fail("it is held by nobody")
