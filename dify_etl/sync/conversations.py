"""Feed conversations: what the lists of every conversational app show; what they show no more."""

from collections.abc import Collection, Sequence
from functools import partial

import polars as pl

from dify_etl.dify.conversations import CompletionConversation, LoggedConversation
from dify_etl.normalise.raw_tables import raw_table
from dify_etl.sync.apps import CHAT_MODES, COMPLETION_MODES, known_apps
from dify_etl.sync.books import FeedBooks
from dify_etl.sync.conversation_lists import (
    FEED,
    Listed,
    Part,
    Task,
    listed_messages,
    read_lists,
)
from dify_etl.sync.days import days_to_read
from dify_etl.sync.fetching import fetch_parts
from dify_etl.sync.message_parts import mark_messages_absent
from dify_etl.sync.report import FeedReport
from dify_etl.sync.run import Sync
from dify_etl.sync.walks import WindowRead, upper_bound
from dify_etl.warehouse.tables import quoted


def read_conversations(sync: Sync) -> FeedReport:
    """Read the lists of every conversational app; one failed app fails only its slices."""
    with FeedBooks(sync, FEED) as books:
        bound = upper_bound(sync.dify.server_time())
        apps = {app.app_id: app for app in known_apps(sync, *CHAT_MODES, *COMPLETION_MODES)}
        days = days_to_read(sync, FEED, tuple(apps))
        tasks = [Task(apps[one.app_id], one, bound) for one in days if one.all]
        books.expect(len(tasks))
        fetch = partial(read_lists, sync)
        for fetched in fetch_parts(tasks, fetch, workers=sync.rules.workers):
            task, part = fetched.task, fetched.result
            if fetched.error is not None:
                books.fail(task.app.app_id, task.days.all, fetched.error)
            elif part is not None:
                _take(books, task, part)
            if part is None or part.slices:
                books.step()
        return books.report()


def _take(books: FeedBooks, task: Task, part: Part) -> None:
    """Load a part. The days are proven in the books with the last one, never before their rows."""
    with books.commit():
        if part.walks:
            rows = pl.concat(one.rows for one in part.walks)
            books.load_frame(raw_table(FEED), rows, repeated=len(part.repeated))
            messages = pl.concat(one.messages for one in part.walks)
            _load_listed_messages(books, messages, part.repeated)
        for one in part.walks:
            books.note_unknown(one.unknown)
            books.quarantine(task.app.app_id, one.rejected.values())
        for read in part.created:
            _mark_absent(books, task, read)
        books.close_slices(part.slices)


def load_completion_logs(books: FeedBooks, rows: Sequence[LoggedConversation]) -> None:
    """Listed logs of a completion app: each is a conversation and its only message."""
    books.load(FEED, CompletionConversation, rows)
    _load_listed_messages(books, listed_messages(rows))


def _load_listed_messages(
    books: FeedBooks, listed: pl.DataFrame, repeated: Collection[str] = ()
) -> None:
    """The messages that a list brings, unless more is known already. Those of the `repeated`
    conversations were counted before.
    """
    if listed.is_empty():
        return
    opened = books.sync.database.frame(
        "SELECT DISTINCT conversation_id FROM raw.messages WHERE message_source = 'detail'"
    )
    unopened = listed.join(opened, on="conversation_id", how="anti")
    again = unopened.filter(pl.col("conversation_id").is_in(list(repeated)))
    books.load_frame(raw_table("messages"), unopened, repeated=again.height)


def _mark_absent(books: FeedBooks, task: Task, read: WindowRead[Listed]) -> None:
    """A proven walk by created_at shows which held conversations Dify has no more."""
    if read.window is None or read.reason is not None or read.rows.rejected:
        return
    table, app_id = raw_table(FEED), quoted(task.app.app_id)
    until = min(read.window.end, task.bound)
    scope = (
        f"t.app_id = {app_id} AND t.created_at >= TIMESTAMPTZ '{read.window.start.isoformat()}' "
        f"AND t.created_at < TIMESTAMPTZ '{until.isoformat()}'"
    )
    if books.mark_absent(table, scope=scope, present=read.rows.rows):
        gone = f"SELECT t.conversation_id FROM raw.conversations t WHERE {scope}"
        mark_messages_absent(books, f"{gone} AND t.absent_since IS NOT NULL")
