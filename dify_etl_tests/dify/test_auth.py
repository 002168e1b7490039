"""Logging in, staying logged in, and never locking an account, on every server generation."""

import base64
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from dify_etl.dify import DifyClient
from dify_etl.dify.errors import (
    AccountLocked,
    DifyError,
    DifyUnavailable,
    LoginRefused,
    NotDify,
    Refused,
    SessionLost,
    UnexpectedAnswer,
)
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.password_mark import password_mark
from dify_etl.dify.http.tokens import FileTokenStore, MemoryTokenStore
from dify_etl_tests.dify.pretend_server import PASSWORD, PROFILE, START, PretendServer
from dify_etl_tests.dify.recordings import VERSIONS, client, exchange


@pytest.mark.parametrize(
    "version", ["1.0.0", "1.9.1", "1.9.2", "1.11.1", "1.11.2", "1.14.2", "2.0.0-beta.2"]
)
@pytest.mark.parametrize("prefix", ["", "__Host-"])
def test_logs_in_as_each_version_wants(version: str, prefix: str) -> None:
    """Bearer, cookies, and cookies with a Base64 password, with whatever prefix they carry."""
    server = PretendServer(version=version, prefix=prefix)

    with client(server) as dify:
        profile = dify.account.profile()

    assert profile.account_id == "account-1"
    assert server.asked == ["/ping", "/login", "/account/profile"]


@pytest.mark.parametrize("version", VERSIONS)
def test_logs_in_with_recorded_answers(version: str) -> None:
    """The recorded login answer of a real server gives a session with the recorded tokens."""
    login = exchange(version, "auth", "login-ok")
    seen: list[httpx.Headers] = []

    def server(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/login"):
            return login.response()
        seen.append(request.headers)
        return exchange(version, "auth", "profile").response()

    client(server).account.profile()

    signed = " ".join(seen[-1].values())
    told = re.search(r"access_token\W+(jwt-\d+)", f"{login.headers} {login.body}")
    assert told
    assert told[1] in signed


def test_does_not_ask_anything_before_the_first_call() -> None:
    """The constructor makes no request."""
    server = PretendServer()

    client(server)

    assert server.asked == []


@pytest.mark.parametrize("version", ["1.7.2", "1.12.1"])
def test_expired_session_is_refreshed_without_login(version: str) -> None:
    """A 401 on a normal call leads to one refresh and the same call again."""
    server = PretendServer(version=version)
    dify = client(server)
    dify.account.profile()
    server.expire()

    dify.account.profile()

    assert (server.count("/login"), server.count("/refresh-token")) == (1, 1)


def test_refused_refresh_leads_to_one_login() -> None:
    """When the refresh token is not taken any more, the client logs in once."""
    server = PretendServer()
    dify = client(server)
    dify.account.profile()
    server.expire()
    server.valid_refresh.clear()

    dify.account.profile()

    assert server.count("/login") == 2


def test_eight_threads_share_one_refresh() -> None:
    """The refresh token works once: eight threads that meet a 401 together use it once."""
    server = PretendServer(pause=0.01)
    dify = client(server)
    dify.account.profile()
    server.expire()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: dify.account.profile(), range(16)))

    assert len(answers) == 16
    assert (server.count("/login"), server.count("/refresh-token")) == (1, 1)


def test_eight_threads_share_one_login() -> None:
    """The first calls of many threads log in once."""
    server = PretendServer(pause=0.01)
    dify = client(server)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: dify.account.profile(), range(8)))

    assert (server.count("/ping"), server.count("/login")) == (1, 1)


def test_wrong_password_is_tried_once() -> None:
    """A refused login is never repeated, by whichever thread: five would lock the account."""
    server = PretendServer(password="another")
    dify = client(server)

    def refused(_: int) -> bool:
        with pytest.raises(LoginRefused):
            dify.account.profile()
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(refused, range(8)))
    assert server.count("/login") == 1


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "name",
    ["login-wrong-password", "login-unknown-email", "login-banned", "login-no-workspace"],
)
def test_recorded_refusals_are_login_refused(version: str, name: str) -> None:
    """Every way in which real servers refuse an account is one error, also HTTP 200 with fail."""
    with pytest.raises(LoginRefused) as caught:
        logging_in_meets(version, name).account.profile()

    assert "workspace not found" not in str(caught.value)


@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_lock_is_account_locked(version: str) -> None:
    """The 429 of a locked account is told as such, not as a rate limit."""
    with pytest.raises(AccountLocked):
        logging_in_meets(version, "login-lockout-attempt-7").account.profile()


