"""/agent: agents as the console shows them, their versions and where they are used.

Two reads write: the list and the detail make an empty talk for the account that asks, once per
agent ("Agent Debugging Conversation"), which chat-conversations then lists.
"""

from __future__ import annotations

from dify_simulated.endpoints.app_detail import service_api_url, whole_app, without_permissions
from dify_simulated.endpoints.apps import app_in_list
from dify_simulated.server.calls import Call, Route
from dify_simulated.server.errors import not_found
from dify_simulated.server.paging import LIMIT, PAGE, page_answer
from dify_simulated.server.parameters import Parameter
from dify_simulated.server.presentation import epoch, known
from dify_simulated.world.rows import Agent, AgentVersion, App, JsonObject
from dify_simulated.world.texts import DEBUGGING

SINCE = (1, 15)

_NO_SOUL: JsonObject = {"schema_version": 1, "tools": {"dify_tools": [], "cli_tools": []}}


def list_agents(call: Call) -> object:
    """GET /agent: a page; writes a talk for each agent that it shows."""
    asked = call.query("AppListQuery", PAGE, LIMIT, Parameter("name"))
    page, limit = asked.whole("page"), asked.whole("limit")
    rows = [
        (agent, call.world.apps[agent.app_id])
        for agent in call.world.agents.values()
        if agent.app_id in call.world.apps
        and call.world.apps[agent.app_id].tenant_id == call.tenant_id
    ]
    rows.sort(key=lambda row: (row[1].updated_at, row[0].id), reverse=True)
    shown = rows[(page - 1) * limit : page * limit]
    data = [_in_list(agent, app, call) for agent, app in shown]
    return page_answer(data, page=page, limit=limit, total=len(rows))


def get_agent(call: Call) -> object:
    """GET /agent/{id}: writes a talk, once per account."""
    return agent_detail(call.agent(), call)


def debugging_conversation(agent: Agent, call: Call) -> str:
    """The id of the account's debugging talk, which is made when there is none."""
    held = agent.debug_talks.get(call.account.id)
    if held in call.world.conversations:
        return str(held)
    row = call.world.add_conversation(
        agent.app_id,
        at=call.at,
        name=DEBUGGING,
        account_id=call.account.id,
        invoke_from="debugger",
    )
    agent.debug_talks[call.account.id] = row.id
    return row.id


def _in_list(agent: Agent, app: App, call: Call) -> JsonObject:
    row = without_permissions(app_in_list(app, call))
    row.pop("bound_agent_id")
    return {
        **row,
        "id": agent.id,
        "app_id": app.id,
        "backing_app_id": app.id,
        "hidden_app_backed": False,
        "has_draft_trigger": None,
        "debug_conversation_id": debugging_conversation(agent, call),
        "role": agent.role,
        "active_config_is_published": bool(call.world.versions_of_agent(agent.id)),
        "reference_count": 0,
        "published_reference_count": 0,
        "published_references": [],
    }


def agent_detail(agent: Agent, call: Call) -> JsonObject:
    """An agent with its app: what reading, making and changing it answer."""
    talk = debugging_conversation(agent, call)
    count = len(call.world.messages_of_conversation.get(talk, ()))
    whole = without_permissions(whole_app(call.app, call))
    whole.pop("bound_agent_id")
    values: JsonObject = {
        **whole,
        "id": agent.id,
        "app_id": call.app.id,
        "backing_app_id": call.app.id,
        "hidden_app_backed": False,
        "role": agent.role,
        "debug_conversation_id": talk,
        "debug_conversation_has_messages": count > 0,
        "debug_conversation_message_count": count,
        "access_ready": bool(call.world.versions_of_agent(agent.id)),
    }
    return known(values, access_ready=call.version.since(1, 17))


def list_versions(call: Call) -> object:
    """GET /agent/{id}/versions: the published ones, newest first, unpaged."""
    rows = call.world.versions_of_agent(call.agent().id)
    return {"data": [_version(row) for row in rows]}


def get_version(call: Call) -> object:
    """GET /agent/{id}/versions/{id}: with what was published."""
    agent = call.agent()
    row = call.world.agent_versions.get(call.path["version_id"])
    if row is None or row.agent_id != agent.id:
        raise not_found("Agent config version not found.", "agent_version_not_found_error")
    return {**_version(row), "config_snapshot": _NO_SOUL, "revisions": []}


def _version(row: AgentVersion) -> JsonObject:
    """A draft lies between two versions, so the snapshots count further."""
    return {
        "id": row.id,
        "agent_id": row.agent_id,
        "version": row.version,
        "display_version": row.version,
        "snapshot_version": row.version + 1,
        "summary": None,
        "version_note": row.version_note,
        "created_by": row.created_by,
        "created_at": epoch(row.created_at),
    }


def list_references(call: Call) -> object:
    """GET /agent/{id}/referencing-workflows: none here."""
    call.agent()
    return {"data": []}


def get_api_access(call: Call) -> object:
    """GET /agent/{id}/api-access."""
    return api_access(call.agent(), call)


def api_access(agent: Agent, call: Call) -> JsonObject:
    """Where the service API of an agent is, and whether it is on."""
    url = service_api_url(call)
    keys = [row for row in call.world.api_keys.values() if row.app_id == call.app.id]
    values: JsonObject = {
        "access_ready": bool(call.world.versions_of_agent(agent.id)),
        "enabled": call.app.enable_api,
        "service_api_base_url": url,
        "streaming_only": True,
        "chat_endpoint": f"{url}/chat-messages",
        "stop_endpoint": f"{url}/chat-messages/{{task_id}}/stop",
        "conversations_endpoint": f"{url}/conversations",
        "messages_endpoint": f"{url}/messages",
        "files_upload_endpoint": f"{url}/files/upload",
        "parameters_endpoint": f"{url}/parameters",
        "info_endpoint": f"{url}/info",
        "meta_endpoint": f"{url}/meta",
        "api_rpm": 0,
        "api_rph": 0,
        "api_key_count": len(keys),
    }
    return known(values, access_ready=call.version.since(1, 17))


_AGENT = "/agent/<uuid:agent_id>"

ROUTES = (
    Route("GET", "/agent", list_agents, since=SINCE),
    Route("GET", _AGENT, get_agent, since=SINCE),
    Route("GET", f"{_AGENT}/versions", list_versions, since=SINCE),
    Route("GET", f"{_AGENT}/versions/<uuid:version_id>", get_version, since=SINCE),
    Route("GET", f"{_AGENT}/referencing-workflows", list_references, since=SINCE),
    Route("GET", f"{_AGENT}/api-access", get_api_access, since=SINCE),
)
