"""Messages of completion apps: opened only where that leaves no trace, or where it is wanted.

The list tells neither message id nor tokens; the detail does, but marks the log as read in Dify.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from dify_etl.dify.app_modes import COMPLETION_MODES
from dify_etl.dify.errors import NotFound
from dify_etl.dify.messages import Message
from dify_etl.dify.record import Rejected, check_identity
from dify_etl.feeds.annotated_messages import ANNOTATED_OTHERWISE
from dify_etl.feeds.message_parts import is_settled, load_children, size_of
from dify_etl.raw.frames import records_frame
from dify_etl.raw.tables import raw_table
from dify_etl.sync.days import is_due_again
from dify_etl.sync.due import take_due
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.fetching import Fetched
from dify_etl.sync.known_apps import asked_apps
from dify_etl.sync.ledger import CONVERSATION_READS
from dify_etl.sync.rights import why_not_shown
from dify_etl.sync.run import Sync
from dify_etl.warehouse.tables import frame, quoted

RATINGS = ("user_like_count", "user_dislike_count", "admin_like_count", "admin_dislike_count")
# The temporary table of the logs that were due last, by conversation_id.
DUE_LOGS = "_due_logs"


@dataclass(frozen=True)
class DueLog:
    """A log to open: its ratings now."""

    conversation_id: str
    app_id: str
    tries: int
    ratings: tuple[Any, ...]


@dataclass(frozen=True)
class OpenedLog:
    """A log's detail: its message, and what of it is odd. `size` is that of the message."""

    message: Message | None
    rejected: tuple[Rejected, ...] = ()

    @property
    def size(self) -> int:
        """As of a conversation."""
        return size_of([self.message] if self.message else [])

    @property
    def is_odd(self) -> bool:
        """Whether the message, a field or a part of it could not be read."""
        return bool(self.rejected) or (
            self.message is not None and bool(self.message.odd_parts or self.message.odd_forms)
        )


def read_log(sync: Sync, log: DueLog) -> OpenedLog:
    """GET completion-conversations/{id}."""
    detail = sync.dify.conversations.completion_detail(log.app_id, log.conversation_id)
    conversations = [detail.conversation_id]
    conversations += [detail.message.conversation_id] if detail.message else []
    for told in conversations:
        where = "GET completion-conversations/{conversation_id}"
        check_identity(told, log.conversation_id, endpoint=where)
    return OpenedLog(detail.message, detail.rejected)


def due_logs(sync: Sync, among: str = "true") -> tuple[int, Iterator[DueLog]]:
    """How many logs' details are due (allowed, and not read, changed in ratings, or not settled;
    in a full sync all that are allowed), and these.

    Allowed are those that an editor has read already, or all. `among` as in due_conversations.
    """
    apps = ", ".join(quoted(app.app_id) for app in asked_apps(sync, *COMPLETION_MODES)) or "''"
    allowed = "true" if sync.rules.completion_detail else "c.read_at IS NOT NULL"
    differs = " OR ".join(f"c.{name} IS DISTINCT FROM r.{name}" for name in RATINGS)
    again = "true" if sync.plan.is_full else "false"
    count, rows = take_due(
        sync.database,
        f"""SELECT c.conversation_id, c.app_id, coalesce(r.tries, 0),
            {", ".join(f"c.{name}" for name in RATINGS)}
        FROM raw.conversations c LEFT JOIN ops.conversation_reads r USING (conversation_id)
        WHERE c.absent_since IS NULL AND c.app_id IN ({apps}) AND {allowed} AND {among}
          AND (r.conversation_id IS NULL OR r.state = 'absent' OR {again} OR {differs}
            OR NOT r.is_settled
            OR c.conversation_id IN ({ANNOTATED_OTHERWISE}))
          AND ({again} OR r.conversation_id IS NULL
            OR {is_due_again("r.tries", "r.read_at", sync.now)})""",
        table=DUE_LOGS,
    )
    return count, (DueLog(row[0], row[1], row[2], tuple(row[3:])) for row in rows)


def load_logs(loader: FeedLoader, logs: Sequence[Fetched[DueLog, OpenedLog]]) -> None:
    """Their messages with parts, and the ledger row of each; call it inside a transaction."""
    if not logs:
        return
    load_opened(loader, [one.result.message for one in logs if one.result and one.result.message])
    good = [(one.task, one.result) for one in logs if one.result is not None]
    loader.read_anew(log.conversation_id for log, _ in good)
    for log, opened in good:
        loader.quarantine(log.app_id, opened.rejected, parent_id=log.conversation_id)
    read = [_ledger_row(loader.sync, one) for one in logs]
    loader.load_frame(CONVERSATION_READS, frame(CONVERSATION_READS, read))


def load_opened(loader: FeedLoader, messages: Sequence[Message]) -> None:
    """Messages of opened logs with their parts; call it inside a transaction."""
    identify(loader, {message.conversation_id: message.message_id for message in messages})
    table = raw_table("messages")
    rows = records_frame(table, Message, messages)
    loader.note_drift(messages)
    opened = rows.with_columns(pl.lit("detail").alias("message_source"))
    loader.load_frame(table, opened, repeated=opened.height)
    load_children(loader, messages, rows)


def identify(loader: FeedLoader, message_of: Mapping[str, str]) -> None:
    """The row that the list brought without a message id is the same message; `message_of` names it
    by conversation.
    """
    if not message_of:
        return
    table = raw_table("messages")
    ids = list(message_of.items())
    rows = pl.DataFrame(ids, {"conversation_id": pl.String, "message_id": pl.String}, orient="row")
    loader.sync.database.stage("_opened", rows, table)
    loader.sync.database.execute(
        """UPDATE raw.messages t SET message_id = s.message_id FROM _opened s
        WHERE t.conversation_id = s.conversation_id AND t.message_id IS NULL""",
        is_told=True,
    )


def _ledger_row(sync: Sync, one: Fetched[DueLog, OpenedLog]) -> dict[str, Any]:
    log = one.task
    message = one.result.message if one.result else None
    is_odd = one.result is not None and one.result.is_odd
    is_gone = isinstance(one.error, NotFound)
    hidden = why_not_shown(sync, one.error)
    state = "absent" if is_gone else "unproven" if hidden else "failed" if one.error else "proven"
    return dict(zip(RATINGS, log.ratings, strict=True)) | {
        "conversation_id": log.conversation_id,
        "app_id": log.app_id,
        "held_count": 1 if message else 0,
        # What waits in quarantine is asked again every night, until it is well.
        "is_settled": is_gone
        or (message is not None and is_settled(message, sync.now) and not is_odd),
        "state": state,
        "reason": hidden or (str(one.error) if one.error else None),
        "tries": 0 if hidden or not one.error else log.tries + 1,
        "read_at": sync.dify.earlier_time(),
    }
