"""Walk a list over a window of days until it is proven, cutting the window where it is not."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar

from dify_etl.dify.odd_rows import OddPage
from dify_etl.dify.paging import MOST_PAGES, MapPages, PageWalk
from dify_etl.dify.record import Page, Record, Rejected
from dify_etl.sync.turns import turns
from dify_etl.sync.windows import Window

log = logging.getLogger(__name__)

R = TypeVar("R", bound=Record)
C = TypeVar("C", bound="Received[Any]")
R_contra = TypeVar("R_contra", bound=Record, contravariant=True)

# Four different rules for `end`, minutes, rounding and DST are all inside this.
MARGIN = timedelta(hours=2)
# Beyond this many rows a walk is cut by days: deep pages are slow, and memory stays bounded.
MOST_ROWS = 5_000
TAIL_ROUNDS = 3
LISTS_AT_ONCE = 4

Ask = Callable[[datetime, datetime, int, int], Page[R]]


class Received(Protocol[R_contra]):
    """Takes the pages of a walk; its length is the number of distinct rows."""

    def add(self, page: Page[R_contra]) -> None:
        """Take a page in."""

    def __len__(self) -> int: ...


@dataclass
class Rows(Generic[R]):
    """What was received: the last version of each record by id, rejected rows, pages asked."""

    key: Callable[[R], str]
    records: dict[str, R] = field(default_factory=dict)
    rejected: dict[tuple[str, str], Rejected] = field(default_factory=dict)
    requests: int = 0

    def add(self, page: Page[R]) -> None:
        """Take a page in."""
        self.requests += 1
        self.records.update((self.key(record), record) for record in page.records)
        self.rejected.update((known_by(one), one) for one in page.rejected)

    def __len__(self) -> int:
        return len(self.records)


def known_by(rejected: Rejected) -> tuple[str, str]:
    """What tells a rejected row from others when it comes again."""
    return rejected.record_id or rejected.raw or str(rejected.position), rejected.error_path


@dataclass(frozen=True)
class WindowRead(Generic[C]):
    """One walk over a stretch of days: its rows, margins included, and what they prove.

    `window` is None when the rows are good but shorter walks speak for their days. `reason` says
    why Dify's totals do not equal the distinct rows; None when they do.
    """

    rows: C
    window: Window | None = None
    reason: str | None = None


@dataclass(frozen=True)
class TimedList(Generic[R, C]):
    """A page-number list that can be asked by time: `ask(start, end, page, limit)`.

    `collect` makes what takes the pages of one walk. `is_timed` is False for servers that ignore
    the time: such a list is never cut. `together` and `most_pages` as in PageWalk.
    """

    ask: Ask[R]
    key: Callable[[R], str]
    collect: Callable[[], C]
    is_timed: bool = True
    together: MapPages[R] = map
    most_pages: int = MOST_PAGES

    def read(self, window: Window, bound: datetime) -> Iterator[WindowRead[C]]:
        """Read the window, not beyond `bound`; unproven and huge stretches are cut in halves.

        So are those with a row that Dify cannot show, which leaves its day alone in doubt.
        """
        start, end = window.start - MARGIN, min(window.end + MARGIN, bound)
        if end <= start:
            return
        rows = self.collect()
        can_cut = self.is_timed and window.first < window.last
        walk = self._walk(start, end)
        walk.goes_round = not can_cut
        is_whole = self._take(walk, rows, at_most=MOST_ROWS if can_cut else None)
        if is_whole and (walk.proof.is_proven or not can_cut):
            reason = None if walk.proof.is_proven else walk.proof.reason
            yield WindowRead(rows, window, reason)
            return
        yield WindowRead(rows)
        for half in window.halves():
            yield from self.read(half, bound)

    def read_stretch(self, start: datetime, end: datetime) -> tuple[C, str | None]:
        """One walk from `start` to `end`, never cut: its rows, and why they may not be all."""
        rows, walk = self.collect(), self._walk(start, end)
        self._take(walk, rows, at_most=None)
        return rows, None if walk.proof.is_proven else walk.proof.reason

    def read_tail(self, bound: datetime, now: Callable[[], datetime]) -> C:
        """What came after the bound: asked again until no new id comes, at most three times.

        One answer that shows all has no page edges over which rows could have moved: it is enough.
        """
        rows = self.collect()
        for _ in range(TAIL_ROUNDS):
            known, pages = len(rows), 0
            walk = self._walk(bound - timedelta(minutes=1), now() + timedelta(minutes=2))
            for page in walk:
                rows.add(page)
                pages += 1
            if len(rows) == known or (pages == 1 and walk.proof.is_proven):
                break
        return rows

    def _take(self, walk: PageWalk[R], rows: C, *, at_most: int | None) -> bool:
        """Take a walk in; whether it came to its end."""
        try:
            for page in walk:
                rows.add(page)
                if at_most is not None and (page.total or 0) > at_most:
                    return False
        except OddPage as odd:
            log.debug("%s: cutting the time round that row", odd)
            return False
        return True

    def _walk(self, start: datetime, end: datetime) -> PageWalk[R]:
        return PageWalk(
            lambda page, limit: self.ask(start, end, page, limit),
            key=self.key,
            together=self.together,
            most_pages=self.most_pages,
        )


def list_workers(workers: int) -> int:
    """How many of the threads ask for pages of lists: beside other feeds as many as a server can
    work on.
    It works on every row of such a page, and what is read beside them fills its other moments.
    """
    return workers if turns() is None else min(workers, LISTS_AT_ONCE)


def upper_bound(earlier_time: datetime) -> datetime:
    """The earlier of Dify's clock and ours floored to the minute, minus one: nothing before it
    is being written.
    """
    return earlier_time.replace(second=0, microsecond=0) - timedelta(minutes=1)
