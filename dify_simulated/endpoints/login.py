"""/login, /refresh-token and /logout: POST, POST, and GET or POST by release.

Six wrong passwords for one e-mail address pass as wrong; from the seventh on everything is 429 for
a day after the last failure, the right password too.
"""

from __future__ import annotations

from base64 import b64decode
from datetime import datetime, timedelta
from re import fullmatch

from werkzeug.wrappers import Response

from dify_simulated.server.bodies import json_object, misfit, missing
from dify_simulated.server.calls import Call, Need, Route
from dify_simulated.server.errors import ApiError, refusal
from dify_simulated.server.parameters import older_refusal
from dify_simulated.server.sessions import Sessions, refresh_refused
from dify_simulated.server.tokens import TokenSet
from dify_simulated.versions import ErrorFamily, SessionStyle
from dify_simulated.world.rows import Account

_MAX_FAILURES = 5
_LOCKED_FOR = timedelta(seconds=86_400)
_NO_WORKSPACE = (
    "workspace not found, please contact system admin to invite you to join in a workspace"
)
_WEAK_PASSWORD = "Password must contain letters and numbers, and the length must be greater than 8."


class LoginDesk:
    """Logs people in and counts failures per e-mail address."""

    def __init__(self, sessions: Sessions) -> None:
        self.sessions = sessions
        self._failures: dict[str, tuple[int, datetime]] = {}

    def routes(self) -> tuple[Route, ...]:
        """The three endpoints, /logout under the method of the release."""
        logout = "POST" if self.sessions.uses_cookies else "GET"
        return (
            Route("POST", "/login", self.log_in, need=Need.NOTHING),
            Route("POST", "/refresh-token", self.refresh, need=Need.NOTHING),
            Route(logout, "/logout", self.log_out, need=Need.NOTHING),
        )

    def log_in(self, call: Call) -> object:
        """Answer with tokens (body or cookies), 200 `fail` without a workspace, or a refusal."""
        body = _login_body(call)
        email = body["email"].lower() if call.version.signs_in_by_any_case else body["email"]
        self._refuse_locked(email, call.at)
        account = self._authenticate(call, email, self._password(body["password"]))
        if not self.sessions.can_enter(account):
            return {"result": "fail", "data": _NO_WORKSPACE}
        self._failures.pop(email, None)
        account.last_login_at = call.at
        account.last_login_ip = call.request.remote_addr or "127.0.0.1"
        return self._answer(self.sessions.tokens.issue(account.id, at=call.at))

    def _password(self, sent: str) -> str:
        if self.sessions.style is not SessionStyle.COOKIE_BASE64:
            return sent
        try:
            return b64decode(sent).decode()
        except ValueError:
            raise refusal(401, "authentication_failed", "Invalid encrypted data") from None

    def _refuse_locked(self, email: str, at: datetime) -> None:
        failures, until = self._failures.get(email, (0, at))
        if failures > _MAX_FAILURES and at < until:
            text = "Too many incorrect password attempts. Please try again later."
            raise refusal(429, "email_code_login_limit", text)
        if at >= until:
            self._failures.pop(email, None)

    def _authenticate(self, call: Call, email: str, password: str) -> Account:
        account = self._account(email, any_case=call.version.signs_in_by_any_case)
        unified = call.version.since(1, 8)
        if account is None and not unified:
            raise refusal(400, "account_not_found", "Account not found.")
        if account is not None and account.status == "banned":
            raise refusal(400, "account_banned", "Account is banned.")
        if account is not None and account.password is not None and account.password == password:
            return account
        failures, _ = self._failures.get(email, (0, call.at))
        self._failures[email] = (failures + 1, call.at + _LOCKED_FOR)
        if unified:
            raise refusal(401, "authentication_failed", "Invalid email or password.")
        text = "The email or password is mismatched."
        raise refusal(400, "email_or_password_mismatch", text)

    def _account(self, email: str, *, any_case: bool) -> Account | None:
        for account in self.sessions.world.accounts.values():
            if account.email == email or (any_case and account.email.lower() == email):
                return account
        return None

    def refresh(self, call: Call) -> object:
        """Spend a refresh token: from the cookie, or (bearer) from the body."""
        style = self.sessions.style
        token = (
            self.sessions.refresh_token_of(call.request)
            if self.sessions.uses_cookies
            else json_object(call).get("refresh_token")
        )
        if not isinstance(token, str) or not token:
            if self.sessions.uses_cookies:
                raise refresh_refused("No refresh token provided", style=style)
            text = "Missing required parameter in the JSON body"
            raise older_refusal("refresh_token", text, call.version)
        account_id = self.sessions.tokens.spend_refresh(token, at=call.at)
        if account_id is None or account_id not in call.world.accounts:
            raise refresh_refused("Invalid refresh token", style=style)
        return self._answer(self.sessions.tokens.issue(account_id, at=call.at))

    def _answer(self, tokens: TokenSet) -> object:
        if not self.sessions.uses_cookies:
            data = {"access_token": tokens.access, "refresh_token": tokens.refresh}
            return {"result": "success", "data": data}
        response = Response('{"result":"success"}', mimetype="application/json")
        self.sessions.hand_out(response, tokens)
        return response

    def log_out(self, call: Call) -> object:
        """Forget the latest refresh token. Bearer servers also say success to strangers."""
        try:
            account = self.sessions.account_of(call.request)
        except ApiError:
            if self.sessions.uses_cookies:
                raise
            return {"result": "success"}
        self.sessions.tokens.forget(account.id)
        if not self.sessions.uses_cookies:
            return {"result": "success"}
        response = Response('{"result":"success"}', mimetype="application/json")
        self.sessions.take_back(response)
        return response


def _login_body(call: Call) -> dict[str, str]:
    body = json_object(call)
    fields: dict[str, str] = {}
    for name in ("email", "password"):
        value = body.get(name)
        if not isinstance(value, str):
            raise missing(name, body, call, model="LoginPayload")
        fields[name] = value
    if not fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", fields["email"]):
        raise _bad_email(fields["email"], call)
    weak = not fullmatch(r"(?=.*[a-zA-Z])(?=.*\d).{8,}", fields["password"])
    if weak and not call.version.since(1, 8):
        raise older_refusal("password", _WEAK_PASSWORD, call.version)
    return fields


def _bad_email(email: str, call: Call) -> ApiError:
    text = f"{email} is not a valid email."
    if call.version.error_family is not ErrorFamily.PYDANTIC:
        return older_refusal("email", text, call.version)
    return misfit(call, "LoginPayload", "email", email, ("value_error", f"Value error, {text}"))
