"""The raw tables: which records fill each, its grain and key, and what counts as a change."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypedDict, Unpack

from dify_etl.dify import routes
from dify_etl.dify.agents import AgentVersion
from dify_etl.dify.api_keys import ApiKey
from dify_etl.dify.app_records import App, AppDetail
from dify_etl.dify.conversations import (
    Conversation,
)
from dify_etl.dify.datasets import (
    Dataset,
    Document,
    DocumentSegment,
)
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
    WorkflowVersion,
)
from dify_etl.raw.columns import EXTRA, ODD_FIELDS, columns_of
from dify_etl.raw.local_days import day_columns
from dify_etl.warehouse.tables import Column, Table


class _TableMarks(TypedDict, total=False):
    """What a table may have besides its columns; passed on as it is."""

    owners: tuple[str, ...]
    listed_by: str | None
    moves_to: str | None
    day_column: str | None


@dataclass(frozen=True)
class RawTable:
    """A table of schema raw and the kinds of records that fill it.

    `sources` are the paths of Dify's console API that tell them. `hangs_on` are the feeds that list
    what its rows hang on, with Dify's word for one such object. `outlives_app`: rows of an app stay
    when it is gone.
    """

    table: Table
    records: tuple[type[Record], ...]
    sources: tuple[str, ...]
    hangs_on: Mapping[str, str] = field(default_factory=dict)
    outlives_app: bool = False

    @property
    def goes_with_app(self) -> bool:
        """Whether its rows are of an app, and absent as soon as the app is."""
        is_of_app = "app_id" in self.table.names and self.table.key != ("app_id",)
        return is_of_app and not self.outlives_app


def raw(
    name: str,
    grain: str,
    key: tuple[str, ...],
    records: tuple[type[Record], ...],
    *,
    sources: tuple[str, ...],
    more: tuple[Column, ...] = (),
    extra: Column = EXTRA,
    clocks: tuple[str, ...] = (),
    dates: tuple[str, ...] = (),
    hangs_on: Mapping[str, str] | None = None,
    outlives_app: bool = False,
    **marks: Unpack[_TableMarks],
) -> RawTable:
    """The table of these records, `more` being columns of our own.

    Instants by which people count have their local day (`dates`), or day and hour (`clocks`).
    ValueError when a column is not the same in all records, or a name is no column's.
    """
    known: dict[str, Column] = {}
    for record in records:
        for column in columns_of(record):
            same = known.setdefault(column.name, column)
            if replace(column, description=same.description) != same:
                raise ValueError(f"raw.{name}: {column.name} of {record.__name__} is another one")
    last = [known.pop(one.name) for one in (ODD_FIELDS, EXTRA) if one.name in known]
    last = [extra if one == EXTRA else one for one in last]
    columns = (*known.values(), *more)
    days = (*day_columns(*clocks, hours=True), *day_columns(*dates, hours=False))
    instants = {column.name: column for column in columns}
    kept = (_as_its_instant(day, instants.get(day.local_of or "", day)) for day in days)
    table = Table("raw", name, grain, key, (*columns, *kept, *last), **marks)
    return RawTable(table, records, sources, hangs_on or {}, outlives_app)


def _as_its_instant(day: Column, instant: Column) -> Column:
    """A local day is kept, or counts as no change, where its instant does."""
    return replace(day, is_volatile=instant.is_volatile, keeps_last=instant.keeps_last)


MESSAGE_SOURCE = Column(
    "message_source",
    "VARCHAR",
    "Where the row comes from: chat (chat-messages), detail (completion log opened), "
    "list (completion list: no message id, tokens or latency), log (log of an agent: Dify could "
    "not show the message itself).",
)
_NOT_TOLD = "by Dify's database; null: read by the console API, which does not tell it."


def _of_database(name: str, kind: str, what: str) -> Column:
    """A column that Dify's database alone fills. That it is told one day, and was not before, is no
    change of the row.
    """
    return Column(name, kind, f"{what}, {_NOT_TOLD}", is_volatile=True)


def _charged(name: str, kind: str, what: str) -> Column:
    """A price that holds for the tokens which the message then had: while it is written it is 0."""
    return replace(_of_database(name, kind, what), told_with=("message_tokens", "answer_tokens"))


_PRICE = "DECIMAL(28, 10)"
INVOKE_FROM = _of_database(
    *("invoke_from", "VARCHAR"),
    "What asked: service-api, web-app, explore (in the console), debugger, …",
)
CHARGED_COLUMNS = (
    _charged("charged_price", _PRICE, "Price of question and answer in charged_currency"),
    _charged("charged_currency", "VARCHAR", "Currency of charged_price, as USD"),
    _charged("charged_prompt_unit_price", _PRICE, "Price of a unit of the prompt"),
    _charged("charged_prompt_price_unit", _PRICE, "That unit: 0.001 is 1,000 tokens"),
    _charged("charged_completion_unit_price", _PRICE, "Price of a unit of the answer"),
    _charged("charged_completion_price_unit", _PRICE, "That unit"),
    _of_database("model_provider", "VARCHAR", "Provider of the model that answered"),
    _of_database("model_id", "VARCHAR", "Name of that model"),
    INVOKE_FROM,
)
SOURCE_COLUMNS = (
    Column("source_type", "VARCHAR", "What began it, by an agent's log: webapp or workflow."),
    Column("source_app_id", "VARCHAR", "App that began it, by an agent's log."),
    Column("source_workflow_id", "VARCHAR", "Workflow that asked the agent."),
    Column("source_workflow_version", "VARCHAR", "Version of that workflow."),
    Column("source_node_id", "VARCHAR", "Node of that workflow which the agent is."),
)
DETAIL_EXTRA = Column("detail_extra", "JSON", "As extra, for fields of the detail.", is_text=True)
DETAIL_OF = Column("detail_of", "TIMESTAMPTZ", "updated_at of the app when its detail was read.")
FEEDBACK_ID = Column(
    "feedback_id", "VARCHAR", "Id of the feedback, from the export (>= 1.10.1).", keeps_last=True
)
FEEDBACK_AT = Column(
    *("created_at", "TIMESTAMPTZ", "When it was given first, from the export, UTC."),
    keeps_last=True,
)
ACCOUNT_ZONE = Column("account_timezone", "VARCHAR", "Zone in which Dify counted the day.")
SERVER_VERSION = Column("server_version", "VARCHAR", "Server version that counted.")
READ_AT = Column("read_at", "TIMESTAMPTZ", "When the figure was read, UTC.")
MESSAGE_AT = Column("message_created_at", "TIMESTAMPTZ", "When the question came, UTC.")

HUMAN_INPUT = (
    Column("human_input_id", "VARCHAR", "Id of the form; where none is told, of its execution."),
    Column("node_execution_id", "VARCHAR", "Execution of the human input node.", keeps_last=True),
    Column(
        "state",
        "VARCHAR",
        "waiting; submitted; expired: not answered, and its time is over or its run has ended.",
    ),
    Column(
        "asked_at",
        "TIMESTAMPTZ",
        "When the node began to wait, UTC; null: not seen waiting.",
        keeps_last=True,
    ),
    Column(
        "answered_at", "TIMESTAMPTZ", "When the run went on with the answer, UTC.", keeps_last=True
    ),
    _of_database("answered_by_id", "VARCHAR", "Account or end user that answered"),
    _of_database("submitted_at", "TIMESTAMPTZ", "When the form was sent in, UTC"),
    MESSAGE_AT,
)

_OF_MESSAGE: _TableMarks = {
    "owners": ("conversation_id",),
    "listed_by": "message_id",
    "day_column": "message_created_date",
}
_MESSAGE_SOURCES = (
    routes.CHAT_MESSAGES,
    routes.COMPLETION_LOG,
    routes.AGENT_LOG_MESSAGES,
    routes.MESSAGE,
)
# What else hangs on a conversation. Runs of debugging are in no list: their message tells of them.
_OF_TALK = {"conversations": "conversation", "messages": "message"}

_TABLES = (
    raw(
        "apps",
        "One row per app of the workspace.",
        ("app_id",),
        (App, AppDetail),
        more=(DETAIL_EXTRA, DETAIL_OF),
        sources=(routes.APPS, routes.APP),
    ),
    raw(
        "app_api_keys",
        "One row per API key of an app; the key itself is never kept.",
        ("api_key_id",),
        (ApiKey,),
        owners=("app_id",),
        sources=(routes.APP_API_KEYS,),
    ),
    raw(
        "dataset_api_keys",
        "One row per API key of the workspace's datasets; the key itself is never kept.",
        ("api_key_id",),
        (ApiKey,),
        outlives_app=True,  # they are of no app
        sources=(routes.DATASET_API_KEYS,),
    ),
    raw(
        "datasets",
        "One row per dataset (knowledge base) that the account may see.",
        ("dataset_id",),
        (Dataset,),
        sources=(routes.DATASETS,),
    ),
    raw(
        "documents",
        "One row per document of a dataset.",
        ("document_id",),
        (Document,),
        owners=("dataset_id",),
        hangs_on={"datasets": "dataset"},
        sources=(routes.DOCUMENTS,),
    ),
    raw(
        "document_segments",
        "One row per segment (passage) of a document; filled with DIFY_ETL_SEGMENTS alone.",
        ("segment_id",),
        (DocumentSegment,),
        owners=("document_id",),
        hangs_on={"datasets": "dataset", "documents": "document"},
        sources=(routes.DOCUMENT_SEGMENTS,),
    ),
    raw(
        "members",
        "One row per member of the workspace, invited ones included.",
        ("account_id",),
        (Member,),
        sources=(routes.MEMBERS,),
    ),
    raw(
        "daily_statistics",
        "One row per app, local day, metric and reading that brought a new figure. A null value: "
        "Dify showed a figure before and shows none now.",
        ("app_id", "statistic_date", "metric", "account_timezone", "read_at"),
        (DailyStatistic,),
        more=(ACCOUNT_ZONE, SERVER_VERSION, READ_AT),
        day_column="statistic_date",
        outlives_app=True,  # figures tell what Dify counted then
        sources=("/apps/{app_id}/statistics/…", "/apps/{app_id}/workflow/statistics/…"),
    ),
    raw(
        "annotations",
        "One row per annotation: an answer that an editor wrote.",
        ("annotation_id",),
        (Annotation,),
        clocks=("created_at",),
        owners=("app_id",),
        sources=(routes.ANNOTATIONS,),
    ),
    raw(
        "conversations",
        "One row per conversation of chat, agent-chat, advanced-chat, agent and completion apps.",
        ("conversation_id",),
        (Conversation,),
        more=(*SOURCE_COLUMNS, INVOKE_FROM),
        clocks=("created_at",),
        dates=("updated_at",),
        owners=("app_id",),
        moves_to="source_app_id",
        day_column="created_date",
        sources=(routes.CHAT_CONVERSATIONS, routes.COMPLETION_CONVERSATIONS, routes.AGENT_LOGS),
    ),
    raw(
        "messages",
        "One row per message: a question and its answer. Messages of completion apps are known by "
        "their conversation alone when message_source is list.",
        ("conversation_id", "message_id"),
        (Message,),
        more=(MESSAGE_SOURCE, *CHARGED_COLUMNS),
        clocks=("created_at",),
        day_column="created_date",
        hangs_on={"conversations": "conversation"},
        sources=_MESSAGE_SOURCES,
    ),
    raw(
        "message_feedbacks",
        "One row per like or dislike: message, source (user or admin) and giver. "
        "Dify tells id and time only in its feedback export.",
        ("message_id", "from_source", "from_end_user_id", "from_account_id"),
        (MessageFeedback,),
        more=(FEEDBACK_ID, FEEDBACK_AT, MESSAGE_AT),
        clocks=("created_at",),
        dates=("message_created_at",),
        **_OF_MESSAGE,
        sources=(*_MESSAGE_SOURCES, routes.FEEDBACK_EXPORT),
    ),
    raw(
        "message_citations",
        "One row per passage that retrieval gave to the model for a message.",
        ("message_id", "citation_number"),
        (MessageCitation,),
        more=(MESSAGE_AT,),
        dates=("message_created_at",),
        **_OF_MESSAGE,
        sources=_MESSAGE_SOURCES,
    ),
    raw(
        "message_files",
        "One row per file of a message.",
        ("message_file_id",),
        (MessageFile,),
        more=(MESSAGE_AT,),
        dates=("message_created_at",),
        **_OF_MESSAGE,
        sources=_MESSAGE_SOURCES,
    ),
    raw(
        "agent_thoughts",
        "One row per step of an agent on the way to an answer.",
        ("agent_thought_id",),
        (AgentThought,),
        more=(MESSAGE_AT,),
        dates=("message_created_at",),
        **_OF_MESSAGE,
        sources=_MESSAGE_SOURCES,
    ),
    raw(
        "agent_tool_calls",
        "One row per call of a tool in a step of an agent. Seconds, status, error and tokens are "
        "told for agent-chat apps alone.",
        ("agent_thought_id", "call_position"),
        (AgentToolCall,),
        more=(MESSAGE_AT,),
        dates=("message_created_at",),
        **_OF_MESSAGE,
        sources=(*_MESSAGE_SOURCES, routes.AGENT_TOOL_LOGS),
    ),
    raw(
        "agent_versions",
        "One row per published version of an agent.",
        ("agent_version_id",),
        (AgentVersion,),
        owners=("app_id",),
        sources=(routes.AGENT_VERSIONS,),
    ),
    raw(
        "human_inputs",
        "One row per form by which a run asked a person. Runs of workflow apps have no message and "
        "tell the form's id only while it waits.",
        ("human_input_id",),
        (HumanInput,),
        more=HUMAN_INPUT,
        clocks=("asked_at", "answered_at"),
        owners=("conversation_id",),
        listed_by="message_id",
        day_column="asked_date",
        sources=(*_MESSAGE_SOURCES, routes.NODE_EXECUTIONS, routes.PAUSE_DETAILS),
    ),
    raw(
        "workflow_runs",
        "One row per run of a workflow or advanced-chat app; debugging runs are told apart by "
        "triggered_from.",
        ("workflow_run_id",),
        (WorkflowRun, WorkflowAppLog, ChatflowRun, WorkflowRunDetail),
        more=(replace(DETAIL_EXTRA, keeps_last=True),),
        clocks=("created_at", "finished_at"),
        owners=("app_id",),
        day_column="created_date",
        extra=replace(EXTRA, keeps_last=True),
        hangs_on=_OF_TALK,
        sources=(
            routes.WORKFLOW_RUNS,
            routes.CHATFLOW_RUNS,
            routes.WORKFLOW_APP_LOGS,
            routes.WORKFLOW_RUN,
        ),
    ),
    raw(
        "node_executions",
        "One row per execution of a node in a run; inner nodes of loops repeat their node_id.",
        ("node_execution_id",),
        (NodeExecution,),
        clocks=("created_at", "finished_at"),
        owners=("workflow_run_id",),
        listed_by="workflow_run_id",
        day_column="created_date",
        hangs_on={"workflow_runs": "run", **_OF_TALK},
        sources=(routes.NODE_EXECUTIONS,),
    ),
    raw(
        "workflow_versions",
        "One row per published version of a workflow or chatflow, with its graph.",
        ("workflow_id",),
        (WorkflowVersion,),
        clocks=("created_at",),
        owners=("app_id",),
        sources=(routes.WORKFLOW_VERSIONS,),
    ),
    raw(
        "app_triggers",
        "One row per trigger of a workflow app: webhook, schedule or plugin event.",
        ("app_trigger_id",),
        (AppTrigger,),
        owners=("app_id",),
        sources=(routes.APP_TRIGGERS,),
    ),
    raw(
        "archived_runs",
        "One row per run that was moved to cold storage and is in no other list; those that lost "
        "their log row are shown nowhere. Dify lists them from 1.12 to August 2026: later servers "
        "have the list no more, and rows that were read before stay.",
        ("archived_run_id",),
        (ArchivedRun,),
        clocks=("created_at",),
        owners=("app_id",),
        sources=(routes.ARCHIVED_RUNS,),
    ),
)

RAW_TABLES = {one.table.name: one for one in _TABLES}


def raw_table(name: str) -> Table:
    """The specification of raw.<name>; KeyError when there is none."""
    return RAW_TABLES[name].table
