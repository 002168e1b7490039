"""The tables of the simulated workspace with the indexes that keep requests cheap.

Rows go in and out through this class, so that tables and indexes never disagree. Whoever changes
`created_at` or `updated_at` of a row by hand must not: the verbs of `World` do it.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from random import Random
from threading import RLock
from uuid import UUID

from dify_simulated.world.indexes import TimeIndex
from dify_simulated.world.rows import (
    Account,
    Agent,
    AgentVersion,
    Annotation,
    AnnotationHit,
    ApiKey,
    App,
    AppTrigger,
    ArchivedRun,
    Conversation,
    Dataset,
    Document,
    DocumentSegment,
    EndUser,
    Feedback,
    HumanInputForm,
    Member,
    Message,
    NodeExecution,
    Tag,
    Workflow,
    WorkflowAppLog,
    WorkflowRun,
    Workspace,
)


def wall_clock() -> datetime:
    """The time of this machine, UTC."""
    return datetime.now(UTC)


def whole_second(at: datetime) -> datetime:
    """Round as CURRENT_TIMESTAMP(0) does: to the nearest second, up to half a second ahead."""
    return (at + timedelta(microseconds=500_000)).replace(microsecond=0)


class Tables:
    """All rows by id, the indexes over them, one lock, one clock and one source of ids."""

    def __init__(self, *, seed: int, now: datetime | None) -> None:
        self.lock = RLock()
        self.random = Random(seed)
        self.dead_hosts: set[str] = set()  # hosts of remote files that do not answer
        self._stopped_at = now
        self._make_tables()
        self._make_indexes()

    def _make_tables(self) -> None:
        self.workspaces: dict[str, Workspace] = {}
        self.accounts: dict[str, Account] = {}
        self.members: dict[str, Member] = {}
        self.end_users: dict[str, EndUser] = {}
        self.tags: dict[str, Tag] = {}
        self.apps: dict[str, App] = {}
        self.agents: dict[str, Agent] = {}
        self.agent_versions: dict[str, AgentVersion] = {}
        self.workflows: dict[str, Workflow] = {}
        self.api_keys: dict[str, ApiKey] = {}
        self.datasets: dict[str, Dataset] = {}
        self.documents: dict[str, Document] = {}
        self.document_segments: dict[str, DocumentSegment] = {}
        self.conversations: dict[str, Conversation] = {}
        self.messages: dict[str, Message] = {}
        self.feedbacks: dict[str, Feedback] = {}
        self.annotations: dict[str, Annotation] = {}
        self.annotation_hits: dict[str, AnnotationHit] = {}
        self.workflow_runs: dict[str, WorkflowRun] = {}
        self.node_executions: dict[str, NodeExecution] = {}
        self.workflow_app_logs: dict[str, WorkflowAppLog] = {}
        self.human_input_forms: dict[str, HumanInputForm] = {}
        self.app_triggers: dict[str, AppTrigger] = {}
        self.archived_runs: dict[str, ArchivedRun] = {}

    def _make_indexes(self) -> None:
        self.conversations_created: defaultdict[str, TimeIndex] = defaultdict(TimeIndex)
        self.conversations_updated: defaultdict[str, TimeIndex] = defaultdict(TimeIndex)
        self.agent_of_app: dict[str, str] = {}
        self.unlisted_conversations: defaultdict[str, set[str]] = defaultdict(set)
        self.deleted_conversations: defaultdict[str, set[str]] = defaultdict(set)
        self.messages_of_app: defaultdict[str, TimeIndex] = defaultdict(TimeIndex)
        self.messages_of_conversation: defaultdict[str, TimeIndex] = defaultdict(TimeIndex)
        self.message_of_run: dict[str, str] = {}
        self.feedbacks_of_message: defaultdict[str, list[str]] = defaultdict(list)
        self.feedbacks_of_conversation: defaultdict[str, list[str]] = defaultdict(list)
        self.annotation_of_message: dict[str, str] = {}
        self.annotations_of_conversation: defaultdict[str, list[str]] = defaultdict(list)
        self.annotations_of_app: defaultdict[str, TimeIndex] = defaultdict(TimeIndex)
        self.hit_of_message: dict[str, str] = {}
        self.forms_of_run: defaultdict[str, list[str]] = defaultdict(list)
        self.runs_of_app: defaultdict[tuple[str, str], TimeIndex] = defaultdict(TimeIndex)
        self.nodes_of_run: defaultdict[str, list[str]] = defaultdict(list)
        self.logs_by_start: defaultdict[str, TimeIndex] = defaultdict(TimeIndex)
        self.logs_by_end: defaultdict[str, TimeIndex] = defaultdict(TimeIndex)
        self.log_of_run: dict[str, str] = {}
        self.ends_of_logs: dict[str, datetime] = {}
        self.documents_of_dataset: defaultdict[str, list[str]] = defaultdict(list)
        self.segments_of_document: defaultdict[str, list[str]] = defaultdict(list)
        self.unreadable_documents: dict[str, str] = {}  # the error that indexing them ends with

    def now(self) -> datetime:
        """The clock of the world, UTC."""
        return wall_clock() if self._stopped_at is None else self._stopped_at

    def set_now(self, at: datetime | None) -> None:
        """Stop the clock at an instant, or let it run with the wall clock (None)."""
        self._stopped_at = at

    def __getstate__(self) -> dict[str, object]:
        """All but the lock: a copy has its own."""
        return {name: value for name, value in vars(self).items() if name != "lock"}

    def __setstate__(self, state: dict[str, object]) -> None:
        vars(self).update(state, lock=RLock())

    def new_id(self) -> str:
        """A fresh uuid of version 4, repeatable for the same seed."""
        return str(UUID(int=self.random.getrandbits(128), version=4))

    def listed(self, conversation: Conversation) -> bool:
        """Whether chat-conversations and completion-conversations can show the row.

        Chatflow lists leave out debug conversations and rows without invoke_from; the lists of the
        other modes show them.
        """
        if conversation.mode != "advanced-chat":
            return True
        return conversation.invoke_from not in (None, "debugger")

    def put_conversation(self, row: Conversation) -> None:
        """Add a conversation."""
        self.conversations[row.id] = row
        if self.listed(row):
            self.conversations_created[row.app_id].add(row.created_at, row.id)
            self.conversations_updated[row.app_id].add(row.updated_at, row.id)
        else:
            self.unlisted_conversations[row.app_id].add(row.id)

    def take_conversation(self, conversation_id: str) -> Conversation:
        """Remove the row of a conversation, leaving its messages. Raises KeyError."""
        row = self.conversations.pop(conversation_id)
        self.deleted_conversations[row.app_id].discard(row.id)
        self.unlisted_conversations[row.app_id].discard(row.id)
        if self.listed(row) and not row.is_deleted:
            self.conversations_created[row.app_id].remove(row.created_at, row.id)
            self.conversations_updated[row.app_id].remove(row.updated_at, row.id)
        return row

    def move_updated_at(self, row: Conversation, at: datetime) -> None:
        """Set `updated_at` of a conversation."""
        if self.listed(row) and not row.is_deleted:
            index = self.conversations_updated[row.app_id]
            index.remove(row.updated_at, row.id)
            index.add(at, row.id)
        row.updated_at = at

    def put_message(self, row: Message) -> None:
        """Add a message."""
        self.messages[row.id] = row
        self.messages_of_app[row.app_id].add(row.created_at, row.id)
        self.messages_of_conversation[row.conversation_id].add(row.created_at, row.id)
        if row.workflow_run_id is not None:
            self.message_of_run[row.workflow_run_id] = row.id

    def take_message(self, message_id: str) -> Message:
        """Remove a message with its feedback and its annotation. Raises KeyError."""
        row = self.messages.pop(message_id)
        self.messages_of_app[row.app_id].remove(row.created_at, row.id)
        self.messages_of_conversation[row.conversation_id].remove(row.created_at, row.id)
        for feedback_id in list(self.feedbacks_of_message.pop(message_id, ())):
            self.feedbacks_of_conversation[row.conversation_id].remove(feedback_id)
            del self.feedbacks[feedback_id]
        if message_id in self.annotation_of_message:
            self.take_annotation(self.annotation_of_message[message_id])
        if row.workflow_run_id is not None:
            self.message_of_run.pop(row.workflow_run_id, None)
        self.annotation_hits.pop(self.hit_of_message.pop(message_id, ""), None)
        return row

    def put_feedback(self, row: Feedback) -> None:
        """Add a feedback."""
        self.feedbacks[row.id] = row
        self.feedbacks_of_message[row.message_id].append(row.id)
        self.feedbacks_of_conversation[row.conversation_id].append(row.id)

    def take_feedback(self, feedback_id: str) -> Feedback:
        """Remove a feedback. Raises KeyError."""
        row = self.feedbacks.pop(feedback_id)
        self.feedbacks_of_message[row.message_id].remove(feedback_id)
        self.feedbacks_of_conversation[row.conversation_id].remove(feedback_id)
        return row

    def put_annotation(self, row: Annotation) -> None:
        """Add an annotation."""
        self.annotations[row.id] = row
        self.annotations_of_app[row.app_id].add(row.created_at, row.id)
        if row.message_id is not None:
            self.annotation_of_message[row.message_id] = row.id
        if row.conversation_id is not None:
            self.annotations_of_conversation[row.conversation_id].append(row.id)

    def take_annotation(self, annotation_id: str) -> Annotation:
        """Remove an annotation. Raises KeyError."""
        row = self.annotations.pop(annotation_id)
        self.annotations_of_app[row.app_id].remove(row.created_at, row.id)
        if row.message_id is not None:
            self.annotation_of_message.pop(row.message_id, None)
        if row.conversation_id is not None:
            self.annotations_of_conversation[row.conversation_id].remove(annotation_id)
        return row

    def put_annotation_hit(self, row: AnnotationHit) -> None:
        """Add a line of an annotation's hit history."""
        self.annotation_hits[row.id] = row
        self.hit_of_message[row.message_id] = row.id

    def put_run(self, row: WorkflowRun) -> None:
        """Add a run."""
        self.workflow_runs[row.id] = row
        self.runs_of_app[row.app_id, row.triggered_from].add(row.created_at, row.id)

    def take_run(self, run_id: str) -> WorkflowRun:
        """Remove a run with its nodes, leaving its log line. Raises KeyError."""
        row = self.workflow_runs.pop(run_id)
        self.runs_of_app[row.app_id, row.triggered_from].remove(row.created_at, row.id)
        for node_id in self.nodes_of_run.pop(run_id, []):
            del self.node_executions[node_id]
        for form_id in self.forms_of_run.pop(run_id, []):
            del self.human_input_forms[form_id]
        return row

    def put_form(self, row: HumanInputForm) -> None:
        """Add a form that waits for a person."""
        self.human_input_forms[row.id] = row
        self.forms_of_run[row.workflow_run_id].append(row.id)

    def put_node(self, row: NodeExecution) -> None:
        """Add a node execution."""
        self.node_executions[row.id] = row
        self.nodes_of_run[row.workflow_run_id].append(row.id)

    def take_node(self, node_id: str) -> NodeExecution:
        """Remove a node execution. Raises KeyError."""
        row = self.node_executions.pop(node_id)
        self.nodes_of_run[row.workflow_run_id].remove(node_id)
        return row

    def put_log(self, row: WorkflowAppLog) -> None:
        """Add a line of workflow-app-logs."""
        self.workflow_app_logs[row.id] = row
        self.log_of_run[row.workflow_run_id] = row.id
        self.logs_by_start[row.app_id].add(row.created_at, row.id)
        run = self.workflow_runs.get(row.workflow_run_id)
        if run is not None:
            self.log_the_end(run)

    def take_log(self, log_id: str) -> WorkflowAppLog:
        """Remove a line of workflow-app-logs. Raises KeyError."""
        row = self.workflow_app_logs.pop(log_id)
        del self.log_of_run[row.workflow_run_id]
        self.logs_by_start[row.app_id].remove(row.created_at, row.id)
        if log_id in self.ends_of_logs:
            self.logs_by_end[row.app_id].remove(self.ends_of_logs.pop(log_id), log_id)
        return row

    def log_the_end(self, run: WorkflowRun) -> None:
        """Let servers that log at the end of a run see its line, once it has one and has ended."""
        log_id = self.log_of_run.get(run.id)
        if log_id is not None and run.finished_at is not None:
            self.ends_of_logs[log_id] = whole_second(run.finished_at)
            self.logs_by_end[run.app_id].add(self.ends_of_logs[log_id], log_id)

    def put_document(self, row: Document) -> None:
        """Add a document."""
        self.documents[row.id] = row
        self.documents_of_dataset[row.dataset_id].append(row.id)

    def put_segment(self, row: DocumentSegment) -> None:
        """Add a passage of a document."""
        self.document_segments[row.id] = row
        self.segments_of_document[row.document_id].append(row.id)
