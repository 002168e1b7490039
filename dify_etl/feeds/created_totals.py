"""Which conversations were created in some days, by Dify's totals instead of a second walk.

The walk by updated_at brings nearly all that was created since it begins: what Dify counts by
created_at says whether that is all. Where the figures differ the time is cut in halves, and only a
stretch of few rows, or a crowded minute, is walked by created_at.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Generic, TypeVar

import polars as pl

from dify_etl.dify.conversations import LoggedConversation
from dify_etl.dify.errors import DifyError
from dify_etl.dify.odd_rows import may_be_a_row
from dify_etl.sync.framed_rows import FramedRows
from dify_etl.sync.walks import MARGIN, TimedList, WindowRead
from dify_etl.sync.windows import Window, windows_of
from dify_etl.time_zones import local_date

C = TypeVar("C", bound=FramedRows[LoggedConversation])
Count = Callable[[datetime, datetime], int | None]

MINUTE = timedelta(minutes=1)
# A list counts through second 59 of its last minute, but not what is younger than its beginning.
LAST_SECOND = timedelta(seconds=59)
# A stretch of so many rows is one page: to walk it costs no more than to cut it.
ONE_PAGE = 100
# Questions for totals in one window: one row that is missing in a crowded minute of a month takes
# two for each of sixteen halves.
MOST_QUESTIONS = 64


@dataclass(frozen=True)
class Shown:
    """Days and the conversations that Dify has of them: `rows` are their conversation_id and
    created_at. `reason` says why that may not be all; None: it is proven. `requests` are those for
    totals.
    """

    window: Window
    rows: pl.DataFrame
    requests: int = 0
    reason: str | None = None


@dataclass
class Seen:
    """The conversations that walks brought so far: conversation_id, created_at."""

    has_rejected: bool = False
    _frames: list[pl.DataFrame] = field(default_factory=list)

    def add(self, rows: FramedRows[LoggedConversation]) -> None:
        """Take a walk in."""
        self.has_rejected = self.has_rejected or bool(rows.rejected)
        self._frames.append(rows.rows.select("conversation_id", "created_at"))

    @property
    def rows(self) -> pl.DataFrame:
        """Each conversation once, as it came last."""
        if len(self._frames) > 1:
            every = pl.concat(self._frames).unique("conversation_id", keep="last")
            self._frames = [every]
        return self._frames[0]

    def number(self, first: datetime, last: datetime) -> int | None:
        """How many were created from minute `first` through minute `last`; None where one of them
        came in the last second, of which Dify counts the beginning alone.
        """
        end = last + LAST_SECOND
        created = self.rows["created_at"]
        within = created.filter((created >= first) & (created <= end))
        return None if (within == end).any() else len(within)

    def replace(self, first: datetime, last: datetime, by: FramedRows[LoggedConversation]) -> None:
        """A proven walk of these minutes: what it does not show is gone. The last minute is that of
        the next stretch as well, which judges it.
        """
        created = pl.col("created_at")
        gone = (created >= first) & (created < last) & ~pl.col("conversation_id").is_in(by.ids)
        self._frames = [self.rows.filter(~gone)]
        self.add(by)


@dataclass(frozen=True)
class CreatedTotals(Generic[C]):
    """A list by created_at, its totals (`count`), and what other walks brought of it."""

    listed: TimedList[LoggedConversation, C]
    count: Count
    seen: Seen

    def read(self, window: Window, bound: datetime) -> Iterator[WindowRead[C] | Shown]:
        """Prove the days of a window, not beyond `bound`: what had to be walked, and what is shown.

        Where totals do not lead to the rows that are missing, the whole window is walked.
        """
        first, last = window.start - MARGIN, min(window.end + MARGIN, bound)
        if last <= first:
            return
        doubts: dict[date, str] = {}
        stretches, questions = [(first, last)], 0
        while stretches:
            first, last = stretches.pop()
            total = None if self.seen.has_rejected else self._total(first, last)
            questions += 1
            if total is None or questions > MOST_QUESTIONS:
                yield from self.listed.read(window, bound)
                return
            if total == self.seen.number(first, last):
                continue
            if total > ONE_PAGE and last - first > MINUTE:
                middle = first + (last - first) // 2 // MINUTE * MINUTE
                stretches += [(middle, last), (first, middle)]
                continue
            rows, reason = self.listed.read_stretch(first, last)
            yield WindowRead(rows)
            if rows.rejected or (reason is not None and last - first > MINUTE):
                yield from self.listed.read(window, bound)
                return
            if reason is None:
                self.seen.replace(first, last, rows)
            else:
                self.seen.add(rows)
                doubts |= {local_date(at, window.zone): reason for at in (first, last)}
        yield from self._shown(window, doubts, questions)

    def _total(self, first: datetime, last: datetime) -> int | None:
        try:
            return self.count(first, last)
        except DifyError as error:
            if not may_be_a_row(error):
                raise
            return None  # a row that Dify cannot show: the walk goes round it

    def _shown(self, window: Window, doubts: dict[date, str], questions: int) -> Iterator[Shown]:
        in_doubt = [Window(day, day, window.zone) for day in doubts if window.has(day)]
        others = windows_of(set(window.days) - set(doubts), window.zone)
        created = self.seen.rows["created_at"]
        for part in (*others, *in_doubt):
            rows = self.seen.rows.filter((created >= part.start) & (created < part.end))
            yield Shown(part, rows, questions, doubts.get(part.first))
            questions = 0
