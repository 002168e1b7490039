"""Parts of messages (feedback, citations, files, agent steps); how long messages are, and when they
are settled.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from sys import getsizeof

import polars as pl

from dify_etl.dify.messages import (
    AgentThought,
    Message,
    MessageChild,
    MessageCitation,
    MessageFeedback,
    MessageFile,
)
from dify_etl.normalise.frames import records_frame
from dify_etl.normalise.raw_tables import raw_table
from dify_etl.sync.books import FeedBooks
from dify_etl.warehouse.tables import frame

CHILDREN: dict[str, type[MessageChild]] = {
    "message_feedbacks": MessageFeedback,
    "message_citations": MessageCitation,
    "message_files": MessageFile,
    "agent_thoughts": AgentThought,
}
_ATTRIBUTES = {"message_feedbacks": "feedbacks", "message_citations": "citations"}

# An answer may be written for as long as a workflow may run (20 minutes by default).
ANSWERED_AFTER = timedelta(minutes=30)
SETTLED_AFTER = timedelta(hours=24)

# A message of so many bytes of text counts as one, and as one more for each STEP_BYTES beyond:
# while it is loaded, a text takes ten times its memory.
USUAL_BYTES, STEP_BYTES = 5_000, 1_000


def is_settled(message: Message, now: datetime) -> bool:
    """Whether a message can change by itself no more: failed, answered for a while, or old."""
    age = now - message.created_at
    is_answered = bool(message.answer) and age >= ANSWERED_AFTER
    return message.status == "error" or is_answered or age >= SETTLED_AFTER


def size_of(messages: Sequence[Message]) -> int:
    """Messages, long ones as several; none count as one."""
    beyond = (max(0, _length(message) - USUAL_BYTES) for message in messages)
    return 1 + len(messages) + sum(length // STEP_BYTES for length in beyond)


def _length(message: Message) -> int:
    """Bytes of the parts that can be long, as Python holds them."""
    return getsizeof(message.answer) + getsizeof(message.query) + getsizeof(message.message or "")


def load_children(books: FeedBooks, messages: Sequence[Message], *, are_new: bool = False) -> None:
    """The parts of these messages; parts that Dify no longer shows are marked absent.

    `are_new`: no message was held before, so no part can have vanished.
    """
    if not messages:
        return
    books.sync.database.stage("_read", _ids(messages), raw_table("messages"))
    moments = {message.message_id: message.created_at for message in messages}
    for name, kind in CHILDREN.items():
        table = raw_table(name)
        parts = list(_parts(messages, name))
        at = [{"message_created_at": moments[part.message_id]} for part in parts]
        rows = records_frame(table, kind, parts).hstack(frame(table, at, ["message_created_at"]))
        books.note_drift(parts)
        books.load_frame(table, rows)
        if not are_new:
            scope = "t.message_id IN (SELECT message_id FROM _read)"
            books.mark_absent(table, scope=scope, present=rows)


def mark_messages_absent(books: FeedBooks, conversations: str) -> None:
    """Messages and parts of conversations that Dify has no more; `conversations` is SQL for ids.

    The books forget that these were read: a conversation that returns is due again.
    """
    for name in ("messages", *CHILDREN):
        table = raw_table(name)
        scope = f"t.conversation_id IN ({conversations})"
        books.mark_absent(table, scope=scope, present=frame(table, [], table.key))
    books.sync.database.execute(
        "UPDATE ops.conversation_reads SET state = 'absent', is_settled = true "
        f"WHERE conversation_id IN ({conversations})"
    )


def _parts(messages: Iterable[Message], name: str) -> Iterator[MessageChild]:
    for message in messages:
        yield from getattr(message, _ATTRIBUTES.get(name, name))


def _ids(messages: Iterable[Message]) -> pl.DataFrame:
    return pl.DataFrame(
        {"message_id": [message.message_id for message in messages]},
        schema={"message_id": pl.String()},
    )
