"""What can happen to workflow runs, their nodes and the versions of a graph."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from json import dumps

from dify_simulated.world.rows import (
    JsonObject,
    NodeExecution,
    Workflow,
    WorkflowAppLog,
    WorkflowRun,
)
from dify_simulated.world.tables import Tables, whole_second

# Where the log line says that a run came from, by who asked for it.
_CREATED_FROM = {"end_user": "service-api", "account": "installed-app"}


class WorkflowChanges(Tables):
    """Verbs on runs; every `at` is an aware datetime."""

    def start_run(
        self,
        app_id: str,
        *,
        at: datetime,
        triggered_from: str = "app-run",
        end_user_id: str | None = None,
        account_id: str | None = None,
        inputs: JsonObject | None = None,
    ) -> WorkflowRun:
        """Start a run. Apps of mode workflow get a log line too, unless it is a debug run.

        `triggered_from`: debugging, app-run, schedule, webhook or plugin.
        """
        with self.lock:
            app = self.apps[app_id]
            if end_user_id is None and account_id is None:
                account_id = app.created_by
            version = self.draft_of(app_id) if triggered_from == "debugging" else None
            workflow = version or self.published_of(app_id) or self.draft_of(app_id)
            row = WorkflowRun(
                id=self.new_id(),
                tenant_id=app.tenant_id,
                app_id=app_id,
                workflow_id=workflow.id if workflow else self.new_id(),
                version=workflow.version if workflow else "draft",
                triggered_from=triggered_from,
                status="running",
                created_by_role="account" if end_user_id is None else "end_user",
                created_by=end_user_id or account_id or app.created_by,
                created_at=at,
                inputs=inputs or {"text": "hello"},
                sequence_number=len(self.runs_of_app[app_id, triggered_from]) + 1,
            )
            self.put_run(row)
            if app.mode == "workflow" and triggered_from != "debugging":
                self._log_run(row)
            return row

    def _log_run(self, run: WorkflowRun) -> None:
        triggered = run.triggered_from not in ("app-run", "debugging")
        origin = "service-api" if triggered else _CREATED_FROM[run.created_by_role]
        self.put_log(
            WorkflowAppLog(
                id=self.new_id(),
                tenant_id=run.tenant_id,
                app_id=run.app_id,
                workflow_id=run.workflow_id,
                workflow_run_id=run.id,
                created_from=origin,
                created_by_role=run.created_by_role,
                created_by=run.created_by,
                created_at=whole_second(run.created_at),
                trigger_metadata=_trigger_metadata(run.triggered_from) if triggered else {},
            )
        )

    def finish_run(
        self,
        run_id: str,
        *,
        at: datetime,
        status: str = "succeeded",
        outputs: JsonObject | None = None,
        error: str | None = None,
        total_tokens: int = 0,
    ) -> WorkflowRun:
        """End a run: succeeded, failed, stopped or partial-succeeded. Its nodes end with it."""
        with self.lock:
            row = self.workflow_runs[run_id]
            already_ended = row.finished_at is not None
            row.status, row.error, row.finished_at = status, error, at
            row.outputs = {"text": "done"} if outputs is None and error is None else outputs or {}
            row.elapsed_time = round((at - row.created_at).total_seconds(), 6)
            row.total_tokens = total_tokens
            row.exceptions_count = 1 if status == "partial-succeeded" else 0
            for node_id in self.nodes_of_run.get(run_id, ()):
                self._end_node(self.node_executions[node_id], at)
            row.total_steps = len(self.nodes_of_run.get(run_id, ()))
            if not already_ended:
                self.log_the_end(row)
            return row

    def _end_node(self, node: NodeExecution, at: datetime) -> None:
        if node.finished_at is None:
            node.status, node.finished_at = "succeeded", at
            node.elapsed_time = round((at - node.created_at).total_seconds(), 6)

    def pause_run(self, run_id: str) -> None:
        """Let a run wait for a person (1.13 and later); such a run breaks lists of 1.7.2."""
        with self.lock:
            self.workflow_runs[run_id].status = "paused"

    def set_run_status(self, run_id: str, status: str) -> None:
        """Put an unfinished run into `scheduled`, `running` or `paused`."""
        with self.lock:
            self.workflow_runs[run_id].status = status

    def delete_run(self, run_id: str) -> None:
        """Remove the row of a run, as retention jobs do; its log line stays, with a null run."""
        with self.lock:
            self.take_run(run_id)

    def unlog_run(self, run_id: str) -> None:
        """Remove the log line of a run, leaving the run: no list shows a trigger's run then."""
        with self.lock:
            self.take_log(self.log_of_run[run_id])

    def add_node(
        self,
        run_id: str,
        *,
        at: datetime,
        node_id: str = "llm",
        node_type: str = "llm",
        status: str = "running",
    ) -> NodeExecution:
        """Let a run come to a node."""
        with self.lock:
            run = self.workflow_runs[run_id]
            earlier = self.nodes_of_run[run_id]
            row = NodeExecution(
                id=self.new_id(),
                app_id=run.app_id,
                workflow_run_id=run_id,
                index=len(earlier) + 1,
                node_id=node_id,
                node_type=node_type,
                title=node_type,
                status=status,
                created_by_role=run.created_by_role,
                created_by=run.created_by,
                created_at=at,
                predecessor_node_id=self.node_executions[earlier[-1]].node_id if earlier else None,
                inputs=run.inputs,
            )
            self.put_node(row)
            return row

    def published_of(self, app_id: str) -> Workflow | None:
        """The published version of an app, None before the first."""
        workflow_id = self.apps[app_id].workflow_id
        return None if workflow_id is None else self.workflows.get(workflow_id)

    def draft_of(self, app_id: str) -> Workflow | None:
        """The draft of an app, None before the first save."""
        drafts = (row for row in self.workflows.values() if row.app_id == app_id)
        return next((row for row in drafts if row.version == "draft"), None)

    def save_draft(
        self, app_id: str, graph: JsonObject, *, at: datetime, features: JsonObject | None = None
    ) -> Workflow:
        """Save the draft of a graph; without features those that it has stay."""
        with self.lock:
            row = self.draft_of(app_id)
            if row is None:
                row = self._workflow(app_id, "draft", graph, at)
            row.features = row.features if features is None else features
            told = {} if row.features is None else {"features": row.features}
            row.graph, row.hash, row.updated_at = graph, _hash(graph | told), at
            return row

    def publish(
        self,
        app_id: str,
        *,
        at: datetime,
        by: str | None = None,
        marked_name: str = "",
        marked_comment: str = "",
    ) -> Workflow:
        """Publish the draft: always a new version, even when nothing changed. Raises KeyError."""
        with self.lock:
            draft = self.draft_of(app_id)
            if draft is None:
                raise KeyError(f"app {app_id} has no draft to publish")
            version = at.strftime("%Y-%m-%d %H:%M:%S.%f")
            row = self._workflow(app_id, version, draft.graph, at)
            app = self.apps[app_id]
            earlier = [one for one in self.workflows.values() if one.app_id == app_id]
            row.version_number = len(earlier) - 1  # beside this one there is the draft
            row.created_by = by or app.created_by
            row.marked_name, row.marked_comment = marked_name, marked_comment
            row.environment_variables = draft.environment_variables
            row.features, row.hash = draft.features, draft.hash
            row.conversation_variables = draft.conversation_variables
            app.workflow_id, app.updated_at = row.id, whole_second(at)
            app.updated_by = by or app.updated_by
            return row

    def _workflow(self, app_id: str, version: str, graph: JsonObject, at: datetime) -> Workflow:
        row = Workflow(
            id=self.new_id(),
            app_id=app_id,
            version=version,
            graph=graph,
            hash=_hash(graph),
            created_by=self.apps[app_id].created_by,
            created_at=whole_second(at),
            updated_at=at,
        )
        self.workflows[row.id] = row
        return row


def _trigger_metadata(kind: str) -> JsonObject:
    """What a log line tells of a trigger: plugins have a provider and an event."""
    metadata: JsonObject = {"type": f"trigger-{kind}"}
    if kind != "plugin":
        return metadata
    return metadata | {
        "endpoint_id": "github-hook",
        "plugin_unique_identifier": "lab/github:0.0.1@abc",
        "provider_id": "lab/github/github",
        "event_name": "issue_opened",
        "icon_filename": "icon.svg",
        "icon_dark_filename": "icon-dark.svg",
    }


def _hash(graph: JsonObject) -> str:
    return sha256(dumps(graph, sort_keys=True).encode()).hexdigest()
