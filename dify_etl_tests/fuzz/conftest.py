"""A warehouse in memory that the reads of a module share."""

import pytest

from dify_etl.warehouse.database import Database
from dify_etl_tests.histories.playing import memory_warehouse


@pytest.fixture(scope="module")
def database() -> Database:
    """A warehouse in memory."""
    return memory_warehouse()
