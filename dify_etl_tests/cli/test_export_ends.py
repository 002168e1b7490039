"""An export always ends: a COPY of DuckDB 2.0 often hangs when it fails or is interrupted."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dify_etl_tests.cli.command_line import COMMAND, Shell
from dify_etl_tests.cli.hand_made_copy import hand_made

# About one COPY in ten hung.
ROUNDS = 40
_BROKEN = "select case when i = 70000 then error('broken') else i end as x from range(99999) t(i)"
_RUN = f"""
import sys
from dify_etl.cli.main import app
for number in range({ROUNDS}):
    assert app(sys.argv[1:], standalone_mode=False) == 2
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A home with nothing but a copy."""
    return hand_made(tmp_path_factory.mktemp("ends"))


@pytest.mark.parametrize(
    "words", ["export --to x.csv", "export --to x.parquet", "query --format json"]
)
def test_broken_queries_end(copy: Shell, tmp_path: Path, words: str) -> None:
    """An error amid the rows is told, each time, and nothing is left."""
    command, *options = words.split()
    done = subprocess.run(
        [sys.executable, "-c", _RUN, command, _BROKEN, *options],
        env=copy.environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stderr.count("broken") >= ROUNDS
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl", "xlsx"])
def test_interrupted_export_ends(copy: Shell, tmp_path: Path, ending: str) -> None:
    """Ctrl-C while rows are written: exit code 130 at once, and no half file."""
    rows = 900_000 if ending == "xlsx" else 4_000_000
    sql = f"select i, repeat('x', 50) from range({rows}) t(i)"
    started = subprocess.Popen(
        [*COMMAND, "export", sql, "--to", f"x.{ending}"],
        env=copy.environment(),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    with started as running:
        # The workbook is written at its end alone; of the others the file is there when COPY is.
        begun = "*" if ending == "xlsx" else f"*/x.{ending}"
        while not list(tmp_path.glob(begun)):
            time.sleep(0.01)
            assert running.poll() is None
        time.sleep(1 if ending == "xlsx" else 0.05)
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=20)
    assert running.returncode == 130, told
    assert b"Stopped" in told
    assert list(tmp_path.iterdir()) == []
