"""Messages: pages of a conversation by a strict cursor, and single ones."""

from __future__ import annotations

from dify_simulated.endpoints.apps import CHAT_MODES
from dify_simulated.endpoints.human_input import extra_contents
from dify_simulated.server.calls import EDITORS, Call, Route
from dify_simulated.server.errors import not_found
from dify_simulated.server.paging import LIMIT
from dify_simulated.server.parameters import Identifier
from dify_simulated.server.presentation import account_brief, epoch, known, signed
from dify_simulated.server.unbuilt_rows import RowNotShown, built_page, check_files
from dify_simulated.world.indexes import page_of
from dify_simulated.world.rows import AgentThought, Conversation, JsonObject, Message, MessageFile


def list_messages(call: Call) -> object:
    """GET /apps/{id}/chat-messages: the newest page first, ascending inside the page.

    `first_id` asks for messages strictly older than that message's second: those of the same second
    are skipped, and `has_more` is computed by the same rule.
    """
    asked = call.query(
        "ChatMessagesQuery",
        Identifier("conversation_id", required=True),
        Identifier("first_id"),
        LIMIT,
    )
    conversation = _shown_conversation(asked.text("conversation_id") or "", call)
    world, limit = call.world, asked.whole("limit")
    entries = world.messages_of_conversation[conversation.id].entries
    high = _older_than(asked.text("first_id"), conversation.id, call)
    ids = page_of(entries, low=0, high=high, offset=0, limit=limit, descending=True)
    rows = [world.messages[message_id] for message_id in reversed(ids)]
    index = world.messages_of_conversation[conversation.id]
    older = index.between(None, rows[0].created_at, end_inclusive=False)[1] if rows else 0
    return {
        "limit": limit,
        "has_more": len(rows) == limit and older > 0,
        "data": built_page(
            rows,
            lambda row: message_detail(row, call),
            "MessageInfiniteScrollPaginationResponse",
        ),
    }


def _shown_conversation(conversation_id: str, call: Call) -> Conversation:
    """Any of the app; of an agent only those of the account that asks."""
    row = call.conversation_of_app(conversation_id)
    if call.app.mode == "agent" and row.from_account_id != call.account.id:
        raise not_found("Conversation Not Exists.")
    return row


def _older_than(first_id: str | None, conversation_id: str, call: Call) -> int:
    index = call.world.messages_of_conversation[conversation_id]
    if first_id is None:
        return len(index)
    first = call.world.messages.get(first_id)
    if first is None or first.conversation_id != conversation_id:
        raise not_found("First message not found")
    return index.between(None, first.created_at, end_inclusive=False)[1]


def get_message(call: Call) -> object:
    """GET /apps/{id}/messages/{id}: no side effect, any mode, any member."""
    row = call.world.messages.get(call.path["message_id"])
    if row is None or row.app_id != call.app.id:
        raise not_found("Message Not Exists.")
    try:
        return message_detail(row, call)
    except RowNotShown as problem:
        raise problem.refusal("MessageDetailResponse") from None


def message_detail(row: Message, call: Call) -> JsonObject:
    """A message in full, with its children. Raises RowNotShown from 1.16.1."""
    if call.version.since(1, 16):
        check_files(row, call.world)
    values: JsonObject = {
        "id": row.id,
        "conversation_id": row.conversation_id,
        "inputs": row.inputs,
        "query": row.query,
        "message": row.message,
        "message_tokens": row.message_tokens,
        "answer": row.answer,
        "answer_tokens": row.answer_tokens,
        "provider_response_latency": row.provider_response_latency,
        "from_source": row.from_source,
        "from_end_user_id": row.from_end_user_id,
        "from_account_id": row.from_account_id,
        "feedbacks": _feedbacks(row, call),
        "workflow_run_id": row.workflow_run_id,
        "annotation": annotation_detail(row, call),
        "annotation_hit_history": _annotation_hit(row, call),
        "created_at": epoch(row.created_at),
        "agent_thoughts": [_thought(thought, call) for thought in row.agent_thoughts],
        "message_files": [_file(file, call) for file in row.message_files],
        "metadata": _metadata(row, call),
        "status": row.status,
        "error": row.error,
        "parent_message_id": row.parent_message_id,
        "extra_contents": extra_contents(row, call),
    }
    return known(values, extra_contents=call.version.has_human_input)


def _metadata(row: Message, call: Call) -> JsonObject:
    """Usage is shown of chatflows alone, and of these after 1.3; before, what is empty is left out.

    Basic apps save a message before its usage is known, which leaves a null there.
    """
    if call.version.since(1, 4):
        return row.message_metadata
    return {key: value for key, value in row.message_metadata.items() if value and key != "usage"}


def _feedbacks(row: Message, call: Call) -> list[JsonObject]:
    """Without ids and times: Dify shows neither."""
    given = call.world.feedbacks_of_message.get(row.id)
    if not given:
        return []
    feedbacks = (call.world.feedbacks[feedback_id] for feedback_id in given)
    return [
        {
            "rating": feedback.rating,
            "content": feedback.content,
            "from_source": feedback.from_source,
            "from_end_user_id": feedback.from_end_user_id,
            "from_account": account_brief(call, feedback.from_account_id),
        }
        for feedback in feedbacks
    ]


def annotation_detail(row: Message, call: Call) -> JsonObject | None:
    """The annotation of a message, None without one."""
    annotation_id = call.world.annotation_of_message.get(row.id)
    if annotation_id is None:
        return None
    annotation = call.world.annotations[annotation_id]
    return {
        "id": annotation.id,
        "question": annotation.question,
        "content": annotation.content,
        "account": account_brief(call, annotation.account_id),
        "created_at": epoch(annotation.created_at),
    }


def _annotation_hit(row: Message, call: Call) -> JsonObject | None:
    """The annotation that gave the answer, with its own time: Dify tells nowhere when it did."""
    hit = call.world.annotation_hits.get(call.world.hit_of_message.get(row.id, ""))
    annotation = None if hit is None else call.world.annotations.get(hit.annotation_id)
    if annotation is None:
        return None
    return {
        "annotation_id": annotation.id,
        "annotation_create_account": account_brief(call, annotation.account_id),
        "created_at": epoch(annotation.created_at),
    }


def _thought(thought: AgentThought, call: Call) -> JsonObject:
    tools = [tool for tool in thought.tool.split(";") if tool]
    values: JsonObject = {
        "id": thought.id,
        "chain_id": None,
        "message_id": thought.message_id,
        "position": thought.position,
        "thought": thought.thought,
        "answer": thought.answer,
        "tool": thought.tool,
        "tool_labels": {tool: {"en_US": tool, "zh_Hans": tool} for tool in tools},
        "tool_input": thought.tool_input,
        "created_at": epoch(thought.created_at),
        "observation": thought.observation,
        "files": [],
    }
    return known(values, answer=call.version.has_agents)


def _file(file: MessageFile, call: Call) -> JsonObject:
    return {
        "id": file.id,
        "filename": file.filename,
        "type": file.type,
        "url": file.remote_url or signed(f"{file.upload_file_id}/file-preview", call),
        "mime_type": file.mime_type,
        "size": file.size,
        "transfer_method": file.transfer_method,
        "belongs_to": file.belongs_to,
        "upload_file_id": file.upload_file_id,
    }


ROUTES = (
    Route(
        "GET",
        "/apps/<uuid:app_id>/chat-messages",
        list_messages,
        modes=CHAT_MODES,
        roles=EDITORS,
        roles_since=(1, 8),
    ),
    Route("GET", "/apps/<uuid:app_id>/messages/<uuid:message_id>", get_message),
)
