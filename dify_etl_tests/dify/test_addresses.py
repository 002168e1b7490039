"""Other ways to write an address are tried, without an account."""

import httpx
import pytest
from pydantic import SecretStr

from dify_etl.dify.addresses import ONCE, other_address
from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import DifyUnavailable, NotDify
from dify_etl.dify.http.auth import PasswordCredentials

ROUTES = ("/console/api/ping", "/console/api/setup", "/console/api/system-features")


def served(origin: str, asked: list[str] | None = None) -> httpx.MockTransport:
    """A Dify at this origin, which answers every path with its version; elsewhere nobody."""

    def answer(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(str(request.url))
        if f"{request.url.scheme}://{request.url.netloc.decode()}" != origin:
            raise httpx.ConnectError("refused")
        status = 200 if request.url.path in ROUTES else 404
        return httpx.Response(status, json={}, headers={"x-version": "1.12.1"})

    return httpx.MockTransport(answer)


@pytest.mark.parametrize(
    ("given", "origin", "found"),
    [
        ("https://d.example/apps", "https://d.example", "https://d.example"),
        ("https://d.example/app/1/logs/", "https://d.example", "https://d.example"),
        ("http://d.example", "https://d.example", "https://d.example"),
        ("https://d.example:8080/apps", "http://d.example:8080", "http://d.example:8080"),
        ("https://d.example", "https://other.example", None),
    ],
)
def test_other_address(given: str, origin: str, found: str | None) -> None:
    """Without its path, then with the other scheme; no other host is asked."""
    asked: list[str] = []
    assert other_address(given, transport=served(origin, asked)) == found
    assert {httpx.URL(one).host for one in asked} == {httpx.URL(given).host}


def test_a_dify_without_a_console_below_the_path() -> None:
    """The version alone, which every answer tells, makes no console; nor does a broken line."""
    nobody = PasswordCredentials("a@dify.test", SecretStr("x"))
    transport = served("https://d.example")
    with (
        DifyClient(
            "https://d.example/apps", transport=transport, retry=ONCE, credentials=nobody
        ) as dify,
        pytest.raises(NotDify, match="not below"),
    ):
        dify.check_address()
    with (
        DifyClient(
            "https://gone.example", transport=transport, retry=ONCE, credentials=nobody
        ) as dify,
        pytest.raises(DifyUnavailable),
    ):
        dify.check_address()
