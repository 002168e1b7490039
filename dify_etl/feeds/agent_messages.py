"""Messages of agents: their log shows everybody's talks, and each message tells the rest itself.

`chat-messages` shows an account its own talks alone. Those of debugging stand in no log: one's own
are read by it, those of other accounts nothing shows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dify_etl.dify.agents import AgentLogMessage
from dify_etl.dify.errors import DifyError, NoSuchEndpoint, NotFound, Refused, UnexpectedAnswer
from dify_etl.dify.messages import Message
from dify_etl.dify.odd_rows import may_be_a_row
from dify_etl.dify.record import Rejected, check_identity
from dify_etl.feeds.chat_messages import ConversationRead, Due, read_conversation
from dify_etl.feeds.message_parts import size_of
from dify_etl.feeds.tool_logs import with_tool_logs
from dify_etl.sync.fetching import FATAL
from dify_etl.sync.run import Sync

OF_WORKFLOW = "talk of a workflow whose app no list shows: the agent's log alone tells of it"
# What tells of one message alone; NoSuchEndpoint answers an id that is no UUID.
_OF_ONE_MESSAGE = (NotFound, NoSuchEndpoint, Refused, UnexpectedAnswer)
_MESSAGE = "GET /apps/{app_id}/messages/{message_id}"
OTHERS_DEBUGGING = "debugging talk of another account: Dify shows its messages to that one alone"


@dataclass
class _Found:
    """What was read of one talk; of `logged` the log alone tells, `doubts` say why."""

    messages: list[Message] = field(default_factory=list)
    logged: list[AgentLogMessage] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def read_any_conversation(sync: Sync, due: Due) -> ConversationRead:
    """A conversation of any app: those of agents by their log, others by chat-messages."""
    if due.agent_id is not None:
        return _read_agent_conversation(sync, due)
    read = read_conversation(sync, due)
    return with_tool_logs(sync, due, read) if due.mode == "agent-chat" else read


def _read_agent_conversation(sync: Sync, due: Due) -> ConversationRead:
    if due.seen[0] == 0:
        return ConversationRead((), (), 0, 1, None)
    assert due.agent_id is not None
    walk = sync.dify.agents.log_messages_walk(due.agent_id, due.conversation_id)
    logged: dict[str, AgentLogMessage] = {}
    rejected: list[Rejected] = []
    for page in walk:
        logged.update((row.message_id, row) for row in page.records)
        rejected += page.rejected
    if not logged and not rejected:
        return _unlogged(sync, due)
    is_of_workflow = due.source_type == "workflow"
    found = _Found(logged=list(logged.values())) if is_of_workflow else _whole(sync, due, logged)
    ids = {*logged, *(one.record_id for one in rejected)}
    wanted = max(len(ids), due.message_count)
    doubts = [] if walk.proof.is_proven else [f"log: {walk.proof.reason}"]
    doubts += [f"{len(ids)} of {wanted} messages in the log"] if len(ids) < wanted else []
    doubts += [f"{len(rejected)} rows of the log rejected"] if rejected else []
    return ConversationRead(
        tuple(found.messages),
        (*found.rejected, *rejected),
        len(ids),
        size_of(found.messages) + len(found.logged),
        "; ".join([*doubts, *found.doubts[:3]]) or (OF_WORKFLOW if is_of_workflow else None),
        is_hidden=is_of_workflow and not doubts,
        logged=tuple(found.logged),
    )


def _unlogged(sync: Sync, due: Due) -> ConversationRead:
    """A talk with messages that the log does not show: one of debugging."""
    if due.is_own:
        return read_conversation(sync, due)
    if due.account_id is not None:
        return ConversationRead((), (), 0, 1, OTHERS_DEBUGGING, is_hidden=True)
    reason = f"the agent's log shows none of {due.message_count} messages"
    return ConversationRead((), (), 0, 1, reason)


def _whole(sync: Sync, due: Due, logged: Mapping[str, AgentLogMessage]) -> _Found:
    """Each message itself, but those that are held; what the log alone tells is joined to it.

    Of a message that Dify cannot show, such as one with a file on a host that is gone, the row of
    the log is taken: it tells tokens and price. So it is with all that are left when the server
    fails in the middle: what was read of a long talk is not thrown away.
    """
    found = _Found()
    failure: DifyError | None = None
    for message_id, row in logged.items():
        if message_id in due.known_ids:
            continue
        if failure is not None:
            found.logged.append(row)
            continue
        try:
            batch = sync.dify.conversations.message_batch(due.app_id, message_id)
            for one in batch:
                check_identity(one.message_id, message_id, endpoint=_MESSAGE)
                check_identity(one.conversation_id, due.conversation_id, endpoint=_MESSAGE)
        except FATAL:
            raise
        except DifyError as error:
            is_its_own = isinstance(error, _OF_ONE_MESSAGE) or may_be_a_row(error)
            failure = None if is_its_own else error
            found.doubts.append(f"message {message_id}: {error}")
            found.logged.append(row)
            continue
        found.rejected += batch.rejected
        found.messages += [_with_price(message, row) for message in batch.records]
    return found


def _with_price(message: Message, row: AgentLogMessage) -> Message:
    """The log tells what Dify's statistics add up; a message may lack its usage."""
    if row.total_price is None:
        return message
    told = {
        "total_price": row.total_price,
        "currency": row.currency,
        "total_tokens": row.total_tokens,
    }
    return message.model_copy(
        update={key: value for key, value in told.items() if value is not None}
    )
