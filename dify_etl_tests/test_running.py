"""docs/running.md, and the files of containers and systemd that it tells of."""

import re
import shutil
import subprocess
import sys
import tomllib
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from dify_etl.settings import secret_file_names
from dify_etl.sync.lock import home_lock
from dify_etl_tests.cli.command_line import Shell, forked
from dify_etl_tests.cli.small_servers import served, small_world, some_days_ago
from dify_etl_tests.duckdb_files import opened_to_read

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "running.md").read_text("utf-8")
SHELL = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
UNITS = sorted((ROOT / "deploy").rglob("*.service"))


def block_with(words: str) -> str:
    (block,) = [one for one in SHELL if words in one]
    return str(block)


def test_home_is_restored_and_the_next_night_goes_on(tmp_path: Path) -> None:
    """The commands of backup and restore as they stand there, with a day of Dify in between."""
    world = small_world()
    with served(world) as dify:
        home = {"DIFY_ETL_HOME": "dify_data"}
        shell = Shell(tmp_path, dify.variables(some_days_ago(3)) | home)
        assert shell.run("sync").code == 0
        run_line(block_with("flock dify_data/sync.lock cp"), tmp_path)
        app = next(app for app in world.apps.values() if app.mode == "chat")
        talk = world.add_conversation(app.id, at=world.now())
        world.add_message(talk.id, at=world.now(), query="asked after the backup")
        (tmp_path / "dify_data" / "live.duckdb").write_bytes(b"a disk that died")
        remove, copy, _ = block_with("cp -a backup dify_data").splitlines()
        run_line(remove, tmp_path)
        run_line(copy, tmp_path)
        before = held(tmp_path / "dify_data")
        night = forked(["sync"], tmp_path, shell.environment())
        assert night.code == 0, night.text
    after = held(tmp_path / "dify_data")
    assert before < after
    assert after - before == {"asked after the backup"}


def test_every_home_is_copied_under_its_own_lock(tmp_path: Path) -> None:
    """The commands for several workspaces; one home is the folder in which the others stand."""
    homes = {"dify_data": "first", "dify_data/workspaces/sales": "s", "dify_data/workspaces/b": "b"}
    for place, text in homes.items():
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / "live.duckdb").write_text(text)
    (tmp_path / "dify_data" / "dagster").mkdir()
    for place in homes:
        shutil.rmtree(tmp_path / "backup", ignore_errors=True)
        copy = tmp_path / place.replace("dify_data", "backup") / "live.duckdb"
        with home_lock(tmp_path / place, wait_seconds=0):
            backup = subprocess.Popen(["sh", "-euc", block_with("for home in")], cwd=tmp_path)
            with pytest.raises(subprocess.TimeoutExpired):
                backup.wait(0.3)
            assert not copy.exists()
        assert backup.wait() == 0
        assert copy.read_text() == homes[place]
    assert {one.name for one in (tmp_path / "backup").iterdir()} == {
        *("live.duckdb", "sync.lock", "dagster", "workspaces")
    }


def run_line(line: str, folder: Path) -> None:
    subprocess.run(["sh", "-euc", line], cwd=folder, check=True)


def held(home: Path) -> set[str]:
    with opened_to_read(home / "live.duckdb") as connection:
        return {row[0] for row in connection.execute("SELECT query FROM raw.messages").fetchall()}


def test_old_runs_are_deleted_as_the_document_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are over and old; what is new or under way stays."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    shutil.copy(ROOT / "dagster.yaml", tmp_path)

    @dg.job
    def night() -> None:
        """Does nothing."""

    statuses = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.STARTED)
    with dg.DagsterInstance.get() as instance:
        runs = [instance.create_run_for_job(night, status=one) for one in statuses]
    (snippet,) = PYTHON
    exec(snippet, {})
    with dg.DagsterInstance.get() as instance:
        assert len(instance.get_runs()) == 2
    exec(snippet.replace("days=180", "days=-1"), {})
    with dg.DagsterInstance.get() as instance:
        assert [run.run_id for run in instance.get_runs()] == [runs[1].run_id]


