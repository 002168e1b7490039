"""How quickly answers came while a reader was at full speed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import median

STEP_SECONDS = 0.5


def median_rate(moments: Sequence[float]) -> float:
    """Answers per second in the median half second, by the seconds at which each came.

    What happens once, at the begin and at the end, hardly moves it. 0 when there are none.
    """
    counts = Counter(int(moment / STEP_SECONDS) for moment in moments)
    steps = range(min(counts), max(counts) + 1) if counts else ()
    return median(counts[step] for step in steps) / STEP_SECONDS if counts else 0.0
