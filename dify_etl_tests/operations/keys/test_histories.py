"""Whatever goes wrong while keys are rotated: consumers have a key, and no key is left over."""

import os
import random
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from dify_etl_tests.conftest import Tell
from dify_etl_tests.operations.keys.generated import (
    ACTS,
    TROUBLES,
    History,
    history,
    smallest,
)
from dify_etl_tests.operations.keys.playing import Player
from dify_etl_tests.operations.keys.workshop import MEMORY_DISK

# Each part of a soak plays this many histories, from a seed of its own.
SOAK = int(os.environ.get("SOAK_HISTORIES", "0"))
CHANCE = random.SystemRandom().randrange(1, 2**32)
SEED = int(os.environ.get("SOAK_SEED", "0")) or (CHANCE if SOAK else 20_261_120)
# Seeds are fixed, and 110 histories hold nearly every kind of trouble: one part for the suite.
PARTS, USUAL = (4 if SOAK else 1), 80
ONLY = os.environ.get("SOAK_ONLY", "")  # part/number of one history of a seed


@pytest.mark.parametrize("part", range(PARTS))
def test_keys_survive_any_history(
    part: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, tell: Tell
) -> None:
    """Crashes, lost answers, people, second runs: at any moment the sink holds a working key."""
    counts: Counter[str] = Counter()
    folder = MEMORY_DISK if MEMORY_DISK.is_dir() else tmp_path

    def trouble_of(played: History) -> str | None:
        with tempfile.TemporaryDirectory(dir=folder) as home:
            player = Player(played, Path(home))
            try:
                player.play()
            except Exception as error:
                return f"{type(error).__name__}: {error}"
        counts.update(player.counts)
        is_shown = any(key.token in caplog.text for key in player.people.seen.values())
        caplog.clear()
        return "a token is logged" if is_shown else None

    for number in range(SOAK or USUAL):
        name = f"{part}/{number}"
        played = history(random.Random(f"{SEED}/{name}"))
        if ONLY in ("", name) and (trouble := trouble_of(played)) is not None:
            found = smallest(played, lambda less: trouble_of(less) is not None)
            pytest.fail(
                f"{trouble}\nrun it alone: SOAK_SEED={SEED} SOAK_ONLY={name}\n"
                f"smallest: {trouble_of(found)}\n{found}"
            )
        counts["histories"] += 1

    told = [f"{count} {name}" for name, count in sorted(counts.items())]
    tell(f"rotations, part {part}: " + ", ".join([*told, f"seed {SEED}"]))
    kinds = [*TROUBLES, *(f"before a run: {act}" for act in ACTS)]
    absent = [kind for kind in kinds if not counts[kind]]
    # A part is short: by chance a few kinds do not come up in it, and no more.
    assert len(absent) <= len(kinds) / 10 or counts["histories"] < USUAL or ONLY, absent
