"""Records of workflows: runs as logs, lists and details show them, nodes, versions.

One name per fact in all of them, so that their columns join into one table. `workflows.py` reads
them.
"""

from collections.abc import Mapping
from typing import Any, Unpack

from pydantic import AliasChoices, AliasPath, ConfigDict, Field, model_validator

from dify_etl.dify.json_text import JsonText
from dify_etl.dify.record import (
    Id,
    Instant,
    IsoInstant,
    JsonRow,
    Marks,
    Money,
    Record,
    aliased,
    optional,
)

STATUSES = "scheduled, running, succeeded, failed, stopped, partial-succeeded, paused"


class _Created(Record):
    """Who started it, looked up by Dify; all null when the creator is gone."""

    created_by_role: str | None = optional(description="account or end_user")
    created_by_account_id: str | None = optional(
        "created_by_account", "id", description="account that started it", keeps_last=True
    )
    created_by_account_name: str | None = optional(
        "created_by_account", "name", description="its name", keeps_last=True, is_person=True
    )
    created_by_account_email: str | None = optional(
        "created_by_account", "email", description="its e-mail", keeps_last=True, is_person=True
    )
    created_by_end_user_id: str | None = optional(
        "created_by_end_user", "id", description="end user that started it", keeps_last=True
    )
    created_by_end_user_type: str | None = optional(
        "created_by_end_user", "type", description="service_api, browser, …", keeps_last=True
    )
    created_by_end_user_is_anonymous: bool | None = optional(
        "created_by_end_user",
        "is_anonymous",
        description="whether Dify made the user up",
        keeps_last=True,
    )
    created_by_end_user_session_id: str | None = optional(
        "created_by_end_user",
        "session_id",
        description="the API caller's `user`",
        keeps_last=True,
        is_person=True,
    )


class _StartedRun(_Created):
    """Who started a run: its log and its detail tell the role as well, some lists do not."""

    created_by_role: str | None = optional(description="account or end_user", keeps_last=True)


class WorkflowRun(_StartedRun):
    """A run in a list (GET workflow-runs), without inputs, outputs and error."""

    needs = frozenset({"app_id", "workflow_run_id", "created_at"})

    app_id: Id = Field(description="id of the app")
    workflow_run_id: Id = aliased("id", description="id of the run")
    workflow_version: str | None = optional("version", description="version text, or draft")
    triggered_from: str | None = optional(
        description="app-run, debugging, webhook, schedule, …", keeps_last=True
    )
    status: str = aliased("status", description=STATUSES)
    elapsed_seconds: float | None = optional("elapsed_time", description="seconds of work")
    total_tokens: int | None = optional(description="tokens of all nodes")
    total_steps: int | None = optional(description="nodes run")
    exceptions_count: int | None = optional(description="node errors that were handled")
    retry_index: int | None = optional(description="number of the retry", keeps_last=True)
    sequence_number: int | None = optional(
        description="number of the run in its app (1.0 only)", keeps_last=True
    )
    created_at: Instant = aliased("created_at", description="when the run began")
    finished_at: Instant | None = optional(description="when it ended; null while it is open")


class ChatflowRun(WorkflowRun):
    """A run behind a message (GET advanced-chat/workflow-runs)."""

    conversation_id: Id | None = optional(
        description="conversation of the message", keeps_last=True
    )
    message_id: Id | None = optional(description="message that the run answered", keeps_last=True)


class WorkflowRunDetail(WorkflowRun):
    """A run with inputs, outputs and error (GET workflow-runs/{id}); its graph is dropped."""

    inputs: JsonText | None = optional(description="inputs, JSON", is_signed=True, is_text=True)
    outputs: JsonText | None = optional(description="outputs, JSON", is_signed=True, is_text=True)
    error: str | None = optional(description="error text", keeps_last=True, is_text=True)

    @classmethod
    def prepare(cls, row: JsonRow, context: Mapping[str, Any]) -> JsonRow:
        """The graph is large, and the same for all runs of a version."""
        return {**{key: row[key] for key in row if key != "graph"}, **context}


def _of_run(key: str, *, description: str, **marks: Unpack[Marks]) -> Any:
    return optional("workflow_run", key, description=description, **marks)


def _of_trigger(key: str, *, description: str) -> Any:
    return optional("details", "trigger_metadata", key, description=description, keeps_last=True)


