"""`dify-etl serve --check`: whether a running one is well, for containers and systemd."""

import ipaddress
from contextlib import closing
from http.client import HTTPConnection, HTTPException

from rich.console import Console

from dify_etl.cli.clear_errors import FAILED

# The path that `ui.health` answers; that one imports half of a web server, and this is asked often.
HEALTH_PATH = "/healthz"
WAIT_SECONDS = 10.0
SHOWN_CHARACTERS = 40


def check_health(console: Console, *, host: str, port: int) -> int:
    """Ask the health of the UI that listens there; answers 0, or 1 with the part that fails: `web`
    when nothing answers, else `code`, `daemon` or `storage`.
    """
    is_well, word = _asked(_reachable(host), port)
    console.print(word, markup=False, highlight=False)
    return 0 if is_well else FAILED


def _asked(host: str, port: int) -> tuple[bool, str]:
    with closing(HTTPConnection(host, port, timeout=WAIT_SECONDS)) as connection:
        try:
            connection.request("GET", HEALTH_PATH)
            answer = connection.getresponse()
            word = answer.read(SHOWN_CHARACTERS).decode("ascii", "replace").strip()
        except (OSError, HTTPException):
            return False, "web"
    if answer.status in (200, 503):
        return answer.status == 200, word
    return False, f"something else than dify-etl answers on port {port}"


def _reachable(host: str) -> str:
    """The address to ask when the UI listens on all of them."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return "127.0.0.1" if address.version == 4 else "::1"
