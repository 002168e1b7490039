"""What waits for a person: the forms in messages, and which nodes a run waits at (from 1.13)."""

from __future__ import annotations

from datetime import UTC

from dify_simulated.server.calls import Call, Route
from dify_simulated.server.errors import not_found
from dify_simulated.server.presentation import epoch
from dify_simulated.world.rows import HumanInputForm, JsonObject, Message


def extra_contents(row: Message, call: Call) -> list[JsonObject]:
    """The forms of a message's run. The token is there until the form is submitted."""
    world = call.world
    forms = world.forms_of_run.get(row.workflow_run_id or "", ())
    return [_content(world.human_input_forms[form_id]) for form_id in forms]


def _content(form: HumanInputForm) -> JsonObject:
    is_submitted = form.submitted_at is not None
    return {
        "workflow_run_id": form.workflow_run_id,
        "submitted": is_submitted,
        "form_definition": {
            "form_id": form.id,
            "node_id": form.node_id,
            "node_title": form.node_title,
            "form_content": form.form_content,
            "inputs": list(form.inputs),
            "actions": list(form.actions),
            "display_in_ui": True,
            "form_token": None if is_submitted else form.form_token,
            "resolved_default_values": {},
            "expiration_time": epoch(form.expiration_time),
        },
        "form_submission_data": _submission(form) if is_submitted else None,
        "type": "human_input",
    }


def _submission(form: HumanInputForm) -> JsonObject:
    return {
        "node_id": form.node_id,
        "node_title": form.node_title,
        "rendered_content": form.rendered_content,
        "action_id": form.action_id,
        "action_text": form.action_text,
        "submitted_data": form.submitted_data,
    }


def pause_details(call: Call) -> object:
    """GET /workflow/{run_id}/pause-details: any member; nulls for a run that does not wait.

    The address of each form holds a live token, another one than the message shows.
    """
    run = call.world.workflow_runs.get(call.path["run_id"])
    if run is None or run.tenant_id != call.tenant_id:
        raise not_found("Workflow run not found.")
    if run.status != "paused" or run.paused_at is None:
        return {"paused_at": None, "paused_nodes": []}
    forms = [call.world.human_input_forms[i] for i in call.world.forms_of_run.get(run.id, ())]
    return {
        "paused_at": run.paused_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "paused_nodes": [
            {
                "node_id": form.node_id,
                "node_title": form.node_title,
                "pause_type": {
                    "type": "human_input",
                    "form_id": form.id,
                    "backstage_input_url": f"http://dify.test/form/{form.backstage_token}",
                },
            }
            for form in forms
            if form.submitted_at is None
        ],
    }


ROUTES = (Route("GET", "/workflow/<string:run_id>/pause-details", pause_details, since=(1, 13)),)
