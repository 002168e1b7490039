"""Go round messages that Dify cannot show, such as one with a file on a host that is gone.

Every page of chat-messages that holds such a message fails, so a read ends just before it. What is
older is asked beside an id of the same conversation that is known otherwise: from earlier loads,
from runs of chatflows, from the feedback export. Annotations name no message.

Where the newest message is such a one, no page comes at all. Newer servers name the row; of older
ones, a known id that answers is the proof that a row is to blame and not the server.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import polars as pl

from dify_etl.dify.errors import DifyError, NotFound
from dify_etl.dify.http.suspected_rows import unrepeated_500
from dify_etl.dify.messages import Message
from dify_etl.dify.odd_rows import OddRows, may_be_a_row, words_of
from dify_etl.dify.record import Page, Rejected
from dify_etl.feeds.chat_messages import ConversationRead, Due
from dify_etl.feeds.feedback import EXPORTED_SINCE, Export, read_export
from dify_etl.feeds.message_parts import size_of
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.fetching import Fetched, FetchLimits, fetch
from dify_etl.sync.known_apps import KnownApp, known_apps
from dify_etl.sync.run import Sync
from dify_etl.sync.walks import known_by
from dify_etl.warehouse.tables import quoted

MOST_ENTRIES = 20  # ids per conversation with which a walk is begun
MOST_SINGLES = 100  # messages per conversation that are asked one by one
MOST_SILENT = 20  # conversations in a row of which nothing was shown; then it is the server
MOST_UNANSWERED = 3  # of either, while nothing shows that a row is to blame and not the server


@dataclass(frozen=True)
class KnownMessage:
    """A message that is known without having been read now; `is_held`: by an earlier read."""

    message_id: str
    created_at: datetime
    is_held: bool


@dataclass(frozen=True)
class OddConversation:
    """A conversation whose read ended at an odd message: the messages that came, and those that are
    known from elsewhere, newest first. `error`: no message came, and whether a row is why is open.
    """

    due: Due
    odd: OddRows
    read_ids: frozenset[str]
    is_settled: bool = True
    known: tuple[KnownMessage, ...] = ()
    error: DifyError | None = None

    @classmethod
    def of(cls, read: Fetched[Due, ConversationRead], now: datetime) -> "OddConversation | None":
        """What is left to be read behind an odd message; None where there is none."""
        if read.result is not None and (odd := read.result.odd) is not None:
            return cls(read.task, odd, read.result.ids, read.result.is_settled(now))
        is_walked = read.task.agent_id is None  # agents are asked for each message of their log
        if is_walked and isinstance(read.error, DifyError) and may_be_a_row(read.error):
            return cls(read.task, OddRows(words_of(read.error)), frozenset(), error=read.error)
        return None


def with_known(
    loader: FeedLoader,
    conversations: Sequence[OddConversation],
    exports: Sequence[Fetched[KnownApp, Export]],
) -> list[OddConversation]:
    """The same conversations with the messages that are known of each. Exports of their apps that
    this run has not read yet are read for that.
    """
    if not conversations:
        return []
    known = _known(loader, [conversation.due for conversation in conversations], exports)
    found = [
        replace(conversation, known=tuple(known[conversation.due.conversation_id]))
        for conversation in conversations
    ]
    return [
        conversation for conversation in found if conversation.known or conversation.error is None
    ]


def _known(
    loader: FeedLoader, dues: Sequence[Due], exports: Sequence[Fetched[KnownApp, Export]]
) -> dict[str, list[KnownMessage]]:
    database = loader.sync.database
    listed = ", ".join(quoted(due.conversation_id) for due in dues)
    exported = _exported(loader.sync, {due.app_id for due in dues}, exports)
    rows = database.rows(
        f"""SELECT conversation_id, message_id, created_at, absent_since IS NULL
        FROM raw.messages WHERE conversation_id IN ({listed}) AND message_id IS NOT NULL
        UNION ALL SELECT conversation_id, message_id, created_at, false
        FROM raw.workflow_runs WHERE conversation_id IN ({listed}) AND message_id IS NOT NULL
        AND created_at IS NOT NULL"""
    )
    found: dict[str, dict[str, KnownMessage]] = {due.conversation_id: {} for due in dues}
    for conversation_id, message_id, at, is_held in (*exported, *reversed(rows)):
        if conversation_id in found:  # what is held knows best, and comes last
            found[conversation_id][message_id] = KnownMessage(message_id, at, is_held)
    return {
        conversation_id: sorted(known.values(), key=lambda one: one.created_at, reverse=True)
        for conversation_id, known in found.items()
    }


def _exported(
    sync: Sync, app_ids: set[str], exports: Sequence[Fetched[KnownApp, Export]]
) -> Iterator[tuple[str, str, datetime, bool]]:
    """Messages that the feedback exports of these apps name."""
    done = {one.task.app_id: one.result for one in exports if one.result is not None}
    missing = [app for app in known_apps(sync) if app.app_id in app_ids - done.keys()]
    if sync.dify.version >= EXPORTED_SINCE:
        for one in fetch(missing, partial(read_export, sync), FetchLimits(workers=2)):
            done |= {one.task.app_id: one.result} if one.result is not None else {}
    for app_id in app_ids & done.keys():
        rows = done[app_id].rows.filter(pl.col("message_created_at").is_not_null())
        named = rows.select("conversation_id", "message_id", "message_created_at")
        yield from ((*row, False) for row in named.unique().iter_rows())


@dataclass
class _Behind:
    """What one conversation's walks behind its odd messages have shown."""

    conversation: OddConversation
    messages: dict[str, Message] = field(default_factory=dict)
    rejected: dict[tuple[str, str], Rejected] = field(default_factory=dict)

    def add(self, page: Page[Message]) -> None:
        """Take a page in."""
        self.messages.update((message.message_id, message) for message in page.records)
        self.rejected.update((known_by(one), one) for one in page.rejected)

    def has(self, message_id: str) -> bool:
        """Whether this message was shown, now or before."""
        return message_id in self.ids

    @property
    def is_open(self) -> bool:
        """Whether it is still open that a row is to blame: no message at all was shown."""
        return self.conversation.error is not None and not self.ids

    @property
    def ids(self) -> set[str]:
        """Every message that was shown."""
        set_aside = (row_id for row_id, _ in self.rejected)
        return {*self.conversation.read_ids, *self.messages, *set_aside}


