"""Other accounts of the machine read nothing of a home, but the copy where it is meant for them."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dify_etl_tests.cli.command_line import Shell, copied

NOBODY = 65534
WORDS = ("sync", "--feed", "apps")
WIDE = "240"

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can look as somebody else")


@pytest.fixture
def open_home(loaded: Shell) -> Iterator[Shell]:
    """A home as earlier versions left it: 0755, files 0644, where everybody gets to."""
    folder = Path(tempfile.mkdtemp(prefix="dify-etl-open-"))
    shell = copied(loaded, folder)
    for path in (folder, shell.home):
        path.chmod(0o755)
    for path in shell.home.iterdir():
        path.chmod(0o644)
    (shell.home / "home.json").unlink()
    yield shell
    shutil.rmtree(folder)


def reads(path: Path) -> bool:
    """Whether a stranger gets the first bytes of a file."""
    return succeeds_for_a_stranger("head", "-c", "4", str(path))


def lists(folder: Path) -> bool:
    """Whether a stranger sees the names of files."""
    return succeeds_for_a_stranger("ls", str(folder))


def succeeds_for_a_stranger(*command: str) -> bool:
    """The folders of the interpreter may be closed to others, hence no Python of ours."""
    done = subprocess.run(
        command,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def test_sync_closes_an_open_home_and_says_who_could_read(open_home: Shell) -> None:
    """A stranger read every conversation until now; the sync says so, once."""
    home = open_home.home
    assert reads(home / "live.duckdb")
    answer = open_home.run(*WORDS)
    assert answer.code == 0, answer.text
    assert "Until now every account of this machine" in answer.text
    files = [path for path in home.iterdir() if path.is_file()]
    assert [path.name for path in files if reads(path)] == []
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert "Until now" not in open_home.run(*WORDS).text


def test_doctor_says_it_before(open_home: Shell) -> None:
    """Who reads along, and what will close it; nothing is changed."""
    answer = open_home.run("doctor", COLUMNS=WIDE)
    assert answer.code == 1
    assert "every account of this machine" in answer.text
    assert reads(open_home.home / "live.duckdb")
    open_home.run(*WORDS)
    assert "✓ privacy" in open_home.run("doctor", COLUMNS=WIDE).text


def test_group_reads_the_copy_and_nothing_else(open_home: Shell) -> None:
    """Members of DIFY_ETL_COPY_GROUP pass through the home to the copy."""
    answer = open_home.run(*WORDS, DIFY_ETL_COPY_GROUP=str(NOBODY))
    assert answer.code == 0, answer.text
    home = open_home.home
    assert [path.name for path in home.iterdir() if reads(path)] == ["dify.duckdb"]
    assert stat.S_IMODE(home.stat().st_mode) == 0o710
    assert not lists(home)


def test_copy_in_a_folder_of_its_own(open_home: Shell) -> None:
    """DIFY_ETL_COPY takes the copy out of the home, which stays closed; `tables` finds it."""
    folder = open_home.folder / "analysts"
    folder.mkdir(mode=0o755)
    place = {"DIFY_ETL_COPY": str(folder), "DIFY_ETL_COPY_MODE": "0644"}
    answer = open_home.run(*WORDS, **place)
    assert answer.code == 0, answer.text
    assert reads(folder / "dify.duckdb")
    assert stat.S_IMODE(open_home.home.stat().st_mode) == 0o700
    assert "marts.app_daily_usage" in open_home.run("tables", **place).text


def test_copy_that_moves_leaves_none_behind(own_copy: Shell) -> None:
    """DIFY_ETL_COPY set later: the old copy in the home, with all conversations, is told, and
    deleted once the new one stands.
    """
    old, place = own_copy.home / "dify.duckdb", {"DIFY_ETL_COPY": str(own_copy.folder / "analysts")}
    answer = own_copy.run("doctor", COLUMNS=WIDE, **place)
    assert answer.code == 1
    assert "old copy" in answer.text
    answer = own_copy.run(*WORDS, **place)
    assert answer.code == 0, answer.text
    assert f"{old} was deleted" in answer.text
    assert not old.exists()
    assert (own_copy.folder / "analysts" / "dify.duckdb").exists()
    assert "old copy" not in own_copy.run("doctor", COLUMNS=WIDE, **place).text


def test_old_copy_stays_while_the_new_one_cannot_be_made(own_copy: Shell) -> None:
    """Analysts are never left without one; a link in its place is the operator's."""
    blocked = own_copy.folder / "blocked"
    blocked.write_text("no folder")
    assert own_copy.run(*WORDS, DIFY_ETL_COPY=str(blocked)).code != 0
    old = own_copy.home / "dify.duckdb"
    kept = old.rename(own_copy.folder / "elsewhere.duckdb")
    old.symlink_to(kept)
    own_copy.run(*WORDS, DIFY_ETL_COPY=str(own_copy.folder / "analysts"))
    assert old.is_symlink()
    assert kept.exists()


def test_unknown_group_is_named(open_home: Shell) -> None:
    """Exit code 2 before anything is done."""
    answer = open_home.run(*WORDS, DIFY_ETL_COPY_GROUP="no-such-group")
    assert answer.code == 2
    assert "no-such-group" in answer.text


def test_folder_that_serves_others_keeps_its_mode(open_home: Shell) -> None:
    """Somebody's folder is not closed, nor a file that is not ours; ours are closed in it."""
    shared = open_home.folder / "shared"
    shared.mkdir(mode=0o755)
    (shared / "somebodys.txt").write_text("hello")
    answer = open_home.run(*WORDS, DIFY_ETL_HOME=str(shared))
    assert answer.code == 0, answer.text
    assert [path.name for path in shared.iterdir() if reads(path)] == ["somebodys.txt"]
    open_home.run(*WORDS, DIFY_ETL_HOME=str(shared))
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755


def test_doctor_sweeps_what_a_killed_publication_left(own_copy: Shell) -> None:
    """It holds all rows, those in quarantine too."""
    stray = own_copy.home / f".dify.duckdb.{2**22 + 1}"
    stray.write_bytes(b"raw rows")
    answer = own_copy.run("doctor", COLUMNS=WIDE)
    assert answer.code == 0, answer.text
    assert "left behind removed 1 files" in answer.text
    assert not stray.exists()


def test_files_are_closed_while_they_are_written(own_copy: Shell) -> None:
    """What a sync makes anew in an empty home is 0600 from its first byte on."""
    code = (
        "import os, sys; from pathlib import Path\n"
        "from dify_etl.warehouse.database import open_database\n"
        "with open_database(Path(sys.argv[1])) as db:\n"
        "    db.execute('CREATE TABLE raw.t AS SELECT 1 AS a')\n"
        "    print(*(oct(p.stat().st_mode & 0o777) for p in Path(sys.argv[1]).parent.iterdir()))\n"
        "os.close(os.open('after', os.O_CREAT, 0o644))"
    )
    file = own_copy.folder / "new" / "live.duckdb"
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)],
        cwd=own_copy.folder,
        capture_output=True,
        text=True,
        check=True,
        umask=0o022,
    )
    assert set(done.stdout.split()) == {"0o600"}
    assert len(done.stdout.split()) == 2  # the file and its log
    assert stat.S_IMODE((own_copy.folder / "after").stat().st_mode) == 0o644
