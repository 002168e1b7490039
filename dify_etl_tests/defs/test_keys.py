"""Rotation of API keys in Dagster: dry unless told otherwise, and checks that can fail."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dify_etl.assembly.connection import effective_settings
from dify_etl.defs.code_location import code_location
from dify_etl.defs.key_adoption import ADOPT
from dify_etl.defs.key_assets import KEY_OPERATIONS, ROTATE_KEYS
from dify_etl.defs.key_checks import JUDGES
from dify_etl.defs.key_rollback import ROLL_BACK
from dify_etl.operations.keys.ledger import RotationLedger
from dify_etl_tests.cli.command_line import ServedDify
from dify_etl_tests.cli.small_policies import bots_key, let_another_consumer_hold_it
from dify_etl_tests.crashes.marked_secrets import MarkedSecrets
from dify_etl_tests.defs.night import QUIET
from dify_etl_tests.defs.ticks import ticked
from dify_etl_tests.sync.small_worlds import app_of
from dify_simulated import Faults, World
from dify_simulated.server.faults import Fault
from dify_simulated.world.rows import ApiKey


@dataclass
class KeyRun:
    """What came of a run of the job."""

    result: dg.ExecuteInProcessResult
    told: dict[str, dict[str, Any]] = field(default_factory=dict)  # metadata by asset
    passed: dict[str, bool] = field(default_factory=dict)  # by check

    def __post_init__(self) -> None:
        for event in self.result.get_asset_materialization_events():
            made = event.step_materialization_data.materialization
            held = {key: one.value for key, one in made.metadata.items()}
            self.told[made.asset_key.path[-1]] = held
        for event in self.result.all_node_events:
            if event.is_successful_output:
                held = {key: one.value for key, one in event.step_output_data.metadata.items()}
                self.told.setdefault(event.step_key or "", held)
        for check in self.result.get_asset_check_evaluations():
            self.passed[check.check_name] = check.passed

    @property
    def failures(self) -> str:
        """All that failed events say."""
        return "".join(str(event) for event in self.result.all_events if event.is_failure)


def run_keys(job: str = ROTATE_KEYS, **config: object) -> KeyRun:
    """Run a job as the launchpad does."""
    return _run(code_location(effective_settings()).resolve_job_def(job), config)


def of_the_schedule() -> dict[str, Any]:
    """The config that a tick of the schedule gives to its run."""
    request = ticked(ROTATE_KEYS)
    config: dict[str, Any] = request.run_config["resources"][KEY_OPERATIONS]["config"]
    return config


def look(*checks: str) -> dict[str, bool]:
    """Run checks alone, as the UI's button does."""
    definitions = code_location(effective_settings())
    keys = [key for key in _check_keys(definitions) if key.name in checks]
    job = dg.define_asset_job("looking", selection=dg.AssetSelection.checks(*keys))
    merged = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
    return _run(merged.resolve_job_def("looking"), {}).passed


def _check_keys(definitions: dg.Definitions) -> list[dg.AssetCheckKey]:
    return list(definitions.resolve_asset_graph().asset_check_keys)


def _run(job: dg.JobDefinition, config: dict[str, object]) -> KeyRun:
    with dg.DagsterInstance.ephemeral() as instance:
        return KeyRun(
            job.execute_in_process(
                instance=instance,
                run_config={"resources": {KEY_OPERATIONS: {"config": config}}} | QUIET,
                raise_on_error=False,
            )
        )


@pytest.fixture
def world(own_settings: ServedDify) -> World:
    """The world that the settings reach; its clock may be moved."""
    own_settings.world.set_now(own_settings.world.now())
    return own_settings.world


@pytest.fixture
def old_key(world: World, tmp_path: Path) -> ApiKey:
    """The key of the bot, older than the policy allows."""
    return bots_key(world, tmp_path, days=100)


def keys_of_app(world: World) -> set[str]:
    app = app_of(world, "chat")
    return {key.id for key in world.api_keys.values() if key.app_id == app.id}


