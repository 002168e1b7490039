"""The lists that show conversations, read on worker threads: by updated_at, and by created_at.

What was created in the days proves them and shows what vanished; what was touched since finds old
conversations with new messages, and nearly all that was created since. So that is walked first, and
of the other list only what its totals say is missing. Both end with the tail: what came after the
bound. Of agents the log is read before them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import partial
from typing import NamedTuple

import polars as pl

from dify_etl.dify.app_modes import COMPLETION_MODES
from dify_etl.dify.conversations import (
    CompletionConversation,
    Conversation,
    LoggedConversation,
)
from dify_etl.dify.errors import DifyError
from dify_etl.dify.odd_rows import may_be_a_row
from dify_etl.dify.record import Page, lost
from dify_etl.feeds.agent_logs import LoggedApp, LoggedConversations, look_up_unlisted, walk_logs
from dify_etl.feeds.created_totals import ONE_PAGE, CreatedTotals, Seen, Shown
from dify_etl.feeds.message_parts import USUAL_BYTES
from dify_etl.raw.frames import records_frame
from dify_etl.raw.local_days import with_local_days
from dify_etl.raw.tables import raw_table
from dify_etl.settings import DIFY_BEGINS
from dify_etl.sync.days import AppDays, is_over
from dify_etl.sync.framed_rows import FramedRows
from dify_etl.sync.known_apps import KnownApp
from dify_etl.sync.report import Slice
from dify_etl.sync.run import Sync
from dify_etl.sync.turns import turns
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
    """Some walks of one app's lists, in the order in which they were made, and the days that are
    proven since. `repeated` are ids that came with an earlier part as well; `slices` are those of
    all parts and come with the last; `logs` is what an agent's log tells. `is_listed`: with it all
    came that can have changed before the bound.
    """

    walks: Sequence[Listed]
    proven: Sequence[Shown]
    repeated: frozenset[str]
    slices: tuple[Slice, ...] = ()
    logs: LoggedConversations | None = None
    is_listed: bool = False

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
    walks: list[Listed] = field(default_factory=list)
    proven: list[Shown] = field(default_factory=list)
    seen: Seen = field(default_factory=Seen)
    rows: Counter[date] = field(default_factory=Counter)
    created_doubts: dict[date, str] = field(default_factory=dict)
    touched_doubts: dict[date, str] = field(default_factory=dict)
    requests: int = 0
    ids: set[str] = field(default_factory=set)
    began: dict[str, datetime | None] = field(default_factory=dict)  # of an agent's conversations

    def take(self, read: WindowRead[Listed] | Shown, *, is_created: bool) -> None:
        """Take in a walk, or what is shown of some days."""
        if isinstance(read, Shown):
            self._judge(read)
            return
        self.walks.append(read.rows)
        self.seen.add(read.rows)
        if read.window is None:
            return
        if not is_created:
            reason = None if read.reason is None else f"touched: {read.reason}"
            self.touched_doubts |= dict.fromkeys(read.window.days, reason) if reason else {}
            return
        rows = read.rows.rows.unique("conversation_id", keep="last")
        shown = rows.select("conversation_id", "created_at")
        is_lossy = bool(lost(read.rows.rejected.values()))
        self._judge(Shown(read.window, shown, reason=read.reason), is_lossy=is_lossy)

    def part(self) -> Part:
        """What was taken in since the last part."""
        ids = {one for walk in self.walks for one in walk.ids}
        self.requests += sum(walk.requests for walk in self.walks)
        part = Part(self.walks, self.proven, frozenset(ids & self.ids), logs=self.logs)
        self.ids |= ids
        if self.logs is not None:
            for walk in self.walks:
                self.began |= walk.rows.select("conversation_id", "created_at").rows()
        self.walks, self.proven = [], []
        return part

    def look_up_unlisted(self) -> None:
        """Once all lists are read: what the log shows and they do not."""
        if self.logs is not None and self.task.logged is not None:
            look_up_unlisted(self.sync, self.task.logged, self.logs, self.began)

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

    def _judge(self, shown: Shown, *, is_lossy: bool = False) -> None:
        """Count the rows of these days, margins left out, and note the doubt, if there is one."""
        self.requests += shown.requests
        zone = self.sync.rules.zone
        local = with_local_days(raw_table(FEED), shown.rows, zone)["created_date"]
        self.rows.update(
            dict(local.filter(local.is_in(shown.window.days)).value_counts().iter_rows())
        )
        if shown.reason is not None:
            reason = f"created: {shown.reason}"
            self.created_doubts |= dict.fromkeys(shown.window.days, reason)
        elif not is_lossy:
            self.proven.append(shown)


def read_lists(sync: Sync, task: Task) -> Iterator[Part]:
    """All lists of one app: a part as soon as it holds MOST_ROWS rows, and what is left."""
    loader = _ListReads(sync, task, _logs(sync, task))
    for one in _passes(sync, task, loader.seen):
        waiting = sum(map(len, loader.walks))
        if one.is_tail and task.logged is None and waiting > ONE_PAGE and turns() is not None:
            yield replace(loader.part(), is_listed=True)  # its messages may be asked meanwhile
        for read in one.reads:
            loader.take(read, is_created=one.is_created)
            if sum(map(len, loader.walks)) >= MOST_ROWS:
                yield loader.part()
    last = loader.part()
    loader.look_up_unlisted()
    yield replace(last, slices=tuple(loader.slices()), is_listed=True)


class _Pass(NamedTuple):
    """Some walks by updated_at or, with `is_created`, by created_at; the tail comes once all that
    can have changed before the bound was read.
    """

    reads: Iterable[WindowRead[Listed] | Shown]
    is_created: bool = False
    is_tail: bool = False


def _passes(sync: Sync, task: Task, seen: Seen) -> Iterator[_Pass]:
    """The walks by updated_at and by created_at, in their order.

    Nobody goes on with a completion: its app has one list. A chat app's list by updated_at is left
    out where that by created_at covers all that can have been touched.
    """
    zone, days = sync.rules.zone, task.days
    by_created = _created_list(sync, task)
    since = None if task.is_completion else _touched_since(sync, task)
    touched = by_created if task.is_completion else _chat_list(sync, task, "updated_at")
    tail = _tail(sync, task, touched)
    if since is None:
        for window in windows_of(days.all, zone):
            yield _Pass(by_created.read(window, task.bound), is_created=True)
        yield _Pass(tail, is_created=task.is_completion, is_tail=True)
        return
    yield _Pass(touched.read(Window(since, sync.today, zone), task.bound))
    yield _Pass(tail, is_tail=True)
    for window in windows_of(days.deep, zone):
        yield _Pass(by_created.read(window, task.bound), is_created=True)
    count = partial(sync.dify.conversations.chat_created, task.app.app_id)
    totals = CreatedTotals(by_created, count, seen)
    for window in windows_of(days.due, zone):
        yield _Pass(totals.read(window, task.bound), is_created=True)


def _logs(sync: Sync, task: Task) -> LoggedConversations | None:
    """The log of an agent, over all days that the lists are asked for."""
    if task.logged is None:
        return None
    since = task.days.due[0] if task.days.due else None
    touched = Window(since, sync.today, sync.rules.zone).days if since else ()
    return walk_logs(sync, task.logged, (*task.days.all, *touched), task.bound)


def _tail(
    sync: Sync, task: Task, touched: TimedList[LoggedConversation, Listed]
) -> Iterator[WindowRead[Listed]]:
    """What came after the bound; asked when it is iterated, once the walk up to the bound ended."""
    yield WindowRead(touched.read_tail(task.bound, sync.dify.later_time))


def _touched_since(sync: Sync, task: Task) -> date | None:
    """The first day of the list by updated_at; None where all that can have been touched was
    created in the days that are due.
    """
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
