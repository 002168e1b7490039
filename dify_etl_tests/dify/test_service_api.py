"""Testing a key with a real call: whose it is, whether it still works, what goes along."""

from datetime import timedelta
from math import inf

import httpx
import pytest
from pydantic import SecretStr

from dify_etl.dify import DifyClient
from dify_etl.dify.errors import DifyUnavailable, KeyRefused, NotDify, ServiceApiOff
from dify_etl_tests.dify.pretend_workspace import (
    EVERY_VERSION,
    NOW,
    app_of,
    client_of,
)
from dify_etl_tests.dify.recordings import VERSIONS, client, exchange
from dify_simulated import SimulatedDify, World, serve
from dify_simulated.world.rows import ApiKey

ADDRESS = "http://dify.test/v1"
MINUTE = timedelta(minutes=1)


def new_key(world: World, mode: str | None = "chat") -> ApiKey:
    app_id = app_of(world, mode).id if mode else None
    return world.add_api_key(tenant_id=world.workspace_id, at=NOW, app_id=app_id)


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_a_key_names_its_app(world: World, version: str) -> None:
    """Name and mode of the app, under the address that the app tells; 1.0 tells no mode."""
    dify, app, key = client_of(SimulatedDify(world, version)), app_of(world, "chat"), new_key(world)
    address = dify.apps.get(app.id).api_base_url or ""

    info = dify.service_api(address, SecretStr(key.token)).info()

    assert (info.name, info.mode) == (app.name, None if version == "1.0.0" else "chat")


def test_a_dataset_key_counts_all_datasets(world: World) -> None:
    """A dataset key opens those of the whole workspace."""
    dify, key = client_of(SimulatedDify(world)), new_key(world, None)

    assert dify.service_api(ADDRESS, SecretStr(key.token)).datasets().total == len(world.datasets)


def test_a_key_of_the_other_kind_is_refused(world: World) -> None:
    """An app key opens no datasets, a dataset key no app, an unknown one nothing."""
    dify = client_of(SimulatedDify(world))
    of_app, of_datasets = SecretStr(new_key(world).token), SecretStr(new_key(world, None).token)

    with pytest.raises(KeyRefused):
        dify.service_api(ADDRESS, of_app).datasets()
    with pytest.raises(KeyRefused):
        dify.service_api(ADDRESS, of_datasets).info()
    with pytest.raises(KeyRefused):
        dify.service_api(ADDRESS, SecretStr("app-unknown")).info()


def test_an_app_whose_api_is_off_is_told_apart(world: World) -> None:
    """The key is good, the app does not answer: another error than a bad key."""
    dify, key = client_of(SimulatedDify(world)), new_key(world)
    app_of(world, "chat").enable_api = False

    with pytest.raises(ServiceApiOff) as caught:
        dify.service_api(ADDRESS, SecretStr(key.token)).info()

    assert (caught.value.status, caught.value.where) == (403, "GET /v1/info")


@pytest.mark.parametrize("code", [400, 403])
def test_an_unavailable_app_is_off_too(code: int) -> None:
    """Some versions say `app_unavailable` as 400."""
    answer = httpx.Response(code, headers={"x-version": "1"}, json={"code": "app_unavailable"})

    with pytest.raises(ServiceApiOff, match="app_unavailable"):
        client(lambda request: answer).service_api(ADDRESS, SecretStr("app-1")).info()


def sent_to_the_service(dify: DifyClient, sent: list[httpx.Request]) -> httpx.Request:
    dify.account.profile()
    dify.service_api("https://api.dify.test/prefix/v1/", SecretStr("app-1")).info()
    return next(request for request in sent if request.url.path.endswith("/v1/info"))


def test_no_console_session_goes_along(world: World) -> None:
    """The service API gets the key only: no cookie, no CSRF token, at exactly that address."""
    server, sent = SimulatedDify(world), []
    console = httpx.WSGITransport(app=server)

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if request.url.host == "api.dify.test":
            return httpx.Response(200, headers={"x-version": "0.0.1"}, json={"name": "Chat"})
        return console.handle_request(request)

    dify = client_of(server, transport=httpx.MockTransport(answer))
    request = sent_to_the_service(dify, sent)

    assert str(request.url) == "https://api.dify.test/prefix/v1/info"
    assert request.headers["authorization"] == "Bearer app-1"
    assert not {"cookie", "x-csrf-token", "x-workspace-id"} & request.headers.keys()
    assert dify.server_version == "1.12.1"  # the service API does not speak for the console


