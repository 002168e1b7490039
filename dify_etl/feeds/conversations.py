"""Feed conversations: what the lists of every conversational app show; what they show no more."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import polars as pl

from dify_etl.dify.app_modes import CHAT_MODES, COMPLETION_MODES
from dify_etl.dify.conversations import (
    CompletionConversation,
    Conversation,
    LoggedConversation,
)
from dify_etl.feeds.agent_logs import LoggedApp, LoggedConversations
from dify_etl.feeds.conversation_lists import (
    FEED,
    Listed,
    Part,
    Task,
    listed_messages,
    read_lists,
)
from dify_etl.feeds.created_totals import Shown
from dify_etl.feeds.message_parts import mark_messages_absent, mark_messages_deleted
from dify_etl.raw.tables import raw_table
from dify_etl.sync.days import days_to_read
from dify_etl.sync.feed_loader import FeedLoader, First, nothing_first
from dify_etl.sync.fetching import Fetched, FetchLimits, fetch
from dify_etl.sync.known_apps import KnownApp, asked_apps
from dify_etl.sync.report import FeedReport, Slice, state_of
from dify_etl.sync.run import Sync
from dify_etl.sync.walks import MOST_ROWS, list_workers, upper_bound
from dify_etl.sync.windows import window_scope
from dify_etl.warehouse.tables import quoted

# Rows of lists that wait to be loaded, and are loaded together.
BUFFERED = 2 * MOST_ROWS
# Apps whose lists are fetched while others are being committed: most lists are short.
LOOKAHEAD = 100


def read_conversations(sync: Sync, first: First = nothing_first) -> FeedReport:
    """Read the lists of every conversational app; one failed app fails only its slices."""
    with FeedLoader(sync, FEED) as loader:
        first(loader)
        bound = upper_bound(sync.dify.earlier_time())
        apps = {app.app_id: app for app in asked_apps(sync, *CHAT_MODES, *COMPLETION_MODES)}
        days = days_to_read(sync, FEED, tuple(apps))
        tasks = [
            Task(apps[one.app_id], one, bound, _logged_app(sync, apps[one.app_id]))
            for one in days
            if one.all
        ]
        loader.expect(len(tasks))
        for batch in fetch(
            tasks,
            partial(read_lists, sync),
            FetchLimits(list_workers(sync.rules.workers), LOOKAHEAD, BUFFERED),
            size=lambda part: part.size,
        ).batches():
            _keep(loader, batch)
        return loader.report()


def _logged_app(sync: Sync, app: KnownApp) -> LoggedApp | None:
    """What the read of an agent's log needs to know; None for other apps."""
    if app.agent_id is None:
        return None
    held = sync.database.rows(
        "SELECT conversation_id, updated_at FROM raw.conversations "
        "WHERE app_id = ? AND absent_since IS NULL",
        [app.app_id],
    )
    shown = sync.database.rows("SELECT app_id FROM raw.apps WHERE absent_since IS NULL")
    flows = frozenset(app_id for (app_id,) in shown if app_id != app.app_id)
    return LoggedApp(app.app_id, app.agent_id, dict(held), flows)


def _keep(loader: FeedLoader, batch: Sequence[Fetched[Task, Part]]) -> None:
    """Load what came; an app whose lists could not be read fails alone."""
    if taken := [(one.task, one.result) for one in batch if one.result is not None]:
        _take(loader, taken)
        loader.tell_others(task.app.app_id for task, part in taken if part.is_listed)
    for one in batch:
        if one.error is not None:
            loader.fail(one.task.app.app_id, one.task.days.all, one.error)
        if one.result is None or one.result.slices:
            loader.step()


def _take(loader: FeedLoader, taken: Sequence[tuple[Task, Part]]) -> None:
    """Load parts. The days of an app are proven in the ledger with its last part, never before
    their rows.
    """
    repeated = _repeated([part for _, part in taken])
    walks = [(task, walk) for task, part in taken for walk in part.walks]
    completions = [walk for task, walk in walks if task.is_completion]
    with loader.commit():
        _load(loader, [walk for task, walk in walks if not task.is_completion], repeated)
        _load(loader, completions, repeated)
        if completions:
            messages = pl.concat(walk.messages for walk in completions)
            _load_listed_messages(loader, messages, repeated)
        for task, walk in walks:
            loader.note_unknown(walk.unknown)
            loader.quarantine(task.app.app_id, walk.rejected.values())
        for task, part in taken:
            if part.logs is not None and part.slices:
                _load_logged(loader, task, part.logs)
        _mark_absent(loader, [(task, part, days) for task, part in taken for days in part.proven])
        loader.close_slices([one for _, part in taken for one in _slices(loader, part)])


