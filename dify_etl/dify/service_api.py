"""The service API with one key: what it takes to see that a key works, and whose it is."""

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
from pydantic import Field, SecretStr

from dify_etl.dify.errors import KeyRefused, NotAllowed, NotDify, Refused, ServiceApiOff
from dify_etl.dify.http.session import Session
from dify_etl.dify.json_text import JsonText
from dify_etl.dify.record import Record, optional, parse_one

T = TypeVar("T")


class ServiceApp(Record):
    """The app behind a key (GET /v1/info). No answer of the service API holds an app id."""

    name: str = Field(description="name of the app")
    mode: str | None = optional(description="mode of the app; servers before 1.7 tell none")
    description: str | None = optional(description="description of the app")
    tags: JsonText | None = optional(description="names of its tags, JSON list")
    author_name: str | None = optional(description="name of the author")


class ServiceDatasets(Record):
    """The datasets behind a key (GET /v1/datasets)."""

    total: int = Field(description="how many datasets the key opens")


class ServiceApi:
    """`dify.service_api(api_base_url, token)`: sends the key, and never the console session.

    Reads are repeated as all reads are. Raises KeyRefused (401), ServiceApiOff (403), NotDify,
    DifyUnavailable. A call moves the `last_used_at` of the key.
    """

    def __init__(self, session: Session, api_base_url: str, token: SecretStr) -> None:
        self._session = session
        self._address = _address(api_base_url)
        self._token = token

    def info(self) -> ServiceApp:
        """GET {api_base_url}/info, with the key of an app."""
        return parse_one(ServiceApp, self._asked("/info"), endpoint="GET /v1/info")

    def datasets(self) -> ServiceDatasets:
        """GET {api_base_url}/datasets, with a dataset key: one row, and how many there are."""
        answer = self._asked("/datasets", limit=1)
        return parse_one(ServiceDatasets, answer, endpoint="GET /v1/datasets")

    def _asked(self, route: str, **query: int) -> Any:
        return _app_or_dataset(
            lambda: self._session.get_with_key(
                self._address, route, key=self._token, query=query or None
            )
        )

    def __repr__(self) -> str:
        return f"ServiceApi({str(self._address)!r})"


def _address(api_base_url: str) -> httpx.URL:
    try:
        address = httpx.URL(api_base_url.strip())
        _ = urlsplit(api_base_url.strip()).port  # httpx takes 99999
    except (httpx.InvalidURL, ValueError):
        address = httpx.URL("")
    if address.scheme not in ("http", "https") or not address.host or address.userinfo:
        raise NotDify(
            "the address of the service API is no http or https URL",
            where="service API address",
            hint="Write it as https://dify.example.com/v1, without user name and password.",
        )
    return address.copy_with(query=None, fragment=None)


def _app_or_dataset(ask: Callable[[], T]) -> T:
    """What 401 and 403 mean for a key; `app_unavailable` is a 400 or 403 by version."""
    try:
        return ask()
    except NotAllowed as error:
        raise _off(error.where, error.status, error.code) from None
    except Refused as error:
        if error.code == "app_unavailable":
            raise _off(error.where, error.status, error.code) from None
        if error.status != 401:
            raise
        raise KeyRefused(
            "the service API does not know this key",
            where=error.where,
            hint="It is deleted, or of the other kind: app keys open apps, dataset keys datasets.",
            status=error.status,
            code=error.code,
        ) from None


def _off(where: str, status: int, code: str | None) -> ServiceApiOff:
    return ServiceApiOff(
        f"the service API does not serve this app ({status} {code or ''})".replace(" )", ")"),
        where=where,
        hint="Switch the app's API on; else the app is deleted or its workspace archived.",
        status=status,
        code=code,
    )
