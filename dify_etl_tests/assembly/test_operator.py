"""Who operates: the account of the settings, in the workspace that the home was loaded from."""

from pathlib import Path

import duckdb
import pytest

from dify_etl.assembly.connection import effective_settings
from dify_etl.assembly.operator import open_operator
from dify_etl.home import COPY
from dify_etl.settings import setting_names
from dify_etl.sync.errors import SourceChanged
from dify_etl_tests.cli.small_servers import served, small_world, some_days_ago


def publish(home: Path, workspace_id: str | None) -> None:
    """A copy of the home that was loaded from this workspace; None: one of an earlier version."""
    home.mkdir(exist_ok=True)
    with duckdb.connect(str(home / COPY)) as copy:
        copy.execute("CREATE SCHEMA ops")
        if workspace_id is not None:
            copy.execute("CREATE TABLE ops.source AS SELECT ? AS workspace_id", [workspace_id])


@pytest.mark.parametrize("loaded_from", ["this", "another", "none", "earlier version"])
def test_nothing_is_operated_on_in_another_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loaded_from: str
) -> None:
    """A person switched the account's workspace in the console: no schedule may go on there."""
    for name in setting_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    home = tmp_path / "home"
    world = small_world()
    with served(world) as dify:
        for name, text in dify.variables(some_days_ago(2)).items():
            monkeypatch.setenv(name, text)
        monkeypatch.setenv("DIFY_ETL_HOME", str(home))
        ids = {"this": world.workspace_id, "another": "another-id", "earlier version": None}
        if loaded_from in ids:
            publish(home, ids[loaded_from])
        opened = open_operator(effective_settings(), tell=lambda text: None)
        if loaded_from == "another":
            with pytest.raises(SourceChanged, match="loaded from workspace id another-id"), opened:
                pass
        else:
            with opened as context:
                assert context.operator.workspace_id == world.workspace_id
