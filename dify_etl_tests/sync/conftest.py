"""Workplaces: a simulated Dify with the home that it is read into."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from dify_etl.home import LIVE
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.sync.ledger import LEDGER
from dify_etl.sync.migrations import STEPS
from dify_etl.warehouse.database import open_database
from dify_etl.warehouse.migrations import note_made_without
from dify_etl_tests.dify.conftest import redis_server, redis_url
from dify_etl_tests.sync.small_worlds import lively_world, quiet_world
from dify_etl_tests.sync.workplace import Workplace
from dify_simulated import World

__all__ = ["redis_server", "redis_url"]

Open = Callable[..., Workplace]


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A live file as the first run of this version makes it, with all tables and no row: making
    the tables anew is most of a small sync.
    """
    path = tmp_path_factory.mktemp("empty") / LIVE
    with open_database(path) as database, database.transaction():
        for raw in RAW_TABLES.values():
            database.ensure(raw.table)
        for table in LEDGER:
            database.ensure(table)
        note_made_without(database, STEPS)
    return path


@pytest.fixture
def workplace(tmp_path: Path, empty_file: Path) -> Open:
    """Opens a workplace over a world in a home of its own."""

    def open_workplace(world: World, version: str = "1.12.1") -> Workplace:
        home = tmp_path / "home"
        home.mkdir()
        shutil.copy(empty_file, home / LIVE)
        return Workplace(world, home, version)

    return open_workplace


@pytest.fixture
def chat(workplace: Open) -> Workplace:
    """A workplace with one chat app and no traffic yet."""
    return workplace(quiet_world("chat"))


@pytest.fixture(scope="session")
def read_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workplace, object]:
    """A lively workspace that was read once, and its world before."""
    version = "1.13.0"
    place = Workplace(lively_world(version=version), tmp_path_factory.mktemp("whole"), version)
    before = place.world.snapshot()
    place.with_rules(segments=True).read()
    return place, before


@pytest.fixture(scope="session")
def whole(read_once: tuple[Workplace, object]) -> Workplace:
    """A lively workspace that was read once and is not changed by any test."""
    return read_once[0]