@pytest.mark.parametrize(
    "address",
    ["", "dify.test/v1", "ftp://dify.test", "http://a:b@dify.test", "http://a:99999", "http://[a"],
)
def test_an_odd_address_is_refused(world: World, address: str) -> None:
    """Before any key is sent anywhere."""
    with pytest.raises(NotDify):
        client_of(SimulatedDify(world)).service_api(address, SecretStr("app-1"))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(401, json={"message": "who are you?"}), NotDify),
        (httpx.Response(502, html="<h1>Bad Gateway</h1>"), DifyUnavailable),
    ],
)
def test_another_server_is_no_proof(answer: httpx.Response, kind: type[Exception]) -> None:
    """A 401 of a proxy does not prove a key dead, nor does a server that is down."""
    with pytest.raises(kind):
        client(lambda request: answer).service_api(ADDRESS, SecretStr("app-1")).info()


@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_answers(version: str) -> None:
    """What real servers said to good and to deleted keys."""

    def service(name: str) -> DifyClient:
        recorded = exchange(version, "service-api", name)
        return client(lambda request: recorded.response())

    key = SecretStr("app-1")
    assert service("info-with-key-before-delete").service_api(ADDRESS, key).info().mode == "chat"
    assert service("datasets-with-key").service_api(ADDRESS, key).datasets().total > 0
    with pytest.raises(KeyRefused):
        service("info-with-key-after-delete").service_api(ADDRESS, key).info()
    with pytest.raises(KeyRefused):
        service("datasets-with-deleted-key").service_api(ADDRESS, key).datasets()


def test_the_key_is_in_no_text(world: World) -> None:
    """Neither the object nor its errors tell the key."""
    service = client_of(SimulatedDify(world)).service_api(ADDRESS, SecretStr("app-secret"))

    with pytest.raises(KeyRefused) as caught:
        service.info()

    assert "app-secret" not in f"{service!r} {caught.value} {caught.value!r}"


def test_a_deleted_key_may_live_in_a_cache(world: World) -> None:
    """From 1.13 on, when a call meanwhile cached it again: for ten minutes at most."""
    server, key = SimulatedDify(world, "1.13.0", deleted_key_lives=600), new_key(world)
    dify = client_of(server)
    service = dify.service_api(ADDRESS, SecretStr(key.token))
    dify.api_keys.delete_of_app(key.app_id or "", key.id)

    world.set_now(NOW + timedelta(seconds=599))
    assert service.info().name == app_of(world, "chat").name
    world.set_now(NOW + timedelta(seconds=600))
    with pytest.raises(KeyRefused):
        service.info()


@pytest.mark.parametrize(
    ("version", "lag", "minutes", "seen"),
    [
        ("1.12.1", None, 0, True),
        ("1.13.0", None, 29, False),
        ("1.13.0", None, 30, True),
        ("1.14.2", 60, 1, True),
        ("1.14.2", inf, 600, False),
    ],
)
def test_use_of_a_key_shows_late(
    world: World, version: str, lag: float | None, minutes: int, seen: bool
) -> None:
    """At once up to 1.12, after the worker's round from 1.13, never without the worker."""
    server, key = SimulatedDify(world, version, last_used_lag=lag), new_key(world)
    dify = client_of(server)
    world.set_now(NOW + timedelta(seconds=1))
    dify.service_api(ADDRESS, SecretStr(key.token)).info()

    world.set_now(NOW + minutes * MINUTE + timedelta(seconds=2))
    listed = next(k for k in dify.api_keys.of_app(key.app_id or "") if k.api_key_id == key.id)

    assert (listed.last_used_at == NOW + timedelta(seconds=1)) is seen


def test_wire_log_tells_no_key(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """With every log at DEBUG neither a key that is shown nor one that is made is written."""
    server, key = SimulatedDify(world), new_key(world)
    with (
        serve(server) as running,
        client_of(server, address=running.base_url) as dify,
        caplog.at_level("DEBUG"),
    ):
        dify.service_api(f"{running.base_url}/v1", SecretStr(key.token)).info()
        made = dify.api_keys.create_for_app(key.app_id or "").value

    assert "/v1/info" in caplog.text
    assert key.token not in caplog.text
    assert made.token.get_secret_value() not in caplog.text
