"""Faults come as ordered, the hook runs between requests, and the socket server behaves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from json import JSONDecodeError

import httpx
import pytest

from dify_etl_tests.simulated.conftest import NOW
from dify_etl_tests.simulated.signing_in import signed_in, stranger
from dify_simulated import Faults, SimulatedDify, World, serve
from dify_simulated.server.faults import Fault


def ask(world: World, faults: Faults) -> httpx.Response:
    """The answer to a ping under faults."""
    return stranger(SimulatedDify(world, faults=faults)).get("/ping")


@pytest.mark.parametrize(("retry_after", "header"), [(7, "7"), (None, None)])
def test_too_many_requests(world: World, retry_after: int | None, header: str | None) -> None:
    """429 comes with or without Retry-After."""
    answer = ask(world, Faults(rate_limited=1.0, retry_after=retry_after))

    assert (answer.status_code, answer.headers.get("Retry-After")) == (429, header)


def test_server_errors_are_500_502_or_503(world: World) -> None:
    """All three come, some in JSON, some as a proxy's page."""
    client = stranger(SimulatedDify(world, faults=Faults(server_errors=1.0)))

    assert {client.get("/ping").status_code for _ in range(6)} == {500, 502, 503}


def test_html_instead_of_json(world: World) -> None:
    """A page with status 200."""
    answer = ask(world, Faults(html=1.0))

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")


def test_truncated_json(world: World) -> None:
    """The second half of the body is lost."""
    with pytest.raises(JSONDecodeError):
        ask(world, Faults(truncated=1.0)).json()


def test_a_reset_without_a_socket_raises(world: World) -> None:
    """In process there is no connection to reset, so the error comes out."""
    with pytest.raises(ConnectionResetError):
        ask(world, Faults(resets=1.0))


def test_the_same_seed_fails_the_same_requests(world: World) -> None:
    """What a request meets depends on the seed and its number."""
    walks = [
        [
            stranger_client.get("/ping").status_code
            for stranger_client in [stranger(SimulatedDify(world, faults=Faults(3, 0.5)))]
            for _ in range(20)
        ]
        for _ in range(2)
    ]

    assert walks[0] == walks[1]
    assert set(walks[0]) == {200, 429}


def test_the_hook_changes_the_world_between_requests(world: World) -> None:
    """before_request runs outside the lock, numbered from 0, before the answer is computed."""
    dify = SimulatedDify(world)
    reader = signed_in(dify)
    seen: list[tuple[int, str, str]] = []

    def rename(number: int, method: str, path: str) -> None:
        seen.append((number, method, path))
        world.account.name = f"name {number}"

    dify.faults = Faults(before_request=rename)

    assert reader.get("/account/profile").json()["name"] == "name 1"
    assert seen == [(1, "GET", "/console/api/account/profile")]


def test_requests_are_recorded(world: World) -> None:
    """Method, path, query, status and the world's time of each request."""
    dify = SimulatedDify(world)
    app_id = next(iter(world.apps))
    signed_in(dify).get(f"/apps/{app_id}/api-keys", params={"a": "1"})

    (recorded,) = dify.requests_of("/apps/{app_id}/api-keys")

    assert (recorded.method, recorded.query, recorded.status, recorded.at) == (
        "GET",
        (("a", "1"),),
        200,
        NOW,
    )


def test_a_missing_plugin_daemon_looks_like_a_400(dify: SimulatedDify) -> None:
    """Datasets cannot be listed while it is down."""
    reader = signed_in(dify)
    dify.plugin_daemon_down = True
    down = reader.get("/datasets")
    dify.plugin_daemon_down = False

    assert (down.status_code, down.json()["code"]) == (400, "invalid_param")
    assert reader.get("/datasets").status_code == 200


def test_the_server_keeps_connections_alive(world: World) -> None:
    """Two requests go over one connection of HTTP/1.1."""
    with serve(SimulatedDify(world)) as server, httpx.Client(base_url=server.base_url) as client:
        streams = []
        for _ in "12":
            answer = client.get("/console/api/ping")
            streams.append(answer.extensions["network_stream"].get_extra_info("client_addr"))

    assert answer.http_version == "HTTP/1.1"
    assert streams[0] == streams[1]


def test_the_server_answers_in_parallel(world: World) -> None:
    """Four slow answers take about as long as one."""
    dify = SimulatedDify(world, latency=0.2)
    with serve(dify) as server, ThreadPoolExecutor(4) as pool:
        url = f"{server.base_url}/console/api/ping"
        answers = list(pool.map(lambda _: httpx.get(url), range(4)))

    assert [answer.status_code for answer in answers] == [200] * 4
    assert sum(answer.elapsed.total_seconds() for answer in answers) > 0.8


def test_a_reset_over_a_socket(world: World) -> None:
    """The client sees a broken connection, not an answer."""
    dify = SimulatedDify(world, faults=Faults(resets=1.0))
    with serve(dify) as server, pytest.raises(httpx.TransportError):
        httpx.get(f"{server.base_url}/console/api/ping")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault.LOST, ConnectionResetError),
        (Fault.RESET, ConnectionResetError),
        (Fault.TIMEOUT, TimeoutError),
    ],
)
def test_an_answer_can_be_lost_after_the_work(
    world: World, fault: Fault, error: type[Exception]
) -> None:
    """The hook after the work sees the status, and says that nobody hears of it."""
    dify = SimulatedDify(world)
    reader, keys = signed_in(dify), f"/apps/{next(iter(world.apps))}/api-keys"
    before, seen = len(world.api_keys), []

    def lose(number: int, method: str, path: str, status: int) -> Fault:
        seen.append((number, method, path, status, len(world.api_keys) - before))
        return fault

    dify.faults = Faults(after_request=lose)

    with pytest.raises(error):
        reader.post(keys, json={})

    assert seen == [(1, "POST", f"/console/api{keys}", 201, 1)]
    assert dify.requests[-1].status == 0


def test_lost_answers_come_at_a_rate(world: World) -> None:
    """As any other fault, but after the work."""
    dify = SimulatedDify(world)
    reader, keys = signed_in(dify), f"/apps/{next(iter(world.apps))}/api-keys"
    before = len(world.api_keys)
    dify.faults = Faults(lost_answers=1.0)

    with pytest.raises(ConnectionResetError):
        reader.post(keys, json={})

    assert len(world.api_keys) == before + 1


def test_a_hook_names_the_fault_before_the_work(world: World) -> None:
    """Then nothing is done."""
    dify = SimulatedDify(world)
    reader, keys = signed_in(dify), f"/apps/{next(iter(world.apps))}/api-keys"
    before = len(world.api_keys)
    dify.faults = Faults(before_request=lambda number, method, path: Fault.TIMEOUT)

    with pytest.raises(TimeoutError):
        reader.post(keys, json={})

    assert len(world.api_keys) == before


def test_a_lost_answer_over_a_socket(world: World) -> None:
    """The work is done, the client sees a broken connection."""
    dify = SimulatedDify(world, faults=Faults(lost_answers=1.0))
    with serve(dify) as server, pytest.raises(httpx.TransportError):
        httpx.post(f"{server.base_url}/console/api/login", json={})

    assert [request.status for request in dify.requests] == [0]


@pytest.mark.parametrize("options", [{"deleted_key_lives": 601}, {"last_used_lag": 0}])
def test_impossible_lags_are_refused(world: World, options: dict[str, float]) -> None:
    """A cache keeps a key for ten minutes at most; a worker's round takes some time."""
    with pytest.raises(ValueError, match="second"):
        SimulatedDify(world, "1.13.0", **options)  # type: ignore[arg-type]