def test_rejected_fresh_session_is_lost_for_good() -> None:
    """A server that rejects what it has just given is asked to log in once, not again and again."""
    server = PretendServer(is_rejecting=True)
    dify = client(server)

    for _ in range(3):
        with pytest.raises(SessionLost):
            dify.account.profile()

    assert server.count("/login") == 1


def test_server_error_on_refresh_is_no_reason_to_log_in() -> None:
    """A refresh that meets a 5xx is reported; the password stays where it is."""
    server = PretendServer()
    dify = client(server)
    dify.account.profile()
    server.expire()
    server.refresh_status = 502

    with pytest.raises(DifyUnavailable):
        dify.account.profile()

    assert server.count("/login") == 1


def test_setup_401_is_not_answered_with_a_login() -> None:
    """An instance that is not set up answers 401 too; no session can heal that."""
    server = PretendServer(answer=lambda request: httpx.Response(401, json={"code": "not_setup"}))

    with pytest.raises(Exception, match="not_setup"):
        client(server).account.profile()

    assert server.count("/login") == 1


def test_expired_licence_is_named_and_costs_no_login() -> None:
    """An enterprise Dify refuses its lists with a 401 of its own, for whatever session."""
    body = {"code": "unauthorized_and_force_logout", "message": "Unauthorized and force logout."}
    server = PretendServer(answer=lambda request: httpx.Response(401, json=body))
    dify = client(server)

    for _ in range(2):
        with pytest.raises(Refused, match="the licence of this Dify has expired") as refused:
            dify.apps.page(1, 1)

    assert "licence" in refused.value.hint
    assert (server.count("/login"), server.count("/refresh-token")) == (1, 0)


