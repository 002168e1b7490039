"""Log in, keep the session alive, and sign every request, in the way of the server's version.

    up to 1.9.1        tokens in the body, `Authorization: Bearer`
    1.9.2 to 1.11.1    tokens in cookies, CSRF token in cookie and header, plain password
    from 1.11.2        the same with the password in Base64

A refused login is never repeated: five wrong passwords lock an account for a day.
"""

import base64
import json
import threading
from collections.abc import Generator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from http.cookies import CookieError, SimpleCookie
from typing import Any, Literal

import httpx
from pydantic import SecretStr

from dify_etl.dify.errors import (
    AccountLocked,
    DifyError,
    LoginRefused,
    SessionLost,
    UnexpectedAnswer,
)
from dify_etl.dify.http.answers import (
    NO_LICENCE,
    NO_ROUTE,
    Transient,
    code_of,
    failure_of,
    json_of,
    not_console,
    place_of,
    where_of,
)
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.password_mark import password_mark
from dify_etl.dify.http.server import Server
from dify_etl.dify.http.tokens import SessionTokens, TokenStore

Exchange = Generator[httpx.Request, httpx.Response, SessionTokens | None]

COOKIES_SINCE = (1, 9, 2)
ADMIN_KEY_SKIPS_CSRF_SINCE = (1, 11, 0)
BASE64_PASSWORD_SINCE = (1, 11, 2)
RENEW_MARGIN = timedelta(seconds=60)
RENEWALS_PER_REQUEST = 5  # other processes may renew meanwhile; each renewal must bring a new token
# 401s that no login can heal.
FINAL_CODES = frozenset({"not_setup", "not_init_validated", NO_LICENCE})


@dataclass(frozen=True)
class PasswordCredentials:
    """A Dify account; reading logs takes the role editor or above."""

    email: str
    password: SecretStr


@dataclass(frozen=True)
class AdminKeyCredentials:
    """The server's ADMIN_API_KEY; acts as the owner of the workspace."""

    admin_api_key: SecretStr
    workspace_id: str


