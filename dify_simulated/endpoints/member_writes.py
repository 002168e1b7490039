"""Inviting people, changing their role, removing them. Dify validates no e-mail address.

All is recorded for 1.16.1 and later. Of older releases invitations and refusals were recorded;
inferred is how a success of the other two looks there (but for its status), and who is told what
when his role is too low: 400 for a role, 403 for a removal.
"""

from __future__ import annotations

from urllib.parse import quote

from werkzeug.wrappers import Response

from dify_simulated.server.answers import json_response
from dify_simulated.server.bodies import Field, read_body
from dify_simulated.server.calls import ADMINS, Call, Route
from dify_simulated.server.errors import ApiError, invalid_param, not_found, refusal
from dify_simulated.server.presentation import known
from dify_simulated.versions import ErrorFamily
from dify_simulated.world.rows import Account, JsonObject, Member

_ROLES = ("owner", "admin", "editor", "normal", "dataset_operator")
_NO_PERMISSION = "No permission to {} member."
_GENERIC_404 = (
    "The requested URL was not found on the server. If you entered the URL manually please check"
    " your spelling and try again."
)


def invite(call: Call) -> object:
    """POST /workspaces/current/members/invite-email: 201 always, each address with its result.

    1.0 stops at the first who is a member already; from 1.11.3 addresses become lower case.
    """
    role, emails = _asked(call)
    results: list[JsonObject] = []
    for email in (_written(str(one), call) for one in emails):
        result, is_member = _invited(email, role, call)
        results.append(result)
        if is_member and not call.version.since(1, 1):
            break
    answer: JsonObject = {
        "result": "success",
        "invitation_results": results,
        "tenant_id": call.tenant_id,
    }
    return json_response(known(answer, tenant_id=call.version.since(1, 7)), 201)


def _asked(call: Call) -> tuple[str, list[object]]:
    """Role and addresses. From 1.16 there must be an address, before from 1.11 none is needed."""
    pydantic = call.version.error_family is ErrorFamily.PYDANTIC
    newest = call.version.answers_by_models
    choices = _ROLES if pydantic and not newest else ()
    body = read_body(
        call,
        "MemberInvitePayload",
        Field("emails", list, required=newest or not pydantic, low=1 if newest else 0),
        Field("role", required=True, choices=choices, choice_kind="enum"),
    )
    role, emails = str(body["role"]), body.get("emails") or []
    if role not in _ROLES or role == "owner":
        raise refusal(400, "invalid_role", "Invalid role.") if newest else _invalid_role()
    assert isinstance(emails, list)
    return role, emails


def _invalid_role() -> ApiError:
    return ApiError(400, {"code": "invalid-role", "message": "Invalid role"})


def _written(email: str, call: Call) -> str:
    return email.lower() if call.version.signs_in_by_any_case else email


def _invited(email: str, role: str, call: Call) -> tuple[JsonObject, bool]:
    """The result for one address, and whether its account was an active member before."""
    account = _account_of(email, call)
    if account is not None and account.id == call.account.id:
        return _failed(email, "Cannot operate self."), False
    if call.role not in ADMINS:
        return _failed(email, _NO_PERMISSION.format("add")), False
    if account is None:
        account = call.world.add_account(name=email.split("@")[0], email=email, at=call.at)
        account.status = "pending"
    is_member = _join_of(account, call) is not None
    if not is_member:
        call.world.join(account.id, call.tenant_id, role=role, at=call.at)
    host = call.request.host_url.rstrip("/")
    if is_member and account.status != "pending":
        if call.version.answers_by_models:
            text = "Account already in workspace."
            return {"status": "already_member", "email": email, "message": text}, True
        return {"status": "success", "email": email, "url": f"{host}/signin"}, True
    token = call.world.new_id()
    url = f"{host}/activate?email={quote(email, safe='')}&token={token}"
    return {"status": "success", "email": email, "url": url}, False


def _failed(email: str, message: str) -> JsonObject:
    return {"status": "failed", "email": email, "message": message}


def _account_of(email: str, call: Call) -> Account | None:
    rows = call.world.accounts.values()
    return next((row for row in rows if _written(row.email, call) == email), None)


def _join_of(account: Account, call: Call) -> Member | None:
    return next((join for join in account.joins if join.tenant_id == call.tenant_id), None)


def _account_of_path(call: Call) -> Account:
    account = call.world.accounts.get(call.path["member_id"])
    if account is None:
        raise not_found(_GENERIC_404)
    return account


def update_role(call: Call) -> object:
    """PUT /workspaces/current/members/{id}/update-role: owners, from 1.16 admins too.

    `owner` hands the workspace over. `dataset_operator` is refused from 1.16: the feature is off.
    """
    role = str(read_body(call, "MemberRoleUpdatePayload", Field("role", required=True))["role"])
    if role not in _ROLES or (role == "dataset_operator" and call.version.answers_by_models):
        raise _invalid_role()
    account = _account_of_path(call)
    if account.id == call.account.id:
        raise _not_updated("cannot-operate-self", "Cannot operate self.", call)
    if not _rules_members(call):
        raise _not_updated("forbidden", _NO_PERMISSION.format("update"), call, status=403)
    join = _join_of(account, call)
    if join is None:
        raise _not_updated("member-not-found", "Member not in tenant.", call, status=404)
    if join.role == role:
        text = "The provided role is already assigned to the member."
        raise _not_updated("role-already-assigned", text, call)
    if role == "owner":
        call.world.set_role("admin", account_id=call.account.id)
    join.role = role
    return {"result": "success"}


def _rules_members(call: Call) -> bool:
    return call.role in (ADMINS if call.version.answers_by_models else ("owner",))


def _not_updated(code: str, text: str, call: Call, *, status: int = 400) -> ApiError:
    """Up to 1.15 all is an invalid parameter; after it each refusal has a code of its own."""
    if call.version.answers_by_models:
        return ApiError(status, {"code": code, "message": text})
    return invalid_param(text)


def remove(call: Call) -> object:
    """DELETE /workspaces/current/members/{id}: owners, from 1.16 admins; the account stays.

    From 1.16 an account goes that was invited and never came.
    """
    account = _account_of_path(call)
    if account.id == call.account.id:
        raise ApiError(400, {"code": "cannot-operate-self", "message": "Cannot operate self."})
    if not _rules_members(call):
        text = _NO_PERMISSION.format("remove")
        raise ApiError(403, {"code": "forbidden", "message": text})
    join = _join_of(account, call)
    if join is None:
        raise ApiError(404, {"code": "member-not-found", "message": "Member not in tenant."})
    call.world.leave(account.id, call.tenant_id)
    if call.version.answers_by_models and account.status == "pending" and not account.joins:
        call.world.remove_account(account.id)
    if not call.version.since(1, 7):
        return Response("", 204, mimetype="application/json")
    return {"result": "success", "tenant_id": call.tenant_id}


_MEMBER = "/workspaces/current/members/<uuid:member_id>"

ROUTES = (
    Route("POST", "/workspaces/current/members/invite-email", invite),
    Route("PUT", f"{_MEMBER}/update-role", update_role),
    Route("DELETE", _MEMBER, remove),
)
