"""Who is asking: bearer tokens, cookies with a CSRF header, the admin key, keys of the service API.

Bearer (to 1.9.1) and cookies with a Base64 password (from 1.11.2) follow recorded servers. Cookies
with a plain password (1.9.2 to 1.11.1) were not recorded: inferred is that everything but the form
of the password is as in the later releases.
"""

from __future__ import annotations

from datetime import timedelta

from werkzeug.wrappers import Request, Response

from dify_simulated.server.calls import Call, Need, Route
from dify_simulated.server.errors import ApiError, forbidden, nobody, unauthorized
from dify_simulated.server.tokens import (
    REFRESH_SECONDS,
    TokenExpired,
    TokenInvalid,
    Tokens,
    TokenSet,
)
from dify_simulated.versions import ServerVersion, SessionStyle
from dify_simulated.world.rows import Account, ApiKey
from dify_simulated.world.world import World

_ACTIVE_EVERY = timedelta(minutes=10)


class Sessions:
    """Checks credentials of requests and hands out tokens, in one of the three styles."""

    def __init__(
        self,
        world: World,
        version: ServerVersion,
        *,
        style: SessionStyle,
        cookie_prefix: bool,
        access_seconds: int,
    ) -> None:
        self.world = world
        self.version = version
        self.style = style
        self.cookie_prefix = cookie_prefix
        self.tokens = Tokens(access_seconds)

    @property
    def uses_cookies(self) -> bool:
        """True in both cookie styles."""
        return self.style is not SessionStyle.BEARER

    def admit(self, call: Call, route: Route) -> None:
        """Set account and workspace of a call. Raises ApiError (401, 403)."""
        if route.need is Need.NOTHING:
            return
        if route.need in (Need.APP_KEY, Need.DATASET_KEY):
            self._admit_key(call, route.need)
        elif route.need is Need.ADMIN_KEY:
            if _bearer(call.request) != self.world.admin_api_key:
                raise unauthorized("API key is invalid.")
        elif self._asks_with_admin_key(call.request):
            self._admit_admin(call)
        else:
            self._admit_account(call, route)

    def _asks_with_admin_key(self, request: Request) -> bool:
        return request.headers.get("Authorization") == f"Bearer {self.world.admin_api_key}"

    def _admit_admin(self, call: Call) -> None:
        """Act as the owner of the workspace that the header names."""
        tenant_id = call.request.headers.get("X-WORKSPACE-ID", "")
        joins = self.world.members.values()
        owner = next((j for j in joins if j.tenant_id == tenant_id and j.role == "owner"), None)
        if owner is None or self.cookie_name("access_token") in call.request.cookies:
            raise unauthorized("Invalid token.")
        if self.version.blocks_admin_key:
            raise unauthorized("CSRF token is missing or invalid.")
        call.signed_in, call.tenant_id = self.world.accounts[owner.account_id], tenant_id

    def _admit_account(self, call: Call, route: Route) -> None:
        account = self.account_of(call.request)
        if self.uses_cookies and not route.csrf_exempt:
            self._check_csrf(call.request, account)
        if account.tenant_id is None:
            raise nobody() if self.version.answers_by_models else unauthorized("Invalid token.")
        if self.version.summarises_workspace and self._is_archived(account.tenant_id):
            raise nobody()
        call.signed_in, call.tenant_id = account, account.tenant_id
        self._mark_active(account)

    def _is_archived(self, tenant_id: str) -> bool:
        return self.world.workspaces[tenant_id].status == "archive"

    def can_enter(self, account: Account) -> bool:
        """Whether the account has a workspace to log in to."""
        return any(not self._is_archived(join.tenant_id) for join in account.joins)

    def account_of(self, request: Request) -> Account:
        """The account of a request's access token. Raises ApiError (401)."""
        token = self._access_token(request)
        try:
            account_id = self.tokens.account_of_access(token, at=self.world.now())
        except TokenExpired:
            raise unauthorized("Token has expired.") from None
        except TokenInvalid:
            raise unauthorized("Invalid token.") from None
        account = self.world.accounts.get(account_id)
        if account is None or account.status == "banned":
            raise unauthorized("Invalid token.")
        return account

    def _access_token(self, request: Request) -> str:
        """The cookie wins over the header; bearer servers know no cookies."""
        if self.uses_cookies and self.cookie_name("access_token") in request.cookies:
            return request.cookies[self.cookie_name("access_token")]
        header = request.headers.get("Authorization")
        if not header:
            raise unauthorized("Invalid Authorization token.")
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            text = "Invalid Authorization header format. Expected 'Bearer <api-key>' format."
            raise unauthorized(text)
        return token

    def _check_csrf(self, request: Request, account: Account) -> None:
        header = request.headers.get("X-CSRF-Token", "")
        cookie = request.cookies.get(self.cookie_name("csrf_token"), "")
        good = self.tokens.is_csrf_of(account.id, header, at=self.world.now())
        if not header or header != cookie or not good:
            raise unauthorized("CSRF token is missing or invalid.")

    def _mark_active(self, account: Account) -> None:
        now = self.world.now()
        if account.last_active_at is None or now - account.last_active_at >= _ACTIVE_EVERY:
            account.last_active_at = now

    def _admit_key(self, call: Call, need: Need) -> None:
        """The service API: the key says which app or which workspace."""
        key = self._service_key(call, "app" if need is Need.APP_KEY else "dataset")
        call.tenant_id = key.tenant_id
        call.found_app = self.world.apps.get(key.app_id or "")
        if need is Need.APP_KEY and (call.found_app is None or not call.found_app.enable_api):
            raise forbidden("The app's API service has been disabled.")
        owners = (m for m in self.world.members.values() if m.tenant_id == key.tenant_id)
        owner = next(m for m in owners if m.role == "owner")
        call.signed_in = self.world.accounts[owner.account_id]
        call.keys.note_use(key, at=call.at)

    def _service_key(self, call: Call, kind: str) -> ApiKey:
        token = _bearer(call.request)
        if token is None:
            text = "Authorization header must be provided and start with 'Bearer'"
            raise unauthorized(text)
        key = call.keys.find(call.world, token, kind, at=call.at)
        if key is None:
            raise unauthorized("Access token is invalid")
        return key

    def cookie_name(self, name: str) -> str:
        """The name of a cookie: prefixed when both console URLs are https."""
        return f"__Host-{name}" if self.cookie_prefix else name

    def refresh_token_of(self, request: Request) -> str | None:
        """The refresh token of a request in the cookie styles."""
        return request.cookies.get(self.cookie_name("refresh_token"))

    def hand_out(self, response: Response, tokens: TokenSet) -> None:
        """Set the three cookies of a session."""
        access, refresh = self.tokens.access_seconds, REFRESH_SECONDS
        self._set_cookie(response, "access_token", tokens.access, access, http_only=True)
        self._set_cookie(response, "refresh_token", tokens.refresh, refresh, http_only=True)
        self._set_cookie(response, "csrf_token", tokens.csrf, access, http_only=False)

    def take_back(self, response: Response) -> None:
        """Clear the three cookies of a session."""
        for name in ("access_token", "refresh_token", "csrf_token"):
            self._set_cookie(response, name, "", None, http_only=name != "csrf_token")

    def _set_cookie(
        self, response: Response, name: str, value: str, seconds: int | None, *, http_only: bool
    ) -> None:
        expires = None if seconds is None else self.world.now() + timedelta(seconds=seconds)
        response.set_cookie(
            self.cookie_name(name),
            value,
            max_age=seconds,
            expires=0 if expires is None else expires,
            secure=self.cookie_prefix,
            httponly=http_only,
            samesite="Lax",
        )


def _bearer(request: Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


def refresh_refused(message: str, *, style: SessionStyle) -> ApiError:
    """401 of /refresh-token; the key of the text differs by style."""
    key = "data" if style is SessionStyle.BEARER else "message"
    return ApiError(401, {"result": "fail", key: message})
