"""Every command of the README runs, against a simulated Dify on a real socket."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dify_etl_tests.cli.command_line import Answer, forked
from dify_simulated import SimulatedDify, World, WorldPlan, build_world, serve

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
INLINE = re.findall(r"`((?:sync|simulate) --[^`]+)`", README)
QUARANTINE = re.findall(r"`dify-etl (quarantine \w+)`", README)
DOCUMENTS = README + (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
MAKE = sorted(set(re.findall(r"(?:^|`)make ([a-z]+)", DOCUMENTS, re.MULTILINE)))
SECONDS = 120


@pytest.fixture(scope="module")
def world() -> World:
    return build_world(WorldPlan(apps=5, days=3, conversations_per_day=1, timezone="Asia/Tokyo"))


@pytest.fixture(scope="module")
def variables(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of somebody who follows the README, for a Dify on loopback."""
    with serve(SimulatedDify(world), port=0) as server:
        inherited = {key: text for key, text in os.environ.items() if not key.startswith("DIFY_")}
        yield inherited | {
            "DIFY_BASE_URL": server.base_url,
            "DIFY_EMAIL": world.account.email,
            "DIFY_PASSWORD": str(world.account.password),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME_OF_TEST": str(tmp_path_factory.mktemp("follows_the_readme")),
        }


def run(command: list[str], variables: dict[str, str]) -> Answer:
    """Run a command of the program in a fork, any other one as a process."""
    folder = Path(variables["HOME_OF_TEST"])
    if command[0] == "dify-etl":
        return forked(command[1:], folder, variables)
    return run_anew(command, variables)


def run_anew(command: list[str], variables: dict[str, str]) -> Answer:
    """Run a command as whoever follows the README does."""
    done = subprocess.run(
        command,
        cwd=variables["HOME_OF_TEST"],
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def words_of(line: str) -> list[str]:
    """The command of a line, without its comment and the path of the virtual environment."""
    return line.split("#")[0].replace(".venv/bin/", "").split()


def test_own_dify_as_the_readme_says(variables: dict[str, str]) -> None:
    """The block about one's own Dify runs top to bottom: init writes the zone, sync loads."""
    (block,) = [one for one in SHELL if "dify-etl init" in one]
    commands = [words_of(line) for line in block.splitlines() if "dify-etl" in line]
    assert [words[1] for words in commands] == ["init", "doctor", "sync"]
    ran = [run_anew(words, variables) for words in commands]
    assert [one.code for one in ran] == [0, 0, 0], ran[-1].text
    home = Path(variables["HOME_OF_TEST"])
    assert "DIFY_ETL_TIMEZONE=Asia/Tokyo" in (home / ".env").read_text()
    assert (home / "dify_data" / "dify.duckdb").exists()
    assert "marts.app_daily_usage" in run(["dify-etl", "tables"], variables).out


def test_other_calls_of_the_readme(variables: dict[str, str], world: World) -> None:
    """The further calls run; dates and the app are those of the simulated Dify."""
    today = datetime.now(UTC).date()
    app = next(app for app in world.apps.values() if app.mode == "chat")
    replaced = {
        "2026-01-01": str(today - timedelta(days=2)),
        "2026-01-31": str(today - timedelta(days=1)),
        "Support bot": app.name,
    }
    own_home = variables | {"DIFY_ETL_TIMEZONE": "Asia/Tokyo"}
    own_home |= {"DIFY_ETL_START_DATE": str(today - timedelta(days=9))}
    calls = [call for call in INLINE if call.startswith("sync ")]
    assert len(calls) == 3
    for call in calls:
        words = [replaced.get(word.strip('"'), word) for word in re.findall(r'"[^"]+"|\S+', call)]
        ran = run(["dify-etl", *words], own_home)
        assert ran.code == 0, ran.text


def test_quarantine_of_the_readme(variables: dict[str, str]) -> None:
    """The quarantine of a healthy home is empty, and a retry has nothing to do."""
    own_home = variables | {"DIFY_ETL_TIMEZONE": "Asia/Tokyo", "DIFY_ETL_HOME": "empty_home"}
    assert QUARANTINE == ["quarantine list", "quarantine retry"]
    ran = [run(["dify-etl", *call.split()], own_home) for call in QUARANTINE]
    assert [one.code for one in ran] == [0, 0], ran[0].text
    assert "Nothing waits" in ran[0].out


def test_operations_of_the_readme(variables: dict[str, str], world: World) -> None:
    """The block about changing Dify runs: files are written, documents listed, a plan is shown."""
    (block,) = [one for one in SHELL if "apps export" in one]
    folder = Path(variables["HOME_OF_TEST"])
    (folder / "people.csv").write_text("email,role\nann@example.com,editor\n")
    export, listed, invited = (
        run(words_of(line), variables) for line in block.splitlines() if line.strip()
    )
    assert (export.code, invited.code) == (0, 0), export.err + invited.err
    assert len(list((folder / "dsl").iterdir())) == len(world.apps)
    assert listed.code == 1  # this workspace has documents that failed
    assert "failed" in listed.out
    assert re.search(r"add --apply [0-9a-f]{12}", invited.out)


def test_simulate_of_the_readme_prints_settings(variables: dict[str, str]) -> None:
    """The simulated Dify serves and prints the lines to copy."""
    (call,) = [call for call in INLINE if call.startswith("simulate ")]
    words = call.replace("5001", "0").split()
    with subprocess.Popen(
        ["dify-etl", *words, "--days", "1"], env=variables, stdout=subprocess.PIPE, text=True
    ) as serving:
        assert serving.stdout is not None
        first = serving.stdout.readline()
        serving.terminate()
    assert first.startswith("DIFY_BASE_URL=http://127.0.0.1:")


def test_notebook_snippet_lists_the_apps(variables: dict[str, str], world: World) -> None:
    """The Python of the README runs as it stands, but for address and account."""
    (snippet,) = PYTHON
    own = (
        snippet.replace("https://dify.example.com", variables["DIFY_BASE_URL"])
        .replace("etl@example.com", variables["DIFY_EMAIL"])
        .replace("…", variables["DIFY_PASSWORD"])
    )
    ran = run([sys.executable, "-c", own], variables)
    assert len(ran.out.splitlines()) == len(world.apps), ran.err


def test_demo_of_the_readme() -> None:
    """`make demo` runs `dify-etl demo` and no more; what that shows is tested with the commands."""
    planned = subprocess.run(
        ["make", "-n", "demo"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    (line,) = [line for line in planned.stdout.splitlines() if "dify-etl" in line]
    assert [Path(line.split()[0]).name, *line.split()[1:]] == ["dify-etl", "demo"]


@pytest.mark.parametrize("target", MAKE)
def test_make_targets_exist(target: str) -> None:
    """Every make target that a document names is one."""
    planned = subprocess.run(
        ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert planned.returncode == 0, planned.stderr
