"""Making, changing, publishing and deleting agents, and their keys."""

from __future__ import annotations

from dify_simulated.endpoints.agents import SINCE, agent_detail, api_access
from dify_simulated.endpoints.api_keys import create_app_key, delete_app_key, list_app_keys
from dify_simulated.endpoints.app_writes import delete_app
from dify_simulated.endpoints.conversation_writes import rate_message
from dify_simulated.server.answers import json_response
from dify_simulated.server.bodies import Field, json_object, read_body
from dify_simulated.server.calls import ADMINS, EDITORS, Call, Route
from dify_simulated.server.errors import refusal
from dify_simulated.server.presentation import epoch
from dify_simulated.world.rows import JsonObject
from dify_simulated.world.tables import whole_second

_NAME = Field("name", required=True, low=1)


def create_agent(call: Call) -> object:
    """POST /agent: 201; a name is given once."""
    body = read_body(call, "AgentAppCreatePayload", _NAME)
    name = str(body["name"])
    _check_name(name, call)
    app = call.world.add_agent_app(
        name=name,
        at=call.at,
        created_by=call.account.id,
        tenant_id=call.tenant_id,
        description=str(body.get("description") or ""),
        role=str(body.get("role") or ""),
        model=None,
    )
    app.icon = app.icon_background = None
    call.found_app = app
    agent = call.world.agents[call.world.agent_of_app[app.id]]
    return json_response(agent_detail(agent, call), 201)


def _check_name(name: str, call: Call, *, but: str = "") -> None:
    for agent in call.world.agents.values():
        app = call.world.apps.get(agent.app_id)
        if app and app.tenant_id == call.tenant_id and app.name == name and app.id != but:
            raise refusal(409, "agent_name_conflict_error", "Agent name already exists.")


def update_agent(call: Call) -> object:
    """PUT /agent/{id}: replaces name, role and description; the icon is emptied."""
    agent = call.agent()
    body = read_body(call, "AgentAppUpdatePayload", _NAME)
    _check_name(str(body["name"]), call, but=call.app.id)
    call.app.name, agent.role = str(body["name"]), str(body.get("role") or "")
    call.app.description = str(body.get("description") or "")
    call.app.change_icon((call.app.icon_type, "", ""))
    call.app.max_active_requests = call.app.max_active_requests or 0
    call.app.updated_at, call.app.updated_by = whole_second(call.at), call.account.id
    return agent_detail(agent, call)


def delete_agent(call: Call) -> object:
    """DELETE /agent/{id}: 204; its app goes with it."""
    call.agent()
    return delete_app(call)


def publish_agent(call: Call) -> object:
    """POST /agent/{id}/publish: one more version, once a model is chosen."""
    agent = call.agent()
    if agent.model is None:
        text = "Agent App requires the Agent Soul model to be configured."
        raise refusal(400, "agent_model_not_configured", text)
    note = json_object(call).get("version_note")
    row = call.world.publish_agent(
        agent.id,
        at=call.at,
        account_id=call.account.id,
        note=note if isinstance(note, str) else None,
    )
    call.app.updated_at, call.app.updated_by = whole_second(call.at), call.account.id
    made: JsonObject = {"created_by": row.created_by, "created_at": epoch(row.created_at)}
    return {
        "result": "success",
        "active_config_snapshot_id": row.id,
        "active_config_snapshot": {
            "id": row.id,
            "version": row.version + 1,
            "version_note": row.version_note,
            **made,
        },
        "draft": {
            "id": call.world.new_id(),
            "agent_id": agent.id,
            "draft_type": "draft",
            "account_id": None,
            "base_snapshot_id": row.id,
            "updated_by": row.created_by,
            "updated_at": epoch(row.created_at),
            **made,
        },
    }


def rate_agent_message(call: Call) -> object:
    """POST /agent/{id}/feedbacks: as of its app."""
    call.agent()
    return rate_message(call)


def switch_api(call: Call) -> object:
    """POST /agent/{id}/api-enable."""
    agent = call.agent()
    body = read_body(call, "AppApiStatusPayload", Field("enable_api", bool, required=True))
    if body["enable_api"]:
        call.check_published()
    call.app.enable_api = bool(body["enable_api"])
    return api_access(agent, call)


def list_keys(call: Call) -> object:
    """GET /agent/{id}/api-keys: those of its app."""
    _as_resource(call)
    return list_app_keys(call)


def create_key(call: Call) -> object:
    """POST /agent/{id}/api-keys: of its app."""
    _as_resource(call)
    return create_app_key(call)


def delete_key(call: Call) -> object:
    """DELETE /agent/{id}/api-keys/{id}: of its app."""
    _as_resource(call)
    return delete_app_key(call)


def _as_resource(call: Call) -> None:
    call.agent()
    call.path["resource_id"] = call.app.id


_AGENT = "/agent/<uuid:agent_id>"

ROUTES = (
    Route("POST", "/agent", create_agent, roles=EDITORS, since=SINCE),
    Route("PUT", _AGENT, update_agent, roles=EDITORS, since=SINCE),
    Route("DELETE", _AGENT, delete_agent, roles=EDITORS, since=SINCE),
    Route("POST", f"{_AGENT}/feedbacks", rate_agent_message, since=SINCE),
    Route("POST", f"{_AGENT}/publish", publish_agent, roles=EDITORS, since=SINCE),
    Route("POST", f"{_AGENT}/api-enable", switch_api, roles=ADMINS, since=SINCE),
    Route("GET", f"{_AGENT}/api-keys", list_keys, since=SINCE),
    Route("POST", f"{_AGENT}/api-keys", create_key, roles=EDITORS, since=SINCE),
    Route("DELETE", f"{_AGENT}/api-keys/<uuid:key_id>", delete_key, roles=ADMINS, since=SINCE),
)
