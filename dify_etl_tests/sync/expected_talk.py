"""The rows of conversations, messages and their parts that a world must give."""

from collections.abc import Iterator
from json import dumps, loads
from typing import Any

from dify_etl.raw.tables import CHARGED_COLUMNS
from dify_etl_tests.sync.expected_values import Row, Told, money, second
from dify_simulated.world.rows import Conversation, Feedback, Message

COMPACT: Any = {"ensure_ascii": False, "separators": (",", ":")}
# What Dify's database alone tells.
NOT_TOLD: Row = dict.fromkeys(column.name for column in CHARGED_COLUMNS)


def conversations(told: Told) -> Iterator[Row]:
    """raw.conversations: every conversation that a list shows."""
    for row in told.world.conversations.values():
        if told.is_listed(row.id):
            of_mode = _log_columns() if row.mode == "completion" else _chat_columns(told, row)
            yield _conversation(told, row) | of_mode


def _conversation(told: Told, row: Conversation) -> Row:
    user = told.world.end_users.get(row.from_end_user_id or "")
    config = told.world.apps[row.app_id].app_model_config
    return {
        "app_id": row.app_id,
        "conversation_id": row.id,
        "status": row.status,
        "from_source": row.from_source,
        "from_end_user_id": row.from_end_user_id,
        "from_end_user_session_id": user and user.session_id,
        "from_account_id": row.from_account_id,
        "from_account_name": told.account_name(row.from_account_id),
        "app_model_config": {
            "model": config.model if config and told.since(1, 16) else None,
            "pre_prompt": config.pre_prompt if config else None,
        },
        "read_at": second(row.read_at),
        "created_at": second(row.created_at),
        "updated_at": second(row.updated_at),
        **_ratings(told, row.id),
        **_source(told, row),
        "extra": None,
    }


def _source(told: Told, row: Conversation) -> Row:
    """What began it: told by the logs of agents, in which debugging and empty talks are not."""
    is_agent = told.mode(row.app_id) == "agent"
    is_logged = is_agent and row.invoke_from != "debugger" and bool(_messages_of(told, row.id))
    return {
        "source_type": "webapp" if is_logged else None,
        "source_app_id": row.app_id if is_logged else None,
        "source_workflow_id": None,
        "source_workflow_version": None,
        "source_node_id": None,
        "invoke_from": None,
    }


def _ratings(told: Told, conversation_id: str) -> Row:
    given = [
        (one.from_source, one.rating)
        for one in told.world.feedbacks.values()
        if one.conversation_id == conversation_id
    ]
    return {
        f"{source}_{rating}_count": given.count((source, rating))
        for source in ("user", "admin")
        for rating in ("like", "dislike")
    }


def _chat_columns(told: Told, row: Conversation) -> Row:
    messages = _messages_of(told, row.id)
    return {
        "name": row.name,
        "summary": row.summary or (messages[0].query if messages else ""),
        "is_annotated": any(
            one.conversation_id == row.id for one in told.world.annotations.values()
        ),
        "message_count": len(messages),
        **_outcomes(told, row, messages),
    }


def _log_columns() -> Row:
    unknown = ("name", "summary", "is_annotated", "message_count", "success_count")
    return dict.fromkeys((*unknown, "failed_count", "partial_success_count", "paused_count"))


def _messages_of(told: Told, conversation_id: str) -> list[Message]:
    return [
        told.world.messages[message_id]
        for message_id in told.world.messages_of_conversation[conversation_id]
    ]


def _outcomes(told: Told, row: Conversation, messages: list[Message]) -> Row:
    """The runs behind the messages; nulls where there are none, before 1.11.2 no messages; 1.0
    tells zeros.
    """
    names = {
        "success_count": "succeeded",
        "failed_count": "failed",
        "partial_success_count": "partial-succeeded",
        "paused_count": "paused",
    }
    is_old = not told.since(1, 11, 2)
    if told.since(1, 7) and not any(is_old or one.workflow_run_id for one in messages):
        return dict.fromkeys(names)
    runs = [told.world.workflow_runs.get(one.workflow_run_id or "") for one in messages]
    found = [run.status for run in runs if run is not None]
    counts: Row = {column: found.count(status) for column, status in names.items()}
    return counts if told.since(1, 13) else counts | {"paused_count": None}


