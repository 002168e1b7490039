"""One message of the story: its text, its children, and what people thought of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from json import dumps

from dify_simulated.world.build_chronicle import Chronicle
from dify_simulated.world.feedback_changes import Rating
from dify_simulated.world.rows import (
    AgentThought,
    Conversation,
    Dataset,
    JsonObject,
    Message,
    MessageFile,
)
from dify_simulated.world.tables import Tables
from dify_simulated.world.texts import ANSWERS, COMMENTS, CORRECTIONS, ERRORS, QUESTIONS


def write_message(chronicle: Chronicle, conversation: Conversation, at: datetime) -> Message:
    """Ask and answer; one in forty ends with an error, some use nothing that costs."""
    world, chance = chronicle.world, chronicle.chance
    query = chronicle.pick(QUESTIONS)
    row = world.add_message(conversation.id, at=at, query=query, answer=None)
    failed = chronicle.happens(0.025)
    world.finish_message(
        row.id,
        answer="" if failed else chronicle.pick(ANSWERS),
        latency=round(0.4 + chance.expovariate(1 / 4), 4),
        prompt_tokens=40 + int(chance.random() * 2000),
        answer_tokens=0 if failed else 10 + int(chance.random() * 800),
        error=chronicle.pick(ERRORS) if failed else None,
    )
    if conversation.mode == "advanced-chat":
        _settle_chatflow_usage(chronicle, row)
    return row


def _settle_chatflow_usage(chronicle: Chronicle, row: Message) -> None:
    """Chatflows add time to the first token; some runs use no model, failed ones tell nothing."""
    if row.error is not None:
        row.message_metadata, row.total_price = {}, Decimal(0)
        row.message_tokens = row.answer_tokens = 0
        return
    usage = row.message_metadata["usage"]
    if isinstance(usage, dict):
        timing = {"time_to_first_token": 0.412, "time_to_generate": 0.9}
        row.message_metadata = {**row.message_metadata, "usage": {**usage, **timing}}
    run = chronicle.world.workflow_runs.get(row.workflow_run_id or "")
    if run is not None:
        run.total_tokens = row.message_tokens + row.answer_tokens


def long_answer() -> str:
    """About one megabyte of text in UTF-8."""
    return "回答很长。" * 70_000


def add_children(
    chronicle: Chronicle, conversation: Conversation, message: Message, *, all_kinds: bool = False
) -> None:
    """Thoughts of agents, citations of documents, files: by chance, or all of them."""
    if conversation.mode == "agent-chat":
        message.agent_thoughts = _thoughts(chronicle, message)
    if message.message_metadata and (all_kinds or chronicle.happens(0.2)):
        message.message_metadata = {
            **message.message_metadata,
            "retriever_resources": _citations(chronicle),
        }
    if all_kinds or chronicle.happens(0.06):
        message.message_files = (_file(chronicle),)


def _thoughts(chronicle: Chronicle, message: Message) -> tuple[AgentThought, ...]:
    """A search with one or two tools, then the conclusion without any."""
    tools = "google_search;wikipedia_search" if chronicle.happens(0.2) else "google_search"
    names = tools.split(";")
    calls = dumps({name: {"query": message.query} for name in names}, ensure_ascii=False)
    results = dumps({name: "三个结果" for name in names}, ensure_ascii=False)
    steps = ((tools, calls, results, "Let me search"), ("", "", "", "I know enough"))
    return tuple(
        AgentThought(
            id=chronicle.world.new_id(),
            message_id=message.id,
            position=position,
            thought=thought,
            tool=tool,
            tool_input=tool_input,
            observation=observation,
            created_at=message.created_at + timedelta(seconds=position),
            tokens=120 * position,
            latency=0.8,
        )
        for position, (tool, tool_input, observation, thought) in enumerate(steps, 1)
    )


def _citations(chronicle: Chronicle) -> list[JsonObject]:
    world = chronicle.world
    datasets = [row for row in world.datasets.values() if world.documents_of_dataset[row.id]]
    dataset: Dataset = chronicle.pick(datasets)
    held = world.documents_of_dataset[dataset.id]
    documents = [world.documents[held[place]] for place in range(min(2, len(held)))]
    return [
        {
            "position": position,
            "dataset_id": dataset.id,
            "dataset_name": dataset.name,
            "document_id": document.id,
            "document_name": document.name,
            "data_source_type": "upload_file",
            "segment_id": _cited_segment(world, document.id, position),
            "retriever_from": "api",
            "score": round(0.95 - 0.1 * position, 3),
            "hit_count": 3,
            "word_count": 120,
            "segment_position": position,
            "index_node_hash": "abc",
            "content": "退款政策…",
            "page": None,
            "doc_metadata": None,
        }
        for position, document in enumerate(documents, 1)
    ]


def _cited_segment(world: Tables, document_id: str, position: int) -> str:
    """The passage of a document at a position; of one that is not cut yet, one that was deleted."""
    deleted = world.new_id()
    held = world.segments_of_document[document_id]
    return held[position - 1] if position <= len(held) else deleted


def _file(chronicle: Chronicle) -> MessageFile:
    return MessageFile(
        id=chronicle.world.new_id(),
        filename="照片.png",
        type="image",
        mime_type="image/png",
        size=48_213,
        transfer_method="local_file",
        belongs_to="user",
        upload_file_id=chronicle.world.new_id(),
    )


def judge(chronicle: Chronicle, message: Message) -> None:
    """Feedback of the end user or an admin, an annotation, an answer that an annotation gave."""
    world, at = chronicle.world, message.created_at + timedelta(seconds=40)
    if at >= chronicle.now:
        return
    if message.from_end_user_id is not None and chronicle.happens(0.1):
        comment = chronicle.pick(COMMENTS) if chronicle.happens(0.4) else None
        world.give_feedback(message.id, _rating(chronicle), at=at, content=comment)
    if chronicle.happens(0.03):
        world.give_feedback(
            message.id, _rating(chronicle), at=at, account_id=world.account_id, content="checked"
        )
    if chronicle.happens(0.02):
        world.annotate(message.id, at=at, content=chronicle.pick(CORRECTIONS))
    elif world.annotations and chronicle.happens(0.02):
        index = world.annotations_of_app[message.app_id]
        if len(index):
            world.hit_annotation(next(iter(index)), message.id, at=message.created_at)


def _rating(chronicle: Chronicle) -> Rating:
    return "like" if chronicle.happens(0.7) else "dislike"
