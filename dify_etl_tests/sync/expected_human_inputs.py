"""The rows of forms, triggers and archived runs that a world must give."""

from collections.abc import Iterator

from dify_etl_tests.sync.expected_runs import visible_runs
from dify_etl_tests.sync.expected_values import Row, Told, second
from dify_simulated.world.rows import HumanInputForm

OPEN = ("paused", "running", "scheduled")


def human_inputs(told: Told) -> Iterator[Row]:
    """raw.human_inputs: what messages, nodes and pauses tell together."""
    for run in visible_runs(told) if told.since(1, 13) else ():
        for form_id in told.world.forms_of_run.get(run.id, ()):
            yield _form(told, told.world.human_input_forms[form_id])


def _form(told: Told, row: HumanInputForm) -> Row:
    """A workflow app's run tells neither what was asked nor until when."""
    message = told.world.messages.get(told.world.message_of_run.get(row.workflow_run_id, ""))
    node = told.world.node_executions[row.node_execution_id]
    is_submitted = row.submitted_at is not None and (message or node.status == "succeeded")
    return {
        "app_id": row.app_id,
        "workflow_run_id": row.workflow_run_id,
        "conversation_id": message and message.conversation_id,
        "message_id": message and message.id,
        "message_created_at": message and second(message.created_at),
        "node_execution_id": row.node_execution_id,
        "node_id": row.node_id,
        "node_title": row.node_title,
        "form_content": row.form_content if message else None,
        "form_inputs": list(row.inputs) if message else None,
        "actions": list(row.actions) if message else None,
        "expires_at": second(row.expiration_time) if message else None,
        "state": _state(told, row, is_submitted=bool(is_submitted), has_message=bool(message)),
        "action_id": row.action_id if is_submitted else None,
        "action_text": row.action_text if is_submitted else None,
        "submitted_data": row.submitted_data if is_submitted else None,
        "rendered_content": row.rendered_content if is_submitted else None,
        "answered_at": second(node.created_at) if node.status == "succeeded" else None,
        "answered_by": None,
        "answered_by_id": None,
        "submitted_at": None,
    }


def _state(told: Told, row: HumanInputForm, *, is_submitted: bool, has_message: bool) -> str:
    if is_submitted:
        return "submitted"
    is_over = has_message and row.expiration_time <= told.world.now()
    status = told.world.workflow_runs[row.workflow_run_id].status
    return "expired" if is_over or status not in OPEN else "waiting"


def app_triggers(told: Told) -> Iterator[Row]:
    """raw.app_triggers."""
    for row in told.world.app_triggers.values() if told.since(1, 10) else ():
        yield {
            "app_id": row.app_id,
            "app_trigger_id": row.id,
            "trigger_type": row.trigger_type,
            "title": row.title,
            "node_id": row.node_id,
            "provider_name": row.provider_name,
            "status": row.status,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "extra": None,
        }


def archived_runs(told: Told) -> Iterator[Row]:
    """raw.archived_runs: those that did not lose their log row."""
    for row in told.world.archived_runs.values() if told.since(1, 12) else ():
        if row.log_id is not None:
            yield {
                **told.creator(row.created_by_role, row.created_by),
                "created_by_role": None,
                "app_id": row.app_id,
                "archived_run_id": row.id,
                "workflow_run_id": row.workflow_run_id,
                "status": row.status,
                "triggered_from": row.triggered_from,
                "elapsed_seconds": row.elapsed_time,
                "total_tokens": row.total_tokens,
                "trigger_type": row.trigger_metadata.get("type"),
                "trigger_metadata": row.trigger_metadata,
                "created_at": second(row.run_created_at),
                "extra": None,
            }