def test_route_that_refuses_every_session_costs_itself() -> None:
    """A lasting 401 of one path is no lost session where the account's own is answered."""

    def guarded(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/apps"):
            return httpx.Response(401, json={"code": "unauthorized", "message": "no"})
        return httpx.Response(200, json=PROFILE)

    server = PretendServer(answer=guarded)
    dify = client(server)
    for _ in range(2):
        with pytest.raises(Refused, match="401: unauthorized"):
            dify.apps.page(1, 1)

    assert dify.account.profile().account_id == "account-1"
    assert server.count("/login") == 1


def test_server_without_passwords_is_named() -> None:
    """Where only SSO or LDAP lets people in, Dify forbids /login: the way in is the admin key."""

    def server(request: httpx.Request) -> httpx.Response:
        is_login = request.url.path.endswith("/login")
        body = {"code": "forbidden", "message": "You don't have the permission.", "status": 403}
        told = {"x-version": "1.16.1"}
        return httpx.Response(403 if is_login else 200, json=body, headers=told)

    with pytest.raises(LoginRefused, match="login by password is off") as refused:
        client(server).account.profile()

    assert "DIFY_ADMIN_API_KEY" in refused.value.hint


def test_refreshes_before_the_token_ends() -> None:
    """Shortly before its end a token is renewed unasked, so that no call meets a 401."""
    now = START
    server = PretendServer(now=lambda: now)
    dify = client(server, clock=Clock(now=lambda: now))
    dify.account.profile()

    now = START + timedelta(minutes=59, seconds=30)
    dify.account.profile()

    assert server.count("/refresh-token") == 1
    assert server.count("/account/profile") == 2


def test_a_wrong_clock_does_not_refresh_all_the_time() -> None:
    """The end of a token is counted on the server's clock, not on ours."""
    days_ahead = START + timedelta(days=3)
    date = f"{START:%a, %d %b %Y %H:%M:%S GMT}"
    server = PretendServer(now=lambda: START)

    def dated(request: httpx.Request) -> httpx.Response:
        response = server(request)
        response.headers["date"] = date
        return response

    dify = client(dated, clock=Clock(now=lambda: days_ahead, monotonic=lambda: 0.0))
    for _ in range(3):
        dify.account.profile()

    assert server.count("/refresh-token") == 0
    assert dify.server_time() == START


def test_kept_session_saves_the_login(tmp_path: Path) -> None:
    """A later run with the same store begins with the session of the run before."""
    server = PretendServer()
    store = FileTokenStore(tmp_path / "session.json")
    client(server, token_store=store).account.profile()

    client(server, token_store=store).account.profile()

    assert server.count("/login") == 1


def test_two_clients_do_not_burn_each_others_refresh_token(tmp_path: Path) -> None:
    """Who meets a 401 first looks whether another process has renewed the session already."""
    server = PretendServer()
    first, second = (
        client(server, token_store=FileTokenStore(tmp_path / "session.json")) for _ in range(2)
    )
    first.account.profile()
    second.account.profile()
    server.expire()

    first.account.profile()
    second.account.profile()

    assert (server.count("/login"), server.count("/refresh-token")) == (1, 1)


def test_session_of_an_older_server_version_is_renewed_after_an_upgrade() -> None:
    """A kept bearer session meets a server that wants cookies by now: refresh or login heals it."""
    store = MemoryTokenStore()
    server = PretendServer(version="1.7.2")
    client(server, token_store=store).account.profile()
    server.version = "1.12.1"

    profile = client(server, token_store=store).account.profile()

    assert profile.name == "Lab"


def test_admin_key_sends_key_and_workspace_but_no_cookie() -> None:
    """The admin key works without login, and fails when session cookies come along."""
    seen: list[httpx.Headers] = []

    def server(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return exchange("1.12.1", "auth", "admin-api-key/profile").response()

    dify = admin(server)
    dify.account.profile()
    dify.account.profile()

    assert seen[-1]["authorization"] == "Bearer lab-admin-key"
    assert seen[-1]["x-workspace-id"] == "workspace-1"
    assert "cookie" not in seen[-1]


@pytest.mark.parametrize("version", ["1.9.2", "1.10.1"])
def test_admin_key_is_refused_where_it_cannot_work(version: str) -> None:
    """Between 1.9.2 and 1.10 the server wants a CSRF token that the admin key has not."""
    server = PretendServer(version=version)

    with pytest.raises(LoginRefused, match=version):
        admin(server).account.profile()

    assert server.asked == ["/ping"]


@pytest.mark.parametrize("name", ["wrong-key", "unknown-workspace", "no-workspace-header"])
def test_recorded_admin_key_refusals(name: str) -> None:
    """A wrong key and a wrong workspace are refused logins."""
    recorded = exchange("1.12.1", "auth", f"admin-api-key/{name}")

    with pytest.raises(LoginRefused):
        admin(lambda request: recorded.response()).account.profile()


def test_login_without_cookies_says_so() -> None:
    """A proxy that swallows Set-Cookie is named as the likely reason."""

    def server(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"result": "success"}, headers={"x-version": "1.12.1"})

    with pytest.raises(UnexpectedAnswer) as caught:
        client(server).account.profile()

    assert "Set-Cookie" in caught.value.hint


def test_redirect_names_the_address_to_use() -> None:
    """A password is never sent after a redirect; the address to set is told."""

    def server(request: httpx.Request) -> httpx.Response:
        return httpx.Response(301, headers={"location": f"https://new.test{request.url.path}"})

    with pytest.raises(NotDify, match=r"https://new\.test"):
        client(server).account.profile()


@pytest.mark.parametrize("location", ["https://[broken", "https://a:99999/", "\x7f://", ""])
def test_redirect_to_nowhere_is_named(location: str) -> None:
    """A broken address in a redirect is a server's fault, and no bug of ours. Some addresses httpx
    itself refuses; that is then a connection that fails.
    """

    def server(request: httpx.Request) -> httpx.Response:
        return httpx.Response(301, headers={"location": location})

    with pytest.raises((NotDify, DifyUnavailable)):
        client(server).account.profile()


def test_secrets_are_in_no_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Passwords and tokens show in no repr, log line or error."""
    server = PretendServer(password="another")
    store = MemoryTokenStore()
    dify = client(server, token_store=store)
    with caplog.at_level("DEBUG"), pytest.raises(LoginRefused) as caught:
        dify.account.profile()
    server.password = PASSWORD
    good = client(server, token_store=store)
    good.account.profile()
    tokens = store.load("https://dify.test:owner@difylab.test")

    texts = [repr(caught.value), str(caught.value), repr(dify), repr(tokens), caplog.text]
    secrets = [PASSWORD, tokens.access_token if tokens else "none", "refresh-1", "csrf-"]
    assert tokens is not None
    assert [secret for secret in secrets for text in texts if secret in text] == []


ECHOES: dict[str, Callable[[str], str]] = {
    "plain": str,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 twice": lambda text: base64.b64encode(base64.b64encode(text.encode())).decode(),
    "base64 of more": lambda text: base64.b64encode(f"pw={text}!".encode()).decode(),
    "without padding": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
    "hex": lambda text: text.encode().hex(),
    "percent": lambda text: "".join(f"%{one:02x}" for one in text.encode()),
    "backwards": lambda text: text[::-1],
    "as a code": lambda text: re.sub(r"\W", "_", text.lower()),
}
WHERE = ("code", "message", "custom", "x-version", "location", "content-type", "x-request-id")


@pytest.mark.parametrize("where", WHERE)
@pytest.mark.parametrize("encoding", ECHOES)
@pytest.mark.parametrize("version", VERSIONS[1::2])  # Base64, and plain
def test_login_that_echoes_the_password_tells_nothing(
    version: str, encoding: str, where: str
) -> None:
    """Whatever place of its answer a server writes it to, plainly or encoded: no error holds it,
    and a refusal stays one.
    """
    echo = ECHOES[encoding](PASSWORD)
    assert echo != PASSWORD or encoding == "plain"

    def server(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/ping"):
            return exchange(version, "auth", "setup-status-after").response()
        told = {"code": "authentication_failed", "message": "no", "status": 401}
        headers = {"x-version": version.removeprefix("v")}
        if where in told or where == "custom":
            body: dict[str, object] = {**told, where: echo}
            if where == "custom":
                del body["code"]
        else:
            headers[where] = f"https://{echo}/" if where == "location" else echo
            body = dict(told)
        status = 302 if where == "location" else 401
        return httpx.Response(status, json=body, headers=headers)

    with pytest.raises(DifyError) as caught:
        client(server).account.profile()
    text = f"{caught.value!r} {caught.value} {caught.value.hint}".lower()
    assert echo.lower() not in text
    assert PASSWORD.lower() not in text
    if where not in ("location", "content-type"):
        assert isinstance(caught.value, LoginRefused)


@pytest.mark.parametrize("encoding", [one for one in ECHOES if one != "as a code"])
def test_read_that_echoes_the_session_tells_nothing(encoding: str) -> None:
    """A session opens as much as a password does."""
    good = PretendServer()

    def server(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/account/profile"):
            return good(request)
        token = request.headers.get("x-csrf-token") or request.headers["authorization"]
        echo = ECHOES[encoding](token.removeprefix("Bearer "))
        told = {"code": "bad", "message": f"no user of {echo}", "status": 400}
        return httpx.Response(400, json=told, headers={"x-version": "1.12.1"})

    with pytest.raises(DifyError) as caught:
        client(server).account.profile()
    assert str(caught.value).startswith("Dify answers 400: bad [")


def logging_in_meets(version: str, name: str) -> DifyClient:
    def server(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/ping"):
            return exchange(version, "auth", "setup-status-after").response()
        return exchange(version, "auth", name).response()

    return client(server)


def admin(server: object) -> DifyClient:
    assert callable(server)
    return DifyClient(
        "https://dify.test",
        admin_api_key=SecretStr("lab-admin-key"),
        workspace_id="workspace-1",
        transport=httpx.MockTransport(server),
    )


def test_kept_session_is_that_of_the_password_which_is_set(tmp_path: Path) -> None:
    """The same one goes on with it; another is tried at once, and not when the session ends."""
    server, path = PretendServer(), tmp_path / "session.json"

    def ask(password: str, key: bytes | None = b"k" * 32) -> int:
        own = {"token_store": FileTokenStore(path), "password": SecretStr(password)}
        with client(server, mark_key=key, **own) as dify:
            dify.account.profile()
        return server.count("/login")

    assert (ask(PASSWORD), ask(PASSWORD)) == (1, 1)
    server.expire()
    assert (ask(PASSWORD), ask(PASSWORD)) == (1, 1)  # what a refresh brought is bound as well
    with pytest.raises(LoginRefused):
        ask("another")
    assert ask(PASSWORD) == 2
    assert ask("another", None) == 2  # without a key nothing is known of it
    assert ask(PASSWORD, b"q" * 32) == 3


def test_mark_of_a_password_tells_nothing_of_it(tmp_path: Path) -> None:
    """It depends on the home's key and on the account, is too short to confirm a guess, and what
    is kept holds no password.
    """
    key = b"k" * 32
    marks = {
        password_mark(PASSWORD, account=account, key=one)
        for account in ("https://dify.test:a@b.c", "https://dify.test:d@b.c")
        for one in (key, b"another", b"")
    }
    assert len(marks) == 6
    assert {len(one) for one in marks} == {4}
    path = tmp_path / "session.json"
    client(PretendServer(), token_store=FileTokenStore(path), mark_key=key).account.profile()
    assert PASSWORD not in path.read_text()
    ((account, kept),) = json.loads(path.read_text()).items()
    assert kept["password_mark"] == password_mark(PASSWORD, account=account, key=key)
