"""Whatever stands in an answer: the rest is loaded, and what is odd is loaded or named."""

import os
import random
import time
from random import Random

import pytest

from dify_etl.warehouse.database import Database
from dify_etl_tests.conftest import Tell
from dify_etl_tests.fuzz.altered_answers import draw_cases
from dify_etl_tests.fuzz.judging import Judge
from dify_etl_tests.fuzz.loads import Loads
from dify_etl_tests.sync.small_worlds import lively_world

# A soak plays this many cases in all, from a seed of its own.
SOAK = int(os.environ.get("SOAK_FUZZ", "0"))
CHANCE = random.SystemRandom().randrange(1, 2**32)
SEED = int(os.environ.get("SOAK_SEED", "0")) or (CHANCE if SOAK else 20_261_128)
CASES = SOAK or 500
PER_SYNC = 250
# With a suite's time, two versions that differ most in their lists; a soak plays them all.
VERSIONS = ("1.13.0", "main-2026-08")
MORE_VERSIONS = ("1.7.2", "1.12.1", "1.16.1")


@pytest.mark.parametrize("version", [*VERSIONS, *(MORE_VERSIONS if SOAK else ())])
def test_odd_values_cost_what_they_touch(version: str, database: Database, tell: Tell) -> None:
    """One value of many objects is odd: what no case touches is loaded and equal, the rest is
    loaded or named with its slices not proven, the verdict says so, and nothing raises.
    """
    loads = Loads(lively_world(version=version), version, database)
    wanted = CASES // (len(VERSIONS) + (len(MORE_VERSIONS) if SOAK else 0))
    cases = syncs = 0
    began = time.process_time()
    while cases < wanted:
        seed = SEED + syncs
        drawn = draw_cases(loads.objects, Random(seed), min(PER_SYNC, wanted - cases + 40))
        load = loads.load(drawn)
        assert load.met, f"seed {seed} meets nothing"
        complaints = Judge(loads.clean, load).complaints()
        assert complaints == [], f"seed {seed}:\n" + "\n".join(complaints[:20])
        cases, syncs = cases + len(load.met), syncs + 1
    seconds = time.process_time() - began
    tell(
        f"odd answers of {version}: {cases} cases, {syncs} syncs, seed {SEED}, "
        f"{cases / seconds:.0f} cases per second"
    )
