"""Whatever happens in Dify, before, between and while it is read: no row is lost, none is twice."""

import os
import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from dify_etl.warehouse.database import Database
from dify_etl_tests.conftest import Tell
from dify_etl_tests.histories.generated import histories
from dify_etl_tests.histories.history import History
from dify_etl_tests.histories.playing import Player

# A soak plays this many histories in each part, from a seed of its own.
SOAK = int(os.environ.get("SOAK_HISTORIES", "0"))
CHANCE = random.SystemRandom().randrange(1, 2**32)
SEED = int(os.environ.get("SOAK_SEED", "0")) or (CHANCE if SOAK else 20_260_312)
USUAL = {"talk": 4, "runs": 4, "workspace": 3}
# Parts of a family, which run side by side on several cores. Their seeds are fixed: the same
# histories are played again in every run, so the suite has fewer of them than a soak.
PARTS = [("talk", 1), ("runs", 1), ("workspace", 1)]
PARTS += [("talk", 2), ("talk", 3), ("runs", 2), ("runs", 3), ("workspace", 2)] if SOAK else []
# To make a failing history small takes minutes: only a soak has them.
PHASES = (Phase.generate, Phase.shrink) if SOAK else (Phase.generate,)


@pytest.mark.parametrize(("family", "part"), PARTS)
def test_warehouse_follows_any_history(
    family: str, part: int, database: Database, tell: Tell
) -> None:
    """After every night proven days are whole, and once the world rests all is equal."""
    played: Counter[str] = Counter()

    @seed(SEED + part)
    @settings(
        max_examples=SOAK or USUAL[family],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=PHASES,
        print_blob=False,
    )
    @given(histories(family))
    def play(history: History) -> None:
        player = Player(history, database)
        player.play()
        played.update(histories=1, syncs=player.place.runs, changes=player.changes)

    try:
        play()
    finally:
        # SOAK_SEED=… SOAK_HISTORIES=… pytest -k '[family-part]' plays them again.
        counts = ", ".join(f"{count} {name}" for name, count in played.items())
        tell(
            f"{family}-{part}: {counts or 'none well'}, seed {SEED}, {SOAK or USUAL[family]} asked"
        )
    assert played["histories"] >= (SOAK or USUAL[family]) // 2
