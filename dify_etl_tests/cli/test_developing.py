"""The home of `dify-etl dev`'s Dagster; that the UI comes up is shown in `defs`."""

from pathlib import Path

import pytest

from dify_etl.cli.dagster_home import INSTANCE_SETTINGS, dagster_home
from dify_etl.settings import load_settings
from dify_etl.warehouse.errors import WarehouseUnwritable


@pytest.fixture(autouse=True)
def no_dagster_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)


def test_instance_settings_come_with_the_home(tmp_path: Path) -> None:
    """A new home gets the project's dagster.yaml: one run at a time, no telemetry."""
    home = dagster_home(load_settings(DIFY_ETL_HOME=tmp_path))
    assert home == tmp_path / "dagster"
    assert (home / "dagster.yaml").read_bytes() == INSTANCE_SETTINGS.read_bytes()


def test_own_instance_settings_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DAGSTER_HOME that somebody set up is used as it is."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: true}\n")
    assert dagster_home(load_settings()) == tmp_path
    assert (tmp_path / "dagster.yaml").read_text() == "telemetry: {enabled: true}\n"


def test_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file in the way."""
    (tmp_path / "dagster").write_text("mine")
    with pytest.raises(WarehouseUnwritable, match="dagster"):
        dagster_home(load_settings(DIFY_ETL_HOME=tmp_path))
