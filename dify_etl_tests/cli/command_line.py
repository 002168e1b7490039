"""Run `dify-etl` in a folder and an environment of its own, and keep what it answered."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dify_etl_tests.duckdb_files import opened_to_read
from dify_etl_tests.forks import FORKS
from dify_simulated import SimulatedDify, World

COMMAND = (str(Path(sys.executable).with_name("dify-etl")),)
OURS = ("DIFY_", "REDIS_URL", "DAGSTER_", "SSL_CERT", "COLUMNS")
SECONDS = 120


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Both streams, on one line each word, so that folded tables can be searched."""
        return " ".join(re.sub(r"[│┃]", " ", self.out + self.err).split())


@dataclass
class Shell:
    """A folder and an environment; `DIFY_ETL_HOME` is `home` in the folder."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = COMMAND

    @property
    def home(self) -> Path:
        """Where the files are."""
        return self.folder / "home"

    def environment(self, **changed: str) -> dict[str, str]:
        """The variables of a command: none of those of whoever runs the tests."""
        inherited = {key: text for key, text in os.environ.items() if not key.startswith(OURS)}
        return inherited | {"DIFY_ETL_HOME": str(self.home)} | self.variables | changed

    def run(self, *words: str, **changed: str) -> Answer:
        """Run a command to its end, in a fork that need not import anything anew.

        With a `command` of its own the shell starts that: nobody has imported it.
        """
        if self.command != COMMAND:
            return self.run_anew(*words, **changed)
        return forked(words, self.folder, self.environment(**changed))

    def run_into(self, out: str | Path | None, *words: str, **changed: str) -> Answer:
        """Run a command in a fork whose stdout is such a file, or closed."""
        environment = self.environment(**changed)
        return forked(words, self.folder, environment, out=None if out is None else Path(out))

    def run_anew(self, *words: str, **changed: str) -> Answer:
        """Run a command to its end in an interpreter of its own, as a user's shell does."""
        done = subprocess.run(
            [*self.command, *words],
            cwd=self.folder,
            env=self.environment(**changed),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str, **changed: str) -> "subprocess.Popen[str]":
        """Start a command that Ctrl-C reaches, also when the tests run in the background."""
        return subprocess.Popen(
            [sys.executable, "-c", _WITH_CTRL_C, *self.command, *words],
            cwd=self.folder,
            env=self.environment(**changed),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def rows(self, sql: str, *, file: str = "dify.duckdb") -> list[tuple[Any, ...]]:
        """What the published copy answers."""
        with opened_to_read(self.home / file) as connection:
            return connection.execute(sql).fetchall()


_KEPT = Path("kept")


def forked(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    *,
    out: Path | None = _KEPT,
) -> Answer:
    """Run `dify-etl` to its end in a fork that need not import anything anew. What it says is kept;
    what goes into an `out` of the caller's own is not answered, and None closes stdout.
    """
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    with tempfile.TemporaryDirectory() as said:
        kept, err = Path(said, "out"), Path(said, "err")
        kept.touch()
        target = kept if out is _KEPT else out
        fork = FORKS.Process(
            target=_command,
            args=(tuple(words), folder, dict(environment), target, err),
        )
        fork.start()
        fork.join(SECONDS)
        if fork.exitcode is None:
            fork.kill()
            fork.join()
            raise TimeoutError(f"dify-etl {' '.join(words)} took more than {SECONDS} s")
        return Answer(fork.exitcode, kept.read_text(encoding), err.read_text(encoding))


def _command(
    words: tuple[str, ...],
    folder: Path,
    environment: dict[str, str],
    out: Path | None,
    err: Path,
) -> None:
    """In the fork: become the command. What it leaves open is closed by its end."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = [*COMMAND, *words]
    encoding = environment.get("PYTHONIOENCODING", "utf-8")
    with (
        (out or Path(os.devnull)).open("w", encoding=encoding) as sys.stdout,
        err.open("w", encoding=encoding) as sys.stderr,
    ):
        os.dup2(sys.stdout.fileno(), 1)
        os.dup2(sys.stderr.fileno(), 2)
        if out is None:
            os.close(1)
            sys.stdout = None  # as Python makes of it
        from dify_etl.cli.main import main

        main()


_WITH_CTRL_C = (
    f"import os, signal, sys; signal.signal({int(signal.SIGINT)}, signal.SIG_DFL);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)


@dataclass
class ServedDify:
    """A simulated Dify behind a socket."""

    world: World
    server: SimulatedDify
    base_url: str

    def variables(self, start_date: str) -> dict[str, str]:
        """The settings that reach it."""
        return {
            "DIFY_BASE_URL": self.base_url,
            "DIFY_EMAIL": self.world.account.email,
            "DIFY_PASSWORD": str(self.world.account.password),
            "DIFY_ETL_START_DATE": start_date,
        }


def copied(loaded: Shell, folder: Path) -> Shell:
    """The same settings and a copy of the loaded home."""
    folder.mkdir(exist_ok=True)
    shutil.copytree(loaded.home, folder / "home")
    return Shell(folder, dict(loaded.variables), loaded.command)
