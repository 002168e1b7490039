"""The home of `dify-etl dev`'s Dagster; that the UI comes up is shown in `defs`."""

import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef
from dagster._core.telemetry_upload import is_running_in_test

from dify_etl.cli.dagster_home import (
    INSTANCE_SETTINGS,
    POSTGRES,
    STORAGE_URL,
    dagster_folder,
    dagster_folders,
    dagster_home,
    enter_dagster_home,
)
from dify_etl.cli.developing import _alone, _private_folder
from dify_etl.private_files import lock_holder, replace_file
from dify_etl.setting_sources import WORKSPACE
from dify_etl.settings import SettingWrong, load_settings
from dify_etl.warehouse.errors import WarehouseUnwritable
from dify_etl_tests.cli.command_line import Shell


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


def test_nothing_is_sent_to_the_makers_of_dagster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by what `dev` and `serve` start, whatever a DAGSTER_HOME says; nor by a bare
    `dagster dev` in a checkout, which takes the settings that lie there.
    """
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: true}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setattr(os, "environ", os.environ.copy())
    os.environ.pop("DAGSTER_DISABLE_TELEMETRY", None)
    assert not is_running_in_test()  # what stops Dagster from sending
    enter_dagster_home(load_settings())
    assert is_running_in_test()
    checkout = InstanceRef.from_dir(str(tmp_path / "new"), config_dir=str(INSTANCE_SETTINGS.parent))
    with DagsterInstance.from_ref(checkout) as bare:
        assert not bare.telemetry_enabled


def test_home_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file in the way."""
    (tmp_path / "dagster").write_text("mine")
    with pytest.raises(WarehouseUnwritable, match="dagster"):
        dagster_home(load_settings(DIFY_ETL_HOME=tmp_path))


def test_settings_come_whole_to_processes_that_begin_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads meanwhile finds no empty file; who waited for the lock writes nothing again."""
    seen: list[str | None] = []
    settings = load_settings(DIFY_ETL_HOME=tmp_path)
    target = tmp_path / "dagster" / "dagster.yaml"

    def replace(path: Path, content: bytes, *, keeps_rights: bool = False) -> None:
        assert lock_holder(path.with_name("storage.lock")) is not None
        seen.append(target.read_text("utf-8") if target.exists() else None)
        replace_file(path, content, keeps_rights=keeps_rights)

    monkeypatch.setattr("dify_etl.cli.dagster_home.replace_file", replace)
    with ThreadPoolExecutor(8) as pool:
        homes = {one.result() for one in [pool.submit(dagster_home, settings) for _ in range(8)]}
    assert (homes, seen) == ({target.parent}, [None])
    assert target.read_bytes() == INSTANCE_SETTINGS.read_bytes()
    assert lock_holder(target.with_name("storage.lock")) is None


def test_runs_of_a_workspace_may_be_in_the_folder_of_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is served alone, or with the others: `serve` over several keeps its runs in one folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIFY_ETL_HOME", str(tmp_path / "data"))
    table = '[workspaces.{}]\nbase_url = "https://dify.example.com"\n'
    old = table.format("old") + 'home = "data"\n'
    Path("workspaces.toml").write_text(table.format("new") + old)
    of_all = dagster_folder(load_settings())
    assert of_all == tmp_path / "data" / "dagster"
    new, old_one = (load_settings(**{WORKSPACE: name}) for name in ("new", "old"))
    assert dagster_folders(new) == (tmp_path / "data" / "workspaces" / "new" / "dagster", of_all)
    assert dagster_folders(old_one) == dagster_folders(load_settings()) == (of_all,)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "mine"))
    assert dagster_folders(new) == (tmp_path / "mine",)


# As a home of version 0.1 has it.
OF_0_1 = """# Settings of the Dagster instance; `make dev` puts them into DAGSTER_HOME.
telemetry:
  enabled: false
nux:
  enabled: false