def _slices(loader: FeedLoader, part: Part) -> Iterator[Slice]:
    """The ledger rows of a part; a log that could not be read proves none of them."""
    error = part.logs.error if part.logs else None
    for one in part.slices:
        if error is None or one.reason is not None:
            yield one
            continue
        unread = loader.unread(one.app_id, one.day, error)
        reason = f"log of the agent: {unread.reason}"
        state = state_of(None if unread.state == "unproven" else reason, reason)
        yield replace(one, state=state, expected=None, reason=reason)


def _load_logged(loader: FeedLoader, task: Task, logs: LoggedConversations) -> None:
    """What began each talk, and the talks that the list did not show. Call it once the rows of the
    list are loaded.
    """
    table = raw_table(FEED)
    loader.load(FEED, Conversation, logs.listed)
    loader.load_frame(table, logs.unlisted_rows)
    loader.note_unknown(logs.unknown)
    held = loader.sync.database.frame(
        "SELECT conversation_id, created_at FROM raw.conversations WHERE app_id = "
        f"{quoted(task.app.app_id)} AND absent_since IS NULL"
    )
    began = dict(held.rows())
    for one in logs.rejected:  # its own time is that of the newest message
        at = began.get(one.record_id)
        loader.quarantine(task.app.app_id, [one], at=at, tells_begin=False)
    sources = logs.sources.join(held, on="conversation_id", how="semi")
    loader.load_frame(table, sources, repeated=sources.height)


def _load(loader: FeedLoader, walks: Sequence[Listed], repeated: Collection[str]) -> None:
    """Walks over lists of one kind: chats and completions tell different columns."""
    if walks:
        rows = pl.concat(walk.rows for walk in walks)
        again = rows.filter(pl.col("conversation_id").is_in(list(repeated)))
        loader.load_frame(raw_table(FEED), rows, repeated=again["conversation_id"].n_unique())


def _repeated(parts: Iterable[Part]) -> set[str]:
    """Conversations of these parts that were counted with one before them."""
    here: set[str] = set()
    repeated: set[str] = set()
    for part in parts:
        repeated |= part.repeated - here
        here |= part.ids
    return repeated


def load_completion_logs(loader: FeedLoader, rows: Sequence[LoggedConversation]) -> None:
    """Listed logs of a completion app: each is a conversation and its only message."""
    loader.load(FEED, CompletionConversation, rows)
    _load_listed_messages(loader, listed_messages(rows))


def _load_listed_messages(
    loader: FeedLoader, listed: pl.DataFrame, repeated: Collection[str] = ()
) -> None:
    """The messages that a list brings, unless more is known already. Those of the `repeated`
    conversations were counted before. A log that tells no text at all has no message (any more).
    """
    says_nothing = pl.all_horizontal(
        pl.col("inputs", "query", "message", "answer", "odd_fields").is_null()
    )
    empty = listed.filter(says_nothing)["conversation_id"].to_list()
    mark_messages_deleted(loader, empty, by="conversation_id")
    listed = listed.filter(~says_nothing)
    if listed.is_empty():
        return
    opened = loader.sync.database.frame(
        "SELECT DISTINCT conversation_id FROM raw.messages WHERE message_source = 'detail'"
    )
    unopened = listed.join(opened, on="conversation_id", how="anti")
    again = unopened.filter(pl.col("conversation_id").is_in(list(repeated)))
    loader.load_frame(raw_table("messages"), unopened, repeated=again["conversation_id"].n_unique())


def _mark_absent(loader: FeedLoader, shown: Iterable[tuple[Task, Part, Shown]]) -> None:
    """What is proven of days shows which held conversations Dify has no more. Of agents both the
    list and the log must be proven, and neither may show it.
    """
    table = raw_table(FEED)
    proven = []
    for task, part, days in shown:
        if part.logs is not None and not part.logs.proves(days.window.days):
            continue
        rows = [days.rows.select(table.key), *([part.logs.ids] if part.logs else [])]
        proven.append((window_scope(task.app.app_id, days.window, task.bound), pl.concat(rows)))
    if not proven:
        return
    scope = " OR ".join(f"({one})" for one, _ in proven)
    present = pl.concat(rows for _, rows in proven)
    if loader.mark_absent(table, scope=scope, present=present):
        gone = f"SELECT t.conversation_id FROM raw.conversations t WHERE ({scope})"
        mark_messages_absent(loader, f"{gone} AND t.absent_since IS NOT NULL")
