"""Three styles of session, single-use refresh, lock-out and the admin key."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from dify_etl_tests.simulated.conftest import NOW
from dify_etl_tests.simulated.signing_in import login_body, signed_in, stranger
from dify_simulated import SimulatedDify, World

STYLES = ("1.0.0", "1.7.2", "1.9.1", "1.9.2", "1.10.1", "1.11.0", "1.12.1", "1.13.0", "1.14.2")


@pytest.mark.parametrize("version", STYLES)
def test_every_release_can_be_signed_in_to(world: World, version: str) -> None:
    """A login in the style of the release opens the profile, and the header tells the release."""
    answer = signed_in(SimulatedDify(world, version)).get("/account/profile")

    assert (answer.status_code, answer.json()["id"]) == (200, world.account.id)
    assert answer.headers["X-Version"] == version


def test_an_unknown_release_is_refused(world: World) -> None:
    """The error names the releases that are simulated."""
    with pytest.raises(ValueError, match=r"1\.12\.1"):
        SimulatedDify(world, "1.12.2")


def test_a_refresh_token_works_once(dify: SimulatedDify, reader: httpx.Client) -> None:
    """The second use of a refresh token is refused."""
    token = {"Cookie": f"refresh_token={reader.cookies['refresh_token']}"}

    statuses = [stranger(dify).post("/refresh-token", headers=token).status_code for _ in "12"]

    assert statuses == [200, 401]


def test_expired_tokens_are_refreshed(dify: SimulatedDify, reader: httpx.Client) -> None:
    """After expire_access_tokens a request is 401 until the session is refreshed."""
    dify.expire_access_tokens()
    expired = reader.get("/apps")
    reader.post("/refresh-token")
    reader.headers["X-CSRF-Token"] = reader.cookies["csrf_token"]

    assert (expired.status_code, expired.json()["message"]) == (401, "Token has expired.")
    assert reader.get("/apps").status_code == 200


def test_tokens_expire_by_the_clock_of_the_world(world: World) -> None:
    """expires_in is counted on the world's clock."""
    reader = signed_in(SimulatedDify(world, expires_in=60))

    world.set_now(NOW + timedelta(seconds=61))

    assert reader.get("/apps").status_code == 401


def test_the_seventh_wrong_password_locks_for_a_day(dify: SimulatedDify, world: World) -> None:
    """Six are wrong, then even the right one is 429 until a day has passed."""
    email = world.account.email
    client = stranger(dify)
    wrong = [
        client.post("/login", json=login_body(dify, email, "Wrong12345")).status_code
        for _ in range(7)
    ]
    right = client.post("/login", json=login_body(dify, email, "Simulated2026")).status_code
    world.set_now(NOW + timedelta(days=1, seconds=1))

    assert (wrong, right) == ([401] * 6 + [429], 429)
    assert signed_in(dify).get("/apps").status_code == 200


@pytest.mark.parametrize(
    ("version", "status"),
    [("1.7.2", 200), ("1.9.1", 200), ("1.9.2", 401), ("1.10.1", 401), ("1.11.0", 200)],
)
def test_the_admin_key_is_blocked_between_1_9_2_and_1_10(
    world: World, version: str, status: int
) -> None:
    """It acts as the owner, unless the CSRF check of those releases is in the way."""
    headers = {
        "Authorization": f"Bearer {world.admin_api_key}",
        "X-WORKSPACE-ID": world.workspace.id,
    }

    answer = stranger(SimulatedDify(world, version)).get("/apps", headers=headers)

    assert answer.status_code == status


def test_the_admin_key_fails_with_cookies(world: World, reader: httpx.Client) -> None:
    """Session cookies sent along make the server refuse the key."""
    reader.headers["Authorization"] = f"Bearer {world.admin_api_key}"
    reader.headers["X-WORKSPACE-ID"] = world.workspace.id

    assert reader.get("/apps").status_code == 401


def test_prefixed_cookies_are_secure(world: World) -> None:
    """Behind https the names begin with __Host- and plain names are not understood."""
    dify = SimulatedDify(world, cookie_prefix=True)

    answer = stranger(dify).post(
        "/login", json=login_body(dify, world.account.email, "Simulated2026")
    )

    cookies = answer.headers.get_list("set-cookie")
    assert [cookie.partition("=")[0] for cookie in cookies] == [
        "__Host-access_token",
        "__Host-refresh_token",
        "__Host-csrf_token",
    ]
    assert all("; Secure;" in cookie for cookie in cookies)


def test_switching_moves_every_session(dify: SimulatedDify, world: World) -> None:
    """Another session of the same account sees the other workspace at once."""
    one, two = signed_in(dify), signed_in(dify)
    other = next(i for i in world.workspaces if i != world.workspace.id)

    one.post("/workspaces/switch", json={"tenant_id": other})

    assert two.post("/workspaces/current").json()["id"] == other
    assert two.get("/apps").json()["total"] == 0


@pytest.mark.parametrize(
    ("email", "path", "status"),
    [
        ("normal.user@dify.test", "chat-conversations", 403),
        ("eddie@dify.test", "chat-conversations", 200),
        ("normal.user@dify.test", "statistics/daily-messages", 200),
        ("normal.user@dify.test", "api-keys", 200),
    ],
)
def test_roles(dify: SimulatedDify, world: World, email: str, path: str, status: int) -> None:
    """Conversations need an editor; figures and, sadly, keys are for everybody."""
    app = next(app for app in world.apps.values() if app.mode == "chat")

    assert signed_in(dify, email).get(f"/apps/{app.id}/{path}").status_code == status


def test_only_an_owner_sees_private_datasets(dify: SimulatedDify, world: World) -> None:
    """include_all works for the owner alone."""
    query = {"include_all": "true", "limit": "100"}

    owner, editor = (
        signed_in(dify, email).get("/datasets", params=query).json()["total"]
        for email in (None, "eddie@dify.test")
    )

    assert owner == len(world.datasets)
    assert editor < owner
