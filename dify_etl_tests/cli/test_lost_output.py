"""A stdout that takes nothing, or not every letter, ends no command amid its work."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from dify_etl_tests.cli.command_line import Answer, Shell, copied

FULL = "/dev/full"
NIGHT = ("sync", "--wait", "0")


@pytest.fixture(scope="module")
def home(loaded: Shell, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A home that further nights may read into."""
    return copied(loaded, tmp_path_factory.mktemp("unheard"))


def into_head(shell: Shell, folder: Path, *words: str) -> Answer:
    """The command with `| head -1` behind it."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["head", "-n", "1", str(pipe)], stdout=subprocess.DEVNULL):
        return shell.run_into(pipe, *words)


def last_published(shell: Shell) -> tuple[int, int]:
    """How many runs ended, and when the copy was made (nanoseconds)."""
    runs = shell.rows("SELECT count(*) FROM ops.runs WHERE ended_at IS NOT NULL")[0][0]
    return runs, (shell.home / "dify.duckdb").stat().st_mtime_ns


@pytest.mark.parametrize("where", [FULL, None, "head"])
def test_a_night_that_nobody_hears_is_read_to_its_end(
    home: Shell, tmp_path: Path, where: str | None
) -> None:
    """A full disk of the log, a closed stdout, `| head`: published all the same, and said once."""
    runs, made = last_published(home)
    is_read = where == "head"
    answer = into_head(home, tmp_path, *NIGHT) if is_read else home.run_into(where, *NIGHT)
    assert answer.code == 0, answer.err
    assert answer.err.count("stdout takes no more") == 1, answer.err
    assert last_published(home)[0] > runs
    assert last_published(home)[1] > made


def test_a_night_whose_errors_nobody_hears_is_read_to_its_end(home: Shell) -> None:
    """Both streams on the full disk."""
    runs, _ = last_published(home)
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" >{FULL} 2>&1', "sh", *home.command, *NIGHT],
        cwd=home.folder,
        env=home.environment(),
        check=False,
    )
    assert done.returncode == 0
    assert last_published(home)[0] > runs


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (("--help",), FULL),
        (("--version",), None),
        (("status",), FULL),
        (("query", "select 1 as x"), None),
        (("query", "select i from range(1000000) t(i)", "--format", "csv"), FULL),
    ],
)
def test_an_answer_that_cannot_be_written_is_told(
    loaded: Shell, words: tuple[str, ...], where: str | None
) -> None:
    """Three lines on stderr and exit code 1, no traceback."""
    answer = loaded.run_into(where, *words)
    reason = "it is closed" if where is None else "No space left on device"
    assert answer.err.splitlines()[0] == (
        f"OutputUnwritable: what the command answers cannot be written: {reason}"
    )
    assert (answer.code, len(answer.err.splitlines())) == (1, 3)


@pytest.mark.parametrize("words", [("status",), ("docs", "settings")])
def test_whoever_reads_may_have_enough(
    loaded: Shell, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """`| head -1` changes neither the exit code nor stderr."""
    assert into_head(loaded, tmp_path, *words) == Answer(0, "", "")


def test_nothing_is_printed_into_a_file_of_the_home(own_copy: Shell) -> None:
    """With stdout closed the next file that is opened would be it."""
    before = time.time_ns()
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&- 2>&- <&-', "sh", *own_copy.command, "query", "select 'seen'"],
        cwd=own_copy.folder,
        env=own_copy.environment(),
        check=False,
    )
    assert done.returncode == 1
    written = [one for one in own_copy.home.rglob("*") if one.stat().st_mtime_ns > before]
    assert not [one for one in written if one.is_file() and b"seen" in one.read_bytes()]


@pytest.mark.parametrize("encoding", ["latin-1", "gbk"])
def test_letters_that_a_terminal_lacks_are_written_as_escapes(loaded: Shell, encoding: str) -> None:
    """An emoji and Chinese in a table of ASCII lines, in whatever encoding."""
    answer = loaded.run("query", "select '客服🦜' as name", PYTHONIOENCODING=encoding)
    assert answer.code == 0, answer.err
    assert "\\U0001f99c" in answer.out
    assert ("客服" if encoding == "gbk" else "\\u5ba2\\u670d") in answer.out
    assert "\\u25" not in answer.out
    assert loaded.run("docs", "settings", PYTHONIOENCODING=encoding).code == 0
