"""What an operator does with the shared warehouse is in the audit, and can be finished."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from dify_etl.assembly.connection import copy_place
from dify_etl.assembly.sharing import (
    compare_now,
    named_place,
    planned_removal,
    publish_now,
    remove_now,
)
from dify_etl.home import Home
from dify_etl.operations.audit import AuditFile
from dify_etl.settings import Settings
from dify_etl.shared_warehouse import upkeep
from dify_etl.shared_warehouse.engines import opened
from dify_etl.shared_warehouse.errors import SharedWarehouseBusy, SharedWarehouseRefused
from dify_etl_tests.defs.night import settings_for
from dify_etl_tests.shared_warehouse.small_copies import small_copy


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Those of a home that has published into a shared file."""
    target = SecretStr(str(tmp_path / "shared.duckdb"))
    found = settings_for(tmp_path / "home").model_copy(update={"warehouse": target})
    copy = copy_place(found).path
    copy.parent.mkdir(parents=True, exist_ok=True)
    small_copy(copy, "a")
    publish_now(found)
    return found


def test_removal_that_was_cut_off_is_finished(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are gone, what hides them in a catalog is not: said once more it does the rest."""

    def held(place: Any) -> None:
        raise SharedWarehouseBusy("an analyst has it open", where=place.name, hint="Wait.")

    plan = planned_removal(settings, "a")
    with monkeypatch.context() as patched:
        patched.setattr(upkeep, "write_catalog_anew", held)
        with pytest.raises(SharedWarehouseBusy):
            remove_now(settings, "a", agreed_id=plan.plan_id)
    with pytest.raises(SharedWarehouseRefused):
        remove_now(settings, "a", agreed_id="another")
    finished: list[Any] = []
    monkeypatch.setattr(upkeep, "write_catalog_anew", finished.append)
    assert remove_now(settings, "a", agreed_id=plan.plan_id).rows == {}
    assert len(finished) == 1
    trail = AuditFile(Home(settings.home).audit).entries()
    assert [(one.plan_id, one.outcome) for one in trail] == [
        *((plan.plan_id, "begun"), (plan.plan_id, "done"))
    ]
    with pytest.raises(SharedWarehouseRefused):
        remove_now(settings, "a", agreed_id=plan.plan_id)


def test_command_to_publish_brings_back_what_the_check_names(settings: Settings) -> None:
    """As its message says, though the digests of the last publication tell of no difference."""
    with opened(named_place(settings)) as warehouse:
        warehouse.execute("DELETE FROM shared.raw.messages WHERE app_id = 'app-0'")
    assert [one.table for one in compare_now(settings) if not one.is_equal] == ["raw.messages"]
    publish_now(settings)
    assert [one.table for one in compare_now(settings) if not one.is_equal] == []
