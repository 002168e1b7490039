"""What all parts of the building share: the plan, one source of chance, and the rhythm of days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import TypeVar

from dify_etl.time_zones import zone_of
from dify_simulated.world.rows import App, EndUser
from dify_simulated.world.texts import SESSION_IDS
from dify_simulated.world.world import World, WorldPlan

Item = TypeVar("Item")

# How much happens in each local hour: a working day with a lunch break and a quiet night.
_HOURS = (1, 1, 1, 1, 1, 1, 2, 4, 8, 12, 14, 12, 7, 10, 13, 13, 11, 8, 5, 4, 3, 2, 2, 1)
_CUMULATED_HOURS = tuple(accumulate(_HOURS))
# Shares of the daily mean; over a week they average to one.
_WEEKEND = 0.35
_WORKDAY = (7 - 2 * _WEEKEND) / 5


@dataclass
class Chronicle:
    """The world in the making. `now` is the instant of building, UTC."""

    world: World
    plan: WorldPlan
    now: datetime
    chance: Random = field(init=False)
    end_users: dict[str, list[EndUser]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.chance = Random(f"traffic/{self.plan.seed}")
        self.world.random = Random(f"ids/{self.plan.seed}")

    @property
    def began(self) -> datetime:
        """When the workspace was opened: a while before the first day of traffic."""
        return self.now - timedelta(days=self.plan.days + 40)

    def pick(self, items: Sequence[Item]) -> Item:
        """One of some."""
        return items[int(self.chance.random() * len(items))]

    def happens(self, share: float) -> bool:
        """True in this share of cases."""
        return self.chance.random() < share

    def moments(self, per_day: float) -> list[datetime]:
        """Instants over the days of the plan, in order, crowded into working hours."""
        zone = zone_of(self.plan.timezone)
        today = self.now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
        moments = []
        for back in range(self.plan.days - 1, -1, -1):
            day = today - timedelta(days=back)
            for _ in range(self._count(per_day, day)):
                at = self._moment_of(day)
                if at < self.now - timedelta(minutes=5):
                    moments.append(at)
        return sorted(moments)

    def _count(self, per_day: float, day: datetime) -> int:
        mean = per_day * (_WEEKEND if day.weekday() >= 5 else _WORKDAY)
        whole = int(mean)
        return whole + self.happens(mean - whole)

    def _moment_of(self, day: datetime) -> datetime:
        hour = self.chance.choices(range(24), cum_weights=_CUMULATED_HOURS)[0]
        seconds = self.chance.random() * 3600
        local = day + timedelta(hours=hour, seconds=seconds)
        return local.astimezone(UTC)

    def uneven(self, apps: Sequence[App]) -> list[int]:
        """Cumulated weights that give the first app most of the traffic, the last one little."""
        return list(accumulate(60 // (place + 1) + 1 for place in range(len(apps))))

    def one_of(self, apps: Sequence[App], weights: Sequence[int]) -> App:
        """An app, by the weights of `uneven`."""
        return self.chance.choices(apps, cum_weights=weights)[0]

    def end_user_of(self, app: App, at: datetime) -> EndUser:
        """Somebody who uses the app: mostly a regular, sometimes somebody new."""
        regulars = self.end_users.setdefault(app.id, [])
        if regulars and not self.happens(max(0.05, 1 - len(regulars) / 30)):
            return self.pick(regulars)
        text = self.pick(SESSION_IDS).format(n=len(regulars))
        kind = "browser" if self.happens(0.3) else "service-api"
        row = self.world.add_end_user(app.id, session_id=text, at=at, type=kind)
        regulars.append(row)
        return row
