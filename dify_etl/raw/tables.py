"""The raw tables: which records fill each, its grain and key, and what counts as a change."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from dify_etl.dify.agents import AgentVersion
from dify_etl.dify.api_keys import ApiKey
from dify_etl.dify.app_records import App, AppDetail
from dify_etl.dify.conversations import Conversation
from dify_etl.dify.datasets import Dataset, Document
from dify_etl.dify.feedback import Annotation
from dify_etl.dify.members import Member
from dify_etl.dify.messages import (
    AgentThought,
    HumanInput,
    Message,
    MessageCitation,
    MessageFeedback,
    MessageFile,
)
from dify_etl.dify.record import Record
from dify_etl.dify.statistics import DailyStatistic
from dify_etl.dify.tool_calls import AgentToolCall
from dify_etl.dify.workflow_records import (
    AppTrigger,
    ArchivedRun,
    ChatflowRun,
    NodeExecution,
    WorkflowAppLog,
    WorkflowRun,
    WorkflowRunDetail,
)
from dify_etl.raw.columns import columns_of
from dify_etl.raw.local_days import day_columns
from dify_etl.warehouse.tables import Column, Table


@dataclass(frozen=True)
class RawTable:
    """A table of schema raw and the kinds of records that fill it."""

    table: Table
    records: tuple[type[Record], ...]


def _raw(
    name: str,
    grain: str,
    key: tuple[str, ...],
    records: tuple[type[Record], ...],
    *,
    owners: tuple[str, ...] = (),
    listed_by: str | None = None,
    moves_to: str | None = None,
    **marks: Iterable[str | Column],
) -> RawTable:
    """`owners`, `listed_by` and `moves_to` as of Table. Marks: `volatile`, `keeps_last`, `signed`
    name columns; `more` adds columns of our own.

    Instants by which people count have their local day (`dates`), or day and hour (`clocks`).
    """
    more = tuple(one for one in marks.pop("more", ()) if isinstance(one, Column))
    known: dict[str, Column] = {}
    for record in records:
        for column in columns_of(record):
            known.setdefault(column.name, column)
    days = (
        *day_columns(*_names(marks.pop("clocks", ())), hours=True),
        *day_columns(*_names(marks.pop("dates", ())), hours=False),
    )
    last = [known.pop(name) for name in ("odd_fields", "extra") if name in known]
    columns = (*known.values(), *more, *days, *last)
    named = {mark: set(names) for mark, names in marks.items()}
    marked = tuple(_marked(column, named) for column in columns)
    table = Table(
        *("raw", name, grain, key, marked), owners=owners, listed_by=listed_by, moves_to=moves_to
    )
    return RawTable(table, records)


def _names(marked: Iterable[str | Column]) -> list[str]:
    return [str(one) for one in marked]


def _marked(column: Column, marks: dict[str, set[str | Column]]) -> Column:
    # A local day is kept, or counts as no change, where its instant does.
    held_by = column.local_of or column.name
    return replace(
        column,
        is_volatile=held_by in marks.get("volatile", ()),
        keeps_last=held_by in marks.get("keeps_last", ()),
        is_signed=column.name in marks.get("signed", ()),
    )


MESSAGE_SOURCE = Column(
    "message_source",
    "VARCHAR",
    "Where the row comes from: chat (chat-messages), detail (completion log opened), "
    "list (completion list: no message id, tokens or latency), log (log of an agent: Dify could "
    "not show the message itself).",
)
SOURCE_COLUMNS = (
    Column("source_type", "VARCHAR", "What began it, by an agent's log: webapp or workflow."),
    Column("source_app_id", "VARCHAR", "App that began it, by an agent's log."),
    Column("source_workflow_id", "VARCHAR", "Workflow that asked the agent."),
    Column("source_workflow_version", "VARCHAR", "Version of that workflow."),
    Column("source_node_id", "VARCHAR", "Node of that workflow which the agent is."),
)
DETAIL_EXTRA = Column("detail_extra", "JSON", "As extra, for fields of the detail.")
DETAIL_OF = Column("detail_of", "TIMESTAMPTZ", "updated_at of the app when its detail was read.")
FEEDBACK_ID = Column("feedback_id", "VARCHAR", "Id of the feedback, from the export (>= 1.10.1).")
FEEDBACK_AT = Column("created_at", "TIMESTAMPTZ", "When it was given first, from the export, UTC.")
ACCOUNT_ZONE = Column("account_timezone", "VARCHAR", "Zone in which Dify counted the day.")
SERVER_VERSION = Column("server_version", "VARCHAR", "Server version that counted.")
READ_AT = Column("read_at", "TIMESTAMPTZ", "When the figure was read, UTC.")
MESSAGE_AT = Column("message_created_at", "TIMESTAMPTZ", "When the question came, UTC.")

HUMAN_INPUT = (
    Column("human_input_id", "VARCHAR", "Id of the form; where none is told, of its execution."),
    Column("node_execution_id", "VARCHAR", "Execution of the human input node."),
    Column(
        "state",
        "VARCHAR",
        "waiting; submitted; expired: not answered, and its time is over or its run has ended.",
    ),
    Column("asked_at", "TIMESTAMPTZ", "When the node began to wait, UTC; null: not seen waiting."),
    Column("answered_at", "TIMESTAMPTZ", "When the run went on with the answer, UTC."),
    MESSAGE_AT,
)

# Who started a run or node: looked up by Dify, and null once the user is gone.
_CREATOR = tuple(
    f"created_by_{part}"
    for part in (
        "account_id",
        "account_name",
        "account_email",
        "end_user_id",
        "end_user_type",
        "end_user_is_anonymous",
        "end_user_session_id",
    )
)

_TABLES = (
    _raw(
        "apps",
        "One row per app of the workspace.",
        ("app_id",),
        (App, AppDetail),
        more=[DETAIL_EXTRA, DETAIL_OF],
        volatile=["icon_url"],
        keeps_last=["create_user_name", "author_name"],
        signed=["site"],
    ),
    _raw(
        "app_api_keys",
        "One row per API key of an app; the key itself is never kept.",
        ("api_key_id",),
        (ApiKey,),
        volatile=["last_used_at"],
        owners=("app_id",),
    ),
    _raw(
        "dataset_api_keys",
        "One row per API key of the workspace's datasets; the key itself is never kept.",
        ("api_key_id",),
        (ApiKey,),
        volatile=["last_used_at"],
    ),
    _raw(
        "datasets",
        "One row per dataset (knowledge base) that the account may see.",
        ("dataset_id",),
        (Dataset,),
        keeps_last=["author_name"],
        signed=["icon_info"],
    ),
    _raw(
        "documents",
        "One row per document of a dataset.",
        ("document_id",),
        (Document,),
        volatile=["hit_count"],
        owners=("dataset_id",),
    ),
    _raw(
        "members",
        "One row per member of the workspace, invited ones included.",
        ("account_id",),
        (Member,),
        volatile=["avatar_url", "last_active_at", "last_login_at"],
    ),
    _raw(
        "daily_statistics",
        "One row per app, local day, metric and reading that brought a new figure. A null value: "
        "Dify showed a figure before and shows none now.",
        ("app_id", "statistic_date", "metric", "account_timezone", "read_at"),
        (DailyStatistic,),
        more=[ACCOUNT_ZONE, SERVER_VERSION, READ_AT],
    ),
    _raw(
        "annotations",
        "One row per annotation: an answer that an editor wrote.",
        ("annotation_id",),
        (Annotation,),
        volatile=["hit_count"],
        clocks=["created_at"],
        owners=("app_id",),
    ),
    _raw(
        "conversations",
        "One row per conversation of chat, agent-chat, advanced-chat, agent and completion apps.",
        ("conversation_id",),
        (Conversation,),
        more=SOURCE_COLUMNS,
        keeps_last=["from_end_user_session_id", "from_account_name"],
        clocks=["created_at"],
        dates=["updated_at"],
        owners=("app_id",),
        moves_to="source_app_id",
    ),
    _raw(
        "messages",
        "One row per message: a question and its answer. Messages of completion apps are known by "
        "their conversation alone when message_source is list.",
        ("conversation_id", "message_id"),
        (Message,),
        more=[MESSAGE_SOURCE],
        signed=["answer", "inputs", "message", "metadata", "extra_contents"],
        clocks=["created_at"],
    ),
    _raw(
        "message_feedbacks",
        "One row per like or dislike: message, source (user or admin) and giver. "
        "Dify tells id and time only in its feedback export.",
        ("message_id", "from_source", "from_end_user_id", "from_account_id"),
        (MessageFeedback,),
        more=[FEEDBACK_ID, FEEDBACK_AT, MESSAGE_AT],
        volatile=["position"],
        keeps_last=["from_account_name", "from_account_email", "feedback_id", "created_at"],
        clocks=["created_at"],
        dates=["message_created_at"],
        owners=("conversation_id",),
        listed_by="message_id",
    ),
    _raw(
        "message_citations",
        "One row per passage that retrieval gave to the model for a message.",
        ("message_id", "position"),
        (MessageCitation,),
        more=[MESSAGE_AT],
        dates=["message_created_at"],
        owners=("conversation_id",),
        listed_by="message_id",
    ),
    _raw(
        "message_files",
        "One row per file of a message.",
        ("message_file_id",),
        (MessageFile,),
        more=[MESSAGE_AT],
        volatile=["url"],
        dates=["message_created_at"],
        owners=("conversation_id",),
        listed_by="message_id",
    ),
    _raw(
        "agent_thoughts",
        "One row per step of an agent on the way to an answer.",
        ("agent_thought_id",),
        (AgentThought,),
        more=[MESSAGE_AT],
        signed=["files", "observation"],
        dates=["message_created_at"],
        owners=("conversation_id",),
        listed_by="message_id",
    ),
    _raw(
        "agent_tool_calls",
        "One row per call of a tool in a step of an agent. Seconds, status, error and tokens are "
        "told for agent-chat apps alone.",
        ("agent_thought_id", "call_position"),
        (AgentToolCall,),
        more=[MESSAGE_AT],
        keeps_last=["status", "error", "seconds", "step_tokens"],
        signed=["tool_output"],
        dates=["message_created_at"],
        owners=("conversation_id",),
        listed_by="message_id",
    ),
    _raw(
        "agent_versions",
        "One row per published version of an agent.",
        ("agent_version_id",),
        (AgentVersion,),
        owners=("app_id",),
    ),
    _raw(
        "human_inputs",
        "One row per form by which a run asked a person. Runs of workflow apps have no message and "
        "tell the form's id only while it waits.",
        ("human_input_id",),
        (HumanInput,),
        more=HUMAN_INPUT,
        keeps_last=[
            *("conversation_id", "message_id", "node_execution_id", "form_id", "node_title"),
            *("form_content", "form_inputs", "actions", "expires_at", "asked_at", "answered_at"),
            *("action_id", "action_text", "submitted_data", "rendered_content", "answered_by"),
        ],
        signed=["form_content", "form_inputs", "submitted_data", "rendered_content"],
        clocks=["asked_at", "answered_at"],
        owners=("conversation_id",),
        listed_by="message_id",
    ),
    _raw(
        "workflow_runs",
        "One row per run of a workflow or advanced-chat app; debugging runs are told apart by "
        "triggered_from.",
        ("workflow_run_id",),
        (WorkflowRun, WorkflowAppLog, ChatflowRun, WorkflowRunDetail),
        more=[DETAIL_EXTRA],
        keeps_last=[
            *_CREATOR,
            "created_by_role",
            "triggered_from",
            "workflow_app_log_id",
            "created_from",
            "details",
            *("trigger_type", "trigger_endpoint_id", "trigger_event_name"),
            *("trigger_provider_id", "trigger_plugin"),
            "conversation_id",
            "message_id",
            "retry_index",
            "sequence_number",
            "error",
            "extra",
            "detail_extra",
        ],
        signed=["inputs", "outputs"],
        clocks=["created_at", "finished_at"],
        owners=("app_id",),
    ),
    _raw(
        "node_executions",
        "One row per execution of a node in a run; inner nodes of loops repeat their node_id.",
        ("node_execution_id",),
        (NodeExecution,),
        keeps_last=[*_CREATOR],
        signed=["inputs", "process_data", "outputs", "extras"],
        clocks=["created_at", "finished_at"],
        owners=("workflow_run_id",),
        listed_by="workflow_run_id",
    ),
    _raw(
        "app_triggers",
        "One row per trigger of a workflow app: webhook, schedule or plugin event.",
        ("app_trigger_id",),
        (AppTrigger,),
        volatile=["icon"],
        owners=("app_id",),
    ),
    _raw(
        "archived_runs",
        "One row per run that was moved to cold storage and is in no other list; those that lost "
        "their log row are shown nowhere.",
        ("archived_run_id",),
        (ArchivedRun,),
        keeps_last=[*_CREATOR],
        clocks=["created_at"],
        owners=("app_id",),
    ),
)

RAW_TABLES = {one.table.name: one for one in _TABLES}


def raw_table(name: str) -> Table:
    """The specification of raw.<name>; KeyError when there is none."""
    return RAW_TABLES[name].table
