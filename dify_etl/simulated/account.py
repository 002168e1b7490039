"""The account that asks and the workspaces that it is in."""

from __future__ import annotations

from dify_etl.simulated.calls import Call, Need, Route
from dify_etl.simulated.errors import invalid_param
from dify_etl.simulated.paging import page_answer
from dify_etl.simulated.parameters import Whole
from dify_etl.simulated.presentation import epoch, known
from dify_etl.simulated.rows import JsonObject, Workspace


def profile(call: Call) -> object:
    """GET /account/profile."""
    row = call.account
    return {
        "id": row.id,
        "name": row.name,
        "avatar": row.avatar,
        "avatar_url": row.avatar,
        "email": row.email,
        "is_password_set": row.password is not None,
        "interface_language": row.interface_language,
        "interface_theme": row.interface_theme,
        "timezone": row.timezone,
        "last_login_at": epoch(row.last_login_at),
        "last_login_ip": row.last_login_ip,
        "created_at": epoch(row.created_at),
    }


def workspaces(call: Call) -> object:
    """GET /workspaces: all workspaces of the account."""
    rows = [
        {**_workspace(call.world.workspaces[join.tenant_id]), "current": join.current}
        for join in call.account.joins
    ]
    return {"workspaces": rows}


def _workspace(row: Workspace) -> JsonObject:
    return {
        "id": row.id,
        "name": row.name,
        "plan": row.plan,
        "status": row.status,
        "created_at": epoch(row.created_at),
    }


def current_workspace(call: Call) -> object:
    """POST /workspaces/current, a POST that reads; GET up to 1.7.

    Which release changed the method was not recorded: from 1.8 to 1.11 both answer here.
    """
    values: JsonObject = {
        **_workspace(call.world.workspaces[call.tenant_id]),
        "plan": "basic",
        "role": call.role,
        "in_trial": None,
        "trial_end_reason": None,
        "custom_config": None,
        "trial_credits": None,
        "trial_credits_used": None,
        "next_credit_reset_date": None,
        "admin_extend": True,
        "tenant_extend": True,
    }
    newer = call.version.since(1, 10)
    return known(
        values,
        trial_credits=newer,
        trial_credits_used=newer,
        next_credit_reset_date=newer,
        admin_extend=newer,
        tenant_extend=newer,
    )


def switch_workspace(call: Call) -> object:
    """POST /workspaces/switch: for every session of the account."""
    body = call.request.get_json(silent=True)
    tenant_id = body.get("tenant_id") if isinstance(body, dict) else None
    try:
        call.world.switch_workspace(call.account.id, str(tenant_id))
    except KeyError:
        raise invalid_param("Account not link tenant") from None
    row = _workspace(call.world.workspaces[str(tenant_id)])
    return {"result": "success", "new_tenant": row}


def all_workspaces(call: Call) -> object:
    """GET /all-workspaces, with the admin key only."""
    asked = call.query(
        "WorkspaceListQuery",
        Whole("page", 1, low=1, high=99_999),
        Whole("limit", 20, low=1, high=100),
    )
    rows = sorted(call.world.workspaces.values(), key=lambda row: row.created_at, reverse=True)
    page, limit = asked.whole("page"), asked.whole("limit")
    shown = [
        {"id": row.id, "name": row.name, "status": row.status, "created_at": epoch(row.created_at)}
        for row in rows[(page - 1) * limit : page * limit]
    ]
    return page_answer(shown, page=page, limit=limit, total=len(rows))


ROUTES = (
    Route("GET", "/account/profile", profile),
    Route("GET", "/workspaces", workspaces),
    Route("GET", "/workspaces/current", current_workspace, until=(1, 12)),
    Route("POST", "/workspaces/current", current_workspace, since=(1, 8)),
    Route("POST", "/workspaces/switch", switch_workspace),
    Route("GET", "/all-workspaces", all_workspaces, need=Need.ADMIN_KEY),
)