run_coordinator:
  module: dagster.core.run_coordinator
  class: QueuedRunCoordinator
  config:
    # One sync per home: a second run would only wait for the first one's lock.
    max_concurrent_runs: 1
concurrency:
  pools:
    default_limit: 1
    granularity: op
"""
STORAGE = "postgresql://me:hunter2@localhost/dagster"


def test_storage_in_postgresql_is_named_by_a_variable(tmp_path: Path) -> None:
    """Dagster takes the file; no password stands in it; without the setting it is as before."""
    here = load_settings(DIFY_ETL_HOME=tmp_path)
    there = load_settings(DIFY_ETL_HOME=tmp_path, DIFY_ETL_DAGSTER_STORAGE=STORAGE)
    file = dagster_home(here) / "dagster.yaml"
    dagster_home(there)
    text = file.read_text()
    assert "hunter2" not in text
    storage = InstanceRef.from_dir(str(file.parent)).storage_data
    assert storage is not None
    assert storage.class_name == "DagsterPostgresStorage"
    assert storage.config_dict == {"postgres_url": {"env": STORAGE_URL}}
    dagster_home(here)
    assert file.read_bytes() == INSTANCE_SETTINGS.read_bytes()


def test_own_instance_settings_have_to_name_the_storage(tmp_path: Path) -> None:
    """They are never changed; the line to add is told."""
    file = tmp_path / "dagster" / "dagster.yaml"
    file.parent.mkdir()
    file.write_text("telemetry: {enabled: true}\n")
    settings = load_settings(DIFY_ETL_HOME=tmp_path, DIFY_ETL_DAGSTER_STORAGE=STORAGE)
    with pytest.raises(SettingWrong, match="does not name it") as refused:
        dagster_home(settings)
    assert POSTGRES.strip() in refused.value.hint
    file.write_text("telemetry: {enabled: true}\n" + POSTGRES)
    assert dagster_home(settings) == file.parent


def test_settings_of_earlier_versions_are_nobodys_own(tmp_path: Path) -> None:
    """They are brought up to date, as no user has written them."""
    file = tmp_path / "dagster" / "dagster.yaml"
    file.parent.mkdir()
    file.write_text(OF_0_1)
    dagster_home(load_settings(DIFY_ETL_HOME=tmp_path))
    assert file.read_bytes() == INSTANCE_SETTINGS.read_bytes()
    file.write_text(OF_0_1)
    dagster_home(load_settings(DIFY_ETL_HOME=tmp_path, DIFY_ETL_DAGSTER_STORAGE=STORAGE))
    assert file.read_text().endswith(POSTGRES)


def test_storage_that_nobody_names_is_a_wrong_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync beside `serve`, without its setting."""
    monkeypatch.delenv(STORAGE_URL, raising=False)
    file = tmp_path / "dagster" / "dagster.yaml"
    file.parent.mkdir()
    file.write_text("telemetry: {enabled: false}\n" + POSTGRES)
    with pytest.raises(SettingWrong, match="nobody sets"):
        dagster_home(load_settings(DIFY_ETL_HOME=tmp_path))


def test_one_alone_ends_runs_that_are_gone(tmp_path: Path) -> None:
    """A second `serve` of the same DAGSTER_HOME cannot tell which runs the first one has."""
    with _alone(tmp_path) as first, _alone(tmp_path) as second:
        assert (first, second) == (True, False)
    with _alone(tmp_path) as again:
        assert again


def test_folder_of_the_processes_is_locked_against_cleaning() -> None:
    """systemd-tmpfiles deletes what is old in /tmp, and passes over folders that are locked."""
    with _private_folder() as folder:
        seen = os.open(folder, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(seen, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(seen)
    assert not folder.exists()


def test_code_servers_of_others_are_named_in_a_file(tmp_path: Path) -> None:
    """One that is not there: before anything is started, and without a Dify of its own."""
    answer = Shell(tmp_path).run("serve", "--code-servers", "nowhere.yaml")
    assert answer.code == 2
    assert "there is no such file" in answer.text
    assert "nowhere.yaml" in answer.text
