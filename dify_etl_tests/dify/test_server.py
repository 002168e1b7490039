"""Addresses, versions and clocks as people and servers write them."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from pydantic import SecretStr

from dify_etl.dify import DifyClient
from dify_etl.dify.errors import NotDify
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.server import NEWEST, Server, newer_than_tested, parse_version
from dify_etl_tests.dify.recordings import client

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://dify.example.com", "https://dify.example.com"),
        ("https://dify.example.com/", "https://dify.example.com"),
        (" https://dify.example.com/console/api/ ", "https://dify.example.com"),
        ("http://10.0.0.5:8080", "http://10.0.0.5:8080"),
        ("https://tools.example.com/dify/", "https://tools.example.com/dify"),
        ("https://tools.example.com/dify/console/api", "https://tools.example.com/dify"),
        ("http://[::1]:5001", "http://[::1]:5001"),
    ],
)
def test_any_way_to_write_the_address(written: str, origin: str) -> None:
    """With or without /console/api, slash, port, prefix: the origin and API are found."""
    server = Server(written, Clock())

    assert server.origin == origin
    assert str(server.url("/apps")) == f"{origin}/console/api/apps"


@pytest.mark.parametrize("written", ["", "dify.example.com", "ftp://x", "https://", "http://[::1"])
def test_no_address(written: str) -> None:
    """What is no URL is refused before anything is sent."""
    with pytest.raises(NotDify, match="no http or https URL"):
        DifyClient(written, email="a@b.c", password=SecretStr("x"))


def test_address_with_a_password_is_refused() -> None:
    """It would not be sent: said before anything is asked, and the password is not repeated."""
    with pytest.raises(NotDify, match="holds a user name or a password") as refused:
        Server("https://user:top-secret@dify.example.com", Clock())
    assert "top-secret" not in f"{refused.value} {refused.value.hint}"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.12.1", (1, 12, 1)),
        ("1.10.1-fix.1", (1, 10, 1)),
        ("v1.9", (1, 9, 0)),
        ("2.0.0-beta.1", (1, 9, 0)),
        ("2.0.0-beta.2", (1, 9, 0)),
        ("2.0.0-beta.10", (2, 0, 0)),
        ("2.0.0-beta.3", (2, 0, 0)),
        ("2.0.0", (2, 0, 0)),
        ("1.10.0-rc1", (1, 10, 0)),
        ("1.14.0-beta", (1, 14, 0)),
        ("main", NEWEST),
        ("", NEWEST),
    ],
)
def test_versions_compare(text: str, version: tuple[int, int, int]) -> None:
    """Suffixes do not matter, but for the betas of 2025; a branch build counts as newest."""
    assert parse_version(text) == version


def test_version_is_asked_once() -> None:
    """The version comes from a header, before any login."""
    asked: list[str] = []

    def server(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(404, html="no ping here", headers={"x-version": "1.7.2"})

    dify = client(server)

    assert (dify.server_version, dify.version, dify.version) == ("1.7.2", (1, 7, 2), (1, 7, 2))
    assert asked == ["/console/api/ping"]


@pytest.mark.parametrize(
    ("told", "is_later", "says"),
    [
        ("1.12.1", False, None),
        ("1.16.1", False, None),
        (
            "1.16.1",
            True,
            "Dify says 1.16.1, but has routes that came later: newer than tested (1.16.1)",
        ),
        ("1.17.0", True, "Dify 1.17.0 is newer than tested (1.16.1)"),
        ("2.0.0-beta.1", False, None),
        ("2.0.0", False, "Dify 2.0.0 is newer than tested (1.16.1)"),
        ("main", False, "Dify 'main' tells no release: it may be newer than tested (1.16.1)"),
    ],
)
def test_server_newer_than_any_tested_is_told(told: str, is_later: bool, says: str | None) -> None:
    """By its version, by a branch build's name, or by a route that came after it."""
    assert newer_than_tested(told, is_later=is_later) == says


def test_version_is_told_when_ping_is_closed() -> None:
    """A proxy that answers /ping itself hides nothing: another route without a login tells it."""

    def server(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/ping"):
            return httpx.Response(404, html="closed by the proxy")
        return httpx.Response(200, json={"step": "finished"}, headers={"x-version": "1.12.1"})

    assert client(server).server_version == "1.12.1"


def test_json_without_version_is_not_dify() -> None:
    """A proxy that drops X-Version is named: the way to log in depends on it."""
    with pytest.raises(NotDify, match="X-Version"):
        _ = client(lambda request: httpx.Response(200, json={"result": "pong"})).version


@pytest.mark.parametrize(
    ("date", "ahead"),
    [
        ("Fri, 20 Nov 2026 12:05:00 GMT", timedelta(minutes=5)),
        ("yesterday", timedelta(0)),
        (None, timedelta(0)),
    ],
)
def test_server_time_is_the_servers(date: str | None, ahead: timedelta) -> None:
    """Time comes from the Date header; without a usable one, from our clock."""
    headers = {"x-version": "1.12.1"} | ({"date": date} if date else {})

    dify = client(
        lambda request: httpx.Response(200, json={}, headers=headers),
        clock=Clock(now=lambda: NOW, monotonic=lambda: 0.0),
    )

    assert dify.server_time() == NOW + ahead


@pytest.mark.parametrize("days", [400, -400])
def test_server_time_does_not_jump_with_our_clock(days: int) -> None:
    """Between two answers somebody sets our clock: the server's time goes on by the second."""
    now, passed = [NOW], [0.0]
    headers = {"x-version": "1.12.1", "date": "Fri, 20 Nov 2026 12:05:00 GMT"}
    dify = client(
        lambda request: httpx.Response(200, json={}, headers=headers),
        clock=Clock(now=lambda: now[0], monotonic=lambda: passed[0]),
    )
    dify.server_time()
    now[0] += timedelta(days=days)
    passed[0] += 7.0

    assert dify.server_time() == NOW + timedelta(minutes=5, seconds=7)


def test_server_time_does_not_go_back_within_a_second() -> None:
    """`Date` has whole seconds: an answer half a second after another one tells the same."""
    passed = [0.0]
    clock = Clock(now=lambda: NOW + timedelta(seconds=passed[0]), monotonic=lambda: passed[0])
    server = Server("https://dify.test", clock)
    told = []
    for seconds, second in ((0.0, "00"), (0.5, "00"), (0.9, "01"), (5.0, "03")):
        passed[0] = seconds
        server.observe({"date": f"Fri, 20 Nov 2026 12:05:{second} GMT"})
        told.append((server.time - NOW - timedelta(minutes=5)).total_seconds())
    assert told == [0.0, 0.5, 1.0, 3.0]


def test_credentials_are_needed() -> None:
    """A client without account is a mistake in the program."""
    with pytest.raises(ValueError, match="email and password"):
        DifyClient("https://dify.test", email="a@b.c")