class WorkflowAppLog(_StartedRun):
    """A log row of a workflow app (GET workflow-app-logs); its run may be gone.

    Written at the run's start since 1.9, at its end before.
    """

    needs = frozenset(
        {"app_id", "workflow_app_log_id", "workflow_run_id", "created_at", "log_created_at"}
    )

    beside = frozenset({"details"})  # a run that was triggered several times comes as often

    app_id: Id = Field(description="id of the app")
    workflow_app_log_id: Id = aliased("id", description="id of the log row", keeps_last=True)
    workflow_run_id: str | None = _of_run("id", description="id of the run; null when it is gone")
    workflow_version: str | None = _of_run("version", description="version text")
    triggered_from: str | None = _of_run(
        "triggered_from", description="app-run, webhook, …", keeps_last=True
    )
    status: str | None = _of_run("status", description=STATUSES)
    error: str | None = _of_run("error", description="error text", keeps_last=True, is_text=True)
    elapsed_seconds: float | None = _of_run("elapsed_time", description="seconds of work")
    total_tokens: int | None = _of_run("total_tokens", description="tokens of all nodes")
    total_steps: int | None = _of_run("total_steps", description="nodes run")
    exceptions_count: int | None = _of_run("exceptions_count", description="errors handled")
    created_at: Instant | None = _of_run("created_at", description="when the run began")
    finished_at: Instant | None = _of_run("finished_at", description="when the run ended")
    created_from: str | None = optional(
        description="service-api, web-app, installed-app", keeps_last=True
    )
    log_created_at: Instant = aliased(
        "created_at", description="when the row was written; what the time filters look at"
    )
    details: JsonText | None = optional(
        description="trigger metadata, JSON; since 1.10", keeps_last=True, is_text=True
    )
    trigger_type: str | None = _of_trigger(
        "type", description="trigger-webhook, trigger-schedule, trigger-plugin; null: no trigger"
    )
    trigger_endpoint_id: str | None = _of_trigger(
        "endpoint_id", description="endpoint that the event came to"
    )
    trigger_event_name: str | None = _of_trigger("event_name", description="event of the plugin")
    trigger_provider_id: str | None = _of_trigger(
        "provider_id", description="provider of the event, as lab/github/github"
    )
    trigger_plugin: str | None = _of_trigger(
        "plugin_unique_identifier", description="plugin and version that brought the event"
    )

    @classmethod
    def prepare(cls, row: JsonRow, context: Mapping[str, Any]) -> JsonRow:
        """Leave `details` out when nothing is told: each field that looks into it would fail."""
        return {
            **{key: row[key] for key in row if key != "details" or row[key] is not None},
            **context,
        }

    @model_validator(mode="before")
    @classmethod
    def _tells_of_a_run(cls, row: Any) -> Any:
        """Null says that the run is gone; no object, or a run without an id, says nothing."""
        run = row.get("workflow_run", "") if isinstance(row, dict) else None
        if run is not None and not isinstance(run, dict):
            raise ValueError("workflow_run is neither an object nor null")
        if run and run.get("id") is None and any(one is not None for one in run.values()):
            raise ValueError("workflow_run tells of a run, and not of which")
        return row


