"""The rows of the simulated workspace: Dify's tables, with Dify's own column names.

All instants are aware UTC datetimes. Conversations and messages carry `created_at` in whole seconds
(Dify writes CURRENT_TIMESTAMP(0), rounded), `updated_at` and everything about runs in microseconds.
Nested values (inputs, metadata, outputs) are replaced as a whole, never changed in place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

JsonObject = dict[str, object]
# Type, icon and background.
Icon = tuple[str | None, str | None, str | None]


@dataclass(slots=True)
class Workspace:
    """A tenant. `plan` and `status` as Dify prints them; `archive` closes it."""

    id: str
    name: str
    created_at: datetime
    plan: str = "sandbox"
    status: str = "normal"


@dataclass(slots=True)
class Member:
    """Dify's tenant_account_joins: which account has which role in which workspace."""

    id: str
    tenant_id: str
    account_id: str
    role: str
    created_at: datetime
    current: bool = True
    last_opened_at: datetime | None = None


@dataclass(slots=True)
class Account:
    """A person with a login. `joins` holds the same Member objects as `World.members`."""

    id: str
    name: str
    email: str
    created_at: datetime
    password: str | None = field(default=None, repr=False)
    status: str = "active"
    timezone: str = "UTC"
    interface_language: str = "en-US"
    interface_theme: str = "light"
    avatar: str | None = None
    last_login_at: datetime | None = None
    last_login_ip: str | None = None
    last_active_at: datetime | None = None
    joins: list[Member] = field(default_factory=list)

    @property
    def role(self) -> str | None:
        """The role in the current workspace, None without a workspace."""
        return next((join.role for join in self.joins if join.current), None)

    @property
    def tenant_id(self) -> str | None:
        """The current workspace, kept on the server for every session of the account."""
        return next((join.tenant_id for join in self.joins if join.current), None)


@dataclass(slots=True)
class EndUser:
    """Somebody behind a web app or an API key. `session_id` is the caller's free text."""

    id: str
    tenant_id: str
    app_id: str
    type: str
    session_id: str
    created_at: datetime
    is_anonymous: bool = False


@dataclass(slots=True)
class Tag:
    """A tag of apps (`app`) or datasets (`knowledge`)."""

    id: str
    tenant_id: str
    name: str
    type: str = "app"


@dataclass(slots=True)
class AppModelConfig:
    """What a chat, agent-chat or completion app runs with; without a model, of an agent."""

    id: str
    model: JsonObject
    pre_prompt: str | None
    created_by: str
    created_at: datetime
    opening_statement: str | None = None
    suggested_questions: tuple[str, ...] = ()
    agent_mode: JsonObject = field(default_factory=dict)
    user_input_form: tuple[JsonObject, ...] = ()
    others: JsonObject = field(default_factory=dict)  # the keys without a field here


def first_settings(*, newest: bool) -> JsonObject:
    """What differs in a config that was never saved from one that was."""
    avoidance: JsonObject = {"config": {}} if newest else {"configs": []}
    return {
        "text_to_speech": {"enabled": False},
        "retriever_resource": {"enabled": True},
        "sensitive_word_avoidance": {"enabled": False, "type": "", **avoidance},
        "dataset_configs": {"retrieval_model": "multiple"},
    }


@dataclass(slots=True)
class Site:
    """The public web page of an app. `code` is a secret: it opens the page.

    `first_icon` (type, icon, background) is what its app began with, once that has another.
    """

    code: str = field(repr=False)
    title: str
    created_at: datetime
    created_by: str
    first_icon: Icon | None = None


@dataclass(slots=True)
class App:
    """An app of one of the six modes. `workflow_id`: the published version, None before it."""

    id: str
    tenant_id: str
    name: str
    description: str | None
    mode: str
    created_by: str
    created_at: datetime
    updated_at: datetime
    site: Site
    updated_by: str | None = None
    icon_type: str | None = "emoji"
    icon: str | None = "🤖"
    icon_background: str | None = "#FFEAD5"
    app_model_config: AppModelConfig | None = None
    workflow_id: str | None = None
    max_active_requests: int | None = None
    use_icon_as_answer_icon: bool = False
    enable_site: bool = True
    enable_api: bool = True
    tag_ids: tuple[str, ...] = ()
    starred_by: tuple[str, ...] = ()  # ids of accounts

    @property
    def whole_icon(self) -> Icon:
        """What the list of apps shows."""
        return self.icon_type, self.icon, self.icon_background

    def change_icon(self, icon: Icon) -> None:
        """Show another icon; the site keeps the first one."""
        if icon != self.whole_icon:
            self.site.first_icon = self.site.first_icon or self.whole_icon
        self.icon_type, self.icon, self.icon_background = icon