class PasswordAuth(httpx.Auth):
    """Signs requests with a session; logs in and refreshes as needed, one thread at a time.

    With `mark_key` a kept session is taken only when it was made with the password that is set
    now: a wrong one is noticed at once, not when the session ends weeks later.
    Raises LoginRefused, AccountLocked, SessionLost, TokenStoreFailed; Transient when the server
    failed meanwhile.
    """

    requires_response_body = True

    def __init__(
        self,
        credentials: PasswordCredentials,
        *,
        server: Server,
        store: TokenStore,
        clock: Clock,
        mark_key: bytes | None = None,
    ) -> None:
        self._credentials = credentials
        self._mark_key = mark_key
        self._server = server
        self._store = store
        self._clock = clock
        self._key = f"{server.origin}:{credentials.email.lower()}"
        self._lock = threading.Lock()
        self._tokens: SessionTokens | None = None
        self._accepted: str | None = None  # the access token that Dify accepted last
        self._end: DifyError | None = None  # why this session can never work again

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign and send; on a 401 renew the session and send again."""
        tokens = self._tokens
        if tokens is None or self._is_due(tokens):
            tokens = yield from self._renewed(request, tokens)
        is_renewed = False
        for _ in range(RENEWALS_PER_REQUEST):
            sign(request, tokens)
            response = yield request
            if response.status_code != 401 or code_of(response) in FINAL_CODES:
                self._accept(tokens)
                return
            is_new = tokens.source == "login" and tokens.access_token != self._accepted
            if (is_renewed or is_new) and (yield from self._is_good(request, tokens)):
                self._accept(tokens)
                yield request  # its own 401, which says nothing of the session
                return
            is_renewed = True
            tokens = yield from self._renewed(request, tokens)
        raise self._lost(request)

    def _is_good(
        self, request: httpx.Request, tokens: SessionTokens
    ) -> Generator[httpx.Request, httpx.Response, bool]:
        """GET /account/profile: whether Dify takes this session there."""
        route = "/account/profile"
        extensions = {**request.extensions, "route": route}
        asking = httpx.Request("GET", self._server.url(route), extensions=extensions)
        sign(asking, tokens)
        response = yield asking
        return response.status_code == 200

    @cached_property
    def _mark(self) -> str | None:
        password = self._credentials.password.get_secret_value()
        key = self._mark_key
        return None if key is None else password_mark(password, account=self._key, key=key)

    def _may_take(self, kept: SessionTokens) -> bool:
        """Whether it was made with the password that is set; without a key that is not known."""
        return self._mark is None or kept.password_mark == self._mark

    def _accept(self, tokens: SessionTokens) -> None:
        if tokens is self._tokens:  # a late answer to an older session says nothing of this one
            self._accepted = tokens.access_token

    def _renewed(
        self, request: httpx.Request, old: SessionTokens | None
    ) -> Generator[httpx.Request, httpx.Response, SessionTokens]:
        """A session other than `old`: another thread's, another process's, or a new one."""
        with self._lock:
            if self._end is not None:
                raise self._end.with_traceback(None)
            if self._tokens is not None and self._tokens is not old:
                return self._tokens
            with self._store.locked(self._key):
                kept = self._store.load(self._key)
                if old is None and kept is not None and not self._may_take(kept):
                    kept = None
                if kept is None or (old and kept.access_token == old.access_token):
                    kept = yield from self._made_anew(request, old)
                    kept = replace(kept, password_mark=self._mark)
                    self._store.save(self._key, kept)
                else:
                    kept = replace(kept, source="store")
            self._tokens = kept
            return kept

    def _made_anew(
        self, request: httpx.Request, old: SessionTokens | None
    ) -> Generator[httpx.Request, httpx.Response, SessionTokens]:
        """Refresh; else log in, but not when a session that was just made is rejected."""
        is_fresh_reject = old is not None and old.access_token != self._accepted
        if old is not None and old.source == "login" and is_fresh_reject:
            self._end = self._lost(request)
            raise self._end
        if old is not None and not (old.source == "refresh" and is_fresh_reject):
            refreshed = yield from self._refresh(request, old)
            if refreshed is not None:
                return refreshed
        try:
            return (yield from self._login(request))
        except LoginRefused as error:
            self._end = error
            raise

    def _refresh(self, request: httpx.Request, old: SessionTokens) -> Exchange:
        """POST /refresh-token; None when Dify does not take the refresh token any more."""
        if old.refresh_token is None:
            return None
        if self._has_cookies:
            asking = self._post(request, "/refresh-token", {})
            name = f"{old.cookie_prefix}refresh_token"
            asking.headers["cookie"] = f"{name}={old.refresh_token}"
        else:
            asking = self._post(request, "/refresh-token", {"refresh_token": old.refresh_token})
        response = yield asking
        if response.status_code == 429 or response.status_code >= 500:
            raise failure_of(response)
        if response.status_code != 200 or _result(response) != "success":
            return None
        return self._tokens_in(response, source="refresh")

    def _login(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, SessionTokens]:
        """POST /login."""
        password = self._credentials.password.get_secret_value()
        if self._server.version >= BASE64_PASSWORD_SINCE:
            password = base64.b64encode(password.encode()).decode()
        body = {"email": self._credentials.email, "password": password, "remember_me": True}
        response = yield self._post(request, "/login", body)
        if response.status_code in NO_ROUTE and not code_of(response):
            raise not_console(self._server.origin, where=place_of(response.request))
        if response.status_code != 200:
            raise _login_failure(response)
        if _result(response) != "success":
            raise _no_entry(response)
        return self._tokens_in(response, source="login")

    def _post(self, like: httpx.Request, path: str, body: dict[str, Any]) -> httpx.Request:
        """A request of our own, with the time-outs of the one that needs it."""
        extensions = {**like.extensions, "route": path}
        return httpx.Request("POST", self._server.url(path), json=body, extensions=extensions)

    def _tokens_in(
        self, response: httpx.Response, *, source: Literal["login", "refresh"]
    ) -> SessionTokens:
        cookies, prefix = cookies_of(response)
        body = json_of(response)
        data = body.get("data") if isinstance(body, dict) else None
        found = cookies or (data if isinstance(data, dict) else {})
        access_token = found.get("access_token")
        if not isinstance(access_token, str) or not access_token:
            raise UnexpectedAnswer(
                "Dify accepts the account but sends no access token",
                where=place_of(response.request),
                hint="A proxy may drop the Set-Cookie headers; let it pass them.",
            )
        return SessionTokens(
            access_token=access_token,
            refresh_token=found.get("refresh_token"),
            csrf_token=found.get("csrf_token"),
            cookie_prefix=prefix,
            renew_at=self._renew_at(access_token),
            source=source,
        )

    def _renew_at(self, access_token: str) -> datetime | None:
        """Shortly before the token ends, on our clock; None when its end is not known."""
        expires = expiry_of(access_token)
        if expires is None:
            return None
        lifetime = timedelta(seconds=expires - self._server.time.timestamp())
        if lifetime <= timedelta(0):
            return None  # the clocks disagree: wait for the 401
        return self._clock.now() + lifetime - min(RENEW_MARGIN, lifetime / 4)

    def _is_due(self, tokens: SessionTokens) -> bool:
        return tokens.renew_at is not None and tokens.renew_at <= self._clock.now()

    @property
    def _has_cookies(self) -> bool:
        return self._server.version >= COOKIES_SINCE

    def _lost(self, request: httpx.Request) -> SessionLost:
        return SessionLost(
            "Dify rejects a session that it has just given",
            where=where_of(request),
            hint="Check that one address serves the console and its API, and that proxies pass "
            "the Cookie, Authorization and X-CSRF-Token headers.",
        )


class AdminKeyAuth(httpx.Auth):
    """Signs requests with the admin key and the workspace; sends no cookies.

    Raises LoginRefused when the server's version or the key does not allow it.
    """

    def __init__(self, credentials: AdminKeyCredentials, *, server: Server) -> None:
        self._credentials = credentials
        self._server = server

    def sync_auth_flow(
        self, request: httpx.Request
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign and send; a 401 is final."""
        if COOKIES_SINCE <= self._server.version < ADMIN_KEY_SKIPS_CSRF_SINCE:
            raise LoginRefused(
                f"Dify {self._server.version_text} takes no admin key (1.9.2 to 1.10 ask it for "
                "a CSRF token)",
                where=place_of(request),
                hint="Upgrade Dify to 1.11 or later, or use an account's e-mail and password.",
            )
        key = self._credentials.admin_api_key.get_secret_value()
        request.headers["authorization"] = f"Bearer {key}"
        request.headers["x-workspace-id"] = self._credentials.workspace_id
        response = yield request
        if response.status_code == 401 and code_of(response) not in FINAL_CODES:
            raise LoginRefused(
                "Dify does not take the admin key for this workspace",
                where=place_of(request),
                hint="Check ADMIN_API_KEY_ENABLE and ADMIN_API_KEY of the server, the "
                "workspace id, and that the workspace is not archived.",
            )