def pass_time(world: World, **time: float) -> None:
    world.set_now(world.now() + timedelta(**time))


def test_without_a_word_no_key_is_made(world: World, old_key: ApiKey, tmp_path: Path) -> None:
    """A dry run shows keys, plan and plan id; neither Dify, sink nor home is changed."""
    ran = run_keys()
    assert ran.result.success
    assert old_key.id in ran.told["api_key_inventory"]["inventory"]
    assert len(ran.told["api_key_rotation_plan"]["plan_id"]) == 12
    assert "older than 90 days" in ran.told["api_keys_rotated"]["plan"]
    assert keys_of_app(world) == {old_key.id}
    assert (tmp_path / "bot.env").read_text() == f"DIFY_KEY={old_key.token}\n"
    assert not (tmp_path / "home" / "key_rotations.sqlite").exists()


def test_plan_id_of_the_dry_run_applies_it(world: World, old_key: ApiKey, tmp_path: Path) -> None:
    """The bot gets a new key; after the grace period a second agreed plan revokes the old one."""
    plan_id = run_keys().told["api_key_rotation_plan"]["plan_id"]
    ran = run_keys(dry_run=False, plan_id=plan_id)
    assert "overlap the chat app / bot" in ran.told["api_keys_rotated"]["rotations"]
    assert old_key.id in keys_of_app(world)
    pass_time(world, hours=30)
    plan_id = run_keys().told["api_key_rotation_plan"]["plan_id"]
    ran = run_keys(dry_run=False, plan_id=plan_id)
    assert "proven the chat app / bot" in ran.told["api_keys_revoked"]["rotations"]
    (new,) = keys_of_app(world)
    token = world.api_keys[new].token
    assert (tmp_path / "bot.env").read_text() == f"DIFY_KEY={token}\n"


def test_handing_over_and_revoking_are_assets_of_their_own(world: World, old_key: ApiKey) -> None:
    """A leaked key is replaced by the one asset and revoked by the other, in the same run."""
    config: dict[str, Any] = {"compromised": [old_key.id]}
    plan_id = run_keys(**config).told["api_key_rotation_plan"]["plan_id"]
    ran = run_keys(**config, dry_run=False, plan_id=plan_id)
    assert ran.told["api_keys_rotated"]["rotations"].startswith("- overlap")
    assert ran.told["api_keys_revoked"]["rotations"].startswith("- proven")
    assert old_key.id not in keys_of_app(world)


def test_rotation_is_taken_back(world: World, old_key: ApiKey, tmp_path: Path) -> None:
    """The rollback is a job of its own: shown first, then the bot has its old key again."""
    run_keys(**of_the_schedule())
    (rotation,) = RotationLedger(tmp_path / "home").rotations()
    config: dict[str, Any] = {"rollback": rotation.rotation_id}
    plan_id = run_keys(ROLL_BACK, **config).told[f"run_{ROLL_BACK}"]["plan_id"]
    assert len(keys_of_app(world)) == 2
    ran = run_keys(ROLL_BACK, **config, dry_run=False, plan_id=plan_id)
    assert "rolled_back" in ran.told[f"run_{ROLL_BACK}"]["rotations"]
    assert (tmp_path / "bot.env").read_text() == f"DIFY_KEY={old_key.token}\n"
    assert keys_of_app(world) == {old_key.id}


def test_rollback_that_does_not_come_to_its_end_fails_its_run(
    world: World, old_key: ApiKey, tmp_path: Path
) -> None:
    """Another consumer got the new key meanwhile, so that it stays."""
    run_keys(**of_the_schedule())
    (rotation,) = RotationLedger(tmp_path / "home").rotations()
    config: dict[str, Any] = {"rollback": rotation.rotation_id}
    plan_id = run_keys(ROLL_BACK, **config).told[f"run_{ROLL_BACK}"]["plan_id"]
    let_another_consumer_hold_it(world, tmp_path)
    ran = run_keys(ROLL_BACK, **config, dry_run=False, plan_id=plan_id)
    assert not ran.result.success
    assert "the rotation is withdrawing, and not taken back" in ran.failures
    assert len(keys_of_app(world)) == 2


