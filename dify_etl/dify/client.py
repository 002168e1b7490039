"""`DifyClient`: opens the way to one Dify, and holds one room per noun."""

import hashlib
import hmac
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Self

import httpx
from pydantic import SecretStr

from dify_etl.dify.account import Account
from dify_etl.dify.http.adaptive_limit import RequestLimits
from dify_etl.dify.http.auth import (
    AdminKeyAuth,
    AdminKeyCredentials,
    PasswordAuth,
    PasswordCredentials,
)
from dify_etl.dify.http.bounds import AnswerBounds
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.outage import OutagePatience
from dify_etl.dify.http.server import Server, Version, newer_than_tested
from dify_etl.dify.http.session import RetryPolicy, Session
from dify_etl.dify.http.tokens import MemoryTokenStore, TokenStore
from dify_etl.dify.http.usage import RequestDone, Usage

# A noun with its records is loaded when it is asked for: to make those of all takes longer than a
# login, and the first request waits for none but the account.
if TYPE_CHECKING:
    from dify_etl.dify.agents import Agents
    from dify_etl.dify.api_keys import ApiKeys
    from dify_etl.dify.apps import Apps
    from dify_etl.dify.conversations import Conversations
    from dify_etl.dify.datasets import Datasets
    from dify_etl.dify.members import Members
    from dify_etl.dify.service_api import ServiceApi
    from dify_etl.dify.statistics import Statistics
    from dify_etl.dify.tags import Tags
    from dify_etl.dify.workflows import Workflows

Credentials = PasswordCredentials | AdminKeyCredentials