def test_secrets_of_compose_are_files_that_somebody_writes() -> None:
    """Each is a setting by its file, and the document makes each; no value stands in it."""
    serve = COMPOSE["services"]["serve"]
    files = {name: path for name, path in serve["environment"].items()}
    assert set(files) <= set(secret_file_names())
    assert {Path(path).name for path in files.values()} == set(serve["secrets"])
    made = block_with("docker compose up")
    for name, secret in COMPOSE["secrets"].items():
        assert secret["file"] == f"./secrets/{name}"
        assert f"> secrets/{name}\n" in made


@pytest.mark.parametrize("name", sorted(COMPOSE["services"]))
def test_containers_have_no_more_than_they_need(name: str) -> None:
    """Read-only, without capabilities, nothing published but on loopback."""
    service: dict[str, Any] = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert all(one.startswith("127.0.0.1:") for one in service.get("ports", ()))


def test_image_runs_as_nobody_and_holds_no_secret() -> None:
    """By a number that orchestrators can check; all that is copied is allowed by name."""
    lines = DOCKERFILE.replace("\\\n", " ").splitlines()
    told = [line.split(maxsplit=1) for line in lines if line and not line.startswith(("#", " "))]
    assert [rest for word, rest in told if word == "USER"] == ["10001:10001"]
    allowed = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    copied = [rest.split()[:-1] for word, rest in told if word == "COPY" and "--from" not in rest]
    assert {f"!{one}" for files in copied for one in files} <= set(allowed)
    assert "*" in allowed
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {"pyproject.toml", *wheel["only-include"], *wheel["force-include"]}
    assert needed - {one for files in copied for one in files} == set()
    assert not re.search(r"PASSWORD|SECRET|API_KEY", DOCKERFILE)
    assert 'CMD ["dify-etl", "serve", "--check"]' in DOCKERFILE


def test_lock_of_the_image_has_hashes_and_no_tools_of_developers() -> None:
    """Whatever users may need, the extras too."""
    lock = (ROOT / "deploy" / "requirements.lock").read_text("utf-8")
    pinned = re.findall(r"^([a-z0-9_.-]+)(?:\[.*\])?==.*\\\n    --hash=sha256:", lock, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^\S+==", lock, re.MULTILINE))
    assert {"dagster", "dagster-postgres", "apprise", "boto3", "hvac"} <= set(pinned)
    assert not {"pytest", "mypy", "moto", "hypothesis"} & set(pinned)


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units_run_commands_that_exist(unit: Path) -> None:
    """Under a user of their own, with a password by file, and in a folder of their own."""
    parsed = RawConfigParser(strict=False)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string(unit.read_text("utf-8"))
    service = parsed["Service"]
    assert service["User"] == "dify-etl"
    assert service["ProtectSystem"] == "strict"
    assert service["CapabilityBoundingSet"] == ""
    program, *words = service["ExecStart"].split()
    if Path(program).name == "python":  # of a cluster, whose soak test starts them
        assert words[:3] in (["-m", "dagster", "api"], ["-m", "celery", "-A"])
    else:
        assert Path(program).name == "dify-etl"
        assert words[:2] in (["serve"], ["sync"], ["serve", "--code-servers"])
    named = re.findall(r"Environment=(\w+)_FILE=", unit.read_text("utf-8"))
    assert {f"{one}_FILE" for one in named} <= set(secret_file_names())


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not here")
@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units_are_understood_by_systemd(unit: Path, tmp_path: Path) -> None:
    """Every key and value, with a program that exists."""
    mine = tmp_path / unit.name
    command = re.sub(r"ExecStart=\S+", f"ExecStart={sys.executable}", unit.read_text("utf-8"))
    mine.write_text(command)
    told = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(mine)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in told.stderr.splitlines() if unit.name in line] == []