def test_entry_is_adopted(world: World, old_key: ApiKey, tmp_path: Path) -> None:
    """A job of its own: shown first, without the value; then the next rotation overwrites it."""
    (tmp_path / "bot.env").write_text("DIFY_KEY=put-it-here\n")
    config: dict[str, Any] = {"adopt": "the chat app / bot"}
    shown = run_keys(ADOPT, **config).told[f"run_{ADOPT}"]
    assert str(tmp_path / "bot.env") in shown["plan"]
    assert "put-it-here" not in str(shown)
    for plan_id in ("", "0123456789ab"):
        refused = run_keys(ADOPT, **config, dry_run=False, plan_id=plan_id)
        assert shown["plan_id"] in refused.failures
    assert "rotations" in run_keys(**of_the_schedule()).told["api_keys_rotated"]
    assert keys_of_app(world) == {old_key.id}
    assert run_keys(ADOPT, **config, dry_run=False, plan_id=shown["plan_id"]).result.success
    run_keys(**of_the_schedule())
    (new,) = keys_of_app(world) - {old_key.id}
    assert (tmp_path / "bot.env").read_text() == f"DIFY_KEY={world.api_keys[new].token}\n"


@pytest.mark.parametrize("plan_id", ["", "0123456789ab"])
def test_missing_or_stale_id_makes_no_key(world: World, old_key: ApiKey, plan_id: str) -> None:
    """Without the id of the plan of now the run fails, and tells the id that would do it."""
    ran = run_keys(dry_run=False, plan_id=plan_id)
    assert not ran.result.success
    assert run_keys().told["api_key_rotation_plan"]["plan_id"] in ran.failures
    assert keys_of_app(world) == {old_key.id}


def test_schedule_is_off_until_somebody_wants_it(world: World, old_key: ApiKey) -> None:
    """The schedule is stopped; turned on, it rotates unattended, night by night to the end."""
    schedule = code_location(effective_settings()).resolve_schedule_def(f"{ROTATE_KEYS}_schedule")
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    assert run_keys(**of_the_schedule()).result.success
    pass_time(world, hours=30)
    assert run_keys(**of_the_schedule()).told["api_keys_revoked"]["proven"] == 1
    assert len(keys_of_app(world)) == 1


def test_all_checks_pass_when_all_is_well(world: World, old_key: ApiKey) -> None:
    """Each of the four is told by the job, and passes."""
    old_key.created_at = world.now()
    for key_id in set(world.api_keys) - {old_key.id}:
        world.delete_api_key(key_id)
    assert run_keys().passed == dict.fromkeys(JUDGES, True)


@pytest.mark.parametrize("name", sorted(JUDGES))
def test_check_can_be_run_alone(world: World, old_key: ApiKey, name: str) -> None:
    """The UI's button on one check runs it, and changes nothing."""
    assert set(look(name)) == {name}
    assert keys_of_app(world) == {old_key.id}


def test_key_over_age_fails_its_check(world: World, old_key: ApiKey) -> None:
    """A key that is older than 90 days is named, until its rotation has begun."""
    assert look("no_key_over_age") == {"no_key_over_age": False}
    run_keys(**of_the_schedule())
    assert look("no_key_over_age") == {"no_key_over_age": True}


def test_key_without_owner_fails_its_check(world: World, old_key: ApiKey) -> None:
    """A key that somebody made in the console belongs to nobody."""
    for key_id in set(world.api_keys) - {old_key.id}:
        world.delete_api_key(key_id)
    assert look("no_key_without_owner") == {"no_key_without_owner": True}
    world.add_api_key(tenant_id=world.workspace_id, at=world.now(), app_id=old_key.app_id)
    assert look("no_key_without_owner") == {"no_key_without_owner": False}


