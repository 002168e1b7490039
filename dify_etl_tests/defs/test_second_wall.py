"""Whoever may launch runs in a bare Dagster moves nothing: neither config nor tags prove a thing.

Each run here is one that a page of a stranger could launch without seeing any answer.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dify_etl.assembly.connection import effective_settings
from dify_etl.defs.code_location import code_location
from dify_etl.defs.key_adoption import ADOPT
from dify_etl.defs.key_assets import ROTATE_KEYS
from dify_etl.defs.key_rollback import ROLL_BACK
from dify_etl.defs.location import ALONE
from dify_etl.home import Home
from dify_etl_tests.cli.command_line import ServedDify, forked
from dify_etl_tests.cli.small_policies import bots_key
from dify_etl_tests.defs.every_job import (
    JOBS,
    ONLY_READING,
    begun,
    launch,
    run_config,
    scheduled,
    something_for_every_job,
)
from dify_simulated import Faults, World
from dify_simulated.server.faults import Fault

NO_WRITES = ("/console/api/login", "/console/api/refresh-token", "/console/api/workspaces/current")


@dataclass
class Stage:
    """A Dify with something to do for every job, and all writes that reached it."""

    dify: ServedDify
    folder: Path
    writes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.old_key = something_for_every_job(self.world, self.folder)
        self.dify.server.faults = Faults(after_request=self._note)

    @property
    def world(self) -> World:
        return self.dify.world

    @property
    def sink(self) -> str:
        return (self.folder / "bot.env").read_text()

    def config_of(self, job: str) -> dict[str, Any]:
        """What the job is asked for; what went before to make that possible does not count."""
        config = JOBS[job](self.world, self.folder)
        self.writes.clear()
        return config

    def _note(self, number: int, method: str, path: str, status: int) -> Fault | None:
        if method != "GET" and path not in NO_WRITES:
            self.writes.append(f"{method} {path}")
        return None


@pytest.fixture
def stage(own_settings: ServedDify, tmp_path: Path) -> Stage:
    return Stage(own_settings, tmp_path)


def failure(result: dg.ExecuteInProcessResult) -> str:
    return "".join(
        str(event.event_specific_data) for event in result.all_events if event.is_failure
    )


def test_every_job_that_writes_is_tried() -> None:
    """A new job has to stand in the list above, or it is not behind the wall."""
    jobs = {job.name for job in code_location().resolve_all_job_defs()}
    named = {name for name in jobs if not name.startswith("__")}
    assert named == JOBS.keys() | ONLY_READING


@pytest.mark.parametrize("job", sorted(JOBS))
def test_nothing_is_applied_unseen(stage: Stage, job: str) -> None:
    """Without the id of a plan every job plans, and then stops, whatever its tags say."""
    if job == "delete_apps":
        assert forked(("sync", "--full"), stage.folder, os.environ).code == 0
    config = stage.config_of(job) | {"dry_run": False}
    tags = {"dagster/schedule_name": f"{job}_schedule", "dagster/tick": "1"}
    result = launch(job, config, tags=tags)
    assert "there is no plan_id" in failure(result)
    assert stage.writes == []
    audit = stage.folder / "home" / "audit.jsonl"
    assert not audit.exists() or "keys.adopt" not in audit.read_text()
    assert stage.old_key.token in stage.sink or job in (ROLL_BACK, ADOPT)


@pytest.mark.parametrize("job", [ROTATE_KEYS, "retry_indexing"])
def test_made_up_token_proves_nothing(stage: Stage, job: str) -> None:
    """Only what the schedule's tick wrote into the home counts."""
    config = stage.config_of(job) | {"dry_run": False, "schedule_token": "x" * 43}
    assert "this run's schedule_token proves nothing" in failure(launch(job, config))
    assert stage.writes == []


