"""`dify-etl apps deploy` over a socket, and the workflow files that show how CI runs it."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dify_etl_tests.cli.command_line import COMMAND, ServedDify, Shell
from dify_etl_tests.cli.small_servers import served, small_world, some_days_ago
from dify_etl_tests.operations.deploying.folders import CHATFLOW, WORKFLOW, folder_of

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
POLICY = """
[sinks.shop]
type = "file"
path = "shop.json"
format = "json"

[[targets]]
consumer = "shop"
tag = "from git"
sink = "shop"
entry = "KEY_{app_id}"
"""


@pytest.fixture
def deployed_dify() -> Iterator[ServedDify]:
    """A small Dify of the test's own."""
    with served(small_world()) as server:
        yield server


@pytest.fixture
def own(deployed_dify: ServedDify, tmp_path: Path) -> Shell:
    """A folder with DSL files in `dsl`."""
    folder_of(tmp_path, WORKFLOW, CHATFLOW)
    return Shell(tmp_path, deployed_dify.variables(some_days_ago(3)))


def test_folder_is_planned_applied_and_then_as_it_is(own: Shell, deployed_dify: ServedDify) -> None:
    """As text and as JSON; the id of one is that of the other. A broken file is told with its line
    before anything is sent.
    """
    words = ["apps", "deploy", "dsl"]
    broken = own.folder / "dsl" / "d.yml"
    broken.write_text("kind: app\napp: {name: 'x\n")
    refused = own.run(*words)
    assert (refused.code, "d.yml, line" in refused.err) == (2, True)
    broken.unlink()
    shown, told = own.run(*words), own.run(*words, "--json")
    plan = json.loads(told.out)
    assert f"--apply {plan['plan_id']}" in shown.out
    assert [step["operation"] for step in plan["steps"]] == ["apps.import", "apps.publish"] * 2
    before = len(deployed_dify.world.apps)
    done = own.run(*words, "--apply", plan["plan_id"], "--json")
    assert done.code == 0, done.text
    results = json.loads(done.out)["results"]
    assert [one["outcome"] for one in results] == ["verified"] * 4
    assert results[0]["target"]["id"] in deployed_dify.world.apps
    assert len(deployed_dify.world.apps) == before + 2
    again = own.run(*words)
    assert "Nothing is to be done." in again.out
    assert f"{WORKFLOW}: the app 'Partner call' is as the file says" in again.out


def steps_of_github() -> list[dict[str, Any]]:
    jobs = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())["jobs"]
    steps: list[dict[str, Any]] = jobs["deploy"]["steps"]
    return steps


def test_both_examples_run_the_same_commands() -> None:
    """What one of them does is tested by running the other; actions and images are pinned."""
    gitlab = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text())["deploy-apps"]
    github = steps_of_github()
    assert gitlab["script"] == github[-1]["run"].splitlines()
    assert all(re.search(r"@[0-9a-f]{40}$", one["uses"]) for one in github if "uses" in one)
    assert re.search(r":\d+\.\d+\.\d+-", gitlab["image"])


def test_example_deploys_and_the_next_machine_has_nothing_to_do(
    own: Shell, deployed_dify: ServedDify
) -> None:
    """The script as CI runs it, in a real shell; the next time with an empty home. First keys are
    in the sink, and in no output.
    """
    (own.folder / "dsl").rename(own.folder / "apps")
    (own.folder / "rotation.toml").write_text(POLICY)
    tagged = "apps deploy apps --tag 'from git'"
    script = steps_of_github()[-1]["run"].replace("apps deploy apps", tagged)
    done = ran_by_ci(own, script)
    assert done.count("✓ verified") == 9
    again = own.run(*shlex.split(tagged), DIFY_ETL_HOME=str(own.folder / "empty"))
    assert "Nothing is to be done." in again.out
    tokens = {key.token for key in deployed_dify.world.api_keys.values()}
    held = json.loads((own.folder / "shop.json").read_text())
    assert len(held) == 2
    assert {*held.values()} <= tokens
    assert [token for token in tokens if token in done + again.text] == []


def ran_by_ci(shell: Shell, script: str) -> str:
    """What the script printed, in a shell that ends at the first command that fails."""
    path = f"{Path(COMMAND[0]).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=shell.folder,
        env=shell.environment(PATH=path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