@dataclass
class BehindOdd:
    """Reads what is older than odd messages. `silent`: conversations in a row of which a known id
    showed nothing. After many it is the server, and the others fail without being asked.
    """

    sync: Sync
    silent: int = 0

    def read(self, conversation: OddConversation) -> ConversationRead:
        """As read_behind."""
        if conversation.error is None:
            return read_behind(self.sync, conversation)
        if self.silent >= MOST_SILENT:
            raise conversation.error
        try:
            read = read_behind(self.sync, conversation)
        except DifyError:
            self.silent += 1
            raise
        self.silent = 0
        return read


def read_behind(sync: Sync, conversation: OddConversation) -> ConversationRead:
    """What is older than the odd message, as far as known ids lead there, and single messages.

    Raises the error of the conversation when nothing at all is shown.
    """
    behind = _Behind(conversation)
    reached, entries = conversation.odd.reached, 0
    for known in conversation.known:
        if entries >= (MOST_UNANSWERED if behind.is_open else MOST_ENTRIES):
            break
        if behind.has(known.message_id) or (reached and known.created_at > reached):
            continue
        entries += 1
        odd = _walk_from(sync, behind, known)
        if odd is None:
            break
        reached = odd.reached or known.created_at
    _read_singles(sync, behind)
    if conversation.error is not None and behind.is_open:
        raise conversation.error
    return _judged(behind)


def _walk_from(sync: Sync, behind: _Behind, known: KnownMessage) -> OddRows | None:
    """Walk on from a known message; the odd one at which it ended, None when all was shown."""
    due = behind.conversation.due
    walk = sync.dify.conversations.message_walk(due.app_id, due.conversation_id)
    walk.entries = (known.message_id,)
    try:
        with unrepeated_500():
            for page in walk:
                behind.add(page)
    except DifyError as error:
        if not isinstance(error, NotFound) and not may_be_a_row(error):
            raise
        return OddRows(error.what, reached=known.created_at)
    return next(iter(walk.proof.odd), None)


def _read_singles(sync: Sync, behind: _Behind) -> None:
    """GET messages/{id} of what is known and no page showed: the entries, and rows between."""
    due = behind.conversation.due
    unread = [one.message_id for one in behind.conversation.known if not behind.has(one.message_id)]
    for tried, message_id in enumerate(unread[:MOST_SINGLES]):
        if tried >= MOST_UNANSWERED and behind.is_open:
            break
        try:
            with unrepeated_500():
                message = sync.dify.conversations.message(due.app_id, message_id)
        except DifyError as error:
            if not isinstance(error, NotFound) and not may_be_a_row(error):
                raise
            continue
        behind.messages[message.message_id] = message


def _judged(behind: _Behind) -> ConversationRead:
    conversation, due = behind.conversation, behind.conversation.due
    held = {one.message_id for one in conversation.known if one.is_held}
    read, all_known = behind.ids, behind.ids | held
    missing, stale = due.message_count - len(all_known), len(all_known - read)
    found = tuple(behind.messages.values())
    reason = None
    if missing > 0 or stale:
        counted = f"{missing} of {due.message_count} messages stay out"
        if missing <= 0:
            counted = f"{stale} of {due.message_count} messages are held as they were read before"
        reason = f"{counted}: {conversation.odd.words}"
    return ConversationRead(
        messages=found,
        rejected=tuple(behind.rejected.values()),
        held=len(read),
        size=size_of(found),
        reason=reason,
        odd=conversation.odd if reason else None,
        is_held=missing <= 0,
        is_settled_otherwise=conversation.is_settled,
    )