def test_target_without_a_key_fails_its_check(world: World, old_key: ApiKey) -> None:
    """When the one key of a target is deleted in Dify, its consumers have none."""
    name = "exactly_one_current_key_per_target"
    assert look(name) == {name: True}
    world.delete_api_key(old_key.id)
    assert look(name) == {name: False}


def test_twin_of_an_app_fails_its_check(world: World, old_key: ApiKey) -> None:
    """A target whose app name fits two apps is red; both ids are named."""
    twin = app_of(world, "workflow")
    twin.name = app_of(world, "chat").name
    ran = run_keys()
    assert not ran.passed["exactly_one_current_key_per_target"]
    assert str(old_key.app_id) in str(ran.told["api_key_inventory"]["problems"])
    assert twin.id in str(ran.told["api_key_inventory"]["problems"])


def test_stuck_rotation_fails_its_check_and_the_run(world: World, old_key: ApiKey) -> None:
    """A rotation that cannot make its key is red at once, where failed runs are watched."""
    app_of(world, "chat").enable_api = False
    ran = run_keys(**of_the_schedule())
    assert not ran.passed["no_rotation_stuck"]
    assert not ran.result.success
    assert "the app's API is off" in ran.told["api_keys_revoked"]["open"]


def test_target_that_is_passed_over_fails_its_check_and_the_run(
    world: World, old_key: ApiKey, tmp_path: Path
) -> None:
    """As it does `keys rotate`: the entry holds somebody's password, so that no rotation begins."""
    (tmp_path / "bot.env").write_text("DIFY_KEY=somebodys-password\n")
    ran = run_keys(**of_the_schedule())
    assert not ran.passed["no_rotation_stuck"]
    assert not ran.result.success
    assert keys_of_app(world) == {old_key.id}


def lose_new_keys(number: int, method: str, path: str, status: int) -> Fault | None:
    """Each answer that brings a new key is lost on its way."""
    return Fault.LOST if method == "POST" and path.endswith("/api-keys") else None


def test_no_token_stands_in_what_dagster_keeps(
    own_settings: ServedDify, world: World, old_key: ApiKey, tmp_path: Path
) -> None:
    """Runs, failures, events and captured logs of the whole way hold no key, nor does the home."""
    marked = MarkedSecrets()
    job = code_location(effective_settings()).resolve_job_def(ROTATE_KEYS)
    (tmp_path / "dagster").mkdir()
    own_settings.server.faults = Faults(after_request=lose_new_keys)
    with dg.DagsterInstance.local_temp(str(tmp_path / "dagster")) as instance:
        stale = {"dry_run": False, "plan_id": "stale"}
        for config in ({}, stale, of_the_schedule(), of_the_schedule()):
            job.execute_in_process(
                instance=instance,
                run_config={"resources": {KEY_OPERATIONS: {"config": config}}},
                raise_on_error=False,
            )
            marked.values |= {key.id: key.token for key in world.api_keys.values()}
            pass_time(world, hours=30)
        (rotation,) = RotationLedger(tmp_path / "home").rotations()
        runs = instance.get_runs()
    assert rotation.state == "proven"
    assert {run.status for run in runs} == {
        dg.DagsterRunStatus.SUCCESS,
        dg.DagsterRunStatus.FAILURE,
    }
    assert rotation.new_key_id in marked.values
    assert marked.found_in_files(tmp_path / "dagster") == []
    assert marked.found_in_files(tmp_path / "home") == []
    assert marked.found_in_files(tmp_path) != []  # the bot's file has its key


def test_run_without_its_environment_fails(
    old_key: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a schedule launches where the settings are lost is red, and no simulated success."""
    monkeypatch.delenv("DIFY_BASE_URL")
    ran = run_keys()
    assert not ran.result.success
    assert "DIFY_BASE_URL is not set" in ran.failures
