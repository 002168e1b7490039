"""Records of the feedback export and of annotations; `conversations.py` reads them."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

from dify_etl.dify.record import Id, Instant, Record, aliased, optional

YES_NO = {"Yes": True, "No": False}


def _blank_as_none(value: object) -> object:
    return None if value == "" else value


def _utc_text(value: object) -> object:
    """`2026-11-20 19:00:49`, which Dify means as UTC."""
    if isinstance(value, str):
        return datetime.strptime(value, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    return value


def utc_text(value: object) -> datetime | None:
    """The time of such a text; None when it is none."""
    try:
        found = _utc_text(value)
    except ValueError:
        return None
    return found if isinstance(found, datetime) else None


def _yes_no(value: object) -> object:
    return YES_NO.get(value, value) if isinstance(value, str) else value


Blankable = Annotated[str | None, BeforeValidator(_blank_as_none)]
UtcText = Annotated[datetime, BeforeValidator(_utc_text)]
YesNo = Annotated[bool, BeforeValidator(_yes_no)]


class ExportedFeedback(Record):
    """A feedback with id and time (GET feedbacks/export, since 1.10.1).

    A changed rating keeps its time; a withdrawn one is no longer exported. The question of a
    completion app is its variable `query`, whatever type the app gives that.
    """

    needs = frozenset(
        {
            *("feedback_id", "app_id", "conversation_id", "message_id"),
            *("rating", "from_source", "from_end_user_id", "created_at"),
        }
    )

    feedback_id: Id = Field(description="id of the feedback")
    app_id: Id = Field(description="id of the app")
    app_name: str | None = optional(description="name of the app")
    conversation_id: Id = Field(description="id of the conversation")
    conversation_name: str | None = optional(description="name of the conversation", is_text=True)
    message_id: Id = Field(description="id of the message")
    user_query: str | None = optional(description="question of the message", is_text=True)
    ai_response: str | None = optional(description="answer, cut at 500 characters", is_text=True)
    rating: str = aliased("feedback_rating_raw", description="like or dislike")
    rating_emoji: str | None = optional("feedback_rating", description="thumb up or down")
    content: Blankable = optional(
        "feedback_comment", description="comment; null when empty", is_text=True
    )
    from_source: str = aliased("feedback_source", description="user or admin")
    from_account_name: Blankable = optional(
        description="account, when from_source is admin", is_person=True
    )
    from_end_user_id: Blankable = optional(description="end user, when from_source is user")
    has_comment: YesNo | None = optional(description="whether there is a comment")
    created_at: UtcText = aliased("feedback_date", description="when it was given first")
    message_created_at: UtcText | None = optional(
        "message_date", description="when the question came"
    )


class Annotation(Record):
    """An answer that an editor wrote (GET annotations). Dify tells neither author nor message."""

    needs = frozenset({"app_id", "annotation_id"})

    app_id: Id = Field(description="id of the app")
    annotation_id: Id = aliased("id", description="id of the annotation")
    question: str | None = optional(description="question that it answers", is_text=True)
    answer: str | None = optional(description="answer of the editor", is_text=True)
    hit_count: int | None = optional(
        description="how often it gave the answer; moves no time", is_volatile=True
    )
    created_at: Instant | None = optional(description="when it was made")