@dataclass(frozen=True, slots=True)
class AgentNode:
    """A node of a graph in which an agent answers."""

    app_id: str
    node_id: str


@dataclass(slots=True)
class Agent:
    """What an app of mode `agent` is bound to; it has an id of its own.

    `model` is None until somebody chose one. `debug_talks` names each account's debugging talk,
    `nodes` are those of workflows that use it.
    """

    id: str
    app_id: str
    role: str
    created_by: str
    created_at: datetime
    model: str | None = None
    debug_talks: dict[str, str] = field(default_factory=dict)
    nodes: tuple[AgentNode, ...] = ()


@dataclass(slots=True)
class AgentVersion:
    """A published version of an agent; `version` counts from 1."""

    id: str
    agent_id: str
    version: int
    version_note: str | None
    created_by: str
    created_at: datetime


@dataclass(slots=True)
class Workflow:
    """One version of a graph: `draft`, or the text of the instant of publishing."""

    id: str
    app_id: str
    version: str
    graph: JsonObject
    hash: str
    created_by: str
    created_at: datetime
    updated_at: datetime
    updated_by: str | None = None
    marked_name: str = ""
    marked_comment: str = ""
    environment_variables: tuple[JsonObject, ...] = ()
    features: JsonObject | None = None  # None: as a new app has them
    conversation_variables: tuple[JsonObject, ...] = ()
    version_number: int | None = None  # 1 for the first published one; None for the draft


@dataclass(slots=True)
class ApiKey:
    """A key of an app, or of datasets (`app_id` None): of all, unless `dataset_ids` names some.
    `type` is `app` or `dataset`.
    """

    id: str
    tenant_id: str
    type: str
    token: str = field(repr=False)
    created_at: datetime
    app_id: str | None = None
    last_used_at: datetime | None = None
    dataset_ids: tuple[str, ...] = ()


@dataclass(slots=True)
class Conversation:
    """A conversation, or the wrapper of one completion."""

    id: str
    app_id: str
    mode: str
    name: str
    created_at: datetime
    updated_at: datetime
    invoke_from: str | None
    from_source: str
    app_model_config_id: str | None = None
    from_end_user_id: str | None = None
    from_account_id: str | None = None
    summary: str | None = None
    introduction: str = ""
    inputs: JsonObject = field(default_factory=dict)
    status: str = "normal"
    read_at: datetime | None = None
    read_account_id: str | None = None
    is_deleted: bool = False


@dataclass(frozen=True, slots=True)
class AgentThought:
    """One step of an agent. `tool` is joined by ";"; input and observation are JSON texts."""

    id: str
    message_id: str
    position: int
    thought: str
    tool: str
    tool_input: str
    observation: str
    created_at: datetime
    tokens: int = 0
    latency: float = 0.0
    answer: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True)
class MessageFile:
    """A file of a question or an answer; its URL is signed anew on each read.

    With a `remote_url` it stays where it is, and Dify asks there whenever the message is read.
    """

    id: str
    filename: str
    type: str
    mime_type: str
    size: int
    transfer_method: str
    belongs_to: str
    upload_file_id: str | None
    remote_url: str = ""


@dataclass(slots=True)
class Message:
    """One question with its answer. While it is written the answer is "" and tokens are 0.

    `total_price`, `currency`, `model_provider` and `model_id` are columns of Dify's database which
    its console shows of few apps: what was really charged. Graphs leave the model null.
    """

    id: str
    app_id: str
    conversation_id: str
    query: str
    answer: str
    created_at: datetime
    updated_at: datetime
    invoke_from: str | None
    from_source: str
    message: object = ""
    inputs: JsonObject = field(default_factory=dict)
    message_tokens: int = 0
    answer_tokens: int = 0
    provider_response_latency: float = 0.0
    total_price: Decimal | None = None
    currency: str = "USD"
    model_provider: str | None = None
    model_id: str | None = None
    status: str = "normal"
    error: str | None = None
    message_metadata: JsonObject = field(default_factory=dict)
    from_end_user_id: str | None = None
    from_account_id: str | None = None
    workflow_run_id: str | None = None
    parent_message_id: str | None = None
    agent_thoughts: tuple[AgentThought, ...] = ()
    message_files: tuple[MessageFile, ...] = ()


