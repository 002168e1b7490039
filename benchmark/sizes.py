"""How much is measured: `full` within an hour on two cores, `small` in a few minutes."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.pace import Pace

INSTANT = Pace("0 ms", 0.0)
NEAR = Pace("20 ms", 0.02)
FAR = Pace("100 ms", 0.1)
# A server whose CPU is the limit: four answers at a time, 40 ms of work each, the rest wait.
BUSY = Pace("4 at a time, 40 ms each", 0.04, workers=4)
# As a Dify 1.12.1 with two workers did: a listed row 8 ms of work, a conversation's messages 32.
REAL = Pace(
    "a real Dify's work: 2 at a time, 8 ms a listed row, 32 ms a conversation's messages",
    0.01,
    workers=2,
    listed_row=0.0078,
    messages=0.022,
)
CROWDED = (INSTANT, BUSY, REAL)  # more requests at a time gain nothing
ONCE = (*CROWDED, FAR)  # the server alone decides, or nothing is compared to a target


@dataclass(frozen=True)
class Size:
    """Conversations a day for 30 days, repeats, and the other sizes of one benchmark.

    `repeats` are of dify-etl and the floor where an answer takes its time and the server has room.
    """

    name: str
    base_per_day: int
    large_per_day: int
    copies: int
    repeats: int
    paces: tuple[Pace, ...]
    history_per_day: int
    history_days: tuple[int, ...]
    pages: int
    processing_runs: int
    days: int = 30

    def repeats_at(self, pace: Pace) -> int:
        """How often dify-etl and the floor are run."""
        return 1 if pace in ONCE else self.repeats


SIZES = {
    "small": Size(
        name="small",
        base_per_day=8,
        large_per_day=24,
        copies=10,
        repeats=1,
        paces=(INSTANT, NEAR, BUSY, REAL),
        history_per_day=6,
        history_days=(10, 20, 30),
        pages=100,
        processing_runs=2,
    ),
    "full": Size(
        name="full",
        base_per_day=80,
        large_per_day=960,
        copies=100,
        repeats=3,
        paces=(INSTANT, NEAR, FAR, BUSY, REAL),
        history_per_day=80,
        history_days=(30, 60, 90),
        pages=400,
        processing_runs=5,
    ),
}
