"""What one sync run is: its Dify, its database, its window and its limits."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar
from zoneinfo import ZoneInfo

from dify_etl.dify.client import DifyClient
from dify_etl.raw.privacy import Privacy
from dify_etl.sync.fetching import share
from dify_etl.sync.report import FeedReport
from dify_etl.sync.windows import Window, deep_days
from dify_etl.time_zones import ONE_DAY, local_date
from dify_etl.warehouse.database import Database
from dify_etl.warehouse.model_settings import ModelSettings

if TYPE_CHECKING:
    from dify_etl.sync.ahead import AppsAhead
if TYPE_CHECKING:  # its driver comes with an extra, and is loaded by those who read it
    from dify_etl.dify_database.connection import DifyDatabase

R = TypeVar("R")


@dataclass(frozen=True)
class SyncRules:
    """The settings that decide what is read, and what models know; days are those of `zone`."""

    zone: ZoneInfo
    start_date: date
    lookback_days: int = 7
    deep_read_days: int = 28
    completion_detail: bool = False
    segments: bool = False  # whether segments of documents are read
    workers: int = 9  # threads that fetch; DifyClient bounds the requests under way
    models: ModelSettings = field(default_factory=ModelSettings)
    dify_database: "DifyDatabase | None" = None  # what is read from it is not asked of the API
    privacy: Privacy = field(default_factory=Privacy)


@dataclass(frozen=True)
class SyncPlan:
    """What was asked for. Without a window it is a night: look-back, catch-up, deep read.

    `apps` are ids or names, empty for all; `is_full` reads all days from the start date again.
    """

    window: Window | None = None
    apps: tuple[str, ...] = ()
    is_full: bool = False


class Seen(NamedTuple):
    """What a feed has got so far: rows of lists, some of them twice, and requests."""

    rows: int
    requests: int


class Watcher(Protocol):
    """Somebody who watches a sync: a terminal, a log, Dagster."""

    def tells(self, line: str) -> None:
        """Something that is done once, such as a migration of the home."""

    def follows(self, feed: str, look: Callable[[], Seen]) -> None:
        """A feed is being read; `look` answers at any moment, on any thread, what it has got."""

    def begins(self, task: str, steps: int) -> None:
        """A feed (or models, or the publication) begins and has this many steps more."""

    def advances(self, task: str) -> None:
        """One more step is done."""

    def ends(self, report: FeedReport) -> None:
        """A feed is read."""

    def is_done(self, task: str) -> None:
        """What is no feed has come to its end."""


class NoWatcher:
    """Nobody watches."""

    def tells(self, line: str) -> None:
        """Say nothing."""

    def follows(self, feed: str, look: Callable[[], Seen]) -> None:
        """Say nothing."""

    def begins(self, task: str, steps: int) -> None:
        """Say nothing."""

    def advances(self, task: str) -> None:
        """Say nothing."""

    def ends(self, report: FeedReport) -> None:
        """Say nothing."""

    def is_done(self, task: str) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Sync:
    """One run: everything that the readers of the feeds need.

    `now` is the run's begin by the earlier of Dify's clock and ours: what is over by it is over by
    both. `started_at` is that by ours; UTC.
    """

    dify: DifyClient
    database: Database
    rules: SyncRules
    plan: SyncPlan
    run_id: str
    now: datetime
    started_at: datetime
    watch: Watcher
    apps_ahead: "AppsAhead | None" = None  # the lists of apps, where they are asked already

    def together(self, ask: Callable[[int], R], pages: Sequence[int]) -> Iterator[R]:
        """Ask several pages of a list, at once where workers are free; as they are answered."""
        return share(ask, pages)

    @property
    def today(self) -> date:
        """The local day on which the run began."""
        return local_date(self.now, self.rules.zone)

    @property
    def lookback(self) -> Window:
        """The days that are read again every time: the look-back and today."""
        first = self.today - timedelta(days=self.rules.lookback_days)
        return Window(max(first, self.rules.start_date), self.today, self.rules.zone)

    @property
    def asked_days(self) -> tuple[date, ...]:
        """The days that were asked for, or those of the look-back."""
        if self.plan.is_full:
            return Window(self.rules.start_date, self.today, self.rules.zone).days
        asked = self.plan.window or self.lookback
        return tuple(day for day in asked.days if day <= self.today)

    @property
    def is_night(self) -> bool:
        """Whether no window was asked for, so that the run catches up and reads deep."""
        return self.plan.window is None and not self.plan.is_full

    @property
    def history(self) -> tuple[date, ...]:
        """All days from the start date to the day before the look-back."""
        last = self.lookback.first - ONE_DAY
        if last < self.rules.start_date:
            return ()
        return Window(self.rules.start_date, last, self.rules.zone).days

    @property
    def deep_days(self) -> tuple[date, ...]:
        """The days of history that are listed once more tonight."""
        if not self.is_night:
            return ()
        return deep_days(
            self.rules.start_date, self.lookback.first, self.today, self.rules.deep_read_days
        )
