"""A workbench per test."""

from pathlib import Path

import pytest

from dify_etl_tests.operations.workbench import Workbench


@pytest.fixture
def bench(tmp_path: Path) -> Workbench:
    """The newest recorded release, five apps, six datasets."""
    return Workbench(tmp_path)
