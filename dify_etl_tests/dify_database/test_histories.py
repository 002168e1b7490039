"""Whatever happens in Dify between nights, by whichever way each is read: the promises hold."""

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from dify_etl.dify.client import DifyClient
from dify_etl.warehouse.database import Database
from dify_etl_tests.conftest import Tell
from dify_etl_tests.dify_database.conftest import DifyTables
from dify_etl_tests.dify_database.conftest import Open as OpenTables
from dify_etl_tests.dify_database.seen_both_ways import ADDED, LOOKED_UP
from dify_etl_tests.histories.conftest import database, same_histories
from dify_etl_tests.histories.generated import histories
from dify_etl_tests.histories.history import Change, History
from dify_etl_tests.histories.playing import Player
from dify_etl_tests.sync.comparison import EXPECTED
from dify_etl_tests.sync.expected_values import Row, Told

__all__ = ["database", "same_histories"]

SOAK = int(os.environ.get("SOAK_HISTORIES", "0"))
SEED = int(os.environ.get("SOAK_SEED", "0")) or 20_260_312

# The first question: of several messages in one instant Dify shows whichever its table has first.
TIES = {"conversations": {"summary"}}


class EitherWay(Player):
    """A history whose nights are read from Dify's database or by its API, as chance has it."""

    def __init__(self, history: History, database: Database, open_tables: OpenTables) -> None:
        super().__init__(history, database)
        self.tables: DifyTables = open_tables(self.place)
        self.ways: Counter[str] = Counter()
        self._chance = random.Random(repr(history))

    def _night(self, dify: DifyClient, during: tuple[tuple[int, Change], ...]) -> None:
        way = self._chance.choice(("database", "API"))
        self.ways[way] += 1
        if way == "database":
            self.tables.fill()
            self.tables.through()
        else:
            self.tables.by_api()
        super()._night(dify, during)


def seen_alike(history: History) -> History:
    """The history with apps and settings for which both ways know the same rows.

    The list of completions tells nothing of logs that nobody opened; servers before 1.9.2 list no
    run of a chatflow that was published.
    """
    version = "1.16.1" if history.version == "1.7.2" else history.version
    modes = tuple(dict.fromkeys("chat" if one == "completion" else one for one in history.modes))
    return replace(history, modes=modes, version=version, completion_detail=False)


@pytest.fixture(autouse=True)
def what_both_ways_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare the columns that the API and the database tell alike."""
    for name in ADDED.keys() | LOOKED_UP.keys() | TIES.keys():
        left_out = ADDED.get(name, set()) | LOOKED_UP.get(name, set()) | TIES.get(name, set())
        monkeypatch.setitem(EXPECTED, name, _without(left_out, EXPECTED[name]))


def _without(
    left_out: set[str], rows_of: Callable[[Told], Iterator[Row]]
) -> Callable[[Told], Iterator[Row]]:
    def fewer(told: Told) -> Iterator[Row]:
        for row in rows_of(told):
            yield {name: value for name, value in row.items() if name not in left_out}

    return fewer


@pytest.mark.parametrize("family", ["talk", "runs"])
def test_promises_hold_by_either_way(
    family: str, database: Database, dify_tables: OpenTables, tell: Tell
) -> None:
    """Night by night: proven days are whole, no row is lost, and at rest all is equal."""
    played: Counter[str] = Counter()

    @seed(SEED)
    @settings(
        max_examples=SOAK or 3,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink) if SOAK else (Phase.generate,),
        print_blob=False,
    )
    @given(histories(family))
    def play(history: History) -> None:
        player = EitherWay(seen_alike(history), database, dify_tables)
        player.play()
        played.update(player.ways)

    play()
    counts = ", ".join(f"{count} by the {way}" for way, count in sorted(played.items()))
    tell(f"{family} by either way: nights {counts}, seed {SEED}")
    assert min(played["database"], played["API"]) >= 2
