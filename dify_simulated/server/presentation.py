"""Small pieces of JSON that many answers share."""

from __future__ import annotations

from datetime import datetime
from secrets import token_hex

from dify_simulated.server.calls import Call
from dify_simulated.world.rows import JsonObject


def epoch(at: datetime | None) -> int | None:
    """Epoch seconds, the fraction cut off; None stays None."""
    return None if at is None else int(at.timestamp())


def account_brief(call: Call, account_id: str | None) -> JsonObject | None:
    """id, name and e-mail of an account; None when there is none or its row is gone."""
    row = call.world.accounts.get(account_id or "")
    return None if row is None else {"id": row.id, "name": row.name, "email": row.email}


def account_name(call: Call, account_id: str | None) -> str | None:
    """The name of an account; None when there is none or its row is gone."""
    row = call.world.accounts.get(account_id or "")
    return None if row is None else row.name


def session_id(call: Call, end_user_id: str | None) -> str | None:
    """The session of an end user; None when there is none or the row is gone."""
    row = call.world.end_users.get(end_user_id or "")
    return None if row is None else row.session_id


def end_user_brief(call: Call, end_user_id: str | None) -> JsonObject | None:
    """An end user as logs and runs show it; None when there is none or the row is gone."""
    row = call.world.end_users.get(end_user_id or "")
    if row is None:
        return None
    return {
        "id": row.id,
        "type": row.type,
        "is_anonymous": row.is_anonymous,
        "session_id": row.session_id,
    }


def creators(call: Call, role: str, created_by: str) -> JsonObject:
    """`created_by_account` and `created_by_end_user`; both null when the creator is gone."""
    by_account = role == "account"
    return {
        "created_by_account": account_brief(call, created_by) if by_account else None,
        "created_by_end_user": None if by_account else end_user_brief(call, created_by),
    }


def signed(path: str, call: Call) -> str:
    """A link whose signature is another one on every read."""
    stamp = int(call.at.timestamp())
    return (
        f"http://dify.test/files/{path}?timestamp={stamp}&nonce={token_hex(16)}&sign={token_hex(8)}"
    )


def known(values: JsonObject, **by_release: bool) -> JsonObject:
    """Leave out the keys that a release does not have yet (key=False)."""
    absent = {key for key, present in by_release.items() if not present}
    return {key: value for key, value in values.items() if key not in absent}
