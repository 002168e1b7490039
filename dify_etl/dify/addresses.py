"""Where Dify's console is, when it is not at the address that somebody gave: other ways to write
that address are tried. No account is sent anywhere.
"""

from collections.abc import Callable, Iterator

import httpx
from pydantic import SecretStr

from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import DifyError
from dify_etl.dify.http.auth import PasswordCredentials
from dify_etl.dify.http.server import API_PATH, api_url
from dify_etl.dify.http.session import RetryPolicy

PING_SECONDS = 15.0  # whoever waits at a terminal takes a longer silence for an answer
ONCE = RetryPolicy(attempts=1, ping_seconds=PING_SECONDS)
_NOBODY = PasswordCredentials("", SecretStr(""))


def other_address(address: str, *, transport: httpx.BaseTransport | None = None) -> str | None:
    """Another way to write the address, at which the console's API answers: without the path, or
    with the other of http and https. None: it answers at none of them.
    """
    return next((one for one in _others(address) if _answers(one, transport)), None)


def version_at(
    address: str,
    *,
    retry: RetryPolicy,
    transport: httpx.BaseTransport | None = None,
    warn: Callable[[str], None] | None = None,
) -> str:
    """The version of the Dify whose console API is below an address, asked without a login.

    `warn` gets a line while it keeps silent. Raises NotDify and DifyUnavailable.
    """
    with DifyClient(
        address, credentials=_NOBODY, retry=retry, transport=transport, warn=warn
    ) as dify:
        dify.check_address()
        return dify.server_version


def _answers(address: str, transport: httpx.BaseTransport | None) -> bool:
    try:
        return bool(version_at(address, retry=ONCE, transport=transport))
    except DifyError:
        return False


def _others(address: str) -> Iterator[str]:
    """The same host and port: shorter paths first, then the other scheme."""
    url = api_url(address)
    given = _below(url, url.path)
    scheme = "http" if url.scheme == "https" else "https"
    for one in (url, url.copy_with(scheme=scheme)):
        path = one.path.removesuffix(API_PATH)
        while True:
            if (other := _below(one, path + API_PATH)) != given:
                yield other
            if not path:
                break
            path = path.rpartition("/")[0]


def _below(url: httpx.URL, path: str) -> str:
    return str(url.copy_with(path=path)).removesuffix(API_PATH)
