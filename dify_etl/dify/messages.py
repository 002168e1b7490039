"""The message and what hangs on it: feedback, agent thoughts, files, citations, human input.

Records only; `conversations.py` reads them. Message, chat-messages and the completion detail share
one shape. The console API tells neither model nor app of a message.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ConfigDict, Field

from dify_etl.dify.json_text import JsonText
from dify_etl.dify.message_child import MessageChild
from dify_etl.dify.record import (
    Batch,
    Id,
    Instant,
    JsonRow,
    Money,
    Record,
    Rejected,
    aliased,
    optional,
    parse,
)
from dify_etl.dify.tool_calls import AgentToolCall, calls_of


class MessageFeedback(MessageChild):
    """A like or dislike. Dify gives neither an id nor a time here."""

    needs = MessageChild.needs | {
        *("position", "rating", "from_source", "from_end_user_id", "from_account_id")
    }

    position: int = aliased(
        "position", description="place in Dify's list of this message, from 1", is_volatile=True
    )
    rating: str = aliased("rating", description="like or dislike")
    content: str | None = optional(description="comment", is_text=True)
    from_source: str = aliased("from_source", description="user or admin")
    from_end_user_id: str | None = optional(description="end user, when from_source is user")
    from_account_id: str | None = optional(
        "from_account", "id", description="account, when from_source is admin"
    )
    from_account_name: str | None = optional(
        "from_account", "name", description="its name", keeps_last=True, is_person=True
    )
    from_account_email: str | None = optional(
        "from_account", "email", description="its e-mail", keeps_last=True, is_person=True
    )


class AgentThought(MessageChild):
    """One step of an agent."""

    needs = MessageChild.needs | {"agent_thought_id"}

    agent_thought_id: Id = aliased("id", description="id of the step")
    chain_id: str | None = optional(description="always null in practice")
    position: int | None = optional(description="order of the step, from 1")
    thought: str | None = optional(description="what the model thought", is_text=True)
    answer: str | None = optional(
        description="text of the answer in this step (since 1.15)", is_text=True
    )
    tool: str | None = optional(description="tools called, joined by ;")
    tool_labels: JsonText | None = optional(description="tool names by language, JSON")
    tool_input: str | None = optional(
        description="arguments by tool, JSON text of Dify", is_text=True
    )
    observation: str | None = optional(
        description="results by tool, JSON text of Dify", is_signed=True, is_text=True
    )
    files: JsonText | None = optional(description="file ids, JSON list", is_signed=True)
    created_at: Instant | None = optional(description="when the step was stored")


class MessageFile(MessageChild):
    """A file of a question or an answer."""

    needs = MessageChild.needs | {"message_file_id"}

    message_file_id: Id = aliased("id", description="id of the file's link to the message")
    # Dify looks up what a file is on every read, for remote files on the other host.
    filename: str | None = optional(
        description="name of the file", is_volatile=True, keeps_last=True, is_text=True
    )
    file_type: str | None = optional("type", description="image, document, audio, video, custom")
    url: str | None = optional(
        description="signed address; the signature is an old one",
        is_volatile=True,
        keeps_last=True,
        is_signed=True,
        is_text=True,
    )
    mime_type: str | None = optional(description="media type", is_volatile=True, keeps_last=True)
    size_bytes: int | None = optional(
        "size",
        description="size in bytes; -1: the other host does not tell it",
        is_volatile=True,
        keeps_last=True,
    )
    transfer_method: str | None = optional(description="local_file, remote_url, tool_file")
    belongs_to: str | None = optional(
        description="user (question) or assistant (answer)", keeps_last=True
    )
    upload_file_id: str | None = optional(
        description="id of the file that was uploaded, or that a tool made",
        is_volatile=True,
        keeps_last=True,
    )


class MessageCitation(MessageChild):
    """A passage that retrieval gave to the model (metadata.retriever_resources).

    Dify's own `position` counts within one retrieval: where a workflow joins several it repeats,
    and a source that is no retrieval tells none.
    """

    needs = MessageChild.needs | {"citation_number"}

    citation_number: int = Field(description="place in Dify's list of this message, from 1")
    position: int | None = optional(
        description="rank of the passage in its retrieval, from 1, as Dify tells it; null: not told"
    )
    dataset_id: str | None = optional(description="dataset of the passage")
    dataset_name: str | None = optional(description="its name then")
    document_id: str | None = optional(description="document of the passage")
    document_name: str | None = optional(description="its name then")
    data_source_type: str | None = optional(description="upload_file, notion_import, …")
    segment_id: str | None = optional(description="id of the passage")
    retriever_from: str | None = optional(description="api, dev or workflow")
    score: float | None = optional(description="similarity, usually 0 to 1")
    hit_count: int | None = optional(description="how often the passage was found till then")
    word_count: int | None = optional(description="characters of the passage, as Dify counts")
    segment_position: int | None = optional(description="place in the document, from 1")
    index_node_hash: str | None = optional(description="hash of the passage")
    content: str | None = optional(description="text of the passage", is_text=True)
    page: JsonText | None = optional(description="page of the document, JSON")
    doc_metadata: JsonText | None = optional(description="metadata of the document, JSON")


class HumanInput(MessageChild):
    """A form that a run shows a person (`extra_contents` of its message, since 1.13).

    Dify sends the form's token with it, with which anybody may answer without a login: only what is
    named here is taken over, and nothing else is kept.
    """

    model_config = ConfigDict(extra="ignore")
    needs = MessageChild.needs | {"workflow_run_id", "form_id", "node_id"}

    # Runs of workflow apps tell forms, too, and know neither conversation nor message.
    conversation_id: Id = aliased(
        "conversation_id", description="id of the conversation", keeps_last=True
    )
    message_id: Id = aliased("message_id", description="id of the message", keeps_last=True)
    workflow_run_id: Id = Field(description="run that waits for the answer")
    form_id: str | None = optional(
        description="id of the form; null where the server does not tell it", keeps_last=True
    )
    node_id: Id = Field(description="id of the human input node in the graph")
    node_title: str | None = optional(description="title of that node", keeps_last=True)
    form_content: str | None = optional(
        description="what is asked, Markdown with placeholders",
        keeps_last=True,
        is_signed=True,
        is_text=True,
    )
    form_inputs: JsonText | None = optional(
        "inputs",
        description="fields to fill in, JSON list",
        keeps_last=True,
        is_signed=True,
        is_text=True,
    )
    actions: JsonText | None = optional(
        description="buttons that are offered, JSON list", keeps_last=True
    )
    expires_at: Instant | None = optional(
        "expiration_time", description="until when it may be answered", keeps_last=True
    )
    is_submitted: bool | None = optional("submitted", description="whether it was answered")
    action_id: str | None = optional(
        description="id of the button that was chosen", keeps_last=True
    )
    action_text: str | None = optional(description="title of that button", keeps_last=True)
    submitted_data: JsonText | None = optional(
        description="values filled in by field, JSON", keeps_last=True, is_signed=True, is_text=True
    )
    rendered_content: str | None = optional(
        description="what was asked, with the values in it",
        keeps_last=True,
        is_signed=True,
        is_text=True,
    )
    answered_by: str | None = optional(
        description="who answered, by Dify's database: name of the account, session id of the end "
        "user; no server up to August 2026 tells it",
        is_volatile=True,
        keeps_last=True,
        is_person=True,
    )

    @classmethod
    def prepare(cls, row: JsonRow, context: Mapping[str, Any]) -> JsonRow:
        """What is taken over of the row; the context are the ids of its message."""
        return {**_form(row), **context}


_SENDS_PARTS = "GET /apps/{app_id}/chat-messages"
_FORM = (
    *("form_id", "node_id", "node_title", "form_content", "inputs", "actions"),
    "expiration_time",
)
_SUBMISSION = (
    *("node_id", "node_title", "action_id", "action_text", "submitted_data"),
    "rendered_content",
)


def _forms(found: Any, ids: JsonRow) -> Batch[HumanInput]:
    """The forms of a message, without their tokens; what is no list holds none.

    An odd form is set aside by itself: its message is good without it. `ids` are the message's.
    """
    if not isinstance(found, list):
        return Batch(())
    batches = [
        (place, content, parse(HumanInput, [content], endpoint=_SENDS_PARTS, context=ids))
        for place, content in enumerate(found)
        if isinstance(content, dict) and content.get("type") == "human_input"
    ]
    return Batch(
        tuple(form for *_, batch in batches for form in batch),
        tuple(
            replace(odd, position=place, record_id=_name_of_form(content, ids, place))
            for place, content, batch in batches
            for odd in batch.rejected
        ),
    )


def _name_of_form(content: JsonRow, ids: JsonRow, place: int) -> str:
    """The form's own id, else its place in its message."""
    form_id = _form(content).get("form_id")
    return form_id if isinstance(form_id, str) else f"{ids['message_id']}/{place}"


