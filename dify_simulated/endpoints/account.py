"""The account that asks and the workspaces that it is in."""

from __future__ import annotations

from dify_etl.time_zones import zone_names
from dify_simulated.server.bodies import Field, read_body
from dify_simulated.server.calls import Call, Need, Route
from dify_simulated.server.errors import ApiError, invalid_param, refusal, unauthorized
from dify_simulated.server.paging import page_answer
from dify_simulated.server.parameters import Whole
from dify_simulated.server.presentation import epoch, known
from dify_simulated.world.rows import JsonObject, Member, Workspace


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
    return {"workspaces": [_joined(join, call) for join in call.account.joins]}


def _joined(join: Member, call: Call) -> JsonObject:
    values: JsonObject = {
        **_workspace(call.world.workspaces[join.tenant_id]),
        "last_opened_at": epoch(join.last_opened_at or join.created_at),
        "current": join.current,
    }
    return known(values, last_opened_at=call.version.answers_by_models)


def _workspace(row: Workspace) -> JsonObject:
    return {
        "id": row.id,
        "name": row.name,
        "plan": row.plan,
        "status": row.status,
        "created_at": epoch(row.created_at),
    }


def current_workspace(call: Call) -> object:
    """POST /workspaces/current, a POST that reads, also as /info; GET up to 1.7.

    Which release changed the method was not recorded: from 1.8 to 1.11 both answer here. After
    1.16.1 neither is there any more.
    """
    row = call.world.workspaces[call.tenant_id]
    if row.status == "archive":
        raise unauthorized("workspace is archived")
    return _described(row, call)


def _described(row: Workspace, call: Call) -> JsonObject:
    newest = call.version.answers_by_models
    values: JsonObject = {
        **_workspace(row),
        "plan": None if newest else "basic",
        "role": _role_in(row, call),
        "in_trial": None,
        "trial_end_reason": None,
        "custom_config": None,
        "trial_credits": None,
        "trial_credits_used": None,
        "trial_credits_exhausted_at": None,
        "next_credit_reset_date": None,
        "admin_extend": True,
        "tenant_extend": True,
    }
    newer = call.version.since(1, 10)
    return known(
        values,
        trial_credits=newer,
        trial_credits_used=newer,
        trial_credits_exhausted_at=newest,
        next_credit_reset_date=newer,
        admin_extend=newer and not newest,
        tenant_extend=newer and not newest,
    )


def _role_in(row: Workspace, call: Call) -> str | None:
    joins = call.account.joins
    return next((join.role for join in joins if join.tenant_id == row.id), None)


def summary(call: Call) -> object:
    """GET /workspaces/current/summary (after 1.16.1): where the account is, and its role there."""
    row = call.world.workspaces[call.tenant_id]
    return {"id": row.id, "name": row.name, "role": call.role, "plan": None, "credits": None}


def switch_workspace(call: Call) -> object:
    """POST /workspaces/switch: for every session of the account."""
    body = call.request.get_json(silent=True)
    tenant_id = body.get("tenant_id") if isinstance(body, dict) else None
    try:
        call.world.switch_workspace(call.account.id, str(tenant_id))
    except KeyError:
        raise _not_linked(call) from None
    row = call.world.workspaces[str(tenant_id)]
    for join in call.account.joins:
        if join.current:
            join.last_opened_at = call.at
    shown = _described(row, call) if call.version.answers_by_models else _workspace(row)
    return {"result": "success", "new_tenant": shown}


def _not_linked(call: Call) -> ApiError:
    if call.version.answers_by_models:
        return refusal(403, "account_not_link_tenant", "Account not link tenant")
    return invalid_param("Account not link tenant")


def set_timezone(call: Call) -> object:
    """POST /account/timezone: an IANA zone; all statistics of the account follow it."""
    body = read_body(call, "AccountTimezonePayload", Field("timezone", required=True))
    zone = str(body["timezone"])
    if zone not in zone_names():
        raise invalid_param(f"{zone} is not a valid timezone.")
    call.account.timezone = zone
    return profile(call)


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
    Route("POST", "/account/timezone", set_timezone),
    Route("GET", "/workspaces", workspaces),
    Route("GET", "/workspaces/current", current_workspace, until=(1, 12)),
    Route("POST", "/workspaces/current", current_workspace, since=(1, 8), until=(1, 17)),
    Route("POST", "/info", current_workspace, since=(1, 16), until=(1, 17)),
    Route("GET", "/workspaces/current/summary", summary, since=(1, 17)),
    Route("POST", "/workspaces/switch", switch_workspace),
    Route("GET", "/all-workspaces", all_workspaces, need=Need.ADMIN_KEY),
)
