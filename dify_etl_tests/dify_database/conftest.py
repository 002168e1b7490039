"""One PostgreSQL for the session, and per test a database of Dify with a role that may read it."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest
from pydantic import SecretStr

from dify_etl.dify_database.connection import DifyDatabase
from dify_etl_tests.dify_database.dify_tables import columns_of, fill, make_tables
from dify_etl_tests.postgres import READER, Postgres, serving_postgres
from dify_etl_tests.sync.conftest import empty_file, workplace
from dify_etl_tests.sync.workplace import Workplace

__all__ = ["empty_file", "workplace"]

_GRANT = re.compile(r"GRANT SELECT.*?;", re.DOTALL)
_GRANTED = re.compile(r"GRANT SELECT(?: \((.*?)\))? ON (.*?) TO dify_etl;")
_NUMBERS = count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server; the databases of all tests are in it."""
    with serving_postgres() as found:
        found.execute(f"CREATE ROLE {READER} LOGIN")
        found.execute(f"ALTER ROLE {READER} SET default_transaction_read_only = on")
        yield found


@dataclass
class DifyTables:
    """Dify's database under the world of a workplace."""

    postgres: Postgres
    name: str
    place: Workplace

    def fill(self) -> None:
        """The rows of the world as they are now."""
        fill(self.postgres, self.name, self.place.world, self.place.version)

    def url(self, role: str = READER) -> str:
        return self.postgres.url(self.name, role)

    def through(self) -> Workplace:
        """The workplace, reading from the database from now on."""
        return self.place.with_rules(dify_database=DifyDatabase(SecretStr(self.url())))

    def by_api(self) -> Workplace:
        """The workplace, reading by the API from now on."""
        return self.place.with_rules(dify_database=None)

    def beside(self, home: Path) -> Workplace:
        """The same server read by the API into another home."""
        home.mkdir()
        return replace(self.place, home=home, rules=replace(self.place.rules, dify_database=None))


Open = Callable[[Workplace], DifyTables]


@pytest.fixture
def dify_tables(postgres: Postgres) -> Iterator[Open]:
    """Makes the database of a workplace, granted as docs/database.md says, and fills it."""
    made: list[str] = []

    def make(place: Workplace) -> DifyTables:
        name = f"dify_{next(_NUMBERS)}"
        make_tables(postgres, name, place.version)
        made.append(name)
        postgres.execute("; ".join(granted(place.version)), name)
        tables = DifyTables(postgres, name, place)
        tables.fill()
        return tables

    yield make
    for name in made:
        postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


def granted(version: str) -> list[str]:
    """The GRANTs of the manual, as far as the version has their tables and columns."""
    known = columns_of(version)
    found = []
    for statement in _GRANT.findall(Path("docs/database.md").read_text("utf-8")):
        match = _GRANTED.fullmatch(" ".join(statement.split()))
        assert match is not None, statement
        columns, tables = match.groups()
        for table in (one.strip() for one in tables.split(",")):
            if table not in known:
                continue
            named = [one.strip() for one in (columns or "").split(",")]
            listed = ", ".join(one for one in named if one in known[table])
            what = f"SELECT ({listed})" if columns else "SELECT"
            found.append(f"GRANT {what} ON {table} TO {READER}")
    return found