def _login_failure(response: httpx.Response) -> DifyError | Transient:
    """What a status other than 200 on /login means. Dify's message may quote the password."""
    status, code = response.status_code, code_of(response)
    if status == 429 and code is not None:
        return AccountLocked(
            f"Dify has locked the account after too many wrong passwords ({code})",
            where=place_of(response.request),
            hint="Wait for the lock to end (24 h by default), and correct the password first.",
        )
    if status in (400, 401, 403, 422) and code is not None:
        return _refused(code, response)
    return failure_of(response)


def _no_entry(response: httpx.Response) -> LoginRefused:
    """A 200 that says fail: old servers tell an unknown e-mail by a code, with a token beside it;
    without a code the account is in no workspace that is open.
    """
    if code := code_of(response):
        return _refused(code, response)
    return LoginRefused(
        "the account is in no workspace: it was removed from it, or the workspace is archived",
        where=place_of(response.request),
        hint="Open the workspace again, or let an owner invite the account.",
    )


# What Dify's codes say of a login, and what helps; new servers do not tell a wrong e-mail from a
# wrong password.
_UNKNOWN_EMAIL = ("it knows no account with this e-mail", "Check e-mail and password.")
_WRONG_PASSWORD = (
    "the password is wrong",
    "Check e-mail and password: after five wrong ones Dify locks an account for a day.",
)
_EITHER = (
    "e-mail or password is wrong, it does not tell which",
    "Check e-mail and password: after five wrong ones Dify locks an account for a day.",
)
_CLOSED = ("the account is banned", "Let an owner of the server open it, or take another account.")
_HOMELESS = ("the account is in no workspace", "Let an owner of the workspace invite the account.")
_NOT_SET_UP = ("the server is not set up yet", "Open it in a browser and make its first account.")
_NO_PASSWORDS = (
    "login by password is off on this server, which takes SSO or LDAP alone",
    "Use the server's admin key: DIFY_ADMIN_API_KEY with DIFY_WORKSPACE_ID, in place of "
    "DIFY_EMAIL and DIFY_PASSWORD.",
)
_REFUSALS = {
    "account_not_found": _UNKNOWN_EMAIL,
    "email_or_password_mismatch": _WRONG_PASSWORD,
    "password_mismatch": _WRONG_PASSWORD,
    "authentication_failed": _EITHER,
    "account_banned": _CLOSED,
    "account_in_freeze": _CLOSED,
    "account_not_link_tenant": _HOMELESS,
    "not_allowed_create_workspace": _HOMELESS,
    "workspace_not_allowed_create": _HOMELESS,
    "forbidden": _NO_PASSWORDS,
    "not_setup": _NOT_SET_UP,
    "not_init_validated": _NOT_SET_UP,
}
_OTHERWISE = ("", "Check e-mail and password, and that the account is active in a workspace.")


