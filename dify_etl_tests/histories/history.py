"""A history: what happens to a small workspace between nights and while each is read."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from dify_simulated import World

T = TypeVar("T")


@dataclass(frozen=True)
class Change:
    """A verb, whom it meets (`pick`, modulo), how much, and seconds that pass before."""

    verb: str
    pick: int = 0
    count: int = 1
    after: float = 0.0


Verb = Callable[[World, Change], None]


@dataclass(frozen=True)
class Night:
    """What happens before a run, and before its n-th request (the account's own not counted).

    `hours` pass first; with `to_midnight` the clock goes on to the next local midnight and these
    many seconds (negative: before it).
    """

    hours: float = 24.0
    to_midnight: float | None = None
    before: tuple[Change, ...] = ()
    during: tuple[tuple[int, Change], ...] = ()


@dataclass(frozen=True)
class History:
    """One life of a workspace. `family` names the changes and the feeds that are read."""

    family: str
    modes: tuple[str, ...]
    nights: tuple[Night, ...]
    version: str = "1.12.1"
    timezone: str = "UTC"
    began: datetime = field(default_factory=lambda: datetime.fromisoformat("2026-03-12T15:30:20Z"))
    lookback_days: int = 1
    deep_read_days: int = 2
    completion_detail: bool = False

    @property
    def changes(self) -> int:
        """How many changes it holds."""
        return sum(len(night.before) + len(night.during) for night in self.nights)


def picked(rows: Iterable[T], number: int) -> T | None:
    """One of the rows by number, None when there is none."""
    held = list(rows)
    return held[number % len(held)] if held else None
