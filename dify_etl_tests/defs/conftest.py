"""The environment in which Dagster loads the code location."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dify_etl.settings import setting_names
from dify_etl_tests.cli.command_line import ServedDify
from dify_etl_tests.cli.small_servers import served, small_world, some_days_ago


@pytest.fixture
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ServedDify]:
    """The environment of a code location that reaches a small Dify."""
    for name in setting_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DIFY_ETL_HOME", str(tmp_path / "home"))
    with served(small_world()) as dify:
        for name, text in dify.variables(some_days_ago(2)).items():
            monkeypatch.setenv(name, text)
        yield dify
