"""Feed messages: chat-messages of every conversation that is due, with the parts of each message.

Due is what the books say, however old: no read yet, a list row that differs from the one then,
or messages that could still change.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from sys import getsizeof
from typing import Any

import polars as pl

from dify_etl.dify.errors import DifyError, NotFound
from dify_etl.dify.messages import Message
from dify_etl.dify.paging import CursorWalk
from dify_etl.dify.record import Page, Rejected
from dify_etl.normalise.frames import records_frame
from dify_etl.normalise.raw_tables import raw_table
from dify_etl.sync.annotated_messages import ANNOTATED_OTHERWISE
from dify_etl.sync.apps import CHAT_MODES, known_apps
from dify_etl.sync.books import FeedBooks
from dify_etl.sync.completions import read_completion_details
from dify_etl.sync.days import MOST_TRIES
from dify_etl.sync.due import take_due
from dify_etl.sync.feedback_export import read_exports, take_over
from dify_etl.sync.fetching import fetch_all
from dify_etl.sync.message_parts import is_settled, load_children, mark_messages_absent
from dify_etl.sync.message_slices import close_message_slices
from dify_etl.sync.report import FeedReport
from dify_etl.sync.run import Sync
from dify_etl.warehouse.ledger import CONVERSATION_READS
from dify_etl.warehouse.tables import frame, quoted

FEED = "messages"
# Messages that are committed together: enough for speed, few enough to lose little. From a quick
# server more come in a while; up to MOST_MESSAGES they wait for the next commit.
COMMIT_MESSAGES, MOST_MESSAGES = 2_000, 5_000
COMMIT_SECONDS = 5.0
# A message of so many bytes of text counts as one, and as one more for each STEP_BYTES beyond:
# while it is loaded, a text takes ten times its memory.
USUAL_BYTES, STEP_BYTES = 5_000, 1_000
# Conversations that are fetched while others are being committed: most hold a few messages.
AHEAD = 400

# The columns of a list row whose change makes a conversation due.
SEEN = (
    "message_count",
    "updated_at",
    "user_like_count",
    "user_dislike_count",
    "admin_like_count",
    "admin_dislike_count",
)


@dataclass(frozen=True)
class Due:
    """A conversation to read: its list row now; the ids held when only newer ones are due."""

    conversation_id: str
    app_id: str
    seen: tuple[Any, ...]
    tries: int
    known_ids: frozenset[str]

    @property
    def message_count(self) -> int:
        """Messages that the list row tells."""
        return int(self.seen[0] or 0)


@dataclass(frozen=True)
class ConversationRead:
    """The messages of one conversation, and whether they are all that its list row tells.

    `size` counts them, long ones as several.
    """

    messages: tuple[Message, ...]
    rejected: tuple[Rejected, ...]
    held: int
    size: int
    reason: str | None


def read_messages(sync: Sync) -> FeedReport:
    """Read every due conversation; children replace those held of the same messages."""
    with FeedBooks(sync, FEED) as books:
        exports = read_exports(books)
        count, due = due_conversations(sync)
        books.expect(count)
        outcomes: list[tuple[Due, ConversationRead | DifyError]] = []
        size, committed_at = 0, time.monotonic()
        fetch = partial(_read, sync)
        for fetched in fetch_all(
            due,
            fetch,
            workers=sync.rules.workers,
            ahead=AHEAD,
            room=COMMIT_MESSAGES,
            size=lambda read: read.size,
        ):
            outcome = fetched.result if fetched.error is None else fetched.error
            assert outcome is not None
            outcomes.append((fetched.task, outcome))
            size += outcome.size if isinstance(outcome, ConversationRead) else 1
            books.step()
            waited = time.monotonic() - committed_at
            if size >= (COMMIT_MESSAGES if waited >= COMMIT_SECONDS else MOST_MESSAGES):
                _commit(books, outcomes)
                outcomes, size, committed_at = [], 0, time.monotonic()
        _commit(books, outcomes)
        read_completion_details(books)
        take_over(books, exports)
        close_message_slices(books)
        return books.report()


def due_conversations(sync: Sync) -> tuple[int, Iterator[Due]]:
    """How many conversations are to be read, and these, newest first; within the app filter."""
    apps = ", ".join(quoted(app.app_id) for app in known_apps(sync, *CHAT_MODES)) or "''"
    differs = " OR ".join(f"c.{name} IS DISTINCT FROM r.{name}" for name in SEEN)
    ratings = " OR ".join(f"c.{name} IS DISTINCT FROM r.{name}" for name in SEEN[2:])
    again = "true" if sync.plan.is_full else "false"
    count, rows = take_due(
        sync.database,
        f"""SELECT c.conversation_id, c.app_id, coalesce(r.tries, 0),
            {", ".join(f"c.{name}" for name in SEEN)},
            r.state = 'proven' AND r.is_settled AND r.held_count >= 100 AND NOT ({ratings})
                AND c.message_count > r.message_count AS is_append
        FROM raw.conversations c LEFT JOIN ops.conversation_reads r USING (conversation_id)
        WHERE c.absent_since IS NULL AND c.app_id IN ({apps}) AND (
            r.conversation_id IS NULL OR r.state = 'absent' OR {again} OR {differs}
            OR (r.state <> 'proven' AND r.tries < {MOST_TRIES}) OR NOT r.is_settled
            OR c.conversation_id IN ({ANNOTATED_OTHERWISE}))
        ORDER BY c.updated_at DESC""",
    )
    return count, (_due(sync, row) for row in rows)


def _due(sync: Sync, row: tuple[Any, ...]) -> Due:
    known = _known(sync, row[0], is_append=row[-1])
    return Due(row[0], row[1], tuple(row[3:-1]), row[2], known)


def _known(sync: Sync, conversation_id: str, *, is_append: bool | None) -> frozenset[str]:
    """The held message ids of a long conversation that only grew; empty: read it whole."""
    if not is_append or sync.plan.is_full:
        return frozenset()
    rows = sync.database.rows(
        "SELECT message_id FROM raw.messages WHERE conversation_id = ?", [conversation_id]
    )
    return frozenset(row[0] for row in rows)


def _read(sync: Sync, due: Due) -> ConversationRead:
    """From the newest to a known message when that suffices; otherwise whole; at most twice."""
    if due.known_ids:
        read = _walk(sync, due, due.known_ids)
        if read.reason is None:
            return read
    read = _walk(sync, due, frozenset())
    return read if read.reason is None else _walk(sync, due, frozenset(), limit=97)


def _walk(sync: Sync, due: Due, known: frozenset[str], limit: int = 100) -> ConversationRead:
    walk = sync.dify.conversations.message_walk(due.app_id, due.conversation_id)
    walk.limit, walk.stop = limit, lambda page: _meets(page, known)
    messages: dict[str, Message] = {}
    rejected: dict[str, Rejected] = {}
    for page in walk:
        messages.update((message.message_id, message) for message in page.records)
        rejected.update((one.record_id or repr(one), one) for one in page.rejected)
    held = len({*messages, *rejected} | known)
    found = tuple(messages.values())
    return ConversationRead(
        found, tuple(rejected.values()), held, _size(found), _doubt(walk, due, held)
    )


def _meets(page: Page[Message], known: frozenset[str]) -> bool:
    return any(message.message_id in known for message in page.records)


def _doubt(walk: CursorWalk[Message], due: Due, held: int) -> str | None:
    if not walk.proof.is_proven:
        return walk.proof.reason
    if held < due.message_count:
        return f"{held} of {due.message_count} messages"
    return None


def _size(messages: Sequence[Message]) -> int:
    """Messages, long ones as several; an empty conversation counts as one."""
    beyond = (max(0, _length(message) - USUAL_BYTES) for message in messages)
    return 1 + len(messages) + sum(length // STEP_BYTES for length in beyond)


def _length(message: Message) -> int:
    """Bytes of the parts that can be long, as Python holds them."""
    return getsizeof(message.answer) + getsizeof(message.query) + getsizeof(message.message or "")


def _commit(books: FeedBooks, outcomes: Sequence[tuple[Due, ConversationRead | DifyError]]) -> None:
    """Messages, their parts and the books of their conversations, in one transaction."""
    reads = [(due, read) for due, read in outcomes if isinstance(read, ConversationRead)]
    messages = [message for _, read in reads for message in read.messages]
    with books.commit():
        load_messages(books, messages)
        for due, read in reads:
            if read.rejected:
                books.quarantine(due.app_id, read.rejected)
        rows = [_book(books.sync, due, outcome) for due, outcome in outcomes]
        books.load_frame(CONVERSATION_READS, frame(CONVERSATION_READS, rows))
        gone = [due.conversation_id for due, outcome in outcomes if _is_gone(outcome)]
        _mark_gone(books, gone)


def load_messages(books: FeedBooks, messages: Sequence[Message]) -> None:
    """Messages of chat-messages with their parts; call it inside a transaction."""
    table = raw_table(FEED)
    books.note_drift(messages)
    rows = records_frame(table, Message, messages)
    changes = books.load_frame(table, rows.with_columns(pl.lit("chat").alias("message_source")))
    load_children(books, messages, are_new=changes.new == rows.height)


def _book(sync: Sync, due: Due, outcome: ConversationRead | DifyError) -> dict[str, Any]:
    """The row of ops.conversation_reads: the list row as it was, and what came of the read."""
    book: dict[str, Any] = dict(zip(SEEN, due.seen, strict=True)) | {
        "conversation_id": due.conversation_id,
        "app_id": due.app_id,
        "read_at": sync.dify.server_time(),
    }
    if isinstance(outcome, ConversationRead):
        return book | {
            "held_count": outcome.held,
            "is_settled": all(is_settled(one, sync.now) for one in outcome.messages),
            "state": "proven" if outcome.reason is None else "incomplete",
            "reason": outcome.reason,
            "tries": 0 if outcome.reason is None else due.tries + 1,
        }
    gone = _is_gone(outcome)
    return book | {
        "is_settled": gone,
        "state": "absent" if gone else "failed",
        "reason": str(outcome),
        "tries": MOST_TRIES if gone else due.tries + 1,
    }


def _is_gone(outcome: ConversationRead | DifyError) -> bool:
    """A 404 of the conversation itself; a 404 of the app is its own matter."""
    return isinstance(outcome, NotFound) and outcome.code == "not_found"


def _mark_gone(books: FeedBooks, conversation_ids: Sequence[str]) -> None:
    if not conversation_ids:
        return
    listed = ", ".join(quoted(one) for one in conversation_ids)
    table = raw_table("conversations")
    scope = f"t.conversation_id IN ({listed})"
    books.mark_absent(table, scope=scope, present=frame(table, [], table.key))
    mark_messages_absent(books, listed)
