"""How each recorded exchange about sessions is played again, by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from json import dumps, loads

import httpx

from dify_etl_tests.simulated.contract_replay import BASE, Replay
from dify_etl_tests.simulated.contract_world import LOCKED_OUT
from dify_etl_tests.simulated.recorded_exchanges import Exchange
from dify_simulated import SimulatedDify

Headers = dict[str, str]
PROFILE = "/console/api/account/profile"
REFRESH = "/console/api/refresh-token"


class AuthReplay(Replay):
    """A replay that builds each odd combination of credentials on purpose."""

    def answer(self, item: Exchange) -> httpx.Response:
        """The simulated answer to a recorded exchange about sessions."""
        special = _SPECIAL.get(item.name)
        if special is not None:
            return special(self)
        if item.path.endswith("/login") and not item.name.startswith("archived-workspace-"):
            return self._log_in(item)
        if item.name.startswith("admin-api-key/"):
            return self._as_admin(item)
        if item.name in _CREDENTIALS:
            headers = _CREDENTIALS[item.name](self.tokens())
            path = self.casting.replaced(item.path)
            return self._anonymous().request(item.method, path, headers=headers)
        if item.name.startswith("archived-workspace-"):
            return self._in_archived_workspace(item)
        if item.name.startswith("no-workspace-"):
            return self._ask(self.leaver(), item)
        if item.headers.keys() & {"cookie", "authorization"}:
            return self._ask(self.client(signed_in_as=self.person_of(item)), item)
        return self._anonymous().request(item.method, item.path, params=dict(item.query))

    def _ask(self, client: httpx.Client, item: Exchange) -> httpx.Response:
        sent = None if item.sent is None else loads(self.casting.replaced(dumps(item.sent)))
        return client.request(item.method, item.path, params=dict(item.query), json=sent)

    def _in_archived_workspace(self, item: Exchange) -> httpx.Response:
        """Asked in a session that is older than the closing of its workspace."""
        owner = self._owner()
        held = self.cast.world.workspaces.values()
        for workspace in held:
            workspace.status = "archive"
        try:
            return self._log_in(item) if item.path.endswith("/login") else self._ask(owner, item)
        finally:
            for workspace in held:
                workspace.status = "normal"

    def leaver(self) -> httpx.Client:
        """Somebody who was taken out of the only workspace while signed in."""
        world, email = self.cast.world, f"{self.cast.world.new_id()}@dify.test"
        row = world.add_account(
            name="leaver", email=email, at=world.now(), password=world.account.password
        )
        world.join(row.id, world.workspace_id, role="normal", at=world.now())
        client = self.client(signed_in_as=email)
        world.leave(row.id, world.workspace_id)
        return client

    def tokens(self) -> dict[str, str]:
        """The tokens of the signed-in owner: access, and csrf with cookies."""
        client = self._owner()
        if not self.uses_cookies:
            return {"access": client.headers["Authorization"].removeprefix("Bearer ")}
        return {"access": client.cookies["access_token"], "csrf": client.cookies["csrf_token"]}

    def with_tokens(self, tokens: Mapping[str, str]) -> httpx.Response:
        """Ask for the apps with these cookies."""
        return self._anonymous().get("/console/api/apps", headers=_cookies(tokens))

    def _owner(self) -> httpx.Client:
        return self.client(signed_in_as=self.cast.world.account.email)

    def _anonymous(self) -> httpx.Client:
        return self.client(signed_in_as=None)

    def _log_in(self, item: Exchange) -> httpx.Response:
        if item.sent is None:
            return self._anonymous().post(item.path)
        body = self.sent_body(item)
        if item.name.startswith("login-lockout"):
            body["email"] = LOCKED_OUT
        return self._anonymous().post(item.path, json=body)

    def _as_admin(self, item: Exchange) -> httpx.Response:
        key, name = self.cast.world.admin_api_key, item.name.partition("/")[2]
        headers = {"Authorization": f"Bearer {'nope' if name == 'wrong-key' else key}"}
        if name != "no-workspace-header":
            known = self.cast.world.workspace_id
            headers["X-WORKSPACE-ID"] = "gone" if name == "unknown-workspace" else known
        path = self.casting.path_of(item)
        return self._anonymous().request(
            item.method, path, params=dict(item.query), headers=headers, json=item.sent
        )

    def fresh_session(self) -> tuple[httpx.Client, str]:
        """A new login of the owner and its refresh token."""
        client = self._anonymous()
        answer = self.sign_in(client, self.cast.world.account.email)
        if self.uses_cookies:
            return client, client.cookies["refresh_token"]
        return client, answer.json()["data"]["refresh_token"]

    def refresh(self, token: str) -> httpx.Response:
        """Ask for new tokens in the way of this version."""
        if self.uses_cookies:
            headers = {"Cookie": f"refresh_token={token}"}
            return self._anonymous().post(REFRESH, headers=headers)
        return self._anonymous().post(REFRESH, json={"refresh_token": token})

    def log_out(self, client: httpx.Client) -> httpx.Response:
        """Log out in the way of this version."""
        method = "POST" if self.uses_cookies else "GET"
        return client.request(method, "/console/api/logout")

    def prefixed(self) -> httpx.Client:
        """A signed-in client of the same server behind https, with prefixed cookies."""
        dify = SimulatedDify(self.cast.world, "1.12.1", cookie_prefix=True, expires_in=60)
        client = httpx.Client(
            transport=httpx.WSGITransport(app=dify), base_url=BASE.replace("http:", "https:")
        )
        answer = client.post("/console/api/login", json=self.owner_body())
        client.headers["X-CSRF-Token"] = answer.cookies["__Host-csrf_token"]
        return client

    def owner_body(self) -> dict[str, object]:
        """What the owner sends to log in."""
        sent = {"email": "owner@difylab.test", "password": "RGlmeWxhYjIwMjY="}
        return self.sent_body(Exchange("", "", "", "", (), {}, sent, 0, None))


def _login_behind_https(replay: AuthReplay) -> httpx.Response:
    return replay.prefixed().post("/console/api/login", json=replay.owner_body())


def _unprefixed_cookies(replay: AuthReplay) -> httpx.Response:
    client = replay.prefixed()
    access, csrf = (client.cookies[f"__Host-{name}_token"] for name in ("access", "csrf"))
    client.cookies.clear()
    return client.get(PROFILE, headers={"Cookie": f"access_token={access}; csrf_token={csrf}"})


def _expired(replay: AuthReplay) -> httpx.Response:
    tokens = replay.tokens()
    replay.dify.expire_access_tokens()
    replay.forget_people()
    headers = _cookies(tokens) if replay.uses_cookies else _bearer(tokens)
    return replay.client(signed_in_as=None).get("/console/api/apps", headers=headers)


def _expired_csrf(replay: AuthReplay) -> httpx.Response:
    old = replay.tokens()["csrf"]
    replay.dify.expire_access_tokens()
    replay.forget_people()
    return replay.with_tokens({**replay.tokens(), "csrf": old})


def _foreign_csrf(replay: AuthReplay) -> httpx.Response:
    editor = replay.client(signed_in_as="eddie@dify.test")
    return replay.with_tokens({**replay.tokens(), "csrf": editor.cookies["csrf_token"]})


def _reused(replay: AuthReplay) -> httpx.Response:
    _, token = replay.fresh_session()
    replay.refresh(token)
    return replay.refresh(token)


def _after_logout(replay: AuthReplay) -> httpx.Response:
    client, token = replay.fresh_session()
    replay.log_out(client)
    return replay.refresh(token)


def _access_after_logout(replay: AuthReplay) -> httpx.Response:
    client, _ = replay.fresh_session()
    cookies = {name: client.cookies[name] for name in client.cookies}
    replay.log_out(client)
    client.cookies.update(cookies)
    return client.get(PROFILE)


def _refresh_with_body(replay: AuthReplay) -> httpx.Response:
    client = replay.client(signed_in_as=None)
    return client.post(REFRESH, json={"refresh_token": replay.fresh_session()[1]})


def _bearer(tokens: Mapping[str, str]) -> Headers:
    return {"Authorization": f"Bearer {tokens['access']}"}


def _cookies(tokens: Mapping[str, str], csrf_header: str | None = "same") -> Headers:
    headers = {"Cookie": f"access_token={tokens['access']}; csrf_token={tokens['csrf']}"}
    if csrf_header is not None:
        headers["X-CSRF-Token"] = tokens["csrf"] if csrf_header == "same" else csrf_header
    return headers


def _with_csrf(tokens: Mapping[str, str]) -> Headers:
    return {**_bearer(tokens), "X-CSRF-Token": tokens["csrf"]}


def _invalid(tokens: Mapping[str, str]) -> Headers:
    if "csrf" not in tokens:
        return {"Authorization": "Bearer garbage"}
    return _cookies({**tokens, "access": "garbage"})


_SPECIAL: dict[str, Callable[[AuthReplay], httpx.Response]] = {
    "https-login-host-prefixed-cookies": _login_behind_https,
    "https-host-prefixed-ok": lambda replay: replay.prefixed().get(PROFILE),
    "https-unprefixed-cookies-rejected": _unprefixed_cookies,
    "expired-access-token": _expired,
    "expired-csrf-token": _expired_csrf,
    "csrf-of-somebody-else": _foreign_csrf,
    "real-expired-token-after-ACCESS_TOKEN_EXPIRE_MINUTES=1": _expired,
    "refresh-ok": lambda replay: replay.refresh(replay.fresh_session()[1]),
    "refresh-invalid": lambda replay: replay.refresh("deadbeef"),
    "refresh-reuse-old-token": _reused,
    "refresh-after-logout": _after_logout,
    "refresh-body-instead-of-cookie": _refresh_with_body,
    "refresh-no-token": lambda replay: replay.client(signed_in_as=None).post(REFRESH, json={}),
    "access-token-after-logout": _access_after_logout,
    "logout-ok": lambda replay: replay.log_out(replay.fresh_session()[0]),
}
_CREDENTIALS: dict[str, Callable[[Mapping[str, str]], Headers]] = {
    "bearer-only-no-csrf": _bearer,
    "csrf-exempt-draft-bearer-only": _bearer,
    "bearer-with-csrf-header-no-cookie": _with_csrf,
    "bearer-with-csrf-header-and-cookie": lambda tokens: {
        **_with_csrf(tokens),
        "Cookie": f"csrf_token={tokens['csrf']}",
    },
    "cookies-without-csrf-header": lambda tokens: _cookies(tokens, None),
    "cookies-wrong-csrf-header": lambda tokens: _cookies(tokens, "abc"),
    "post-without-csrf-header": lambda tokens: _cookies(tokens, None),
    "invalid-access-token": _invalid,
    "cookies-instead-of-bearer": lambda tokens: {"Cookie": f"access_token={tokens['access']}"},
    "no-scheme": lambda tokens: {"Authorization": tokens["access"]},
    "wrong-scheme": lambda tokens: {"Authorization": f"Token {tokens['access']}"},
}
