"""A home with an empty warehouse, into which tests write what is wrong, and a webhook."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dify_etl.alerts.evaluating import Evaluation, evaluate
from dify_etl.alerts.incidents import Moment, NightsDue
from dify_etl.alerts.source import Source
from dify_etl.alerts.targets import Target, open_targets
from dify_etl.home import Home
from dify_etl.time_zones import zone_of
from dify_etl_tests.alerts.receivers import Received, webhook
from dify_etl_tests.sql.conftest import empty_file as empty_file
from dify_etl_tests.sql.conftest import open_for_few_rows

NOW = datetime(2026, 3, 12, 8, tzinfo=UTC)
KEY = b"a key of the tests"


@dataclass
class WatchedHome:
    """A home, who is told of it, and what time it is; nights are due at 1:30 UTC."""

    path: Path
    targets: tuple[Target, ...]
    now: datetime = NOW
    source: Source = field(default_factory=Source)
    said: list[str] = field(default_factory=list)
    changes: list[tuple[str, object]] = field(default_factory=list)

    def add(self, table: str, **values: Any) -> None:
        """A row, in a mart as well: the evaluation reads what the last build left there."""
        marks = ", ".join("?" for _ in values)
        self.execute(
            f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", list(values.values())
        )

    def execute(self, sql: str, values: object = None) -> None:
        """Change what is in the live file, before the next evaluation."""
        self.changes.append((sql, values))

    def write(self) -> None:
        """Do it, in one opening of the file."""
        changes, self.changes = self.changes, []
        if changes:
            with open_for_few_rows(Home(self.path).live) as database, database.transaction():
                for sql, values in changes:
                    database.execute(sql, values)

    def moment(self) -> Moment:
        """Now, in the middle between two nights that were due."""
        due = self.now.replace(hour=1, minute=30)
        return Moment(self.now, zone_of("UTC"), NightsDue(due, due - timedelta(days=1)))

    def evaluate(self) -> Evaluation:
        """Look and send, an hour after the last time."""
        self.now += timedelta(hours=1)
        self.write()
        return evaluate(
            self.path,
            self.targets,
            self.moment(),
            self.source,
            tell=self.said.append,
            wait_seconds=1.0,
        )

    def tell(self, *receivers: Received) -> None:
        """These are told from now on."""
        self.targets = open_targets([one.url for one in receivers], key=KEY)


@pytest.fixture(scope="session")
def served() -> Iterator[Received]:
    """One webhook for all tests."""
    with webhook() as received:
        yield received


@pytest.fixture
def received(served: Received) -> Received:
    """The webhook, which takes everything and has nothing yet."""
    served.status = 200
    served.take()
    return served


@pytest.fixture
def home(empty_file: Path, tmp_path: Path, received: Received) -> WatchedHome:
    """A home that was evaluated once, when nothing was wrong."""
    path = tmp_path / "home"
    path.mkdir()
    shutil.copy(empty_file, Home(path).live)
    watched = WatchedHome(path, ())
    watched.tell(received)
    watched.evaluate()
    assert received.take() == []
    return watched