@dataclass(slots=True)
class Feedback:
    """Dify's message_feedbacks: one per message and source (`user` or `admin`)."""

    id: str
    app_id: str
    conversation_id: str
    message_id: str
    rating: str
    from_source: str
    created_at: datetime
    updated_at: datetime
    content: str | None = None
    from_end_user_id: str | None = None
    from_account_id: str | None = None


@dataclass(slots=True)
class Annotation:
    """Dify's message_annotations: an answer that a person wrote. `hit_count` moves silently."""

    id: str
    app_id: str
    question: str
    content: str
    account_id: str
    created_at: datetime
    updated_at: datetime
    conversation_id: str | None = None
    message_id: str | None = None
    hit_count: int = 0


@dataclass(slots=True)
class AnnotationHit:
    """Dify's app_annotation_hit_histories: this message was answered by this annotation."""

    id: str
    app_id: str
    annotation_id: str
    message_id: str
    account_id: str
    score: float
    created_at: datetime


@dataclass(slots=True)
class WorkflowRun:
    """One run of a graph. `elapsed_time` in seconds; `finished_at` None while it runs."""

    id: str
    tenant_id: str
    app_id: str
    workflow_id: str
    version: str
    triggered_from: str
    status: str
    created_by_role: str
    created_by: str
    created_at: datetime
    inputs: JsonObject = field(default_factory=dict)
    outputs: JsonObject = field(default_factory=dict)
    error: str | None = None
    elapsed_time: float = 0.0
    total_tokens: int = 0
    total_steps: int | None = 0
    exceptions_count: int | None = 0
    finished_at: datetime | None = None
    sequence_number: int = 1
    paused_at: datetime | None = None
    is_blocking: bool = False  # called in blocking mode, not streaming


@dataclass(slots=True)
class NodeExecution:
    """Dify's workflow_node_executions. Inner nodes of loops and iterations repeat `node_id`."""

    id: str
    app_id: str
    workflow_run_id: str
    index: int
    node_id: str
    node_type: str
    title: str
    status: str
    created_by_role: str
    created_by: str
    created_at: datetime
    predecessor_node_id: str | None = None
    inputs: JsonObject | None = None
    process_data: JsonObject | None = None
    outputs: JsonObject | None = None
    error: str | None = None
    elapsed_time: float = 0.0
    execution_metadata: JsonObject = field(default_factory=dict)
    finished_at: datetime | None = None
    inputs_truncated: bool = False
    outputs_truncated: bool = False
    process_data_truncated: bool = False


@dataclass(slots=True)
class HumanInputForm:
    """Dify's human_input_forms: what a run asks a person, and the answer once there is one.

    Both tokens are live secrets: `form_token` opens the form without a login while it waits,
    `backstage_token` in the console.
    """

    id: str
    app_id: str
    workflow_run_id: str
    node_execution_id: str
    node_id: str
    node_title: str
    form_content: str
    created_at: datetime
    expiration_time: datetime
    form_token: str = field(repr=False)
    backstage_token: str = field(repr=False)
    inputs: tuple[JsonObject, ...] = ()
    actions: tuple[JsonObject, ...] = ()
    submitted_at: datetime | None = None
    action_id: str | None = None
    submitted_data: JsonObject = field(default_factory=dict)

    @property
    def action_text(self) -> str | None:
        """The title of the chosen action."""
        titles = {str(action["id"]): str(action["title"]) for action in self.actions}
        return titles.get(self.action_id or "")

    @property
    def rendered_content(self) -> str:
        """The content with the submitted values in it."""
        text = self.form_content
        for name, value in self.submitted_data.items():
            text = text.replace("{{#$output." + name + "#}}", str(value))
        return text


