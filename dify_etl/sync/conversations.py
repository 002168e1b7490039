"""Feed conversations: created in the days (pass A), touched since (pass B), then the tail.

Pass A proves the days and shows what vanished. Pass B finds old conversations with new messages.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial

import polars as pl

from dify_etl.dify.conversations import (
    CompletionConversation,
    Conversation,
    LoggedConversation,
)
from dify_etl.dify.record import Rejected
from dify_etl.normalise.frames import records_frame, unknown_fields
from dify_etl.normalise.raw_tables import raw_table
from dify_etl.settings import DIFY_BEGINS
from dify_etl.sync.apps import CHAT_MODES, COMPLETION_MODES, KnownApp, known_apps
from dify_etl.sync.books import FeedBooks
from dify_etl.sync.days import AppDays, days_to_read
from dify_etl.sync.fetching import Fetched, fetch_all
from dify_etl.sync.message_parts import mark_messages_absent
from dify_etl.sync.report import FeedReport, Slice
from dify_etl.sync.run import Sync
from dify_etl.sync.walks import TimedList, WindowRead, upper_bound
from dify_etl.sync.windows import Window, day_start, windows_of
from dify_etl.warehouse.tables import quoted

FEED = "conversations"


@dataclass(frozen=True)
class Task:
    """The lists of one app, for the days that are due and those of the deep read."""

    app: KnownApp
    days: AppDays
    bound: datetime


@dataclass(frozen=True)
class Listed:
    """One walk, as frames: all records of a large app at once would fill the memory.

    `messages` are those that the list of a completion app brings. `window` and `reason` as in
    WindowRead; `unknown` are fields that no known version sends.
    """

    rows: pl.DataFrame
    messages: pl.DataFrame
    rejected: tuple[Rejected, ...]
    unknown: frozenset[str]
    requests: int
    window: Window | None = None
    reason: str | None = None


@dataclass(frozen=True)
class ListsRead:
    """What the lists of one app gave: walks by created_at, and by updated_at (chat only)."""

    created: tuple[Listed, ...]
    touched: tuple[Listed, ...]

    @property
    def all(self) -> tuple[Listed, ...]:
        """All walks, in the order in which they were made."""
        return (*self.created, *self.touched)

    @property
    def requests(self) -> int:
        """Pages asked."""
        return sum(read.requests for read in self.all)


def read_conversations(sync: Sync) -> FeedReport:
    """Read the lists of every conversational app; one failed app fails only its slices."""
    with FeedBooks(sync, FEED) as books:
        bound = upper_bound(sync.dify.server_time())
        apps = {app.app_id: app for app in known_apps(sync, *CHAT_MODES, *COMPLETION_MODES)}
        days = days_to_read(sync, FEED, tuple(apps))
        tasks = [Task(apps[one.app_id], one, bound) for one in days if one.all]
        books.expect(len(tasks))
        fetch = partial(_read_lists, sync)
        for fetched in fetch_all(tasks, fetch, workers=sync.rules.workers):
            _take(books, fetched)
            books.step()
        return books.report()


def _read_lists(sync: Sync, task: Task) -> ListsRead:
    created = tuple(_listed(task.app, read) for read in _created(sync, task))
    touched = tuple(_listed(task.app, read) for read in _touched(sync, task))
    return ListsRead(created, touched)


def _created(sync: Sync, task: Task) -> Iterator[WindowRead[LoggedConversation]]:
    """Pass A."""
    by_created = _created_list(sync, task.app)
    for window in windows_of(task.days.all, sync.rules.zone):
        yield from by_created.read(window, task.bound)
    if task.app.mode in COMPLETION_MODES:
        yield WindowRead(by_created.read_tail(task.bound, _clock(sync)))


def _touched(sync: Sync, task: Task) -> Iterator[WindowRead[LoggedConversation]]:
    """Pass B, of which completion apps have none: nobody goes on with a completion."""
    if task.app.mode in COMPLETION_MODES:
        return
    by_touch = _touched_list(sync, task.app)
    if since := touched_since(sync, task.days):
        yield from by_touch.read(Window(since, sync.today, sync.rules.zone), task.bound)
    yield WindowRead(by_touch.read_tail(task.bound, _clock(sync)))


def _listed(app: KnownApp, read: WindowRead[LoggedConversation]) -> Listed:
    records = tuple(read.rows.records.values())
    is_completion = app.mode in COMPLETION_MODES
    kind = CompletionConversation if is_completion else Conversation
    return Listed(
        rows=records_frame(raw_table(FEED), kind, records),
        messages=_listed_messages(records if is_completion else ()),
        rejected=tuple(read.rows.rejected.values()),
        unknown=frozenset(unknown_fields(records)),
        requests=read.rows.requests,
        window=read.window,
        reason=read.reason,
    )


def _listed_messages(records: Sequence[LoggedConversation]) -> pl.DataFrame:
    """What the list of a completion app tells of its messages."""
    return (
        records_frame(raw_table("messages"), CompletionConversation, records)
        .drop("status", "extra", "app_model_config", strict=False)
        .with_columns(
            pl.lit(None, pl.String).alias("message_id"), pl.lit("list").alias("message_source")
        )
    )


def touched_since(sync: Sync, days: AppDays) -> date | None:
    """The first day of pass B, None when pass A covers all that can have been touched."""
    if not days.due:
        return None
    covered = Window(DIFY_BEGINS, sync.today, sync.rules.zone).days
    return None if set(covered) <= set(days.due) else days.due[0]


def _clock(sync: Sync) -> Callable[[], datetime]:
    return sync.dify.server_time


def _created_list(sync: Sync, app: KnownApp) -> TimedList[LoggedConversation]:
    room = sync.dify.conversations
    if app.mode in COMPLETION_MODES:
        return TimedList(
            lambda start, end, page, limit: room.completion_page(
                app.app_id, page, limit, start=start, end=end
            ),
            key=lambda row: row.conversation_id,
            together=sync.together,
        )
    return TimedList(
        lambda start, end, page, limit: room.chat_page(
            app.app_id, page, limit, start=start, end=end, sort_by="created_at"
        ),
        key=lambda row: row.conversation_id,
        together=sync.together,
    )


def _touched_list(sync: Sync, app: KnownApp) -> TimedList[LoggedConversation]:
    return TimedList(
        lambda start, end, page, limit: sync.dify.conversations.chat_page(
            app.app_id, page, limit, start=start, end=end, sort_by="updated_at"
        ),
        key=lambda row: row.conversation_id,
        together=sync.together,
    )


def _take(books: FeedBooks, fetched: Fetched[Task, ListsRead]) -> None:
    task, read = fetched.task, fetched.result
    if read is None:
        assert fetched.error is not None
        books.fail(task.app.app_id, task.days.all, fetched.error)
        return
    with books.commit():
        books.load_frame(raw_table(FEED), pl.concat(one.rows for one in read.all))
        _load_listed_messages(books, pl.concat(one.messages for one in read.all))
        for one in read.all:
            books.note_unknown(one.unknown)
            books.quarantine(task.app.app_id, one.rejected)
        for one in read.created:
            _mark_absent(books, task, one)
        books.close_slices(list(_slices(books.sync, task, read)))


def load_completion_logs(books: FeedBooks, rows: Sequence[LoggedConversation]) -> None:
    """Listed logs of a completion app: each is a conversation and its only message."""
    books.load(FEED, CompletionConversation, rows)
    _load_listed_messages(books, _listed_messages(rows))


def _load_listed_messages(books: FeedBooks, listed: pl.DataFrame) -> None:
    """The messages that a list brings, unless more is known already."""
    if listed.is_empty():
        return
    opened = books.sync.database.frame(
        "SELECT DISTINCT conversation_id FROM raw.messages WHERE message_source = 'detail'"
    )
    unopened = listed.join(opened, on="conversation_id", how="anti")
    books.load_frame(raw_table("messages"), unopened)


def _mark_absent(books: FeedBooks, task: Task, read: Listed) -> None:
    """A proven walk by created_at shows which held conversations Dify has no more."""
    if read.window is None or read.reason is not None or read.rejected:
        return
    table, app_id = raw_table(FEED), quoted(task.app.app_id)
    until = min(read.window.end, task.bound)
    scope = (
        f"t.app_id = {app_id} AND t.created_at >= TIMESTAMPTZ '{read.window.start.isoformat()}' "
        f"AND t.created_at < TIMESTAMPTZ '{until.isoformat()}'"
    )
    if books.mark_absent(table, scope=scope, present=read.rows):
        gone = f"SELECT t.conversation_id FROM raw.conversations t WHERE {scope}"
        mark_messages_absent(books, f"{gone} AND t.absent_since IS NOT NULL")


def _slices(sync: Sync, task: Task, read: ListsRead) -> Iterator[Slice]:
    """One ledger row per day: its rows by created_at, and the doubts of both passes."""
    counted: Counter[date] = Counter()
    doubts: dict[date, str] = {}
    for one in read.created:
        counted.update(_days_of(sync, one))
        if one.window and one.reason:
            doubts.update(dict.fromkeys(one.window.days, f"created: {one.reason}"))
    for one in read.touched:
        if one.window and one.reason:
            for day in one.window.days:
                doubts.setdefault(day, f"touched: {one.reason}")
    for day in task.days.all:
        reason = doubts.get(day)
        yield Slice(
            app_id=task.app.app_id,
            day=day,
            state="incomplete" if reason else "proven",
            rows=counted[day],
            expected=None if reason else counted[day],
            requests=read.requests,
            reason=reason,
            is_settled=is_over(sync, day),
        )


def _days_of(sync: Sync, read: Listed) -> Iterator[date]:
    """The day of every row of a walk that speaks for its window, margins left out."""
    if read.window is None:
        return
    days = set(read.window.days)
    local = read.rows["created_at"].dt.convert_time_zone(sync.rules.zone.key).dt.date()
    yield from (day for day in local if day in days)


def is_over(sync: Sync, day: date) -> bool:
    """Whether the day ended at least 24 hours before this run."""
    return sync.now >= day_start(day + timedelta(days=1), sync.rules.zone) + timedelta(hours=24)
