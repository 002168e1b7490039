"""One simulated Dify and one loaded home per test process, and a fresh folder per test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dify_etl_tests.cli.command_line import ServedDify, Shell, copied
from dify_etl_tests.cli.small_servers import served, small_world, some_days_ago


@pytest.fixture(scope="session")
def dify() -> Iterator[ServedDify]:
    """A small Dify that stays as it is; whoever changes it puts it back."""
    with served(small_world()) as server:
        yield server


@pytest.fixture(scope="session")
def loaded(dify: ServedDify, tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A home that one sync has filled; copy it before changing it."""
    shell = Shell(tmp_path_factory.mktemp("loaded"), dify.variables(some_days_ago(3)))
    answer = shell.run("sync")
    assert answer.code == 0, answer.text
    return shell


@pytest.fixture
def shell(dify: ServedDify, tmp_path: Path) -> Shell:
    """An empty folder whose settings reach the small Dify."""
    return Shell(tmp_path, dify.variables(some_days_ago(3)))


@pytest.fixture
def own_copy(loaded: Shell, tmp_path: Path) -> Shell:
    """A loaded home of the test's own."""
    return copied(loaded, tmp_path)
