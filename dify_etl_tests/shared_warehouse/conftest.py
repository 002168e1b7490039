"""The kinds of shared warehouses that the DuckDB at hand can hold: a file, or lakes."""

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import pytest
from pydantic import SecretStr

from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl_tests.postgres import Postgres, serving_postgres
from dify_etl_tests.shared_warehouse.copies import whole_copies
from dify_etl_tests.shared_warehouse.unchecked_extensions import unchecked_extensions

HAS_LAKE = find_spec("duckdb_extension_ducklake") is not None
# How many transactions `make soak` wants: then every test is of every kind of catalog, too.
SOAK = int(os.environ.get("SOAK_LAKE", "0"))
LAKES = ("duckdb", "sqlite", "postgres") if SOAK else ("duckdb",)
KINDS = LAKES if HAS_LAKE else ("file",)
# Not imported in vain: they need what only a lake has.
_OF_LAKES = ["test_lake_upkeep.py", "test_object_store.py", "test_whole_workspaces.py"]
collect_ignore = [] if HAS_LAKE else _OF_LAKES
MakePlace = Callable[[str], SharedPlace]


@pytest.fixture(scope="session", autouse=HAS_LAKE)
def _unchecked() -> Iterator[None]:
    """What loads the extensions of lakes here does not check them each time."""
    with unchecked_extensions():
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL for catalogs."""
    with serving_postgres(log_statement="none") as server:
        yield server


@pytest.fixture(scope="session")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """Copies of three whole workspaces; nobody changes them."""
    return whole_copies(tmp_path_factory.mktemp("copies"))


@pytest.fixture
def make_place(request: pytest.FixtureRequest, tmp_path: Path) -> MakePlace:
    """An empty shared warehouse of a kind."""
    numbers = itertools.count()

    def make(kind: str) -> SharedPlace:
        number = next(numbers)
        targets = {
            "file": f"{tmp_path}/all-{number}.duckdb",
            "duckdb": f"ducklake:{tmp_path}/catalog-{number}.duckdb",
            "sqlite": f"ducklake:sqlite:{tmp_path}/catalog-{number}.sqlite",
        }
        if kind == "postgres":
            server: Postgres = request.getfixturevalue("postgres")
            name = f"lake_{tmp_path.name.lower()}_{number}"[-50:].replace("-", "_").strip("_")
            server.execute(f'CREATE DATABASE "{name}"')
            targets["postgres"] = (
                f"ducklake:postgres:dbname={name} host=127.0.0.1 port={server.port} user=owner"
            )
        data = None if kind == "file" else f"{tmp_path}/data-{number}"
        return SharedPlace(SecretStr(targets[kind]), data, tmp_path / "spill")

    return make


@pytest.fixture(params=KINDS if SOAK or not HAS_LAKE else ())
def thorough_place(request: pytest.FixtureRequest, make_place: MakePlace) -> SharedPlace:
    """The same for what is SQL alone: of lakes in `make soak`."""
    return make_place(request.param)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, make_place: MakePlace) -> SharedPlace:
    """An empty shared warehouse of each kind."""
    return make_place(request.param)
