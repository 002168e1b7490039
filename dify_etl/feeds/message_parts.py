"""Parts of messages (feedback, citations, files, agent steps, forms); how long messages are, and
when they are settled.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import chain
from sys import getsizeof
from types import MappingProxyType

import polars as pl

from dify_etl.dify.message_child import MessageChild
from dify_etl.dify.messages import (
    AgentThought,
    Message,
    MessageCitation,
    MessageFeedback,
    MessageFile,
)
from dify_etl.dify.record import lost, text_bytes
from dify_etl.dify.tool_calls import AgentToolCall
from dify_etl.feeds.human_inputs import load_forms
from dify_etl.raw.frames import records_frame
from dify_etl.raw.tables import raw_table
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.unfinished_runs import PATIENCE
from dify_etl.warehouse.tables import frame, quoted

CHILDREN: dict[str, type[MessageChild]] = {
    "message_feedbacks": MessageFeedback,
    "message_citations": MessageCitation,
    "message_files": MessageFile,
    "agent_thoughts": AgentThought,
    "agent_tool_calls": AgentToolCall,
}
_ATTRIBUTES = {
    "message_feedbacks": "feedbacks",
    "message_citations": "citations",
    "agent_tool_calls": "tool_calls",
}
# All tables of parts; the forms of runs are filled by their nodes, too.
PARTS = (*CHILDREN, "human_inputs")

# An answer may be written for as long as a workflow may run (20 minutes by default).
ANSWERED_AFTER = timedelta(minutes=30)
SETTLED_AFTER = timedelta(hours=24)

# A message of so many bytes of text counts as one, and as one more for each STEP_BYTES beyond:
# while it is loaded, a text takes ten times its memory.
USUAL_BYTES, STEP_BYTES = 5_000, 1_000


def is_settled(message: Message, now: datetime, ended_runs: Collection[str] = frozenset()) -> bool:
    """Whether a message can change by itself no more: failed, answered for a while, or old.

    One that waits for a person does so until its run has ended, as long as runs are waited for;
    `ended_runs` are those of which no change is expected any more.
    """
    age = now - message.created_at
    if message.status == "error" or age > PATIENCE["paused"]:
        return True
    if may_wait(message):
        return message.workflow_run_id in ended_runs and age >= ANSWERED_AFTER
    is_answered = bool(message.answer) and age >= ANSWERED_AFTER
    return is_answered or age >= SETTLED_AFTER


def may_wait(message: Message) -> bool:
    """Whether only the message's run tells if it waits for a person.

    A run called in blocking mode leaves its message normal. Servers without human input send no
    `extra_contents`.
    """
    if message.status == "paused":
        return True
    is_run = message.workflow_run_id is not None and message.extra_contents is not None
    return is_run and (not message.answer or bool(message.human_inputs or message.odd_forms))


def size_of(messages: Sequence[Message]) -> int:
    """Messages, long ones as several; none count as one."""
    beyond = (max(0, _length(message) - USUAL_BYTES) for message in messages)
    return 1 + len(messages) + sum(length // STEP_BYTES for length in beyond)


def _length(message: Message) -> int:
    """Bytes of what can be long, as Python holds it: what was asked and answered, the prompt, the
    passages that were found (in the metadata, too), and what tools told.
    """
    texts = (message.answer, message.query, message.message, message.metadata, message.inputs)
    parts = (message.citations, message.agent_thoughts, message.tool_calls)
    return sum(map(getsizeof, texts)) + sum(text_bytes(found) for found in parts if found)


def load_children(
    loader: FeedLoader,
    messages: Sequence[Message],
    rows: pl.DataFrame,
    *,
    are_new: bool = False,
    plain: Mapping[str, pl.DataFrame] = MappingProxyType({}),
) -> None:
    """The parts of these messages; parts that Dify no longer shows are marked absent.

    `rows` are the messages' own, and those of further messages, all of whose parts stand by table
    in `plain`. `are_new`: none was held before, so no part can have vanished.
    """
    if rows.is_empty():
        return
    key = ["conversation_id", "message_id"]
    moments = rows.select(*key, message_created_at="created_at").unique(key)
    loader.sync.database.stage("_read", moments.select(key), raw_table("messages"))
    if not are_new:  # what is still odd is set aside again below
        loader.read_anew(rows["message_id"])
    for name, kind in CHILDREN.items():
        table = raw_table(name)
        parts = list(chain.from_iterable(parts_of(message, name) for message in messages))
        loader.note_drift(parts)
        found = records_frame(table, kind, parts)
        if name in plain:
            found = pl.concat([found, plain[name]])
        found = found.join(moments, on=key, how="left", maintain_order="left")
        loader.load_frame(table, found)
        if not are_new:
            scope = (
                "EXISTS (SELECT 1 FROM _read r WHERE r.message_id = t.message_id "
                "AND r.conversation_id = t.conversation_id)"
            )
            if not_all := _with_odd(messages, kind):
                scope += f" AND t.message_id NOT IN ({not_all})"
            loader.mark_absent(table, scope=scope, present=found)
    load_forms(loader, messages, are_new=are_new, scope="SELECT message_id FROM _read")
    for message in messages:
        loader.quarantine(
            message.app_id,
            message.odd_parts,
            parent_id=message.message_id,
            at=message.created_at,
        )


def load_parts_again(name: str, loader: FeedLoader, parts: Sequence[MessageChild]) -> None:
    """Parts that were set aside and can be read by now; call it inside a transaction.

    `name` is their table.
    """
    table = raw_table(name)
    ids = ", ".join(quoted(part.message_id) for part in parts)
    moments = loader.sync.database.frame(
        "SELECT message_id, any_value(created_at) AS message_created_at FROM raw.messages "
        f"WHERE message_id IN ({ids}) GROUP BY ALL"
    )
    found = records_frame(table, CHILDREN[name], parts)
    loader.load_frame(table, found.join(moments, on="message_id", how="left"))


def _with_odd(messages: Iterable[Message], kind: type[MessageChild]) -> str:
    """Messages that do not show all of their parts of a kind, as SQL; empty: none."""
    kinds = {kind.__name__, *([AgentThought.__name__] if kind is AgentToolCall else [])}
    return ", ".join(
        quoted(one.message_id)
        for one in messages
        if any(odd.record_class in kinds for odd in lost(one.odd_parts))
    )


def mark_messages_absent(loader: FeedLoader, conversations: str) -> None:
    """Messages and parts of conversations that Dify has no more; `conversations` is SQL for ids.

    The ledger forgets that these were read: a conversation that returns is due again.
    """
    _mark_absent(loader, f"t.conversation_id IN ({conversations})")
    loader.sync.database.execute(
        "UPDATE ops.conversation_reads SET state = 'absent', is_settled = true "
        f"WHERE conversation_id IN ({conversations})"
    )


def mark_messages_deleted(
    loader: FeedLoader, ids: Iterable[str], *, by: str = "message_id"
) -> None:
    """Single messages that Dify has no more, with their parts; their conversations stay. `by` is
    the column of the ids: `conversation_id` for logs of completions, which have one message each.
    """
    if listed := ", ".join(quoted(one) for one in sorted(ids)):
        _mark_absent(loader, f"t.{by} IN ({listed})")


def _mark_absent(loader: FeedLoader, scope: str) -> None:
    """Rows of messages and of their parts; `scope` is SQL over t."""
    for name in ("messages", *PARTS):
        table = raw_table(name)
        loader.mark_absent(table, scope=scope, present=frame(table, [], table.key))


def parts_of(message: Message, name: str) -> Sequence[MessageChild]:
    """The parts of a message that the raw table of this name holds."""
    found: Sequence[MessageChild] = getattr(message, _ATTRIBUTES.get(name, name))
    return found