def test_revoking_alone_takes_a_plan(stage: Stage) -> None:
    """The second half of a rotation, selected by itself, deletes no key that nobody agreed to."""
    begun(stage.folder)
    stage.writes.clear()
    stage.world.set_now(stage.world.now())
    for rotated in ({}, {"plan_id": "0123456789ab"}):
        launch(ROTATE_KEYS, {"dry_run": False} | rotated, only=ALONE.keys_revoked)
        assert stage.writes == []


@pytest.mark.parametrize("wish", [{"compromised": ["all"]}, {"targets": ["the chat app"]}])
def test_token_is_for_the_policy_alone(stage: Stage, wish: dict[str, Any]) -> None:
    """What somebody asks for beyond it is agreed to by its plan."""
    key = {"compromised": [stage.old_key.id]} if "compromised" in wish else wish
    assert "and nothing that is asked for" in failure(launch(ROTATE_KEYS, scheduled() | key))
    assert stage.writes == []


@pytest.mark.parametrize(
    ("job", "left"),
    [(ROTATE_KEYS, "unattended"), ("retry_indexing", "unattended"), (ROTATE_KEYS, "policy")],
)
def test_what_left_the_run_config_is_named(stage: Stage, job: str, left: str) -> None:
    """An old config is refused before the run begins, and the error tells the entry."""
    old = {"dry_run": False, left: True if left == "unattended" else "/tmp/policy.toml"}
    with pytest.raises(dg.DagsterInvalidConfigError, match=f'unexpected config entry "{left}"'):
        launch(job, old)
    assert stage.writes == []


def test_plan_of_another_home_is_not_agreed_to(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who knows Dify as well as the operator still cannot work out the id of a plan."""
    config = stage.config_of("invite_members")
    ids = []
    for home in ("stranger", "home"):
        monkeypatch.setenv("DIFY_ETL_HOME", str(stage.folder / home))
        (output,) = [
            event.step_output_data.metadata["plan_id"].value
            for event in launch("invite_members", config).all_node_events
            if event.is_successful_output
        ]
        ids.append(str(output))
    refused = launch("invite_members", config | {"dry_run": False, "plan_id": ids[0]})
    assert f"the plan agreed to is {ids[0]}, but what would be done now is {ids[1]}" in failure(
        refused
    )
    assert stage.writes == []


def test_run_of_the_schedule_goes_once(stage: Stage) -> None:
    """A copy of its config rotates nothing more, however much is due."""
    config = scheduled()
    assert launch(ROTATE_KEYS, config).success
    assert stage.old_key.token not in stage.sink
    stage.writes.clear()
    bots_key(stage.world, stage.folder, days=100)
    assert "has used it" in failure(launch(ROTATE_KEYS, config))
    assert stage.writes == []


def rotation_job() -> dg.JobDefinition:
    """The job as a process of Dagster loads it."""
    return code_location(effective_settings()).resolve_job_def(ROTATE_KEYS)


def test_retry_of_a_scheduled_run_goes_on(stage: Stage, tmp_path: Path) -> None:
    """Dagster retries with the same config under another id: after a failure, and only then."""
    config = run_config(ROTATE_KEYS, scheduled())
    (kept,) = Home(tmp_path / "home").schedule_tokens.glob("*.jsonl")

    def dies_when_begun(number: int, method: str, path: str) -> Fault | None:
        return Fault.HTML if len(kept.read_text().splitlines()) == 2 else None

    stage.dify.server.faults = Faults(before_request=dies_when_begun)
    (tmp_path / "dagster").mkdir()
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:

        def run(retried: str | None) -> dg.JobExecutionResult:
            options = dg.ReexecutionOptions(parent_run_id=retried) if retried else None
            return dg.execute_job(
                dg.reconstructable(rotation_job),
                instance,
                run_config=config,
                reexecution_options=options,
            )

        first = run(None)
        assert not first.success
        assert stage.sink == f"DIFY_KEY={stage.old_key.token}\n"
        stage.__post_init__()
        second = run(first.run_id)
        assert second.success
        assert stage.old_key.token not in stage.sink
        stage.writes.clear()
        for retried in (first.run_id, second.run_id):
            assert not run(retried).success
    assert stage.writes == []
