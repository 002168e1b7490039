"""The lists that show conversations, read on worker threads: by created_at, then by updated_at.

Pass A (created in the days) proves the days and shows what vanished. Pass B (touched since) finds
old conversations with new messages. Both end with the tail: what came after the bound. Of agents
the log is read before them.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial

import polars as pl

from dify_etl.dify.app_modes import COMPLETION_MODES
from dify_etl.dify.conversations import (
    CompletionConversation,
    Conversation,
    LoggedConversation,
)
from dify_etl.dify.errors import DifyError
from dify_etl.dify.odd_rows import may_be_a_row
from dify_etl.dify.record import Page
from dify_etl.feeds.agent_logs import LoggedApp, LoggedConversations, look_up_unlisted, walk_logs
from dify_etl.feeds.apps import KnownApp
from dify_etl.feeds.message_parts import USUAL_BYTES
from dify_etl.raw.frames import records_frame
from dify_etl.raw.local_days import with_local_days
from dify_etl.raw.tables import raw_table
from dify_etl.settings import DIFY_BEGINS
from dify_etl.sync.days import AppDays, is_over
from dify_etl.sync.framed_rows import FramedRows
from dify_etl.sync.report import Slice
from dify_etl.sync.run import Sync
from dify_etl.sync.walks import MOST_ROWS, Ask, TimedList, WindowRead
from dify_etl.sync.windows import Window, windows_of
from dify_etl.time_zones import day_start

FEED = "conversations"


@dataclass(frozen=True)
class Task:
    """The lists of one app, for the days that are due and those of the deep read."""

    app: KnownApp
    days: AppDays
    bound: datetime
    logged: LoggedApp | None = None  # of agents

    @property
    def is_completion(self) -> bool:
        """Whether the app has completion conversations instead of chats."""
        return self.app.mode in COMPLETION_MODES


@dataclass
class Listed(FramedRows[LoggedConversation]):
    """One walk over conversations; of completion apps, `messages` as well."""

    _messages: list[pl.DataFrame] = field(default_factory=list)

    @classmethod
    def of(cls, kind: type[LoggedConversation]) -> "Listed":
        """A walk over chats or over completions."""
        return cls(partial(records_frame, raw_table(FEED), kind), lambda row: row.conversation_id)

    def add(self, page: Page[LoggedConversation]) -> None:
        """Take a page in."""
        super().add(page)
        completions = [one for one in page.records if isinstance(one, CompletionConversation)]
        if completions:
            self._messages.append(listed_messages(completions))

    @property
    def held_bytes(self) -> int:
        """Bytes of its frames, about."""
        return super().held_bytes + sum(int(one.estimated_size()) for one in self._messages)

    @property
    def messages(self) -> pl.DataFrame:
        """What the list of a completion app tells of its messages."""
        return pl.concat(self._messages or [listed_messages(())])


@dataclass(frozen=True)
class Part:
    """Some walks of one app's lists. `repeated` are ids that came with an earlier part as well;
    `slices` are those of all parts and come with the last; `logs` is what an agent's log tells.
    """

    created: Sequence[WindowRead[Listed]]
    touched: Sequence[WindowRead[Listed]]
    repeated: frozenset[str]
    slices: tuple[Slice, ...] = ()
    logs: LoggedConversations | None = None

    @property
    def walks(self) -> tuple[Listed, ...]:
        """All walks, in the order in which they were made."""
        return tuple(read.rows for read in (*self.created, *self.touched))

    @property
    def ids(self) -> set[str]:
        """The conversations that it shows."""
        return {one for walk in self.walks for one in walk.ids}

    @property
    def size(self) -> int:
        """Its rows, long ones as several, and one for itself: logs come with whole answers."""
        return 1 + sum(len(walk) + walk.held_bytes // USUAL_BYTES for walk in self.walks)


@dataclass
class _ListReads:
    """What the walks of one app say so far: rows per day, doubts of both passes, pages asked."""

    sync: Sync
    task: Task
    logs: LoggedConversations | None = None
    rows: Counter[date] = field(default_factory=Counter)
    created_doubts: dict[date, str] = field(default_factory=dict)
    touched_doubts: dict[date, str] = field(default_factory=dict)
    requests: int = 0
    ids: set[str] = field(default_factory=set)

    def part(
        self, created: Sequence[WindowRead[Listed]], touched: Sequence[WindowRead[Listed]]
    ) -> Part:
        """Take walks in."""
        for read in created:
            self.rows.update(self._days_of(read))
            self.created_doubts |= _doubts("created", read)
        for read in touched:
            self.touched_doubts |= _doubts("touched", read)
        ids: set[str] = set()
        for read in (*created, *touched):
            self.requests += read.rows.requests
            ids |= read.rows.ids
        repeated = frozenset(ids & self.ids)
        self.ids |= ids
        return Part(created, touched, repeated, logs=self.logs)

    def look_up_unlisted(self) -> None:
        """Once all lists are read: what the log shows and they do not."""
        if self.logs is not None and self.task.logged is not None:
            look_up_unlisted(self.sync, self.task.logged, self.logs, self.ids)

    def slices(self) -> Iterator[Slice]:
        """One ledger row per day."""
        logs = self.logs.doubts if self.logs else {}
        self.requests += self.logs.requests if self.logs else 0
        for day in self.task.days.all:
            reason = self.created_doubts.get(day) or self.touched_doubts.get(day)
            reason = reason or (f"log of the agent: {logs[day]}" if day in logs else None)
            yield Slice.judged(
                self.task.app.app_id,
                day,
                self.rows[day],
                missing=reason,
                requests=self.requests,
                is_settled=is_over(self.sync, day),
            )

    def _days_of(self, read: WindowRead[Listed]) -> dict[date, int]:
        """Rows per day of a walk that speaks for its window, margins left out."""
        if read.window is None:
            return {}
        rows = read.rows.rows.unique("conversation_id", keep="last")
        local = with_local_days(raw_table(FEED), rows, self.sync.rules.zone)["created_date"]
        return dict(local.filter(local.is_in(read.window.days)).value_counts().iter_rows())


def _doubts(pass_name: str, read: WindowRead[Listed]) -> dict[date, str]:
    if read.window is None or read.reason is None:
        return {}
    return dict.fromkeys(read.window.days, f"{pass_name}: {read.reason}")


def read_lists(sync: Sync, task: Task) -> Iterator[Part]:
    """All lists of one app: a part as soon as it holds MOST_ROWS rows, and what is left."""
    loader = _ListReads(sync, task, _logs(sync, task))
    created: list[WindowRead[Listed]] = []
    touched: list[WindowRead[Listed]] = []
    for taken, reads in ((created, _created(sync, task)), (touched, _touched(sync, task))):
        for read in reads:
            taken.append(read)
            if sum(len(one.rows) for one in (*created, *touched)) >= MOST_ROWS:
                yield loader.part(tuple(created), tuple(touched))
                created.clear()
                touched.clear()
    last = loader.part(tuple(created), tuple(touched))
    loader.look_up_unlisted()
    yield replace(last, slices=tuple(loader.slices()))


def _logs(sync: Sync, task: Task) -> LoggedConversations | None:
    """The log of an agent, over all days that the lists are asked for."""
    if task.logged is None:
        return None
    since = task.days.due[0] if task.days.due else None
    touched = Window(since, sync.today, sync.rules.zone).days if since else ()
    return walk_logs(sync, task.logged, (*task.days.all, *touched), task.bound)


def _created(sync: Sync, task: Task) -> Iterator[WindowRead[Listed]]:
    """Pass A."""
    by_created = _created_list(sync, task)
    for window in windows_of(task.days.all, sync.rules.zone):
        yield from by_created.read(window, task.bound)
    if task.is_completion:
        yield WindowRead(by_created.read_tail(task.bound, _clock(sync)))


def _touched(sync: Sync, task: Task) -> Iterator[WindowRead[Listed]]:
    """Pass B, of which completion apps have none: nobody goes on with a completion."""
    if task.is_completion:
        return
    by_touch = _chat_list(sync, task, "updated_at")
    if since := _touched_since(sync, task):
        yield from by_touch.read(Window(since, sync.today, sync.rules.zone), task.bound)
    yield WindowRead(by_touch.read_tail(task.bound, _clock(sync)))


def _touched_since(sync: Sync, task: Task) -> date | None:
    """The first day of pass B, None when pass A covers all that can have been touched."""
    if not task.days.due:
        return None
    first = task.days.due[0]
    is_all = set(Window(first, sync.today, sync.rules.zone).days) <= set(task.days.due)
    return None if is_all and not _has_older(sync, task, first) else first


def _has_older(sync: Sync, task: Task, day: date) -> bool:
    """Whether conversations began before a day; only the start date is worth a question."""
    if day <= DIFY_BEGINS:
        return False
    if day > sync.rules.start_date:
        return True
    try:
        page = sync.dify.conversations.chat_page(
            task.app.app_id, 1, 1, end=day_start(day, sync.rules.zone)
        )
    except DifyError as error:
        if not may_be_a_row(error):
            raise
        return True  # this may be a row that Dify cannot show: the lists will tell
    return page.total != 0


def _clock(sync: Sync) -> Callable[[], datetime]:
    return sync.dify.later_time


def _created_list(sync: Sync, task: Task) -> TimedList[LoggedConversation, Listed]:
    if not task.is_completion:
        return _chat_list(sync, task, "created_at")
    ask = sync.dify.conversations.completion_page
    return _timed(
        sync,
        CompletionConversation,
        lambda start, end, page, limit: ask(task.app.app_id, page, limit, start=start, end=end),
    )


def _chat_list(sync: Sync, task: Task, sort_by: str) -> TimedList[LoggedConversation, Listed]:
    ask = sync.dify.conversations.chat_page
    return _timed(
        sync,
        Conversation,
        lambda start, end, page, limit: ask(
            task.app.app_id, page, limit, start=start, end=end, sort_by=sort_by
        ),
    )


def _timed(
    sync: Sync, kind: type[LoggedConversation], ask: Ask[LoggedConversation]
) -> TimedList[LoggedConversation, Listed]:
    return TimedList(
        ask,
        key=lambda row: row.conversation_id,
        collect=partial(Listed.of, kind),
        together=sync.together,
        most_pages=sync.dify.bounds.pages,
    )


def listed_messages(records: Sequence[LoggedConversation]) -> pl.DataFrame:
    """What the list of a completion app tells of its messages."""
    table = raw_table("messages")
    return (
        records_frame(table, CompletionConversation, records)
        .drop("status", "extra", "app_model_config", strict=False)
        .with_columns(
            pl.lit(None, pl.String).alias("message_id"),
            pl.lit("list").alias("message_source"),
        )
    )