def messages(told: Told) -> Iterator[Row]:
    """raw.messages: in full, or what the list of a completion app tells."""
    for row in told.messages():
        yield _whole(told, row) if told.is_opened(row) else _listed(told, row)


def _asked(told: Told, row: Message) -> Row:
    held = told.world.annotation_of_message.get(row.id)
    annotation = told.world.annotations[held] if held else None
    return {
        "app_id": row.app_id,
        "conversation_id": row.conversation_id,
        "query": row.query,
        "answer": row.answer,
        "inputs": row.inputs,
        "from_source": row.from_source,
        "from_end_user_id": row.from_end_user_id,
        "from_account_id": row.from_account_id,
        "annotation_id": annotation and annotation.id,
        "annotation_question": annotation and annotation.question,
        "annotation_content": annotation and annotation.content,
        "annotation_account_id": annotation and annotation.account_id,
        "annotation_created_at": annotation and second(annotation.created_at),
        "extra": None,
    }


def _metadata(told: Told, row: Message) -> dict[str, Any]:
    """Up to 1.3 without usage, and without what is empty."""
    metadata: dict[str, Any] = row.message_metadata
    if told.since(1, 4):
        return metadata
    return {key: value for key, value in metadata.items() if value and key != "usage"}


def _whole(told: Told, row: Message) -> Row:
    metadata = _metadata(told, row)
    return {
        **_asked(told, row),
        "message_id": row.id,
        "parent_message_id": row.parent_message_id,
        "workflow_run_id": row.workflow_run_id,
        "message": row.message,
        "status": row.status,
        "error": row.error,
        "created_at": second(row.created_at),
        "message_tokens": row.message_tokens,
        "answer_tokens": row.answer_tokens,
        "latency_seconds": row.provider_response_latency,
        "metadata": metadata,
        **NOT_TOLD,
        "message_source": "detail" if told.mode(row.app_id) == "completion" else "chat",
        **_usage(metadata.get("usage") or {}),
        **_logged_price(told, row),
        **_hit(told, row),
    }


def _logged_price(told: Told, row: Message) -> Row:
    """The log of an agent tells what no message does; debugging stands in no log."""
    if told.mode(row.app_id) != "agent" or row.invoke_from == "debugger":
        return {}
    return {
        "total_tokens": row.message_tokens + row.answer_tokens,
        "total_price": row.total_price,
        "currency": row.currency,
    }


def _usage(usage: Row) -> Row:
    counts = ("prompt_tokens", "completion_tokens", "total_tokens", "currency")
    prices = ("prompt_unit_price", "prompt_price_unit", "prompt_price", "completion_unit_price")
    more = ("completion_price_unit", "completion_price", "total_price")
    return {
        **{name: usage.get(name) for name in counts},
        **{name: money(usage.get(name)) for name in (*prices, *more)},
        "usage_latency_seconds": usage.get("latency"),
        "time_to_first_token_seconds": usage.get("time_to_first_token"),
        "time_to_generate_seconds": usage.get("time_to_generate"),
    }


def _hit(told: Told, row: Message) -> Row:
    hit = told.world.annotation_hits.get(told.world.hit_of_message.get(row.id, ""))
    annotation = hit and told.world.annotations.get(hit.annotation_id)
    return {
        "annotation_hit_id": annotation and annotation.id,
        "annotation_hit_account_id": annotation and annotation.account_id,
        "annotation_hit_created_at": annotation and second(annotation.created_at),
    }


def _listed(told: Told, row: Message) -> Row:
    """No id, tokens, latency or status; the prompt is the text of its first part."""
    prompts: Any = row.message
    unknown = ("message_id", "parent_message_id", "workflow_run_id", "status", "error")
    counted = ("message_tokens", "answer_tokens", "latency_seconds", "metadata")
    conversation = told.world.conversations[row.conversation_id]
    return {
        **_asked(told, row),
        **dict.fromkeys((*unknown, *counted)),
        **_usage({}),
        "message": prompts[0]["text"],
        "created_at": second(conversation.created_at),
        **NOT_TOLD,
        "message_source": "list",
        **dict.fromkeys(
            ("annotation_hit_id", "annotation_hit_account_id", "annotation_hit_created_at")
        ),
    }