class DifyClient:
    """Reads and changes one Dify workspace through the console API. Thread-safe; no network until
    the first call. Use it as a context manager, or `close()` it.

    The account is given as `credentials`, or as `email` and `password`, or as `admin_api_key` and
    `workspace_id`. With `run_id` each request names the run in its User-Agent. `warn` gets a line
    when the server keeps silent or is away, while it lasts: from any thread. With
    `mark_key` a session of `token_store` is taken only when it was made with this password.
    """

    def __init__(
        self,
        base_url: str,
        *,
        credentials: Credentials | None = None,
        email: str | None = None,
        password: SecretStr | None = None,
        admin_api_key: SecretStr | None = None,
        workspace_id: str | None = None,
        token_store: TokenStore | None = None,
        transport: httpx.BaseTransport | None = None,
        limits: RequestLimits | None = None,
        retry: RetryPolicy | None = None,
        clock: Clock | None = None,
        fingerprint_key: bytes | None = None,
        on_request: Callable[[RequestDone], None] | None = None,
        bounds: AnswerBounds | None = None,
        patience: OutagePatience | None = None,
        run_id: str | None = None,
        warn: Callable[[str], None] | None = None,
        mark_key: bytes | None = None,
    ) -> None:
        clock = clock or Clock()
        if credentials is None:
            credentials = _credentials(email, password, admin_api_key, workspace_id)
        self.usage = Usage(on_request)
        self._server = Server(base_url, clock)
        self._session = Session(
            self._server,
            _auth(credentials, self._server, token_store or MemoryTokenStore(), clock, mark_key),
            usage=self.usage,
            transport=transport,
            limits=limits,
            retry=retry,
            clock=clock,
            bounds=bounds,
            patience=patience,
            run_id=run_id,
            warn=warn,
        )
        self.account = Account(self._session)
        self._fingerprint_key = fingerprint_key
        self._seal = _seal(fingerprint_key, self.origin)

    @cached_property
    def apps(self) -> "Apps":
        """Apps of the workspace."""
        from dify_etl.dify.apps import Apps

        return Apps(self._session)

    @cached_property
    def agents(self) -> "Agents":
        """Agents of the workspace: their versions and logs."""
        from dify_etl.dify.agents import Agents

        return Agents(self._session, self.account.zone)

    @cached_property
    def api_keys(self) -> "ApiKeys":
        """Keys of apps and of the datasets."""
        from dify_etl.dify.api_keys import ApiKeys

        return ApiKeys(self._session, self._fingerprint_key)

    @cached_property
    def workflows(self) -> "Workflows":
        """Workflows, their versions, runs and nodes."""
        from dify_etl.dify.workflows import Workflows

        return Workflows(self._session)

    @cached_property
    def datasets(self) -> "Datasets":
        """Datasets with their documents and segments."""
        from dify_etl.dify.datasets import Datasets

        return Datasets(self._session)

    @cached_property
    def members(self) -> "Members":
        """Members of the workspace."""
        from dify_etl.dify.members import Members

        return Members(self._session)

    @cached_property
    def tags(self) -> "Tags":
        """Tags of apps and datasets."""
        from dify_etl.dify.tags import Tags

        return Tags(self._session)

    @cached_property
    def statistics(self) -> "Statistics":
        """Dify's own figures per app and day."""
        from dify_etl.dify.statistics import Statistics

        return Statistics(self._session, self.account.zone)

    @cached_property
    def conversations(self) -> "Conversations":
        """Conversations, their messages, annotations and ratings."""
        from dify_etl.dify.conversations import Conversations

        return Conversations(self._session, self.account.zone)

    @property
    def origin(self) -> str:
        """Scheme, host, port and path prefix, such as `https://dify.example.com`."""
        return self._server.origin

    @property
    def seal(self) -> str:
        """A secret of whoever has the fingerprint key, for this server: HMAC-SHA256, in hex.

        Empty without that key. Ids of plans are hashed with it, so that nobody can work them out
        who has not seen them.
        """
        return self._seal

    @property
    def server_version(self) -> str:
        """Dify's version, from the `X-Version` header; asked once. Raises NotDify."""
        return self._session.version_text

    def check_address(self) -> None:
        """Whether the console's API is below the base URL (GET /ping and its like, without login).

        Raises NotDify when it is not, DifyUnavailable when nothing answers.
        """
        self._session.check_address()

    @property
    def version(self) -> Version:
        """The version for comparisons, such as (1, 12, 1)."""
        return self._session.version

    @property
    def newer_than_tested(self) -> str | None:
        """A sentence when the server is newer than any that was tested; None for the others.

        By the version that it tells, and by the route that told the workspace: builds after 1.16.1
        tell 1.16.1 as well.
        """
        return newer_than_tested(self.server_version, is_later=self.account.is_summarised)

    def service_api(self, api_base_url: str, token: SecretStr) -> "ServiceApi":
        """The service API with one key, over the same connections; sends no console session.

        `api_base_url` as an app's detail tells it, such as `https://dify.example.com/v1`. It is the
        caller's duty to trust that address with the key. Raises NotDify when it is no URL.
        """
        from dify_etl.dify.service_api import ServiceApi

        return ServiceApi(self._session, api_base_url, token)

    def server_time(self) -> datetime:
        """Dify's time, aware UTC, from the `Date` of its answers; ours when it sends none."""
        _ = self._session.version_text
        return self._server.time

    def clock_ahead(self) -> timedelta:
        """How far Dify's clock is ahead of ours; negative when it is behind."""
        _ = self._session.version_text
        return self._server.ahead

    def earlier_time(self) -> datetime:
        """The earlier of Dify's time and ours, aware UTC: what is past by it is past by both.

        A `Date` may be far from the truth, and so may our own clock.
        """
        return self.server_time() - max(timedelta(0), self.clock_ahead())

    def later_time(self) -> datetime:
        """The later of Dify's time and ours, aware UTC: what comes after it is in the future."""
        return self.server_time() - min(timedelta(0), self.clock_ahead())

    @property
    def bounds(self) -> AnswerBounds:
        """What is too much of an answer, and of a list."""
        return self._session.bounds

    def labelled(self, label: str) -> AbstractContextManager[None]:
        """Count the requests of this thread under `label`; each worker thread sets its own."""
        return self.usage.labelled(label)

    @property
    def concurrency(self) -> int:
        """How many requests at a time the server is trusted with at this moment."""
        return self._session.limit.current

    def pause_learning(self) -> AbstractContextManager[None]:
        """Hold this block around hard work of our own: answers that wait for it say nothing of
        the server's load.
        """
        return self._session.limit.pause_learning()

    def close(self) -> None:
        """Close the connections; the session stays in its store."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"DifyClient({self.origin!r})"


def _credentials(
    email: str | None,
    password: SecretStr | None,
    admin_api_key: SecretStr | None,
    workspace_id: str | None,
) -> Credentials:
    if email and password:
        return PasswordCredentials(email, password)
    if admin_api_key and workspace_id:
        return AdminKeyCredentials(admin_api_key, workspace_id)
    raise ValueError("give email and password, or admin_api_key and workspace_id")


def _auth(
    credentials: Credentials,
    server: Server,
    store: TokenStore,
    clock: Clock,
    mark_key: bytes | None,
) -> httpx.Auth:
    if isinstance(credentials, AdminKeyCredentials):
        return AdminKeyAuth(credentials, server=server)
    return PasswordAuth(credentials, server=server, store=store, clock=clock, mark_key=mark_key)


def _seal(key: bytes | None, origin: str) -> str:
    told = f"plans for {origin}".encode()
    return hmac.new(key, told, hashlib.sha256).hexdigest() if key else ""
