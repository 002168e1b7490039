"""Feed conversations: created in the days (pass A), touched since (pass B), then the tail.

Pass A proves the days and shows what vanished. Pass B finds old conversations with new messages.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial

import polars as pl

from dify_etl.dify.conversations import (
    CompletionConversation,
    Conversation,
    LoggedConversation,
)
from dify_etl.normalise.frames import records_frame
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
from dify_etl.sync.windows import Window, day_start, local_date, windows_of
from dify_etl.warehouse.tables import quoted

FEED = "conversations"


@dataclass(frozen=True)
class Task:
    """The lists of one app, for the days that are due and those of the deep read."""

    app: KnownApp
    days: AppDays
    bound: datetime


@dataclass(frozen=True)
class ListsRead:
    """What the lists of one app gave: walks by created_at, and by updated_at (chat only)."""

    created: tuple[WindowRead[LoggedConversation], ...]
    touched: tuple[WindowRead[LoggedConversation], ...]

    @property
    def all(self) -> tuple[WindowRead[LoggedConversation], ...]:
        """All walks, in the order in which they were made."""
        return (*self.created, *self.touched)

    @property
    def requests(self) -> int:
        """Pages asked."""
        return sum(read.rows.requests for read in self.all)


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
    by_created = _created_list(sync, task.app)
    windows = tuple(windows_of(task.days.all, sync.rules.zone))
    created = tuple(read for one in windows for read in by_created.read(one, task.bound))
    if task.app.mode in COMPLETION_MODES:
        return ListsRead((*created, WindowRead(by_created.read_tail(task.bound, _clock(sync)))), ())
    by_touch = _touched_list(sync, task.app)
    touched: list[WindowRead[LoggedConversation]] = []
    if since := touched_since(sync, task.days):
        touched.extend(by_touch.read(Window(since, sync.today, sync.rules.zone), task.bound))
    touched.append(WindowRead(by_touch.read_tail(task.bound, _clock(sync))))
    return ListsRead(created, tuple(touched))


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
        rows = {key: row for one in read.all for key, row in one.rows.records.items()}
        _load(books, task.app, tuple(rows.values()))
        for one in read.all:
            books.quarantine(task.app.app_id, one.rows.rejected.values())
        for one in read.created:
            _mark_absent(books, task, one)
        books.close_slices(list(_slices(books.sync, task, read)))


def _load(books: FeedBooks, app: KnownApp, rows: tuple[LoggedConversation, ...]) -> None:
    if app.mode in COMPLETION_MODES:
        load_completion_logs(books, rows)
    else:
        books.load(FEED, Conversation, rows)


def load_completion_logs(books: FeedBooks, rows: tuple[LoggedConversation, ...]) -> None:
    """Listed logs of a completion app: each is a conversation and its only message."""
    books.load(FEED, CompletionConversation, rows)
    load_listed_messages(books, rows)


def load_listed_messages(books: FeedBooks, rows: tuple[LoggedConversation, ...]) -> None:
    """What the list of a completion app tells of its messages, unless more is known already."""
    table = raw_table("messages")
    listed = records_frame(table, CompletionConversation, rows).drop(
        "status", "extra", "app_model_config", strict=False
    )
    opened = books.sync.database.frame(
        "SELECT DISTINCT conversation_id FROM raw.messages WHERE message_source = 'detail'"
    )
    unopened = listed.join(opened, on="conversation_id", how="anti")
    books.load_frame(
        table,
        unopened.with_columns(
            pl.lit(None, pl.String).alias("message_id"), pl.lit("list").alias("message_source")
        ),
    )


def _mark_absent(books: FeedBooks, task: Task, read: WindowRead[LoggedConversation]) -> None:
    """A proven walk by created_at shows which held conversations Dify has no more."""
    if read.window is None or read.reason is not None or read.rows.rejected:
        return
    table, app_id = raw_table(FEED), quoted(task.app.app_id)
    until = min(read.window.end, task.bound)
    kind = CompletionConversation if task.app.mode in COMPLETION_MODES else Conversation
    present = records_frame(table, kind, tuple(read.rows.records.values()))
    scope = (
        f"t.app_id = {app_id} AND t.created_at >= TIMESTAMPTZ '{read.window.start.isoformat()}' "
        f"AND t.created_at < TIMESTAMPTZ '{until.isoformat()}'"
    )
    if books.mark_absent(table, scope=scope, present=present):
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


def _days_of(sync: Sync, read: WindowRead[LoggedConversation]) -> Iterator[date]:
    """The day of every row of a walk that speaks for its window, margins left out."""
    if read.window is None:
        return
    days = set(read.window.days)
    for row in read.rows.records.values():
        day = local_date(row.created_at, sync.rules.zone)
        if day in days:
            yield day


def is_over(sync: Sync, day: date) -> bool:
    """Whether the day ended at least 24 hours before this run."""
    return sync.now >= day_start(day + timedelta(days=1), sync.rules.zone) + timedelta(hours=24)