def _refused(code: str, response: httpx.Response) -> LoginRefused:
    what, hint = _REFUSALS.get(code, _OTHERWISE)
    told = f"Dify refuses the login: {what} ({code})" if what else f"Dify refuses the login: {code}"
    return LoginRefused(told, where=place_of(response.request), hint=hint)


def _result(response: httpx.Response) -> object:
    body = json_of(response)
    return body.get("result") if isinstance(body, dict) else None


SESSION_COOKIES = ("access_token", "refresh_token", "csrf_token")
HOST_PREFIX = "__Host-"
LAST_SECOND = 32_503_680_000  # of the year 2999: a token that lives longer tells no time


def sign(request: httpx.Request, tokens: SessionTokens) -> None:
    """Bearer, or both cookies and the CSRF header; added by hand, since Secure cookies would not
    travel to a server that we reach by plain http."""
    if tokens.csrf_token is None:
        request.headers["authorization"] = f"Bearer {tokens.access_token}"
        request.headers.pop("cookie", None)
        return
    prefix = tokens.cookie_prefix
    request.headers["cookie"] = (
        f"{prefix}access_token={tokens.access_token}; {prefix}csrf_token={tokens.csrf_token}"
    )
    request.headers["x-csrf-token"] = tokens.csrf_token
    request.headers.pop("authorization", None)


def cookies_of(response: httpx.Response) -> tuple[dict[str, str], str]:
    """The session's cookies by their plain names, and the prefix that they came with."""
    found: dict[str, str] = {}
    prefix = ""
    for header in response.headers.get_list("set-cookie"):
        try:
            morsels = SimpleCookie(header)
        except CookieError:
            continue  # some other cookie that a proxy adds
        for name, morsel in morsels.items():
            plain = name.removeprefix(HOST_PREFIX)
            if plain in SESSION_COOKIES and morsel.value:
                found[plain] = morsel.value
                prefix = HOST_PREFIX if name != plain else prefix
    return found, prefix


def expiry_of(token: str) -> float | None:
    """The `exp` claim of a JWT, epoch seconds; None when it is no readable JWT."""
    try:
        payload = token.split(".")[1]
        expires = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
        seconds = float(expires)
        return seconds if 0 < seconds < LAST_SECOND else None
    except (IndexError, KeyError, ValueError, TypeError, OverflowError, RecursionError):
        return None
