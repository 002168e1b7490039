"""Agents (apps of mode `agent`, since 1.15): their logs, the messages in them, their versions.

`GET /agent` and `GET /agent/{id}` are never asked: they make an empty conversation for the account.
An agent has an id of its own; `App.agent_id` tells it.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import Field

from dify_etl.dify import routes
from dify_etl.dify.http.session import Session
from dify_etl.dify.json_text import JsonText
from dify_etl.dify.lists import batch_of, page_of
from dify_etl.dify.paging import PageWalk, iterate
from dify_etl.dify.record import (
    Batch,
    Id,
    Instant,
    JsonRow,
    Money,
    Page,
    Record,
    UuidOfAnother,
    aliased,
    optional,
)
from dify_etl.dify.time_parameters import end_minute, start_minute


class AgentLog(Record):
    """A talk in the log of an agent (GET agent/{id}/logs); debugging and empty ones are not there.

    With a window, counts and times are those of the messages in it. A talk of a workflow in which
    the agent is a node belongs to the workflow's app; it stands there once per source.
    """

    app_id: Id = Field(description="id of the agent's app")
    agent_id: Id = Field(description="id of the agent")
    conversation_id: UuidOfAnother = aliased(
        "id", description="id of the conversation; for a workflow maybe of the node's execution"
    )
    title: str | None = optional(description="name of the conversation")
    from_end_user_id: str | None = optional(
        "end_user_id", description="end user; null for an account"
    )
    message_count: int = aliased(
        "message_count", description="messages in the window that was asked last"
    )
    user_rate: float | None = optional(
        description="likes among the ratings of end users, 0 to 1; null: no rating"
    )
    operation_rate: float | None = optional(
        description="likes among the ratings of editors, 0 to 1; null: no rating"
    )
    is_unread: bool | None = optional("unread", description="whether no editor opened it yet")
    status: str | None = optional(description="success, failed or paused: that of its last message")
    source_type: str | None = optional("source", "type", description="webapp or workflow")
    source_id: str | None = optional("source", "id", description="id of the source")
    source_app_id: str | None = optional("source", "app_id", description="app of the source")
    source_workflow_id: str | None = optional(
        "source", "workflow_id", description="workflow in which the agent was asked"
    )
    source_workflow_version: str | None = optional(
        "source", "workflow_version", description="version of that workflow"
    )
    source_node_id: str | None = optional(
        "source", "node_id", description="node of that workflow which the agent is"
    )
    source: JsonText | None = optional(description="where the talk came from, JSON")
    last_message_at: Instant | None = optional(
        "created_at", description="when its newest message came"
    )
    updated_at: Instant | None = optional(description="last change of its newest message")

    @property
    def key(self) -> str:
        """What tells rows apart: one talk may have several sources."""
        return f"{self.conversation_id} {self.source_id or ''}"

    @property
    def is_of_unknown_app(self) -> bool:
        """Whether it may be a talk of another app, in which the agent is a node: the row says not
        of which.
        """
        return self.source_app_id is None

    @classmethod
    def prepare(cls, row: JsonRow, context: Mapping[str, Any]) -> JsonRow:
        """Dify tells the id twice."""
        return {**_without(row, "conversation_id"), **context}


class AgentLogMessage(Record):
    """A message in the log of an agent; inputs, steps, files and more are in the message itself."""

    message_id: Id = aliased("id", description="id of the message")
    conversation_id: Id = aliased("conversation_id", description="id of the conversation")
    query: str | None = optional(description="the question")
    answer: str | None = optional(description="the answer")
    status: str | None = optional(description="success, failed or paused")
    error: str | None = optional(description="error text")
    from_end_user_id: str | None = optional(description="end user who asked")
    from_account_id: str | None = optional(description="account that asked")
    message_tokens: int | None = optional(description="tokens of the prompt")
    answer_tokens: int | None = optional(description="tokens of the answer")
    total_tokens: int | None = optional(description="tokens of both")
    total_price: Money | None = optional(description="price of both, in `currency`")
    currency: str | None = optional(description="currency of the price, as USD")
    latency_seconds: float | None = optional(
        "latency", description="seconds till the answer was complete"
    )
    is_feedback_enabled: bool | None = optional(
        "feedback_enabled", description="whether it can be rated (newest servers)"
    )
    feedbacks: JsonText | None = optional(description="ratings, JSON list (newest servers)")
    created_at: Instant = aliased("created_at", description="when the question came")
    updated_at: Instant | None = optional(description="last change")

    @classmethod
    def prepare(cls, row: JsonRow, context: Mapping[str, Any]) -> JsonRow:
        """Dify tells the id twice."""
        return {**_without(row, "message_id"), **context}


class AgentVersion(Record):
    """A published version of an agent (GET agent/{id}/versions)."""

    needs = frozenset({"app_id", "agent_id", "agent_version_id"})

    app_id: Id = Field(description="id of the agent's app")
    agent_id: Id = aliased("agent_id", description="id of the agent")
    agent_version_id: Id = aliased("id", description="id of the version")
    version: int = aliased("version", description="number of the version, from 1")
    display_version: int | None = optional(description="number that the console shows")
    snapshot_version: int | None = optional(description="number that counts drafts as well")
    summary: str | None = optional(description="summary; null in practice")
    version_note: str | None = optional(description="note of whoever published it")
    created_by: str | None = optional(description="account that published it")
    created_at: Instant | None = optional(description="when it was published")


def _without(row: JsonRow, key: str) -> JsonRow:
    return {name: value for name, value in row.items() if name != key}


class Agents:
    """`dify.agents`. Methods raise NotFound for an id that is no agent's (an app's, say)."""

    def __init__(self, session: Session, zone: Callable[[], ZoneInfo]) -> None:
        self._session = session
        self._zone = zone

    def logs(self, app_id: str, agent_id: str) -> Iterator[AgentLog]:
        """All talks of an agent, each once per source."""
        return iterate(self.logs_walk(app_id, agent_id), endpoint=f"GET {routes.AGENT_LOGS}")

    def logs_walk(
        self,
        app_id: str,
        agent_id: str,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> PageWalk[AgentLog]:
        """The talks with messages in `[start, end)` as a walk that can prove itself."""
        return PageWalk(
            lambda page, limit: self.logs_page(app_id, agent_id, page, limit, start=start, end=end),
            key=lambda row: row.key,
            most_pages=self._session.bounds.pages,
        )

    def logs_page(
        self,
        app_id: str,
        agent_id: str,
        page: int = 1,
        limit: int = 100,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Page[AgentLog]:
        """GET agent/{id}/logs: one page, oldest newest message first; any member may ask.

        The window is one of messages, in whole minutes: from the minute of `start` up to, but not
        through, that of `end`, which is rounded up.
        """
        zone = self._zone() if start or end else None
        query = {
            "page": page,
            "limit": limit,
            "start": start_minute(start, zone) if zone else None,
            "end": end_minute(end, zone) if zone else None,
            "sort_by": "created_at",
            "sort_order": "asc",
        }
        answer = self._session.get(routes.AGENT_LOGS, query=query, agent_id=agent_id)
        context = {"app_id": app_id, "agent_id": agent_id}
        return page_of(AgentLog, answer, endpoint=f"GET {routes.AGENT_LOGS}", context=context)

    def log_messages_walk(self, agent_id: str, conversation_id: str) -> PageWalk[AgentLogMessage]:
        """All messages of one talk as a walk that can prove itself; ties lose nothing."""
        return PageWalk(
            lambda page, limit: self.log_messages_page(agent_id, conversation_id, page, limit),
            key=lambda row: row.message_id,
            most_pages=self._session.bounds.pages,
        )

    def log_messages_page(
        self, agent_id: str, conversation_id: str, page: int = 1, limit: int = 100
    ) -> Page[AgentLogMessage]:
        """GET agent/{id}/logs/{id}/messages: newest first; any member may ask.

        Empty, and no error, for a talk that the log does not show: unknown, another app's, one of
        debugging.
        """
        answer = self._session.get(
            routes.AGENT_LOG_MESSAGES,
            query={"page": page, "limit": limit},
            agent_id=agent_id,
            conversation_id=conversation_id,
        )
        return page_of(AgentLogMessage, answer, endpoint=f"GET {routes.AGENT_LOG_MESSAGES}")

    def versions(self, app_id: str, agent_id: str) -> Batch[AgentVersion]:
        """GET agent/{id}/versions: the published ones, newest first, unpaged; any member."""
        answer = self._session.get(routes.AGENT_VERSIONS, agent_id=agent_id)
        return batch_of(
            AgentVersion,
            answer,
            endpoint=f"GET {routes.AGENT_VERSIONS}",
            context={"app_id": app_id},
        )
