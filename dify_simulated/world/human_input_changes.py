"""What can happen to runs that wait for a person, to triggers, and to runs that are archived."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from dify_simulated.world.conversation_changes import ConversationChanges
from dify_simulated.world.prices import usage_of
from dify_simulated.world.rows import (
    AppTrigger,
    ArchivedRun,
    HumanInputForm,
    JsonObject,
    Message,
    WorkflowRun,
)

STOPPED = "Aborted: App task was stopped"
_INPUTS: tuple[JsonObject, ...] = (
    {
        "output_variable_name": "remark",
        "type": "paragraph",
        "default": {"type": "constant", "selector": [], "value": "none"},
    },
)
_ACTIONS: tuple[JsonObject, ...] = (
    {"id": "approve", "title": "Approve", "button_style": "primary"},
    {"id": "deny", "title": "Deny", "button_style": "default"},
)
# What Dify counts before a model was asked.
_NO_USAGE: JsonObject = {
    **{key: 0 for key in ("prompt_tokens", "completion_tokens", "total_tokens")},
    **{
        f"{part}_{key}": "0.0"
        for part in ("prompt", "completion")
        for key in ("unit_price", "price_unit", "price")
    },
    "total_price": "0.0",
    "currency": "USD",
    "latency": 0.0,
    "time_to_first_token": None,
    "time_to_generate": None,
}


class HumanInputChanges(ConversationChanges):
    """Verbs on what waits; every `at` is an aware datetime."""

    def ask_person(
        self,
        run_id: str,
        *,
        at: datetime,
        blocking: bool = False,
        expires_in: timedelta = timedelta(hours=36),
        node_id: str = "human",
    ) -> HumanInputForm:
        """Let an unfinished run come to a form and wait; the message of a chatflow waits with it.

        A run that was called in streaming mode pauses its message, a `blocking` one leaves it
        `normal` and empty.
        """
        with self.lock:
            run = self.workflow_runs[run_id]
            node = self.add_node(run_id, at=at, node_id=node_id, node_type="human-input")
            node.title, node.status, node.finished_at = "Boss approves", "paused", at
            node.predecessor_node_id = node.inputs = None
            node.execution_metadata = {"iteration_id": None, "loop_id": None}
            run.status, run.paused_at, run.is_blocking = "paused", at, blocking
            run.total_steps = len(self.nodes_of_run[run_id])
            form = HumanInputForm(
                id=self.new_id(),
                app_id=run.app_id,
                workflow_run_id=run_id,
                node_execution_id=node.id,
                node_id=node_id,
                node_title=node.title,
                form_content="Approve payment?\n{{#$output.remark#}}",
                created_at=at,
                expiration_time=at + expires_in,
                form_token=self.new_id().replace("-", ""),
                backstage_token=self.new_id().replace("-", ""),
                inputs=_INPUTS,
                actions=_ACTIONS,
            )
            self.put_form(form)
            message = self._message_of(run)
            if message is not None and not blocking:
                message.status = "paused"
                message.message_metadata = _metadata(_NO_USAGE)
            return form

    def submit_form(
        self, form_id: str, *, at: datetime, action_id: str = "approve", remark: str = "ja"
    ) -> HumanInputForm:
        """Let a person answer. The run waits on until the worker comes to it: `resume_run`."""
        with self.lock:
            form = self.human_input_forms[form_id]
            form.submitted_at, form.action_id = at, action_id
            form.submitted_data = {"remark": remark}
            return form

    def resume_run(
        self,
        run_id: str,
        *,
        at: datetime,
        is_stopped: bool = False,
        prompt_tokens: int = 0,
        answer_tokens: int = 0,
    ) -> WorkflowRun:
        """Let the worker go on with a run whose form was answered, to its end.

        No cursor moves. `is_stopped` is what 1.16.1 does to blocking runs: the nodes succeed, the
        run ends stopped and the message stays empty.
        """
        with self.lock:
            run = self.workflow_runs[run_id]
            for form_id in self.forms_of_run[run_id]:
                self._answer_node(self.human_input_forms[form_id], at)
            last = "answer" if self._message_of(run) is not None else "end"
            node = self.add_node(run_id, at=at, node_id=last, node_type=last, status="succeeded")
            node.outputs, node.finished_at = {"text": "approved: ja"}, at
            status = "stopped" if is_stopped else "succeeded"
            self.finish_run(
                run_id,
                at=at,
                status=status,
                outputs={"answer": "approved: ja"},
                error=STOPPED if is_stopped else None,
                total_tokens=prompt_tokens + answer_tokens,
            )
            run.elapsed_time, run.paused_at = 0.031654, None
            message = self._message_of(run)
            if message is not None:
                message.provider_response_latency = 0.069939
                message.message_metadata = _metadata(_NO_USAGE)
                if not is_stopped:
                    _complete(message, prompt_tokens, answer_tokens)
            return run

    def _answer_node(self, form: HumanInputForm, at: datetime) -> None:
        """The same row of the node, with its answer and another beginning."""
        if form.submitted_at is None:
            return
        node = self.node_executions[form.node_execution_id]
        node.status, node.created_at, node.finished_at = "succeeded", at, at
        node.execution_metadata, node.process_data = {}, {}
        node.inputs = dict(form.submitted_data)
        node.outputs = {
            **form.submitted_data,
            "__action_id": form.action_id,
            "__action_value": form.action_text,
            "__rendered_content": form.rendered_content,
        }

    def _message_of(self, run: WorkflowRun) -> Message | None:
        return self.messages.get(self.message_of_run.get(run.id, ""))

    def add_trigger(
        self,
        app_id: str,
        *,
        at: datetime,
        kind: str = "webhook",
        status: str = "enabled",
    ) -> AppTrigger:
        """Give a workflow a trigger: webhook, schedule or plugin."""
        with self.lock:
            row = AppTrigger(
                id=self.new_id(),
                tenant_id=self.apps[app_id].tenant_id,
                app_id=app_id,
                node_id=f"start-{kind}",
                trigger_type=f"trigger-{kind}",
                title=f"Start by {kind}",
                created_at=at,
                updated_at=at,
                provider_name="lab/x/y" if kind == "plugin" else "",
                status=status,
            )
            self.app_triggers[row.id] = row
            return row

    def remove_trigger(self, trigger_id: str) -> None:
        """Take a trigger away."""
        with self.lock:
            del self.app_triggers[trigger_id]

    def archive_run(self, run_id: str, *, at: datetime) -> ArchivedRun:
        """Move a finished run to cold storage: it is in no list but that of archived logs.

        A run without a log line keeps no `log_id`, so that not even this list shows it.
        """
        with self.lock:
            log_id = self.log_of_run.get(run_id)
            log = self.take_log(log_id) if log_id else None
            run = self.take_run(run_id)
            row = ArchivedRun(
                id=self.new_id(),
                tenant_id=run.tenant_id,
                app_id=run.app_id,
                workflow_run_id=run.id,
                status=run.status,
                triggered_from=run.triggered_from,
                created_by_role=run.created_by_role,
                created_by=run.created_by,
                run_created_at=run.created_at,
                archived_at=at,
                log_id=log.id if log else None,
                elapsed_time=run.elapsed_time,
                total_tokens=run.total_tokens,
                trigger_metadata=log.trigger_metadata if log else {},
            )
            self.archived_runs[row.id] = row
            return row


def _complete(message: Message, prompt_tokens: int, answer_tokens: int) -> None:
    message.answer, message.status = "approved: ja", "normal"
    message.message_tokens, message.answer_tokens = prompt_tokens, answer_tokens
    usage = usage_of(prompt_tokens, answer_tokens, 0.07)
    message.message_metadata = _metadata({**_NO_USAGE, **usage})
    message.total_price = Decimal(str(usage["total_price"]))


def _metadata(usage: JsonObject) -> JsonObject:
    return {"annotation_reply": None, "retriever_resources": [], "usage": usage, "reasoning": {}}