def _form(content: JsonRow) -> JsonRow:
    """What is taken over; 1.13 to 1.15 may leave the definition of a submitted form out."""
    parts = (("form_definition", _FORM), ("form_submission_data", _SUBMISSION))
    taken: JsonRow = {key: content.get(key) for key in ("workflow_run_id", "submitted")}
    for name, keys in parts:
        part = content.get(name)
        if isinstance(part, dict):
            taken |= {key: part[key] for key in keys if part.get(key) is not None}
    return taken


def _usage(key: str, *, description: str) -> Any:
    return optional("metadata", "usage", key, description=description)


class Message(Record):
    """A question and its answer (GET chat-messages, messages/{id}, completion detail)."""

    needs = frozenset({"app_id", "conversation_id", "message_id", "created_at"})

    app_id: Id = Field(description="id of the app")
    message_id: Id = aliased("id", description="id of the message")
    conversation_id: Id = aliased("conversation_id", description="id of the conversation")
    parent_message_id: str | None = optional(
        description="message before; the nil UUID for the first of a service API conversation"
    )
    workflow_run_id: Id | None = optional(description="run behind the answer (advanced-chat)")
    query: str = aliased("query", description="the question", is_text=True)
    answer: str = aliased(
        "answer", description='the answer; "" while it is written', is_signed=True, is_text=True
    )
    inputs: JsonText | None = optional(
        description="variables of the app, JSON", is_signed=True, is_text=True
    )
    message: JsonText | None = optional(
        description='prompt, JSON list of role, text, files; "" for advanced-chat',
        is_signed=True,
        is_text=True,
    )
    status: str = aliased(
        "status",
        description="normal, also while it is written; error; paused while a person must decide "
        "(a run called in blocking mode leaves it normal, without an answer)",
    )
    error: str | None = optional(description="error text", is_text=True)
    from_source: str = aliased("from_source", description="api (also web app) or console")
    from_end_user_id: str | None = optional(description="end user who asked")
    from_account_id: str | None = optional(description="account that asked in the console")
    created_at: Instant = aliased("created_at", description="when the question came")
    message_tokens: int | None = optional(description="tokens of the prompt")
    answer_tokens: int | None = optional(description="tokens of the answer")
    latency_seconds: float | None = optional(
        "provider_response_latency", description="seconds till the answer was complete"
    )
    prompt_tokens: int | None = _usage("prompt_tokens", description="tokens of the prompt billed")
    prompt_unit_price: Money | None = _usage("prompt_unit_price", description="price of a unit")
    prompt_price_unit: Money | None = _usage(
        "prompt_price_unit", description="the unit as part of a token price: 0.001 for 1,000"
    )
    prompt_price: Money | None = _usage("prompt_price", description="price of the prompt")
    completion_tokens: int | None = _usage("completion_tokens", description="tokens answered")
    completion_unit_price: Money | None = _usage(
        "completion_unit_price", description="price of a unit"
    )
    completion_price_unit: Money | None = _usage(
        "completion_price_unit", description="the unit as part of a token price"
    )
    completion_price: Money | None = _usage("completion_price", description="price of the answer")
    total_tokens: int | None = _usage("total_tokens", description="prompt and answer")
    total_price: Money | None = _usage("total_price", description="price of both, in `currency`")
    currency: str | None = _usage("currency", description="currency of the prices, as USD")
    usage_latency_seconds: float | None = _usage("latency", description="seconds of the model")
    time_to_first_token_seconds: float | None = _usage(
        "time_to_first_token", description="seconds till the first token"
    )
    time_to_generate_seconds: float | None = _usage(
        "time_to_generate", description="seconds from the first token to the last"
    )
    metadata: JsonText | None = optional(
        description="usage, citations and more, JSON", is_signed=True, is_text=True
    )
    annotation_id: str | None = optional("annotation", "id", description="annotation made of it")
    annotation_question: str | None = optional(
        "annotation", "question", description="question of that annotation", is_text=True
    )
    annotation_content: str | None = optional(
        "annotation", "content", description="answer of that annotation", is_text=True
    )
    annotation_account_id: str | None = optional(
        "annotation", "account", "id", description="account that annotated"
    )
    annotation_created_at: Instant | None = optional(
        "annotation", "created_at", description="when it was annotated"
    )
    annotation_hit_id: str | None = optional(
        "annotation_hit_history", "annotation_id", description="annotation that gave the answer"
    )
    annotation_hit_account_id: str | None = optional(
        "annotation_hit_history",
        "annotation_create_account",
        "id",
        description="account that made that annotation",
    )
    annotation_hit_created_at: Instant | None = optional(
        "annotation_hit_history",
        "created_at",
        description="when that annotation was written; Dify does not tell when it gave the answer",
    )
    extra_contents: JsonText | None = optional(
        description="further content, JSON (newest servers)", is_signed=True, is_text=True
    )
    feedbacks: tuple[MessageFeedback, ...] = Field(strict=False, description="likes and dislikes")
    agent_thoughts: tuple[AgentThought, ...] = Field(strict=False, description="agent steps")
    tool_calls: tuple[AgentToolCall, ...] = Field(
        default=(), strict=False, description="calls of tools in the agent steps"
    )
    message_files: tuple[MessageFile, ...] = Field(strict=False, description="files")
    citations: tuple[MessageCitation, ...] = Field(strict=False, description="passages retrieved")
    human_inputs: tuple[HumanInput, ...] = Field(
        strict=False, description="forms that wait, or waited, for a person"
    )
    odd_forms: tuple[Rejected, ...] = Field(
        strict=False, description="forms that could not be read, for the quarantine"
    )
    odd_parts: tuple[Rejected, ...] = Field(
        default=(), strict=False, description="other parts that could not be read, likewise"
    )

    @classmethod
    def set_parts_aside(cls, prepared: JsonRow) -> JsonRow:
        """Each part by itself: an odd citation does not cost the message its tokens and price."""
        row, ids = dict(prepared), _ids(prepared)
        odd: list[Rejected] = []
        for name, kind in _PARTS.items():
            found = row.get(name)
            parts = found if isinstance(found, list | tuple) else [found] if found else []
            batch = parse(kind, parts, endpoint=_SENDS_PARTS, context=ids)
            row[name] = batch.records
            odd += [
                replace(one, record_id=f"{ids['message_id']}/{name}/{one.position + 1}")
                for one in batch.rejected
            ]
        row["odd_parts"] = odd
        return row if odd else prepared

    @classmethod
    def prepare(cls, row: JsonRow, context: Mapping[str, Any]) -> JsonRow:
        """Hand the ids down to the parts, and lift the citations out of the metadata."""
        row = {**row, **context}
        metadata = row.get("metadata")
        found = metadata.get("retriever_resources") if isinstance(metadata, dict) else None
        row["citations"] = _children(found, row, number="citation_number")
        if row.get("agent_thoughts"):
            row["tool_calls"] = calls_of(row["agent_thoughts"], _ids(row))
        forms = _forms(row.get("extra_contents"), _ids(row))
        row["human_inputs"], row["odd_forms"] = forms.records, forms.rejected
        row["feedbacks"] = _children(row.get("feedbacks"), row, number="position")
        for part in ("agent_thoughts", "message_files"):
            row[part] = _children(row.get(part), row)
        for part in ("annotation", "annotation_hit_history"):
            if part in row and row[part] is None:
                del row[part]  # each field that looks into a null costs an exception
        return row


_PARTS: Mapping[str, type[MessageChild]] = {
    "feedbacks": MessageFeedback,
    "agent_thoughts": AgentThought,
    "tool_calls": AgentToolCall,
    "message_files": MessageFile,
    "citations": MessageCitation,
}


def _ids(row: JsonRow) -> JsonRow:
    return {
        "app_id": row.get("app_id"),
        "conversation_id": row.get("conversation_id"),
        "message_id": row.get("id"),
    }


def _children(found: Any, row: JsonRow, *, number: str | None = None) -> Any:
    """The parts with the ids of their message, and under `number` the place of each in the list,
    from 1; what is no list is left for the validation.
    """
    if not found:
        return ()
    if not isinstance(found, list):
        return found
    ids = _ids(row)
    return [
        {**child, **ids, **({number: place} if number else {})}
        if isinstance(child, dict)
        else child
        for place, child in enumerate(found, 1)
    ]
