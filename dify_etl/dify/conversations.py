"""Conversations of chat and completion apps, their messages, feedback and annotations.

Lists and messages leave no trace on the server. The details do: they mark a log as read.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypedDict, Unpack
from zoneinfo import ZoneInfo

from pydantic import Field

from dify_etl.dify import routes
from dify_etl.dify.feedback import Annotation, ExportedFeedback
from dify_etl.dify.http.session import Session
from dify_etl.dify.json_text import JsonText
from dify_etl.dify.lists import batch_of, page_of
from dify_etl.dify.messages import Message
from dify_etl.dify.paging import CursorWalk, PageWalk, iterate
from dify_etl.dify.record import (
    Batch,
    Id,
    Instant,
    JsonRow,
    Page,
    Record,
    Rejected,
    aliased,
    optional,
    parse,
    parse_but_odd_fields,
    unexpected,
)
from dify_etl.dify.time_parameters import end_minute, is_one_minute, start_minute
from dify_etl.dify.tool_calls import LoggedStep


class LoggedConversation(Record):
    """What the lists of chat and of completion conversations have in common."""

    needs = frozenset({"app_id", "conversation_id", "created_at"})

    app_id: Id = Field(description="id of the app")
    conversation_id: Id = aliased("id", description="id of the conversation")
    status: str = aliased("status", description="normal in practice")
    from_source: str = aliased("from_source", description="api (also web app) or console")
    from_end_user_id: str | None = optional(description="end user")
    from_end_user_session_id: str | None = optional(
        description="the API caller's `user`; null when the end user is gone",
        keeps_last=True,
        is_person=True,
    )
    from_account_id: str | None = optional(description="account, when from_source is console")
    from_account_name: str | None = optional(
        description="its name; null when it is gone", keeps_last=True, is_person=True
    )
    app_model_config: JsonText | None = optional(
        "model_config", description="prompt, JSON", is_text=True
    )
    read_at: Instant | None = optional(description="when an editor opened the log first")
    created_at: Instant = aliased("created_at", description="when it began")
    updated_at: Instant | None = optional(
        description="last message or renaming; on 1.10 to 1.12 also the first reading of the log"
    )
    user_like_count: int | None = optional(
        "user_feedback_stats", "like", description="likes of end users"
    )
    user_dislike_count: int | None = optional(
        "user_feedback_stats", "dislike", description="dislikes of end users"
    )
    admin_like_count: int | None = optional(
        "admin_feedback_stats", "like", description="likes of editors"
    )
    admin_dislike_count: int | None = optional(
        "admin_feedback_stats", "dislike", description="dislikes of editors"
    )


class Conversation(LoggedConversation):
    """A conversation of a chat, agent-chat or advanced-chat app (GET chat-conversations)."""

    name: str | None = optional(description="title; Dify or the user changes it", is_text=True)
    summary: str | None = optional(
        description="stored summary, else the first question", is_text=True
    )
    is_annotated: bool | None = optional("annotated", description="whether an answer is annotated")
    message_count: int = aliased("message_count", description="messages now")
    success_count: int | None = optional(
        "status_count",
        "success",
        description="runs that succeeded (advanced-chat); null or 0 without runs, by version",
    )
    failed_count: int | None = optional("status_count", "failed", description="runs that failed")
    partial_success_count: int | None = optional(
        "status_count", "partial_success", description="runs that succeeded in part"
    )
    paused_count: int | None = optional(
        "status_count", "paused", description="runs that wait (since 1.13)"
    )


class CompletionConversation(LoggedConversation):
    """A question to a completion app (GET completion-conversations); without its message id."""

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
    inputs: JsonText | None = optional(
        "message", "inputs", description="variables, JSON", is_text=True
    )
    query: str | None = optional("message", "query", description="the question", is_text=True)
    message: JsonText | None = optional(
        "message", "message", description="prompt, JSON text", is_text=True
    )
    answer: str | None = optional("message", "answer", description="the answer", is_text=True)


class CompletionDetail(Record):
    """A completion conversation with its whole message, or why it is none in `rejected`, which
    names odd fields of it as well. An odd field of the conversation does not cost the message.
    """

    needs = frozenset({"app_id", "conversation_id"})

    app_id: Id = Field(description="id of the app")
    conversation_id: Id = aliased("id", description="id of the conversation")
    status: str | None = optional(description="normal in practice")
    from_source: str | None = optional(description="api or console")
    from_end_user_id: str | None = optional(description="end user")
    from_account_id: str | None = optional(description="account")
    app_model_config: JsonText | None = optional("model_config", description="settings, JSON")
    created_at: Instant | None = optional(description="when it began")
    message: Message | None = optional(description="the question and its answer")
    rejected: tuple[Rejected, ...] = Field(default=(), description="what is odd of the message")

    @classmethod
    def prepare(cls, row: JsonRow, context: Mapping[str, Any]) -> JsonRow:
        """The message inside is a record of its own, like any other."""
        sent = [] if row.get("message") is None else [row["message"]]
        endpoint = f"GET {routes.COMPLETION_LOG}"
        batch = parse(Message, sent, endpoint=endpoint, context=context)
        message = batch.records[0] if batch.records else None
        return {**row, **context, "message": message, "rejected": batch.rejected}


@dataclass(frozen=True)
class ConversationView:
    """A conversation and its messages, oldest first."""

    conversation: Conversation
    messages: tuple[Message, ...]


class TimeFilters(TypedDict, total=False):
    """A window; aware instants."""

    start: datetime | None
    end: datetime | None
    keyword: str | None  # searched in all texts: very slow on the server
    annotation_status: str  # all, annotated, not_annotated; `total` then counts annotations


class ChatFilters(TimeFilters, total=False):
    """Filters of chat-conversations."""

    sort_by: str  # ±created_at or ±updated_at: also the column that start and end filter
    message_count_gte: int | None  # up to 1.10; ignored later


class FeedbackFilters(TypedDict, total=False):
    """Filters of the feedback export. Days are UTC; the end day itself is left out by Dify."""

    start_date: date | None
    end_date: date | None
    from_source: str | None  # user or admin
    rating: str | None  # like or dislike
    has_comment: bool | None


class Conversations:
    """`dify.conversations`. Methods raise AppGone for an app of another mode."""

    def __init__(self, session: Session, zone: Callable[[], ZoneInfo]) -> None:
        self._session = session
        self._zone = zone

    def chat(self, app_id: str, **filters: Unpack[ChatFilters]) -> Iterator[Conversation]:
        """All conversations of a chat, agent-chat or advanced-chat app, each once."""
        return iterate(
            self.chat_walk(app_id, **filters), endpoint=f"GET {routes.CHAT_CONVERSATIONS}"
        )

    def chat_walk(self, app_id: str, **filters: Unpack[ChatFilters]) -> PageWalk[Conversation]:
        """The list of `chat` as a walk that can prove itself."""
        return PageWalk(
            lambda page, limit: self.chat_page(app_id, page, limit, **filters),
            key=lambda conversation: conversation.conversation_id,
            most_pages=self._session.bounds.pages,
        )

    def chat_page(
        self, app_id: str, page: int = 1, limit: int = 100, **filters: Unpack[ChatFilters]
    ) -> Page[Conversation]:
        """GET chat-conversations: one page.

        `start` and `end` filter the column of `sort_by` (created_at unless told otherwise), in
        whole minutes: `start` counts from its minute, `end` through second 59 of its minute. By
        updated_at, a row in the last fraction of that second is missed: let windows overlap.
        """
        query = {
            **self._window(filters, page, limit),
            "sort_by": filters.get("sort_by", "created_at"),
            "message_count_gte": filters.get("message_count_gte"),
        }
        answer = self._session.get(routes.CHAT_CONVERSATIONS, query=query, app_id=app_id)
        return page_of(
            Conversation,
            answer,
            endpoint=f"GET {routes.CHAT_CONVERSATIONS}",
            context={"app_id": app_id},
        )

    def chat_created(self, app_id: str, first: datetime, last: datetime) -> int | None:
        """How many conversations were created from minute `first` through second 59 of minute
        `last`: the `total` of GET chat-conversations, asked with one row.

        None where the clock of the account's zone shows one of these minutes twice.
        """
        zone = self._zone()
        if not (is_one_minute(first, zone) and is_one_minute(last, zone)):
            return None
        return self.chat_page(app_id, 1, 1, start=first, end=last).total

    def completion(
        self, app_id: str, **filters: Unpack[TimeFilters]
    ) -> Iterator[CompletionConversation]:
        """All conversations of a completion app, each once."""
        return iterate(
            self.completion_walk(app_id, **filters),
            endpoint=f"GET {routes.COMPLETION_CONVERSATIONS}",
        )

    def completion_walk(
        self, app_id: str, **filters: Unpack[TimeFilters]
    ) -> PageWalk[CompletionConversation]:
        """The list of `completion` as a walk that can prove itself."""
        return PageWalk(
            lambda page, limit: self.completion_page(app_id, page, limit, **filters),
            key=lambda conversation: conversation.conversation_id,
            most_pages=self._session.bounds.pages,
        )

    def completion_page(
        self, app_id: str, page: int = 1, limit: int = 100, **filters: Unpack[TimeFilters]
    ) -> Page[CompletionConversation]:
        """GET completion-conversations: one page, newest first.

        Filters created_at; `end` goes up to, but not through, second 59 of its minute: a row at
        that second is in no window that ends there. Let windows overlap.
        """
        query = self._window(filters, page, limit)
        answer = self._session.get(routes.COMPLETION_CONVERSATIONS, query=query, app_id=app_id)
        return page_of(
            CompletionConversation,
            answer,
            endpoint=f"GET {routes.COMPLETION_CONVERSATIONS}",
            context={"app_id": app_id},
        )

    def completion_detail(self, app_id: str, conversation_id: str) -> CompletionDetail:
        """GET completion-conversations/{id}: with message id, tokens and latency.

        Marks the log as read on the server (read_at; on 1.10 to 1.12 also updated_at).
        """
        answer = self._session.get(
            routes.COMPLETION_LOG, app_id=app_id, conversation_id=conversation_id
        )
        endpoint = f"GET {routes.COMPLETION_LOG}"
        context = {"app_id": app_id}
        batch = parse_but_odd_fields(CompletionDetail, answer, endpoint=endpoint, context=context)
        return batch.records[0]

    def messages(self, app_id: str, conversation_id: str) -> Iterator[Message]:
        """All messages of a conversation, newest first, each once."""
        walk = self.message_walk(app_id, conversation_id)
        return iterate(walk, endpoint=f"GET {routes.CHAT_MESSAGES}")

    def message_walk(self, app_id: str, conversation_id: str) -> CursorWalk[Message]:
        """The messages as a walk from the newest to the oldest that loses no tie."""
        return CursorWalk(
            lambda first_id, limit: self.messages_page(
                app_id, conversation_id, first_id=first_id, limit=limit
            ),
            key=lambda message: message.message_id,
            at=lambda message: message.created_at,
            most_pages=self._session.bounds.pages,
        )

    def messages_page(
        self, app_id: str, conversation_id: str, *, first_id: str | None = None, limit: int = 100
    ) -> Page[Message]:
        """GET chat-messages: the newest messages before `first_id`, oldest first in the page.

        "Before" is strict at whole seconds: messages of `first_id`'s own second are skipped.
        Raises NotFound when the conversation or the message of `first_id` is gone.
        """
        query = {"conversation_id": conversation_id, "first_id": first_id, "limit": limit}
        answer = self._session.get(routes.CHAT_MESSAGES, query=query, app_id=app_id)
        return page_of(
            Message, answer, endpoint=f"GET {routes.CHAT_MESSAGES}", context={"app_id": app_id}
        )

    def message(self, app_id: str, message_id: str) -> Message:
        """GET messages/{message_id}; leaves no trace. Raises NotFound."""
        for rejected in (batch := self.message_batch(app_id, message_id)).rejected:
            raise unexpected(rejected)
        return batch.records[0]

    def message_batch(self, app_id: str, message_id: str) -> Batch[Message]:
        """The same as one row, set aside when it fails validation. Raises NotFound."""
        answer = self._session.get(routes.MESSAGE, app_id=app_id, message_id=message_id)
        return parse(
            Message, [answer], endpoint=f"GET {routes.MESSAGE}", context={"app_id": app_id}
        )

    def tool_log(self, app_id: str, conversation_id: str, message_id: str) -> Batch[LoggedStep]:
        """GET apps/{id}/agent/logs of an agent-chat app: one message's steps; leaves no trace.

        Raises Refused while the server's plugin daemon is down, and for an unknown message.
        """
        query = {"conversation_id": conversation_id, "message_id": message_id}
        answer = self._session.get(routes.AGENT_TOOL_LOGS, query=query, app_id=app_id)
        return batch_of(
            LoggedStep, answer, endpoint=f"GET {routes.AGENT_TOOL_LOGS}", key="iterations"
        )

    def view(self, app_id: str, conversation: Conversation) -> ConversationView:
        """A conversation with all its messages, oldest first."""
        newest_first = tuple(self.messages(app_id, conversation.conversation_id))
        return ConversationView(conversation, newest_first[::-1])

    def feedback_export(
        self, app_id: str, **filters: Unpack[FeedbackFilters]
    ) -> Batch[ExportedFeedback]:
        """GET feedbacks/export as JSON, unpaged, newest first. Raises NotFound before 1.10.1."""
        query = {
            "format": "json",
            "from_source": filters.get("from_source"),
            "rating": filters.get("rating"),
            "has_comment": filters.get("has_comment"),
            "start_date": _day(filters.get("start_date")),
            "end_date": _day(filters.get("end_date")),
        }
        answer = self._session.get(routes.FEEDBACK_EXPORT, query=query, app_id=app_id)
        return batch_of(
            ExportedFeedback, answer, endpoint=f"GET {routes.FEEDBACK_EXPORT}", key="feedback_data"
        )

    def annotations(self, app_id: str) -> Iterator[Annotation]:
        """All annotations of an app, each once."""
        return iterate(self.annotations_walk(app_id), endpoint=f"GET {routes.ANNOTATIONS}")

    def annotations_walk(self, app_id: str) -> PageWalk[Annotation]:
        """The annotations as a walk that can prove itself."""
        return PageWalk(
            lambda page, limit: self.annotations_page(app_id, page, limit),
            key=lambda annotation: annotation.annotation_id,
            most_pages=self._session.bounds.pages,
        )

    def annotations_page(self, app_id: str, page: int = 1, limit: int = 100) -> Page[Annotation]:
        """GET annotations: one page; its `has_more` only means that the page is full."""
        query = {"page": page, "limit": limit}
        answer = self._session.get(routes.ANNOTATIONS, query=query, app_id=app_id)
        return page_of(
            Annotation, answer, endpoint=f"GET {routes.ANNOTATIONS}", context={"app_id": app_id}
        )

    def _window(self, filters: TimeFilters, page: int, limit: int) -> dict[str, str | int | None]:
        start, end = filters.get("start"), filters.get("end")
        zone = self._zone() if start or end else None
        return {
            "page": page,
            "limit": limit,
            "start": start_minute(start, zone) if zone else None,
            "end": end_minute(end, zone) if zone else None,
            "keyword": filters.get("keyword"),
            "annotation_status": filters.get("annotation_status"),
        }


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
