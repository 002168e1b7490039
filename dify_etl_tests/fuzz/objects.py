"""The objects of Dify's answers: which answer shows them, and what of the warehouse hangs on each.

An object is one row of a list, a detail, or (without an id) what an answer says around its rows.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from pydantic import AliasPath

from dify_etl.dify.agents import AgentLog, AgentLogMessage, AgentVersion
from dify_etl.dify.api_keys import ApiKey
from dify_etl.dify.app_records import App, AppDetail
from dify_etl.dify.conversations import CompletionConversation, CompletionDetail, Conversation
from dify_etl.dify.datasets import Dataset, Document, DocumentSegment
from dify_etl.dify.feedback import Annotation, ExportedFeedback
from dify_etl.dify.members import Member
from dify_etl.dify.messages import Message
from dify_etl.dify.record import Record
from dify_etl.dify.statistics import DailyStatistic
from dify_etl.dify.workflow_records import (
    AppTrigger,
    ArchivedRun,
    ChatflowRun,
    NodeExecution,
    WaitingForm,
    WorkflowAppLog,
    WorkflowRun,
    WorkflowRunDetail,
    WorkflowVersion,
)

TALK_PARTS: tuple[str, ...] = ("message_feedbacks", "message_citations", "message_files")
TALK_PARTS += ("agent_thoughts", "agent_tool_calls", "human_inputs")
# What may lack rows, or be in doubt, when an object of a feed is odd; `apps` reach everything.
BELOW: dict[str, tuple[str, ...]] = {
    "conversations": ("messages", *TALK_PARTS, "workflow_runs", "node_executions"),
    "messages": (*TALK_PARTS, "workflow_runs", "node_executions"),
    "workflow_runs": ("node_executions", "human_inputs"),
    "node_executions": ("human_inputs",),
    "datasets": ("documents", "document_segments"),
    "documents": ("document_segments",),
}


def _path_of(record: type[Record], name: str) -> tuple[str, ...]:
    """Where Dify has the value of a field."""
    alias = record.model_fields[name].validation_alias
    if isinstance(alias, AliasPath):
        return tuple(str(one) for one in alias.path)
    return (alias if isinstance(alias, str) else name,)


@dataclass(frozen=True)
class Route:
    """One endpoint: the table that it fills, and where its rows and their ids are."""

    pattern: str
    table: str
    record: type[Record]
    rows: str | None = "data"  # None: the answer itself is the object
    id_path: tuple[str, ...] = ("id",)

    @property
    def needed_paths(self) -> list[tuple[str, ...]]:
        """Where the fields are without which a row is none; the id more often than the others."""
        if self.table == "daily_statistics":
            return []
        paths = {_path_of(self.record, name) for name in self.record.needs}
        return [*sorted(paths), self.id_path, self.id_path]

    @property
    def looked_into(self) -> list[tuple[str, ...]]:
        """The objects inside a row that fields look into."""
        paths = (_path_of(self.record, name) for name in self.record.model_fields)
        return sorted({path[:-1] for path in paths if len(path) > 1})

    @property
    def tables(self) -> frozenset[str]:
        """The tables whose rows may suffer."""
        return frozenset((self.table, *BELOW.get(self.table, ())))


ROUTES = (
    Route("/apps", "apps", App),
    Route("/apps/ID", "apps", AppDetail, None),
    Route("/workspaces/current/members", "members", Member, "accounts"),
    Route("/apps/ID/api-keys", "app_api_keys", ApiKey),
    Route("/datasets/api-keys", "dataset_api_keys", ApiKey),
    Route("/datasets", "datasets", Dataset),
    Route("/datasets/ID/documents", "documents", Document),
    Route("/datasets/ID/documents/ID/segments", "document_segments", DocumentSegment),
    Route("/apps/ID/annotations", "annotations", Annotation),
    Route("/agent/ID/versions", "agent_versions", AgentVersion),
    Route("/apps/ID/workflows", "workflow_versions", WorkflowVersion, "items"),
    Route("/apps/ID/triggers", "app_triggers", AppTrigger),
    Route("/apps/ID/workflow-archived-logs", "archived_runs", ArchivedRun),
    Route("/apps/ID/(?:workflow/)?statistics/[a-z-]+", "daily_statistics", DailyStatistic),
    Route("/apps/ID/chat-conversations", "conversations", Conversation),
    Route("/apps/ID/completion-conversations", "conversations", CompletionConversation),
    Route("/apps/ID/completion-conversations/ID", "messages", CompletionDetail, None),
    Route("/agent/ID/logs", "conversations", AgentLog),
    Route("/agent/ID/logs/ID/messages", "messages", AgentLogMessage),
    Route("/apps/ID/chat-messages", "messages", Message),
    Route("/apps/ID/messages/ID", "messages", Message, None),
    Route("/apps/ID/feedbacks/export", "message_feedbacks", ExportedFeedback, "feedback_data"),
    Route("/apps/ID/agent/logs", "agent_tool_calls", Record, None),
    Route(
        "/apps/ID/workflow-app-logs",
        "workflow_runs",
        WorkflowAppLog,
        "data",
        ("workflow_run", "id"),
    ),
    Route("/apps/ID/workflow-runs", "workflow_runs", WorkflowRun),
    Route("/apps/ID/advanced-chat/workflow-runs", "workflow_runs", ChatflowRun),
    Route("/apps/ID/workflow-runs/ID", "workflow_runs", WorkflowRunDetail, None),
    Route("/apps/ID/workflow-runs/ID/node-executions", "node_executions", NodeExecution),
    Route("/workflow/ID/pause-details", "human_inputs", WaitingForm, None),
)
_ID = "[0-9a-f]{8}-[0-9a-f-]{27}"
_COMPILED = [
    (re.compile("/console/api" + route.pattern.replace("ID", _ID)), route) for route in ROUTES
]


@dataclass(frozen=True)
class Found:
    """One object: the answers that show it, its id there, and the ids of what it hangs on."""

    route: Route
    path: str
    object_id: str | None
    above: frozenset[str]
    row: Any = field(repr=False, compare=False)

    @property
    def identity(self) -> str:
        """One object, whichever answer shows it."""
        return self.object_id or self.path


def route_of(path: str) -> Route | None:
    """The route of a request's path; None for what is no feed's."""
    return next((route for made, route in _COMPILED if made.fullmatch(path)), None)


def id_in(route: Route, path: str, row: Any) -> str | None:
    """The id of a row; rows of statistics have a date, and some of logs name what they are of."""
    if route.table == "daily_statistics":
        return f"{path} {row.get('date')}"
    found = row
    for key in route.id_path:
        found = found.get(key) if isinstance(found, dict) else None
    found = found or row.get("message_id") or row.get("conversation_id")
    return found if isinstance(found, str) else None


def rows_in(route: Route, answer: Any) -> list[Any]:
    """The rows of an answer."""
    rows = answer.get(route.rows) if route.rows and isinstance(answer, dict) else [answer]
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def objects_in(path: str, query: str, answer: Any) -> Iterator[Found]:
    """The objects of one answer."""
    route = route_of(path)
    if route is None or not isinstance(answer, dict):
        return
    ids = re.findall(_ID, path) + re.findall(f"_id=({_ID})", query)
    if route.rows is None:
        yield Found(route, path, None, frozenset(ids), answer)
        return
    yield Found(route, path, None, frozenset(ids), {k: v for k, v in answer.items()})
    for row in rows_in(route, answer):
        if (object_id := id_in(route, path, row)) is not None:
            more = [row.get(key) for key in ("conversation_id", "message_id", "dataset_id")]
            above = {*ids, *(one for one in more if isinstance(one, str))} - {object_id}
            yield Found(route, path, object_id, frozenset(above), row)
