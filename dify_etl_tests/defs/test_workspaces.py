"""Several workspaces in one Dagster: a code location each, set apart by keys, pool and tags."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dify_etl.cli.dagster_home import FOR_SEVERAL, INSTANCE_SETTINGS, dagster_home
from dify_etl.defs.code_location import code_location
from dify_etl.defs.location import ALONE, WORKSPACE_TAG, Location
from dify_etl.setting_sources import WORKSPACE
from dify_etl.settings import SettingWrong, load_settings, setting_names
from dify_etl_tests.cli.small_servers import served, small_world, some_days_ago
from dify_etl_tests.defs.running_dagster import (
    LAUNCH,
    STATUS,
    RunningDagster,
    running_dagster,
    wait_until,
)
from dify_etl_tests.duckdb_files import opened_to_read

KEPT = Path(__file__).with_name("asset_keys.txt")
FILE = Path("workspaces.toml")
TWO = """
[workspaces.sales]
base_url = "{0}"
email = "{1.account.email}"
password_file = "password"
home = "sales"
[workspaces.support]
base_url = "{0}"
admin_api_key_file = "key"
workspace_id = "{1.workspace_id}"
home = "support"
"""
TIMES = "query($id: ID!) { runOrError(runId: $id) { ... on Run { startTime endTime } } }"
SALES = '[workspaces.sales]\nbase_url = "https://dify.example.com/console/api"\n'
SUPPORT = '[workspaces.support-2]\nbase_url = "https://dify.example.com"\nschedule = "0 4 * * *"\n'


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder, and no variable of whoever runs the tests."""
    for name in (*setting_names(), "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pools(definitions: dg.Definitions) -> set[str | None]:
    """The pools of all steps that any job or asset of a location has."""
    repository = definitions.get_repository_def()
    return {
        node.definition.pool
        for job in repository.get_all_jobs()
        for node in job.graph.nodes
        if isinstance(node.definition, dg.OpDefinition)
    }


def test_locations_of_two_workspaces_share_no_asset(here: Path) -> None:
    """Each has all the assets, by its name; a pool per server, tags and a schedule of its own."""
    FILE.write_text(SALES + SUPPORT)
    promised = KEPT.read_text("utf-8").splitlines()
    for name, cron in (("sales", "30 1 * * *"), ("support-2", "0 4 * * *")):
        definitions = code_location(load_settings(**{WORKSPACE: name}))
        keys = ["/".join(one.key.path) for one in definitions.resolve_all_asset_specs()]
        assert sorted(keys) == sorted(f"{name}/{key}" for key in promised)
        deps = {
            dep.asset_key.path[0]
            for one in definitions.resolve_all_asset_specs()
            for dep in one.deps
        }
        assert deps == {name}
        assert pools(definitions) == {"dify.example.com:443"}
        jobs = definitions.get_repository_def().get_all_jobs()
        named = [job for job in jobs if not job.name.startswith("__")]
        assert len(named) > 10
        assert all(job.tags[WORKSPACE_TAG] == name for job in named)
        assert definitions.resolve_schedule_def("nightly_sync_schedule").cron_schedule == cron


def test_one_workspace_alone_is_set_apart_from_nobody(here: Path) -> None:
    """Named in a file or not: the keys are those that were promised, no step is in a pool."""
    FILE.write_text(SALES)
    settings = load_settings(**{WORKSPACE: "sales"})
    assert Location.of(settings) == ALONE == Location.of(load_settings())
    definitions = code_location(settings)
    keys = sorted("/".join(one.key.path) for one in definitions.resolve_all_asset_specs())
    assert keys == KEPT.read_text("utf-8").splitlines()
    assert pools(definitions) == {None}


def test_code_location_says_of_which_workspace_it_is(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A code server of one's own among several: it would read what the environment names."""
    FILE.write_text(SALES + SUPPORT)
    with pytest.raises(SettingWrong, match=r"2 workspaces \(sales, support-2\)") as raised:
        code_location()
    assert WORKSPACE in raised.value.hint
    monkeypatch.setenv(WORKSPACE, "support-2")
    keys = {one.key.path[0] for one in code_location().resolve_all_asset_specs()}
    assert keys == {"support-2"}


def test_instance_lets_servers_run_beside_one_another(here: Path) -> None:
    """One run per pool, so per server. Who gets a second workspace gets it too, and who goes back
    to one; a file of one's own stays.
    """
    settings = load_settings()
    file = dagster_home(settings) / "dagster.yaml"
    alone = file.read_text("utf-8")
    assert alone == INSTANCE_SETTINGS.read_text("utf-8")
    assert all(alone.count(line) == 1 for line in FOR_SEVERAL)
    FILE.write_text(SALES + SUPPORT)
    dagster_home(settings)
    with dg.DagsterInstance.from_config(str(file.parent)) as instance:
        limits = instance.get_concurrency_config()
        assert limits.pool_config.pool_granularity is not None
        assert limits.pool_config.pool_granularity.value == "run"
        assert limits.pool_config.default_pool_limit == 1
        assert limits.run_queue_config is not None
        assert limits.run_queue_config.max_concurrent_runs == 8
    FILE.unlink()
    dagster_home(settings)
    assert file.read_text("utf-8") == alone


def launch(dagster: RunningDagster, workspace: str) -> str:
    """Read the apps of a workspace; the id of the run."""
    selector = {
        "repositoryLocationName": workspace,
        "repositoryName": "__repository__",
        "pipelineName": "nightly_sync",
        "assetSelection": [{"path": [workspace, "raw", "apps"]}],
    }
    return str(dagster.ask(LAUNCH, params={"selector": selector})["launchRun"]["run"]["runId"])


def times(dagster: RunningDagster, run_id: str) -> tuple[float, float]:
    """When a run began and ended, in seconds."""
    run: Any = dagster.ask(TIMES, id=run_id)["runOrError"]
    return run["startTime"], run["endTime"]


def test_runs_of_each_location_read_into_their_own_home(tmp_path: Path) -> None:
    """`dify-etl serve`, asked as its UI does it: two locations, a run in each, and every run loads
    the settings of its own workspace. Those of one server come one after another.
    """
    world = small_world()
    (tmp_path / "password").write_text(str(world.account.password))
    (tmp_path / "key").write_text(world.admin_api_key)
    variables = {"DIFY_ETL_HOME": str(tmp_path / "data"), "DIFY_ETL_START_DATE": some_days_ago(1)}
    with ExitStack() as running:
        dify = running.enter_context(served(world))
        (tmp_path / "workspaces.toml").write_text(TWO.format(dify.base_url, world))
        dagster = running.enter_context(
            running_dagster(tmp_path, tmp_path, variables=variables, command="serve")
        )
        entries: Any = dagster.ask(
            "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus } } } }"
        )["workspaceOrError"]["locationEntries"]
        assert [(one["name"], one["loadStatus"]) for one in entries] == [
            ("sales", "LOADED"),
            ("support", "LOADED"),
        ]
        runs = {name: launch(dagster, name) for name in ("sales", "support")}

        def statuses() -> list[str]:
            return [dagster.ask(STATUS, id=one)["runOrError"]["status"] for one in runs.values()]

        wait_until(lambda: all(one in ("SUCCESS", "FAILURE") for one in statuses()))
        assert statuses() == ["SUCCESS", "SUCCESS"]
        (began, ended), (next_began, _) = sorted(times(dagster, one) for one in runs.values())
        assert began < ended <= next_began  # both are in the pool of that server
    for name, run_id in runs.items():
        with opened_to_read(tmp_path / name / "live.duckdb") as live:
            ran = live.execute("SELECT DISTINCT run_id, feed FROM ops.runs").fetchall()
        assert ran == [(run_id, "apps")]
