"""Messages of conversations that are due: which are, how one is read, how they are loaded.

Due is what the ledger says, however old: no read yet, a list row that differs from the one then,
or messages that could still change.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

import polars as pl

from dify_etl.dify.agents import AgentLogMessage
from dify_etl.dify.app_modes import CHAT_MODES, KNOWN_MODES
from dify_etl.dify.errors import AppGone, NotFound
from dify_etl.dify.messages import Message
from dify_etl.dify.odd_rows import OddRows
from dify_etl.dify.paging import CursorWalk
from dify_etl.dify.record import Page, Rejected
from dify_etl.feeds.annotated_messages import ANNOTATED_OTHERWISE
from dify_etl.feeds.message_parts import (
    is_settled,
    load_children,
    mark_messages_absent,
    mark_messages_deleted,
    may_wait,
    size_of,
)
from dify_etl.raw.frames import records_frame
from dify_etl.raw.tables import raw_table
from dify_etl.sync.days import NEVER, is_due_again
from dify_etl.sync.due import take_due
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.fetching import Fetched
from dify_etl.sync.known_apps import asked_apps
from dify_etl.sync.ledger import CONVERSATION_READS
from dify_etl.sync.rights import NOT_SHOWN, why_not_shown
from dify_etl.sync.run import Sync
from dify_etl.sync.turns import turns
from dify_etl.sync.unfinished_runs import PATIENCE
from dify_etl.sync.walks import known_by
from dify_etl.warehouse.tables import frame, quoted

# The temporary table of the conversations that were due, with their list rows (SEEN) then.
DUE_CONVERSATIONS = "_due_talks"
LISTED_ALL_THE_SAME = "chat-messages answers 404, although the list shows the conversation"
# A run whose detail failed so often in a row is not waited for any more.
LONG_FAILED = 5
# The columns of a list row whose change makes a conversation due. A run that waited for a person
# and goes on moves nothing but the counts of runs.
RATINGS = (
    "user_like_count",
    "user_dislike_count",
    "admin_like_count",
    "admin_dislike_count",
)
RUN_COUNTS = ("success_count", "failed_count", "partial_success_count", "paused_count")
# What the log of an agent calls the states of messages, and what messages call them.
STATUS_IN_LOG = {"success": "normal", "failed": "error"}
SEEN = ("message_count", "updated_at", *RATINGS, *RUN_COUNTS)
# SQL as `among` of due_conversations: those that were not due in this run; or not as they are now.
NOT_YET_DUE = f"c.conversation_id NOT IN (SELECT conversation_id FROM {DUE_CONVERSATIONS})"
DUE_AGAIN = f"""(r.state = 'absent' OR NOT EXISTS (SELECT 1 FROM {DUE_CONVERSATIONS} d
    WHERE d.conversation_id = c.conversation_id AND {
    " AND ".join(f"d.{name} IS NOT DISTINCT FROM c.{name}" for name in SEEN)
}))"""


@dataclass(frozen=True)
class Due:
    """A conversation to read: its list row now; the ids held when only newer ones are due."""

    conversation_id: str
    app_id: str
    seen: tuple[Any, ...]
    tries: int
    known_ids: frozenset[str]
    begun_at: datetime
    is_known: bool = False  # whether it was asked for before
    agent_id: str | None = None  # its app's, which is of mode agent
    is_own: bool = False  # whether the account that reads had it
    account_id: str | None = None  # whoever had it in the console
    mode: str = "chat"
    source_type: str | None = None  # what began it, by the log of an agent

    @property
    def message_count(self) -> int:
        """Messages that the list row tells."""
        return int(self.seen[0] or 0)


@dataclass(frozen=True)
class ConversationRead:
    """The messages of one conversation, and whether they are all that its list row tells.

    `size` counts them, long ones as several. `odd` is the message at which the read ended, since
    Dify cannot show it; `is_held` tells that what was not read is held from an earlier read, and
    `is_settled_otherwise` that messages which were loaded before these can change no more.
    """

    messages: tuple[Message, ...]
    rejected: tuple[Rejected, ...]
    held: int
    size: int
    reason: str | None
    is_hidden: bool = False  # nothing that may be asked shows more of it
    odd: OddRows | None = None
    is_held: bool = False
    is_settled_otherwise: bool = True
    logged: tuple[AgentLogMessage, ...] = ()  # of these the log of the agent alone tells

    @property
    def ids(self) -> frozenset[str]:
        """The messages that Dify showed, whether they could be read or not."""
        shown = [message.message_id for message in self.messages]
        return frozenset([*shown, *(one.record_id or repr(one) for one in self.rejected)])

    def is_settled(self, now: datetime, ended_runs: Collection[str] = frozenset()) -> bool:
        """Whether none of its messages can change by itself any more; `ended_runs` as there."""
        return self.is_settled_otherwise and all(
            is_settled(one, now, ended_runs) for one in self.messages
        )

    @property
    def is_odd(self) -> bool:
        """Whether any of its messages, or a part of one, could not be read."""
        return bool(self.rejected) or any(one.odd_forms or one.odd_parts for one in self.messages)

    @property
    def state(self) -> str:
        """As in ops.conversation_reads; unproven when Dify cannot show more, or nothing is missing
        but some was read before and cannot be now.
        """
        if self.reason is None:
            return "proven"
        return "unproven" if self.is_hidden or self.is_held else "incomplete"


def due_conversations(
    sync: Sync, among: str = "true", *, is_more: bool = False
) -> tuple[int, Iterator[Due]]:
    """How many conversations are to be read, and these, newest first; within the app filter.

    `among` is SQL over raw.conversations c, their apps a and what was read of them r: those that
    count. With `is_more` they come behind those of before, see DUE_CONVERSATIONS.
    """
    apps = ", ".join(quoted(app.app_id) for app in asked_apps(sync, *CHAT_MODES)) or "''"
    differs = _differ(*SEEN[:2], *RATINGS)
    counted = (
        f"coalesce(r.{RUN_COUNTS[0]}, r.paused_count) IS NOT NULL AND ({_differ(*RUN_COUNTS)})"
    )
    again = "true" if sync.plan.is_full else "false"
    count, rows = take_due(
        sync.database,
        f"""SELECT c.conversation_id, c.app_id, coalesce(r.tries, 0),
            {", ".join(f"c.{name}" for name in SEEN)},
            c.created_at, r.conversation_id IS NOT NULL, a.agent_id, c.from_account_id,
            coalesce(c.from_account_id = (SELECT account_id FROM ops.source), false), a.mode,
            c.source_type,
            r.state = 'proven' AND r.is_settled AND NOT ({_differ(*RATINGS, "paused_count")})
                AND (r.held_count >= 100 OR a.agent_id IS NOT NULL)
                AND c.message_count > r.message_count AS is_append
        FROM raw.conversations c JOIN raw.apps a USING (app_id)
        LEFT JOIN ops.conversation_reads r USING (conversation_id)
        WHERE c.absent_since IS NULL AND c.app_id IN ({apps}) AND {among} AND (
            r.conversation_id IS NULL OR r.state = 'absent' OR {again} OR {differs}
            OR ({counted}) OR ({_waits_uncounted(sync)})
            OR (r.state <> 'proven' AND {is_due_again("r.tries", "r.read_at", sync.now)})
            OR NOT r.is_settled
            OR c.conversation_id IN ({ANNOTATED_OTHERWISE}))
        ORDER BY c.updated_at DESC""",
        table=DUE_CONVERSATIONS,
        is_more=is_more,
    )
    return count, (_due(sync, row) for row in rows)


def _waits_uncounted(sync: Sync) -> str:
    """SQL for conversations with a message that seems to wait, read when no counts were noted."""
    patience = quoted((sync.now - PATIENCE["paused"]).isoformat())
    return f"""r.paused_count IS NULL AND c.conversation_id IN (
        SELECT conversation_id FROM raw.messages
        WHERE (status = 'paused' OR (answer = '' AND extra_contents <> '[]'))
          AND created_at > TIMESTAMPTZ {patience})"""


def _differ(*names: str) -> str:
    return " OR ".join(f"c.{name} IS DISTINCT FROM r.{name}" for name in names)


def _due(sync: Sync, row: tuple[Any, ...]) -> Due:
    begun_at, is_known, agent_id, account_id, is_own, mode, source, is_append = row[3 + len(SEEN) :]
    return Due(
        row[0],
        row[1],
        tuple(row[3 : 3 + len(SEEN)]),
        row[2],
        _known(sync, row[0], is_append=is_append),
        begun_at,
        is_known=is_known,
        agent_id=agent_id,
        account_id=account_id,
        is_own=is_own,
        mode=mode,
        source_type=source,
    )


def _known(sync: Sync, conversation_id: str, *, is_append: bool | None) -> frozenset[str]:
    """The held message ids of a long conversation that only grew; empty: read it whole."""
    if not is_append or sync.plan.is_full:
        return frozenset()
    rows = sync.database.rows(
        "SELECT message_id FROM raw.messages WHERE conversation_id = ? AND absent_since IS NULL",
        [conversation_id],
    )
    return frozenset(row[0] for row in rows)


def read_conversation(sync: Sync, due: Due) -> ConversationRead:
    """From the newest to a known message when that suffices; otherwise whole; at most twice.

    Raises NotFound only when the list does not show the conversation either.
    """
    try:
        return _read(sync, due)
    except AppGone as error:
        if due.mode in KNOWN_MODES:
            raise
        reason = f"its app's mode is not known, and {error.where} does not answer"
        return ConversationRead((), (), 0, 1, reason, is_hidden=True)
    except NotFound:
        if not _is_listed(sync, due):
            raise
        return ConversationRead((), (), 0, 1, LISTED_ALL_THE_SAME)


def _is_listed(sync: Sync, due: Due) -> bool:
    """Whether the list still shows it, by the second in which it began."""
    walk = sync.dify.conversations.chat_walk(due.app_id, start=due.begun_at, end=due.begun_at)
    return any(row.conversation_id == due.conversation_id for page in walk for row in page.records)


def _read(sync: Sync, due: Due) -> ConversationRead:
    if due.known_ids:
        read = _walk(sync, due, due.known_ids)
        if read.odd or (read.reason is None and read.held == due.message_count):
            return read  # more than are told: of those that were known some are gone
    read = _walk(sync, due, frozenset())
    is_all = read.reason is None or read.odd or read.is_hidden
    # Pages of another size have other cursors: each walk may pass over what the other shows.
    return read if is_all else _walk(sync, due, frozenset(), limit=97, before=read)


def _walk(
    sync: Sync,
    due: Due,
    known: frozenset[str],
    limit: int = 100,
    before: ConversationRead | None = None,
) -> ConversationRead:
    """The messages from the newest to a known one, with those that a walk `before` has shown."""
    walk = sync.dify.conversations.message_walk(due.app_id, due.conversation_id)
    walk.limit, walk.stop = limit, lambda page: _meets(page, known)
    walk.expected = due.message_count
    messages = {one.message_id: one for one in (before.messages if before else ())}
    rejected = {known_by(one): one for one in (before.rejected if before else ())}
    for page in walk:
        messages.update((message.message_id, message) for message in page.records)
        rejected.update((known_by(one), one) for one in page.rejected)
    held = len({*messages, *(row_id for row_id, _ in rejected)} | known)
    found = tuple(messages.values())
    return ConversationRead(
        found,
        tuple(rejected.values()),
        held,
        size_of(found),
        _doubt(walk, due, held),
        is_hidden=bool(walk.proof.crowded),
        odd=next(iter(walk.proof.odd), None),
    )


def _meets(page: Page[Message], known: frozenset[str]) -> bool:
    return any(message.message_id in known for message in page.records)


def _doubt(walk: CursorWalk[Message], due: Due, held: int) -> str | None:
    if walk.proof.crowded:  # no page shows the rest of such a second, ever
        is_counted = 0 < due.message_count <= held
        return None if is_counted else f"{held} of {due.message_count}: {walk.proof.reason}"
    if not walk.proof.is_proven:
        return walk.proof.reason
    if held < due.message_count:
        return f"{held} of {due.message_count} messages"
    return None


def load_conversations(loader: FeedLoader, reads: Sequence[Fetched[Due, ConversationRead]]) -> None:
    """Messages, their parts and what was read of each conversation; call it in a transaction."""
    if not reads:
        return
    good = [(one.task, one.result) for one in reads if one.result is not None]
    load_messages(loader, [message for _, read in good for message in read.messages])
    loader.read_anew([due.conversation_id for due, _ in good if not due.known_ids])
    for due, read in good:
        # One whose time cannot be read may be of any day on which the talk lived.
        loader.quarantine(due.app_id, read.rejected, parent_id=due.conversation_id)
        if read.logged:
            load_logged_messages(loader, due.app_id, read.logged)
    _mark_deleted(loader, good)
    ended = _ended_runs(loader.sync, [message for _, read in good for message in read.messages])
    rows = [_ledger_row(loader.sync, one, ended) for one in reads]
    loader.load_frame(CONVERSATION_READS, frame(CONVERSATION_READS, rows))
    _mark_gone(loader, [one.task.conversation_id for one in reads if _is_gone(one)])
    if turns() is not None:
        _mark_vanished(loader, [due.conversation_id for due, _ in good])


def _mark_vanished(loader: FeedLoader, conversation_ids: Sequence[str]) -> None:
    """A list that is read beside the messages may have shown meanwhile that Dify has a conversation
    no more: then its messages, which were asked before, are no sign that it returned.
    """
    listed = ", ".join(quoted(one) for one in conversation_ids) or "''"
    gone = (
        "SELECT conversation_id FROM raw.conversations "
        f"WHERE absent_since IS NOT NULL AND conversation_id IN ({listed})"
    )
    if loader.sync.database.value(f"SELECT count(*) FROM ({gone})"):
        mark_messages_absent(loader, gone)


def _mark_deleted(loader: FeedLoader, reads: Sequence[tuple[Due, ConversationRead]]) -> None:
    """A conversation that was read whole, and had been read before, tells which of its messages
    Dify has no more. Of agents the log may know some that the list does not show.
    """
    whole = [
        (due, read)
        for due, read in reads
        if due.is_known
        and due.agent_id is None
        and read.reason is None
        and read.held == len(read.ids)
    ]
    if not whole:
        return
    listed = ", ".join(quoted(due.conversation_id) for due, _ in whole)
    held = loader.sync.database.rows(
        "SELECT message_id FROM raw.messages WHERE absent_since IS NULL AND message_id IS NOT NULL "
        f"AND conversation_id IN ({listed})"
    )
    shown: frozenset[str] = frozenset().union(*(read.ids for _, read in whole))
    if gone := {message_id for (message_id,) in held} - shown:
        mark_messages_deleted(loader, gone)


def load_messages(
    loader: FeedLoader,
    messages: Sequence[Message],
    *,
    source: str = "chat",
    more: pl.DataFrame | None = None,
    plain: pl.DataFrame | None = None,
    plain_parts: Mapping[str, pl.DataFrame] = MappingProxyType({}),
) -> None:
    """Messages with their parts; call it inside a transaction.

    `source` is their message_source; `more` has by message_id what the console API does not tell,
    `plain` are rows of further messages, all of whose parts stand by table in `plain_parts`.
    """
    table = raw_table("messages")
    loader.note_drift(messages)
    rows = records_frame(table, Message, messages)
    if plain is not None:
        rows = pl.concat([rows, plain])
    found = rows.with_columns(pl.lit(source).alias("message_source"))
    if more is not None:
        found = found.join(more, on="message_id", how="left", maintain_order="left")
    changes = loader.load_frame(table, found)
    are_new = changes.new == rows.height
    load_children(loader, messages, rows, are_new=are_new, plain=plain_parts)


def load_logged_messages(
    loader: FeedLoader, app_id: str, messages: Sequence[AgentLogMessage]
) -> None:
    """Messages of which the log of an agent alone tells; call it inside a transaction.

    What it does not tell, parts of messages among it, stays as an earlier read left it.
    """
    table = raw_table("messages")
    loader.note_drift(messages)
    rows = records_frame(table, AgentLogMessage, messages).with_columns(
        pl.lit(app_id).alias("app_id"),
        pl.col("status").replace(STATUS_IN_LOG),
        pl.when(pl.col("from_account_id").is_null())
        .then(pl.lit("api"))
        .otherwise(pl.lit("console"))
        .alias("from_source"),
        pl.lit("log").alias("message_source"),
    )
    loader.load_frame(table, rows)


def _ended_runs(sync: Sync, messages: Sequence[Message]) -> frozenset[str]:
    """The runs of messages that may wait, as far as nothing is expected of them any more.

    They had ended before the messages were read: runs are read after them.
    """
    asked = {one.workflow_run_id for one in messages if may_wait(one) and one.workflow_run_id}
    if not asked:
        return frozenset()
    rows = sync.database.rows(
        f"""SELECT workflow_run_id FROM ops.run_reads
        WHERE workflow_run_id IN ({", ".join(quoted(run_id) for run_id in asked)})
          AND (is_detail_settled OR detail_tries >= {LONG_FAILED})"""
    )
    return frozenset(row[0] for row in rows)


def _ledger_row(
    sync: Sync, one: Fetched[Due, ConversationRead], ended_runs: frozenset[str]
) -> dict[str, Any]:
    """The row of ops.conversation_reads: the list row as it was, and what came of the read."""
    due, read = one.task, one.result
    tries = due.tries if due.tries < NEVER else 0  # it was gone, or hidden, and is asked anew
    ledger_row: dict[str, Any] = dict(zip(SEEN, due.seen, strict=True)) | {
        "conversation_id": due.conversation_id,
        "app_id": due.app_id,
        "read_at": sync.dify.earlier_time(),
    }
    if read is not None:
        again = NEVER if read.is_hidden else tries + 1
        if (read.reason or "").startswith(NOT_SHOWN):
            again = 0  # read as soon as the account may
        return ledger_row | {
            "held_count": read.held,
            # What waits in quarantine is asked again every night, until it is well.
            "is_settled": read.is_settled(sync.now, ended_runs) and not read.is_odd,
            "state": read.state,
            "reason": read.reason,
            "tries": 0 if read.reason is None else again,
        }
    if hidden := why_not_shown(sync, one.error):
        return ledger_row | {
            "is_settled": False,
            "state": "unproven",
            "reason": hidden,
            "tries": due.tries,
        }
    gone = _is_gone(one)
    return ledger_row | {
        "is_settled": gone,
        "state": "absent" if gone else "failed",
        "reason": str(one.error),
        "tries": NEVER if gone else tries + 1,
    }


def _is_gone(one: Fetched[Due, ConversationRead]) -> bool:
    """A 404 of the conversation itself; a 404 of the app is its own matter."""
    return isinstance(one.error, NotFound) and one.error.code == "not_found"


def _mark_gone(loader: FeedLoader, conversation_ids: Sequence[str]) -> None:
    if not conversation_ids:
        return
    listed = ", ".join(quoted(one) for one in conversation_ids)
    table = raw_table("conversations")
    scope = f"t.conversation_id IN ({listed})"
    loader.mark_absent(table, scope=scope, present=frame(table, [], table.key))
    mark_messages_absent(loader, listed)