@dataclass(slots=True)
class AppTrigger:
    """Dify's app_triggers: what may start a workflow. Times in microseconds, no zone shown.

    `trigger_type`: trigger-webhook, trigger-schedule or trigger-plugin; `status`: enabled,
    disabled, unauthorized or rate_limited.
    """

    id: str
    tenant_id: str
    app_id: str
    node_id: str
    trigger_type: str
    title: str
    created_at: datetime
    updated_at: datetime
    provider_name: str = ""
    status: str = "enabled"


@dataclass(slots=True)
class ArchivedRun:
    """Dify's workflow_archive_logs: what is left of a run that was moved to cold storage.

    Without `log_id` no list shows it.
    """

    id: str
    tenant_id: str
    app_id: str
    workflow_run_id: str
    status: str
    triggered_from: str
    created_by_role: str
    created_by: str
    run_created_at: datetime
    archived_at: datetime
    log_id: str | None = None
    elapsed_time: float = 0.0
    total_tokens: int = 0
    trigger_metadata: JsonObject = field(default_factory=dict)


@dataclass(slots=True)
class WorkflowAppLog:
    """One line of workflow-app-logs. `created_at` is the start of the run, in whole seconds.

    Servers up to 1.8 write the line when the run has ended: the simulation then shows the end.
    """

    id: str
    tenant_id: str
    app_id: str
    workflow_id: str
    workflow_run_id: str
    created_from: str
    created_by_role: str
    created_by: str
    created_at: datetime
    trigger_metadata: JsonObject = field(default_factory=dict)


@dataclass(slots=True)
class Dataset:
    """A knowledge base. `permission`: only_me, all_team_members or partial_members."""

    id: str
    tenant_id: str
    name: str
    created_by: str
    created_at: datetime
    updated_at: datetime
    description: str | None = None
    provider: str = "vendor"
    permission: str = "only_me"
    data_source_type: str | None = "upload_file"
    indexing_technique: str | None = "high_quality"
    updated_by: str | None = None
    embedding_model: str | None = None
    embedding_model_provider: str | None = None
    external_knowledge_info: JsonObject | None = None
    tag_ids: tuple[str, ...] = ()
    partial_member_list: tuple[str, ...] = ()
    icon: str | None = None  # an emoji


@dataclass(slots=True)
class Document:
    """A document of a dataset. `paused_at` set and `is_paused` mean that indexing is held.

    `oddity`: "source-info" or "metadata" when that is not what newer servers expect.
    """

    id: str
    dataset_id: str
    position: int
    name: str
    created_by: str
    created_at: datetime
    updated_at: datetime
    batch: str
    upload_file_id: str
    dataset_process_rule_id: str | None
    oddity: str = ""
    indexing_status: str = "waiting"
    is_paused: bool = False
    error: str | None = None
    enabled: bool = True
    archived: bool = False
    disabled_at: datetime | None = None
    disabled_by: str | None = None
    tokens: int | None = None
    word_count: int | None = None
    hit_count: int = 0
    segments: int = 0
    completed_segments: int = 0
    processing_started_at: datetime | None = None
    parsing_completed_at: datetime | None = None
    cleaning_completed_at: datetime | None = None
    splitting_completed_at: datetime | None = None
    completed_at: datetime | None = None
    paused_at: datetime | None = None
    stopped_at: datetime | None = None
    has_metadata: bool = False  # whether lists show the built-in fields


@dataclass(slots=True)
class DocumentSegment:
    """A passage of a document. `child_chunks` are the texts of its parts, of hierarchical ones."""

    id: str
    dataset_id: str
    document_id: str
    position: int
    content: str
    created_by: str
    created_at: datetime
    updated_at: datetime
    answer: str | None = None
    summary: str | None = None
    keywords: tuple[str, ...] = ()
    word_count: int = 0
    tokens: int = 0
    hit_count: int = 0
    status: str = "completed"
    error: str | None = None
    enabled: bool = True
    disabled_at: datetime | None = None
    disabled_by: str | None = None
    updated_by: str | None = None
    indexing_at: datetime | None = None
    completed_at: datetime | None = None
    stopped_at: datetime | None = None
    child_chunks: tuple[str, ...] = ()
    image: str | None = None  # name of a picture that is attached
