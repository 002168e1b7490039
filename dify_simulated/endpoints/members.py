"""/workspaces/current/members."""

from __future__ import annotations

from dify_simulated.server.calls import Call, Route
from dify_simulated.server.presentation import epoch, known
from dify_simulated.world.rows import JsonObject, Member


def list_members(call: Call) -> object:
    """GET /workspaces/current/members: everybody at once, pending and banned people too."""
    joins = [row for row in call.world.members.values() if row.tenant_id == call.tenant_id]
    return {"accounts": [_detail(join, call) for join in joins]}


def _detail(join: Member, call: Call) -> JsonObject:
    row = call.world.accounts[join.account_id]
    values: JsonObject = {
        "id": row.id,
        "name": row.name,
        "avatar": row.avatar,
        "avatar_url": row.avatar,
        "email": row.email,
        "last_login_at": epoch(row.last_login_at),
        "last_active_at": epoch(row.last_active_at),
        "created_at": epoch(row.created_at),
        "role": join.role,
        "roles": _roles(join),
        "status": row.status,
    }
    return known(values, roles=call.version.answers_by_models)


def _roles(join: Member) -> list[JsonObject]:
    """The role again; none for dataset operators, whose feature is off."""
    if join.role == "dataset_operator":
        return []
    return [{"id": join.role, "name": join.role}]


ROUTES = (Route("GET", "/workspaces/current/members", list_members),)
