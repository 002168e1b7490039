"""The commands of the Dockerfile, read from it and run without an engine: the build as root, and
`serve` with its health check as the image's user, who owns nothing but the volume.

Minutes, most of them pip's: only in `make soak` (SOAK_SERVE=1). What an engine adds (layers, a root
file system that is read-only) is not tried.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from dify_etl_tests.defs.running_dagster import free_port, wait_until

pytestmark = pytest.mark.skipif("SOAK_SERVE" not in os.environ, reason="only in make soak")
ROOT = Path(__file__).resolve().parents[2]
_, BUILD, FINAL = (ROOT / "Dockerfile").read_text("utf-8").split("\nFROM ")
PLACE, DATA = "/opt/dify-etl", "/data"


def instructions(text: str, name: str) -> list[str]:
    """What follows an instruction of a Dockerfile, each on one line."""
    return re.findall(rf"(?m)^\s*{name} (.+)$", text.replace("\\\n", " "))


def folder_of_python() -> str:
    """Where `python3` is one that the image's user can start: not in somebody's home."""
    for folder in [*os.environ["PATH"].split(os.pathsep), "/usr/bin"]:
        program = (Path(folder) / "python3").resolve()
        if program.is_file() and all(one.stat().st_mode & 0o001 for one in program.parents):
            return folder
    pytest.fail("it needs a python3 that every user can start")


class Image:
    """What the Dockerfile makes, in a folder that everybody may read and only root may change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.program, self.data = folder / "opt", folder / "data"
        (uid, gid) = map(int, instructions(FINAL, "USER")[0].split(":"))
        self.user: dict[str, Any] = {"user": uid, "group": gid, "extra_groups": []}
        self.data.mkdir(mode=0o700)
        os.chown(self.data, uid, gid)

    def build(self) -> None:
        """COPY and RUN of the first stage, in their order."""
        source = self.folder / "src"
        source.mkdir()
        for name, text in re.findall(r"(?m)^(COPY|RUN) (.+)$", BUILD):
            words = shlex.split(text)
            if name == "RUN":
                places = {PLACE: str(self.program), "/src": str(source)}
                command = [places.get(word, word) for word in words]
                path = os.pathsep.join([folder_of_python(), os.environ["PATH"]])
                environment = {**os.environ, "PATH": path}
                subprocess.run(command, cwd=source, env=environment, check=True, timeout=900)
                continue
            *froms, to = words
            for copied in (ROOT / one for one in froms):
                if copied.is_dir():
                    kept = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(copied, source / to, ignore=kept)
                else:
                    shutil.copy(copied, source / to)
        shutil.rmtree(source)

    def environment(self) -> dict[str, str]:
        """Nothing of this machine's; what ENV sets, with the folders that stand for the image's."""
        given = dict(shlex.split(text)[0].split("=", 1) for text in self.settings())
        moved = {
            name: value.replace(PLACE, str(self.program)).replace(DATA, str(self.data), 1)
            for name, value in given.items()
        }
        moved["PATH"] = moved["PATH"].replace("$PATH", "/usr/bin:/bin")
        return {"LANG": "C.UTF-8", **moved}

    @staticmethod
    def settings() -> list[str]:
        return [word for text in instructions(FINAL, "ENV") for word in shlex.split(text)]

    def command(self, words: Sequence[str]) -> list[str]:
        """A command of the image, the program by the path where the image's PATH finds it."""
        return [str(self.program / "bin" / words[0]), *words[1:]]

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.command(words),
            cwd=self.data,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            **self.user,
        )


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    """The built image; pytest's own folders are closed to its user."""
    if os.geteuid() != 0:
        pytest.fail("only root can become the image's user: run make soak as root")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        made = Image(folder)
        made.build()
        yield made


def test_sync_writes_below_the_volume_alone(image: Image) -> None:
    """The program's folder is as root left it, and a workspace is in the volume."""
    before = files_of(image.program)
    ended = image.run("dify-etl", "sync", "--simulated", "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["is_published"] is True
    question = "select count(*) from raw.apps"
    asked = image.run("dify-etl", "query", "--simulated", "--format", "csv", question)
    assert int(asked.stdout.splitlines()[-1]) > 0
    assert files_of(image.program) == before
    assert {path.stat().st_uid for path in image.data.rglob("*")} == {image.user["user"]}


def files_of(folder: Path) -> dict[Path, float]:
    return {path: path.stat().st_mtime for path in folder.rglob("*")}


def test_serves_answers_its_health_check_and_ends(image: Image) -> None:
    """ENTRYPOINT with CMD, but on loopback and with the simulated Dify; HEALTHCHECK; STOPSIGNAL."""
    (entrypoint,) = instructions(FINAL, "ENTRYPOINT")
    command = json.loads(instructions(FINAL, "CMD")[-1])
    (check,) = re.findall(r"(?m)^HEALTHCHECK .*CMD (\[.+\])$", FINAL.replace("\\\n", " "))
    (stop,) = instructions(FINAL, "STOPSIGNAL")
    serve = [*json.loads(entrypoint), *(one.replace("0.0.0.0", "127.0.0.1") for one in command)]
    own = ["--simulated", "--port", str(free_port())]
    with (image.folder / "log").open("w") as log:
        served = subprocess.Popen(
            [*image.command(serve), *own],
            cwd=image.data,
            env=image.environment(),
            stdout=log,
            stderr=log,
            **image.user,
        )
        try:
            wait_until(lambda: image.run(*json.loads(check), *own).returncode == 0)
            assert image.run(*json.loads(check), *own).stdout.strip() == "ok"
        finally:
            served.send_signal(signal.Signals[stop])
            served.wait(timeout=60)
    assert served.returncode == 0
    assert image.run(*json.loads(check), *own).returncode == 1
