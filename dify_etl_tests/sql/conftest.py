"""A warehouse with all raw tables and the ledger, empty, in the account zone Europe/Berlin."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from dify_etl.assembly.ops_copies import OPS_TABLES
from dify_etl.raw.tables import RAW_TABLES
from dify_etl.time_zones import zone_of
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.tables import quoted
from dify_etl_tests.sql.hand_written import MODELS, HandWritten
from dify_etl_tests.warehouse.good_models import build_models

ZONE = "Europe/Berlin"


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A live file with every table, every mart empty, and every view."""
    path = tmp_path_factory.mktemp("empty") / "live.duckdb"
    with open_database(path) as database, database.transaction():
        for table in (*(raw.table for raw in RAW_TABLES.values()), *OPS_TABLES):
            database.ensure(table)
        build_models(database, MODELS)
    return path


@contextmanager
def open_for_few_rows(path: Path) -> Iterator[Database]:
    """A live file in which a plan is not worth a thought: that takes a third of a mart's build.
    Models of nights, commands, simulated workspaces and the benchmark are planned.
    """
    with open_database(path) as database:
        database.execute("PRAGMA disable_optimizer")
        database.execute("SET threads = 1")
        yield database


# DuckDB without a file, that writes none anew when it is closed; whoever takes one has it alone.
_IDLE: list[duckdb.DuckDBPyConnection] = []


@contextmanager
def open_to_throw_away(path: Path) -> Iterator[Database]:
    """The same of a file that has all schemas, and that nobody opens again: what was written is not
    brought into it in the end, which takes as long as to build a mart of few rows.
    """
    instance = _IDLE.pop() if _IDLE else duckdb.connect()
    instance.execute("PRAGMA disable_checkpoint_on_shutdown")
    with instance.cursor() as connection:
        connection.execute(f"ATTACH {quoted(str(path))} AS live")
        connection.execute("USE live")
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET temp_directory = {quoted(f'{path}.tmp')}")
        connection.execute("PRAGMA disable_optimizer")
        connection.execute("SET threads = 1")
        yield Database(connection, path)
        connection.execute("USE memory")
        connection.execute("DETACH live")
    _IDLE.append(instance)


@pytest.fixture
def unpinned(empty_file: Path, tmp_path: Path) -> Iterator[HandWritten]:
    """An empty warehouse that no run has used: not even the source is known."""
    copy = tmp_path / "live.duckdb"
    shutil.copy(empty_file, copy)
    with open_to_throw_away(copy) as database:
        yield HandWritten(database)


@pytest.fixture
def warehouse(unpinned: HandWritten) -> HandWritten:
    """An empty warehouse whose source is a Dify 1.12.1 with an account in Berlin."""
    unpinned.add("ops.source", timezone=ZONE, server_version="1.12.1")
    unpinned.zone = zone_of(ZONE)
    return unpinned


@pytest.fixture(scope="module")
def module_warehouse(
    empty_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HandWritten]:
    """As `warehouse`, for tests that ask one content."""
    copy = tmp_path_factory.mktemp("warehouse") / "live.duckdb"
    shutil.copy(empty_file, copy)
    with open_to_throw_away(copy) as database:
        warehouse = HandWritten(database, zone_of(ZONE))
        warehouse.add("ops.source", timezone=ZONE, server_version="1.12.1")
        yield warehouse