class NodeExecution(_Created):
    """One node of a run (GET workflow-runs/{id}/node-executions).

    Inner nodes of loops and iterations repeat their node_id.
    """

    needs = frozenset({"app_id", "workflow_run_id", "node_execution_id", "created_at"})

    app_id: Id = Field(description="id of the app")
    workflow_run_id: Id = Field(description="id of the run")
    node_execution_id: Id = aliased("id", description="id of this execution")
    node_index: int | None = optional("index", description="order in the run; not always unique")
    predecessor_node_id: str | None = optional(description="node before")
    node_id: str = aliased("node_id", description="id of the node in the graph")
    node_type: str | None = optional(description="start, llm, tool, code, iteration, …")
    title: str | None = optional(description="title of the node")
    inputs: JsonText | None = optional(description="inputs, JSON", is_signed=True, is_text=True)
    process_data: JsonText | None = optional(
        description="prompts, usage and the like, JSON", is_signed=True, is_text=True
    )
    outputs: JsonText | None = optional(description="outputs, JSON", is_signed=True, is_text=True)
    is_inputs_truncated: bool | None = optional(
        "inputs_truncated", description="whether Dify cut the inputs (since 1.9)"
    )
    is_process_data_truncated: bool | None = optional(
        "process_data_truncated", description="whether Dify cut the process data"
    )
    is_outputs_truncated: bool | None = optional(
        "outputs_truncated", description="whether Dify cut the outputs"
    )
    status: str = aliased("status", description="running, succeeded, failed, exception, retry, …")
    error: str | None = optional(description="error text", is_text=True)
    elapsed_seconds: float | None = optional("elapsed_time", description="seconds of work")
    total_tokens: int | None = optional(
        "execution_metadata", "total_tokens", description="tokens of the node"
    )
    total_price: Money | None = optional(
        "execution_metadata", "total_price", description="price of the node, in `currency`"
    )
    currency: str | None = optional(
        "execution_metadata", "currency", description="currency of the price"
    )
    iteration_id: str | None = optional(
        "execution_metadata", "iteration_id", description="iteration node around it"
    )
    iteration_index: int | None = optional(
        "execution_metadata", "iteration_index", description="round of the iteration, from 0"
    )
    loop_id: str | None = optional("execution_metadata", "loop_id", description="loop around it")
    loop_index: int | None = optional(
        "execution_metadata", "loop_index", description="round of the loop, from 0"
    )
    execution_metadata: JsonText | None = optional(description="usage and more, JSON", is_text=True)
    extras: JsonText | None = optional(
        description="icon of a tool, JSON", keeps_last=True, is_signed=True
    )
    retry_index: int | None = Field(
        default=None,
        validation_alias=AliasChoices(
            AliasPath("execution_metadata", "retry_index"), "retry_index"
        ),
        description="number of the retry, from 1 (since 1.13)",
    )
    tool_provider_type: str | None = optional(
        *("execution_metadata", "tool_info", "provider_type"),
        description="kind of the tool that a tool node called: builtin, api, workflow, mcp, …",
    )
    tool_provider_id: str | None = optional(
        *("execution_metadata", "tool_info", "provider_id"), description="who provides that tool"
    )
    created_at: Instant = aliased(
        "created_at",
        description="when the node began; that of a human input node moves when the run goes on",
    )
    finished_at: Instant | None = optional(description="when it ended; null while it runs")


class WaitingForm(Record):
    """A form that a run waits for (GET /workflow/{run_id}/pause-details, since 1.13).

    The answer holds an address with a live token beside each form; only this is taken from it.
    """

    model_config = ConfigDict(extra="ignore")
    keeps_raw = False

    workflow_run_id: Id = Field(description="run that waits")
    form_id: str | None = optional("pause_type", "form_id", description="id of the form")
    node_id: Id = aliased("node_id", description="id of the human input node in the graph")
    node_title: str | None = optional(description="title of that node")

    @classmethod
    def prepare(cls, row: JsonRow, context: Mapping[str, Any]) -> JsonRow:
        """Take the form's id alone out of what is paused."""
        found = row.get("pause_type")
        form_id = found.get("form_id") if isinstance(found, dict) else None
        named: JsonRow = {key: row[key] for key in ("node_id", "node_title") if key in row}
        return {**named, "pause_type": {"form_id": form_id}, **context}


class AppTrigger(Record):
    """What may start a workflow by itself (GET /apps/{id}/triggers, since 1.10)."""

    needs = frozenset({"app_id", "app_trigger_id"})

    app_id: Id = Field(description="id of the app")
    app_trigger_id: Id = aliased("id", description="id of the trigger")
    trigger_type: str = aliased(
        "trigger_type", description="trigger-webhook, trigger-schedule or trigger-plugin"
    )
    title: str | None = optional(description="title of its node")
    node_id: str | None = optional(description="id of its node in the graph")
    provider_name: str | None = optional(description="provider of a plugin; empty for others")
    icon: str | None = optional(
        description="address of the provider's icon; empty for others", is_volatile=True
    )
    status: str = aliased("status", description="enabled, disabled, unauthorized or rate_limited")
    created_at: IsoInstant | None = optional(description="when it was made")
    updated_at: IsoInstant | None = optional(description="when it was changed last")


