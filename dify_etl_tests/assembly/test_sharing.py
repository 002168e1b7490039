"""What an operator does with the shared warehouse is in the audit, and can be finished."""

from contextlib import suppress
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
from dify_etl.cli.doctor import _shared
from dify_etl.home import Home
from dify_etl.operations.audit import AuditFile
from dify_etl.settings import Settings
from dify_etl.shared_warehouse import publication, upkeep
from dify_etl.shared_warehouse.engines import opened
from dify_etl.shared_warehouse.errors import (
    SharedTableRefused,
    SharedWarehouseBusy,
    SharedWarehouseError,
    SharedWarehouseRefused,
)
from dify_etl.sync.shared_note import (
    CUT_OFF,
    UNREADABLE,
    SharedBehind,
    forget_shared,
    noted_publication,
    shared_behind,
)
from dify_etl_tests.defs.night import settings_for
from dify_etl_tests.shared_warehouse.small_copies import change, small_copy


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


def test_home_remembers_since_when_it_is_behind(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first failure counts, the last one tells why; one that is killed is noticed as well, and
    a publication that goes through ends it.
    """
    assert shared_behind(settings.home) is None
    target = named_place(settings).file
    target.rename(target.with_suffix(".kept"))
    target.mkdir()
    with pytest.raises(SharedWarehouseError):
        publish_now(settings)
    first = shared_behind(settings.home)
    assert first is not None
    assert first.reason.startswith("SharedWarehouse")
    target.rmdir()
    target.with_suffix(".kept").rename(target)

    def killed(*_: Any, **how: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(publication, "publish_shared", killed)
        with pytest.raises(KeyboardInterrupt):
            publish_now(settings)
    assert shared_behind(settings.home) == SharedBehind(first.since, CUT_OFF)
    publish_now(settings)
    assert shared_behind(settings.home) is None
    assert not Home(settings.home).shared_note.exists()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"since": "soon", "reason": "r"}', b"\xff"]
)
def test_note_that_cannot_be_read_is_no_good_news(settings: Settings, content: bytes) -> None:
    """A full disk, or somebody's hand: until the next publication it counts as behind."""
    Home(settings.home).shared_note.write_bytes(content)
    behind = shared_behind(settings.home)
    assert behind is not None
    assert behind.reason == UNREADABLE
    publish_now(settings)
    assert shared_behind(settings.home) is None


def test_table_that_is_left_out_is_behind(settings: Settings, tmp_path: Path) -> None:
    """By its name, and without a value."""
    mine = "CREATE TABLE marts.mine AS SELECT 'w' AS workspace_id, {} AS x"
    other = change(small_copy(tmp_path / "b.duckdb", "b"), mine.format("DATE '2026-01-01'"))
    publication.publish_shared(named_place(settings), other, run_id="other")
    change(copy_place(settings).path, mine.format("12345"))
    with pytest.raises(SharedTableRefused):
        publish_now(settings)
    behind = shared_behind(settings.home)
    assert behind is not None
    assert "marts.mine.x is INTEGER in this home" in behind.reason
    assert "12345" not in behind.reason


def test_doctor_opens_it(settings: Settings) -> None:
    """What it is; that it is behind; that it cannot be opened, and is not made yet."""
    target = named_place(settings).file
    found = _shared(settings, settings.home)
    assert found.to_do is None
    assert str(target) in found.found
    with suppress(ValueError), noted_publication(settings.home):
        raise ValueError("a value")
    found = _shared(settings, settings.home)
    assert found.is_bad
    assert "behind since" in found.found
    assert "ValueError" in found.found
    assert "a value" not in found.found
    target.write_text("no database")
    assert _shared(settings, settings.home).is_bad
    target.unlink()
    forget_shared(settings.home)
    assert "not made yet" in _shared(settings, settings.home).found
