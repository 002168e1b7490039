"""Workplaces: a simulated Dify with the home that it is read into."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dify_etl.simulated import World
from dify_etl_tests.dify.conftest import redis_server, redis_url
from dify_etl_tests.sync.small_worlds import lively_world, quiet_world
from dify_etl_tests.sync.workplace import Workplace

__all__ = ["redis_server", "redis_url"]

Open = Callable[..., Workplace]


@pytest.fixture
def workplace(tmp_path: Path) -> Open:
    """Opens a workplace over a world in a home of its own."""

    def open_workplace(world: World, version: str = "1.12.1") -> Workplace:
        return Workplace(world, tmp_path / "home", version)

    return open_workplace


@pytest.fixture
def chat(workplace: Open) -> Workplace:
    """A workplace with one chat app and no traffic yet."""
    return workplace(quiet_world("chat"))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """A lively workspace that was read once and is not changed by any test."""
    place = Workplace(lively_world(), tmp_path_factory.mktemp("whole"))
    place.read()
    return place
