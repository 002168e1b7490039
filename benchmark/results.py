"""What was measured, as plain facts for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Losses:
    """Rows of a table that should be there, are not there, and are there more than once."""

    expected: int
    lost: int
    duplicated: int


@dataclass(frozen=True)
class FeedTime:
    """Seconds and requests of one feed in a run."""

    feed: str
    seconds: float
    requests: int


@dataclass(frozen=True)
class Run:
    """One reader's run. `seconds` are of reading, without the start of Python.

    `cpu_seconds` and `peak_bytes` hold for the whole process. `losses` by table, empty where the
    reader keeps nothing. `median_rate`: answers per second in the median half second. `feeds` of
    dify-etl alone.
    """

    reader: str
    workers: int
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    requests: int
    losses: dict[str, Losses] = field(default_factory=dict)
    median_rate: float = 0.0
    feeds: tuple[FeedTime, ...] = ()

    @property
    def rows(self) -> int:
        """Rows that were read, each counted once."""
        return sum(one.expected - one.lost for one in self.losses.values())


def typical(runs: Sequence[Run]) -> Run:
    """Of equal runs the one with the median of their seconds."""
    return sorted(runs, key=lambda run: run.seconds)[len(runs) // 2]


@dataclass(frozen=True)
class FirstLoad:
    """All readers on one world at one pace, in one stretch of time; or a night that comes later.

    `repeats`: of how many runs of dify-etl and of the floor under it the typical one is told.
    """

    world: str
    pace: str
    repeats: int
    runs: tuple[Run, ...]

    def run(self, reader: str, workers: int) -> Run | None:
        """The run of a reader with so many requests at a time."""
        found = (one for one in self.runs if (one.reader, one.workers) == (reader, workers))
        return next(found, None)


@dataclass(frozen=True)
class MovingWorld:
    """A world that changed at every `touch_every` reads: what a reader lost of the rows of before.

    `first` is the load while the world moved, `next` the quiet incremental run after it.
    """

    reader: str
    touch_every: int
    first: dict[str, Losses]
    next: dict[str, Losses]


@dataclass(frozen=True)
class Night:
    """Reading again a day later; `deep_requests` and `deep_seconds` are the deep read's share."""

    reader: str
    days: int
    conversations: int
    touched: int
    requests: int
    seconds: float
    deep_requests: int = 0
    deep_seconds: float = 0.0


@dataclass(frozen=True)
class Load:
    """How many requests a server had at a time from dify-etl, when up to `cap` were allowed.

    `in_flight` are means over equal parts of the run, `step_seconds` each. `losses` as in Run.
    """

    server: str
    cap: int
    step_seconds: float
    in_flight: tuple[float, ...]
    losses: dict[str, Losses]


@dataclass(frozen=True)
class Processing:
    """Rows per CPU second of one process: each step alone, and all together; the best of `runs`:
    whatever else the machine does only takes away.
    """

    runs: int
    rows: int
    validate: float
    normalise: float
    load: float
    all: float


@dataclass(frozen=True)
class Results:
    """Everything that one run of the benchmark measured; `seconds` is how long it took."""

    size: str
    machine: dict[str, str]
    versions: dict[str, str]
    loads: tuple[FirstLoad, ...]
    with_runs: tuple[FirstLoad, ...]
    moving: tuple[MovingWorld, ...]
    settled: tuple[Night, ...]
    settled_beside_floor: FirstLoad
    history: tuple[Night, ...]
    load: tuple[Load, ...]
    processing: Processing
    memory: tuple[Run, ...]
    profile: tuple[tuple[str, float], ...]
    seconds: float