def _part(row: Message) -> Row:
    return {
        "app_id": row.app_id,
        "conversation_id": row.conversation_id,
        "message_id": row.id,
        "message_created_at": second(row.created_at),
        "extra": None,
    }


def message_feedbacks(told: Told) -> Iterator[Row]:
    """raw.message_feedbacks: of opened messages; of closed ones what the export tells."""
    for message in told.messages():
        given = [told.world.feedbacks[i] for i in told.world.feedbacks_of_message[message.id]]
        for position, row in enumerate(given, start=1):
            if told.is_opened(message):
                yield _feedback(told, message, row) | {"position": position}
            elif told.since(1, 10, 1):
                name = told.account_name(row.from_account_id)
                yield _feedback(told, message, row) | {
                    "position": None,
                    "from_account_id": None,
                    "from_account_name": name,
                    "from_account_email": None,
                }


def _feedback(told: Told, message: Message, row: Feedback) -> Row:
    account = told.world.accounts.get(row.from_account_id or "")
    is_exported = told.since(1, 10, 1)
    return {
        **_part(message),
        "rating": row.rating,
        "content": row.content,
        "from_source": row.from_source,
        "from_end_user_id": row.from_end_user_id,
        "from_account_id": account and account.id,
        "from_account_name": account and account.name,
        "from_account_email": account and account.email,
        "feedback_id": row.id if is_exported else None,
        "created_at": second(row.created_at) if is_exported else None,
    }


def message_citations(told: Told) -> Iterator[Row]:
    """raw.message_citations: the passages behind an answer."""
    for message in told.messages():
        metadata: dict[str, Any] = message.message_metadata if told.is_opened(message) else {}
        for number, passage in enumerate(metadata.get("retriever_resources") or (), 1):
            yield _part(message) | passage | {"citation_number": number}


def message_files(told: Told) -> Iterator[Row]:
    """raw.message_files."""
    for message in told.messages():
        for row in message.message_files if told.is_opened(message) else ():
            yield {
                **_part(message),
                "message_file_id": row.id,
                "filename": row.filename,
                "file_type": row.type,
                "url": row.remote_url
                or f"http://dify.test/files/{row.upload_file_id}/file-preview",
                "mime_type": row.mime_type,
                "size_bytes": row.size,
                "transfer_method": row.transfer_method,
                "belongs_to": row.belongs_to,
                "upload_file_id": row.upload_file_id,
            }


def agent_tool_calls(told: Told) -> Iterator[Row]:
    """raw.agent_tool_calls: of steps alone for agents; with the log's figures for agent-chat."""
    for message in told.messages():
        is_logged = told.mode(message.app_id) == "agent-chat"
        for row in message.agent_thoughts:
            for number, tool in enumerate([one for one in row.tool.split(";") if one], start=1):
                output = loads(row.observation)[tool]
                yield {
                    **_part(message),
                    "agent_thought_id": row.id,
                    "position": row.position,
                    "call_position": number,
                    "tool_name": tool,
                    "tool_input": dumps(loads(row.tool_input)[tool], **COMPACT),
                    "tool_output": output if isinstance(output, str) else dumps(output, **COMPACT),
                    "status": "success" if is_logged else None,
                    "error": row.error,
                    "seconds": row.latency if is_logged else None,
                    "step_tokens": row.tokens if is_logged else None,
                    "created_at": second(row.created_at),
                }


def agent_thoughts(told: Told) -> Iterator[Row]:
    """raw.agent_thoughts."""
    for message in told.messages():
        for row in message.agent_thoughts:
            tools = [tool for tool in row.tool.split(";") if tool]
            yield {
                **_part(message),
                "agent_thought_id": row.id,
                "chain_id": None,
                "position": row.position,
                "thought": row.thought,
                "answer": row.answer if told.since(1, 15) else None,
                "tool": row.tool,
                "tool_labels": {tool: {"en_US": tool, "zh_Hans": tool} for tool in tools},
                "tool_input": row.tool_input,
                "observation": row.observation,
                "files": [],
                "created_at": second(row.created_at),
            }
