"""A warehouse in memory that the histories of a module share; each begins in an empty one."""

import pytest
from hypothesis.internal.conjecture import providers

from dify_etl.warehouse.database import Database
from dify_etl_tests.histories.playing import memory_warehouse


@pytest.fixture(scope="module")
def database() -> Database:
    """A warehouse in memory."""
    return memory_warehouse()


@pytest.fixture(autouse=True)
def same_histories(monkeypatch: pytest.MonkeyPatch) -> None:
    """A seed gives the same histories whatever else is imported.

    Hypothesis also draws numbers that stand in the code of the modules loaded by then, which are
    others when a test runs alone; it has no public way to leave these out.
    """
    none = type(providers.GLOBAL_CONSTANTS)()
    monkeypatch.setattr(providers, "_get_local_constants", lambda: none)
