"""Whatever goes wrong while keys are rotated: consumers have a key, and no key is left over."""

import os
import random
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from dify_etl_tests.conftest import Tell
from dify_etl_tests.management.rotation.generated import History, histories
from dify_etl_tests.management.rotation.playing import Player
from dify_etl_tests.management.rotation.workshop import MEMORY_DISK

# A soak plays this many histories, from a seed of its own.
SOAK = int(os.environ.get("SOAK_HISTORIES", "0"))
CHANCE = random.SystemRandom().randrange(1, 2**32)
SEED = int(os.environ.get("SOAK_SEED", "0")) or (CHANCE if SOAK else 20_261_120)
PARTS, USUAL = 4, 60


@pytest.mark.parametrize("part", range(PARTS))
def test_keys_survive_any_history(
    part: int, tmp_path: Path, caplog: pytest.LogCaptureFixture, tell: Tell
) -> None:
    """Crashes, lost answers, people, second runs: at any moment the sink holds a working key."""
    counts: Counter[str] = Counter()
    folder = MEMORY_DISK if MEMORY_DISK.is_dir() else tmp_path

    @seed(SEED + part)
    @settings(
        max_examples=SOAK // PARTS or USUAL,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink) if SOAK else (Phase.generate,),
        print_blob=False,
    )
    @given(histories())
    def play(history: History) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as home:
            player = Player(history, Path(home))
            player.play()
        counts.update(player.counts)
        counts["histories"] += 1
        assert not any(key.token in caplog.text for key in player.seen.values())
        caplog.clear()

    play()
    told = [f"{count} {name}" for name, count in sorted(counts.items())]
    tell(f"rotations, part {part}: " + ", ".join([*told, f"seed {SEED + part}"]))
    assert counts["histories"] >= (SOAK // PARTS or USUAL) * 0.9
