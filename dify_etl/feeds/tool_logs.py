"""What the log of an agent-chat app tells of tools: seconds, status, error, tokens.

One request per message with calls. Reading it leaves no trace. Whatever it answers costs these
figures alone (it fails while the server's plugin daemon is down): the messages and calls are there
without them, and their day says why.
"""

from dataclasses import replace
from itertools import chain

from dify_etl.dify.errors import (
    AnswerOutOfBounds,
    DifyError,
    NoSuchEndpoint,
    NotFound,
    NotShown,
    Refused,
    UnexpectedAnswer,
)
from dify_etl.dify.messages import AgentThought, Message
from dify_etl.dify.record import Batch, lost, unexpected
from dify_etl.dify.tool_calls import AgentToolCall, LoggedStep
from dify_etl.feeds.chat_messages import ConversationRead, Due
from dify_etl.sync.fetching import FATAL, share, without_frames
from dify_etl.sync.rights import not_shown_reason
from dify_etl.sync.run import Sync


def with_tool_logs(sync: Sync, due: Due, read: ConversationRead) -> ConversationRead:
    """The same messages, their calls with what the log tells.

    Calls that the log does not tell leave the read in doubt; where the server has no such log, in
    one that no repetition heals. A log that does not answer, or not for us, is asked once a talk.
    """
    messages = list(read.messages)
    asked = [place for place, message in enumerate(messages) if message.tool_calls]
    errors: list[DifyError] = []

    def ask(place: int) -> tuple[int, Message | DifyError]:
        try:
            return place, _logged(sync, due, read.messages[place])
        except FATAL:
            raise
        except DifyError as error:
            return place, without_frames(error)

    left = len(asked)
    # The first one shows whether any is answered; then the others are asked together.
    for place, found in chain(map(ask, asked[:1]), share(ask, asked[1:])):
        left -= 1
        if isinstance(found, Message):
            messages[place] = found
            continue
        errors.append(found)
        if not isinstance(found, NotFound | Refused | UnexpectedAnswer) or isinstance(
            found, AnswerOutOfBounds
        ):
            errors += [found] * left
            break
    read = replace(read, messages=tuple(messages))
    if read.reason is not None or not errors:
        return read
    reason = f"tool calls of {len(errors)} messages lack seconds and errors: {errors[0]}"
    if isinstance(errors[0], NotShown):
        told = not_shown_reason(errors[0], None)  # as all reasons of rights begin
        lacking = f"tool calls of {len(errors)} messages lack seconds and errors"
        return replace(read, reason=f"{told} ({lacking})", is_hidden=True)
    return replace(read, reason=reason, is_hidden=isinstance(errors[0], NoSuchEndpoint))


def _logged(sync: Sync, due: Due, message: Message) -> Message:
    log = sync.dify.conversations.tool_log(due.app_id, due.conversation_id, message.message_id)
    odd = [one for one in lost(message.odd_parts) if one.record_class == AgentThought.__name__]
    if rejected := (*log.rejected, *odd):  # which step of the one is which of the other?
        raise unexpected(rejected[0])
    return with_steps(message, log)


def with_steps(message: Message, log: Batch[LoggedStep]) -> Message:
    """A message, its calls with what the steps of a log tell of them, step by step."""
    steps = [thought.agent_thought_id for thought in message.agent_thoughts]
    calls = tuple(
        _joined(call, steps.index(call.agent_thought_id), log) for call in message.tool_calls
    )
    return message.model_copy(update={"tool_calls": calls})


def _joined(call: AgentToolCall, place: int, log: Batch[LoggedStep]) -> AgentToolCall:
    """A log that shows other steps than the message is not believed."""
    if place >= len(log):
        return call
    step = log.records[place]
    if call.call_position > len(step.tool_calls):
        return call
    logged = step.tool_calls[call.call_position - 1]
    if logged.tool_name != call.tool_name:
        return call
    told = {"status": logged.status, "error": logged.error, "seconds": logged.seconds}
    return call.model_copy(update=told | {"step_tokens": step.tokens})
