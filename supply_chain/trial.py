"""`make package`: install the wheel as users do, in an empty folder, and try what it promises.

    python -m supply_chain.trial --wheel dist/….whl [--with pipx=PATH] [--with uv=PATH]

Without an installer a virtual environment and pip are taken. Each trial has a home of its own below
a temporary folder, and nothing of this checkout on its path. It ends with 1 at the first command
that does otherwise than it should.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

SECONDS = 1200  # pip alone takes minutes on a busy machine
ASKED = "select count(*) as apps from raw.apps having count(*) > 0"
# Arguments, the exit code, and what is said.
CALLS: tuple[tuple[tuple[str, ...], int, str], ...] = (
    (("--version",), 0, "dify-etl "),
    (("demo",), 0, "The data is in dify_data"),
    (("sync", "--simulated"), 0, "proven"),
    (("tables", "--simulated"), 0, "marts.app_daily_usage"),
    (("query", "--simulated", "--format", "csv", ASKED), 0, "apps"),
    (("report", "--simulated"), 0, ".html"),
    (("status", "--simulated"), 0, "proven"),
    (("docs", "is_whole"), 0, "### `is_whole`"),
    (("keys", "list", "--simulated"), 0, "app-"),
    (("keys", "plan", "--simulated"), 2, "dify-etl docs key-rotation"),
)
JOBS = "{ repositoriesOrError { ... on RepositoryConnection { nodes { jobs { name } } } } }"
NOTIFY = ("notify", "--test", "--simulated")


def main(arguments: Sequence[str] | None = None) -> int:
    """Try every installer that was named, else pip."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--wheel", type=Path, required=True)
    parser.add_argument("--with", dest="installers", action="append", default=[])
    asked = parser.parse_args(arguments)
    installers = dict(one.split("=", 1) for one in asked.installers) or {"pip": sys.executable}
    for name, program in installers.items():
        with tempfile.TemporaryDirectory(prefix="dify-etl-trial-") as folder:
            began = time.monotonic()
            command = install(name, program, asked.wheel.resolve(), Path(folder))
            print(f"{name}: installed in {time.monotonic() - began:.0f} s", flush=True)
            try_all(command, Path(folder))
    return 0


def install(name: str, program: str, wheel: Path, folder: Path) -> str:
    """The command `dify-etl` as this installer makes it; all that it writes stays in the folder."""
    bin_ = folder / "bin"
    places = {"PIPX_HOME": str(folder / "pipx"), "PIPX_BIN_DIR": str(bin_)}
    places |= {"UV_TOOL_DIR": str(folder / "uv"), "UV_TOOL_BIN_DIR": str(bin_)}
    if name == "pip":
        run([program, "-m", "venv", "--without-pip", str(folder / "venv")])
        bin_ = folder / "venv" / "bin"
        run([program, "-m", "pip", "-q", "--python", f"{bin_}/python", "install", str(wheel)])
    elif name == "pipx":
        run([program, "install", str(wheel)], places)
    elif name == "uv":
        run([program, "tool", "install", "-q", str(wheel)], places)
    else:
        raise SystemExit(f"{name}: no installer that is known; pip, pipx or uv")
    return str(bin_ / "dify-etl")


def try_all(command: str, folder: Path) -> None:
    """Every call, then the UI."""
    place = folder / "empty"
    place.mkdir()
    for words, code, said in CALLS:
        expect(run([command, *words], place=place, code=code), said)
    missing = run([command, *NOTIFY], {"DIFY_ETL_NOTIFY": "json://localhost"}, place=place, code=2)
    expect(missing, "Install it: ")
    serves_the_ui(command, place)
    expect((place / "dify_data/dagster/dagster.yaml").read_text(), "enabled: false")


def run(
    command: Sequence[str],
    variables: Mapping[str, str] | None = None,
    *,
    place: Path | None = None,
    code: int = 0,
) -> str:
    """What a command says; SystemExit when it ends otherwise than with this code."""
    done = subprocess.run(
        command,
        cwd=place,
        env=environment() | dict(variables or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    told = done.stdout + done.stderr
    if done.returncode != code:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}, not {code}:\n{told}")
    print(f"  {' '.join(command[1:])}: {code}", flush=True)
    return told


def environment() -> dict[str, str]:
    """Of whoever has nothing but the program."""
    left_out = ("DIFY_", "DAGSTER_", "PYTHON", "VIRTUAL_ENV")
    return {name: text for name, text in os.environ.items() if not name.startswith(left_out)}


def expect(told: str, said: str) -> None:
    """SystemExit when it does not stand there."""
    if said not in told:
        raise SystemExit(f"{said!r} was not said, but:\n{told}")


def serves_the_ui(command: str, place: Path) -> None:
    """`dev --simulated` loads the definitions: the code location names the nightly job."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [command, "dev", "--simulated", "--port", str(port)]
    with subprocess.Popen(words, cwd=place, env=environment(), stdout=subprocess.DEVNULL) as ui:
        try:
            expect(jobs_of(port, until=time.monotonic() + SECONDS), "nightly_sync")
        finally:
            ui.terminate()
    print("  dev --simulated: its definitions are loaded", flush=True)


def jobs_of(port: int, *, until: float) -> str:
    """What the UI answers when it is asked for its jobs, as soon as it answers."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/graphql",
        json.dumps({"query": JOBS}).encode(),
        {"Content-Type": "application/json"},
    )
    while True:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # nosec B310 # loopback
                return str(answer.read().decode())
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