class ArchivedRun(_Created):
    """A run that an operator's job moved to cold storage (GET workflow-archived-logs, since 1.12).

    It is in no other list any more, and its inputs, outputs and nodes cannot be read.
    """

    needs = frozenset({"app_id", "archived_run_id"})

    app_id: Id = Field(description="id of the app")
    archived_run_id: Id = aliased("id", description="id of the archived log")
    workflow_run_id: str | None = _of_run("id", description="id of the run")
    status: str | None = _of_run("status", description=STATUSES)
    triggered_from: str | None = _of_run("triggered_from", description="app-run, webhook, …")
    elapsed_seconds: float | None = _of_run("elapsed_time", description="seconds of work")
    total_tokens: int | None = _of_run("total_tokens", description="tokens of all nodes")
    trigger_type: str | None = optional(
        *("trigger_metadata", "type"), description="what started it; null: no trigger"
    )
    trigger_metadata: JsonText | None = optional(description="what started it, JSON", is_text=True)
    created_at: Instant = aliased("created_at", description="when the run began")


class WorkflowVersion(Record):
    """A published version, or the draft (GET workflows, workflows/publish)."""

    needs = frozenset({"app_id", "workflow_id"})

    app_id: Id = Field(description="id of the app")
    workflow_id: Id = aliased("id", description="id of this version")
    version: str | None = optional(description="time of publication as text, or draft")
    version_number: int | None = optional(
        description="number of the publication, from 1 (main of August 2026); null for the draft"
    )
    marked_name: str | None = optional(description="name given to the version")
    marked_comment: str | None = optional(description="comment given to the version")
    graph_hash: str | None = optional("hash", description="hash of graph and features")
    graph: JsonText | None = optional(description="nodes and edges, JSON")
    features: JsonText | None = optional(description="features, JSON")
    environment_variables: JsonText | None = optional(
        description="names and types, JSON list; values are dropped, they may be secret"
    )
    conversation_variables: JsonText | None = optional(description="variables, JSON list")
    rag_pipeline_variables: JsonText | None = optional(description="variables, JSON list")
    is_tool_published: bool | None = optional(
        "tool_published", description="whether it is offered as a tool"
    )
    created_by_id: str | None = optional(
        "created_by", "id", description="account that published it", keeps_last=True
    )
    created_by_name: str | None = optional(
        "created_by", "name", description="its name", keeps_last=True, is_person=True
    )
    created_by_email: str | None = optional(
        "created_by", "email", description="its e-mail", keeps_last=True, is_person=True
    )
    updated_by: JsonText | None = optional(
        description="account that changed its marks last, JSON", is_person=True
    )
    created_at: Instant | None = optional(description="when it was published")
    updated_at: Instant | None = optional(description="when its marks were changed last")

    @classmethod
    def prepare(cls, row: JsonRow, context: Mapping[str, Any]) -> JsonRow:
        """Keep names and types of environment variables, drop their values."""
        found = row.get("environment_variables")
        if isinstance(found, list):
            named = [_without_value(variable) for variable in found]
            row = {**row, "environment_variables": named}
        return {**row, **context}


class PublishedWorkflow(Record):
    """What publishing brought (POST workflows/publish)."""

    app_id: Id = Field(description="id of the app")
    published_at: Instant = aliased("created_at", description="when it was published")
    workflow_id: str | None = optional(description="id of the version; null when not read back")
    version: str | None = optional(description="its time as text; null when not read back")
    warning: str | None = optional(description="what Dify warns of (newest servers)")

    @classmethod
    def prepare(cls, row: JsonRow, context: Mapping[str, Any]) -> JsonRow:
        """Leave out `result`: it is always success."""
        return {**{key: row[key] for key in row if key != "result"}, **context}


class RunCount(Record):
    """Runs by status (GET workflow-runs/count, since 1.9.2)."""

    total: int = aliased("total", description="all runs")
    running: int | None = optional(description="not finished")
    succeeded: int | None = optional(description="succeeded")
    failed: int | None = optional(description="failed")
    stopped: int | None = optional(description="stopped by hand")
    partial_succeeded: int | None = optional(description="succeeded with handled errors")


def _without_value(variable: Any) -> Any:
    if not isinstance(variable, dict):
        return None
    return {key: variable[key] for key in ("id", "name", "value_type") if key in variable}
