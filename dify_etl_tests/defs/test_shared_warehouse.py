"""The asset of a shared warehouse: only where the settings name one, and it fails alone."""

from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from dify_etl.defs.code_location import code_location
from dify_etl.defs.location import ALONE
from dify_etl.defs.resources import clear_failures, home_held
from dify_etl.defs.schedules import NIGHTLY_SYNC, night_config
from dify_etl.settings import Settings
from dify_etl.shared_warehouse.comparing import compare_shared
from dify_etl.shared_warehouse.errors import SharedWarehouseBusy, SharedWarehouseUnavailable
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.sync.opening import open_home
from dify_etl_tests.defs.night import QUIET, settings_for
from dify_etl_tests.sync.small_worlds import quiet_world
from dify_etl_tests.sync.workplace import Workplace


def settings_of(home: Path, target: str) -> Settings:
    """Settings that name a shared warehouse."""
    return settings_for(home).model_copy(update={"warehouse": SecretStr(target)})


def published(place: Workplace, target: Path) -> dg.ExecuteInProcessResult:
    """The steps of a night that publish."""
    settings = settings_of(place.home, str(target))
    shared = SharedPlace(SecretStr(str(target)), None, place.home / "spill")
    with (
        place.client() as dify,
        open_home(
            dify,
            place.home,
            rules=place.rules,
            run_id="night",
            watch=place.watch,
            wait_seconds=1.0,
            shared=shared,
        ) as opened,
        dg.DagsterInstance.ephemeral() as instance,
    ):
        job = code_location(settings, home_held(opened)).resolve_job_def(NIGHTLY_SYNC)
        return job.execute_in_process(
            instance=instance,
            run_config=night_config() | QUIET,
            asset_selection=[ALONE.published_copy, ALONE.shared_warehouse],
            raise_on_error=False,
        )


def test_published_copy_is_brought_to_it(tmp_path: Path) -> None:
    """What was brought is in the metadata; a warehouse that cannot be written fails this step, and
    the copy is published all the same.
    """
    place = Workplace(quiet_world(), tmp_path / "home")
    place.read(["apps", "members"])
    target = tmp_path / "shared.duckdb"
    result = published(place, target)
    assert result.success
    (event,) = [
        one.step_materialization_data.materialization
        for one in result.get_asset_materialization_events()
        if one.asset_key == ALONE.shared_warehouse
    ]
    assert event.metadata["rows"].value not in (0, None)
    assert str(event.metadata["workspace"].value) == place.world.workspace_id
    shared = SharedPlace(SecretStr(str(target)), None, tmp_path / "spill")
    compared = compare_shared(shared, place.home / "dify.duckdb")
    assert [one.table for one in compared if not one.is_equal] == []
    target.unlink()
    target.mkdir()
    result = published(place, target)
    failed = [event.step_key for event in result.all_events if event.is_step_failure]
    done = [event.step_key for event in result.all_events if event.is_step_success]
    assert (failed, done) == (["shared_warehouse"], ["published_copy"])


def test_busy_one_is_tried_again() -> None:
    """It passes by itself, as a live file that somebody holds does; an address that is wrong waits
    for a person.
    """
    told = {"where": "shared", "hint": "Wait."}
    with pytest.raises(dg.RetryRequested), clear_failures(failed_tries=0):
        raise SharedWarehouseBusy("another process holds it", **told)
    with pytest.raises(dg.Failure), clear_failures(failed_tries=2):
        raise SharedWarehouseBusy("another process holds it", **told)
    with pytest.raises(dg.Failure), clear_failures(failed_tries=0):
        raise SharedWarehouseUnavailable("no such server", **told)


@pytest.mark.parametrize("target", ["", "shared.duckdb"])
def test_asset_is_there_where_it_is_set(tmp_path: Path, target: str) -> None:
    """Without the setting there is none, nor with the simulated Dify."""
    settings = settings_of(tmp_path, target) if target else settings_for(tmp_path)
    for is_simulated in (False, True):
        chosen = settings.model_copy(update={"simulated": is_simulated})
        keys = code_location(chosen).resolve_asset_graph().get_all_asset_keys()
        assert (ALONE.shared_warehouse in keys) == bool(target and not is_simulated)
