"""What may go wrong on purpose: seeded, as rates between 0 and 1 per request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from random import Random

from werkzeug.wrappers import Request, Response

_PROXY_PAGE = "<html><body><h1>502 Bad Gateway</h1><hr>nginx</body></html>"


class Fault(Enum):
    """One way to fail."""

    RATE_LIMITED = "rate-limited"
    SERVER_ERROR = "server-error"
    HTML = "html"
    TRUNCATED = "truncated"
    SLOW = "slow"
    RESET = "reset"  # the connection breaks before the server does anything
    TIMEOUT = "timeout"  # no answer comes, and nothing was done
    LOST = "lost"  # the server does its work, then the connection breaks


BeforeRequest = Callable[[int, str, str], Fault | None]
AfterRequest = Callable[[int, str, str, int], Fault | None]


@dataclass(frozen=True)
class Faults:
    """Rates of failure; what a request meets depends on the seed and its number only.

    `retry_after`: seconds in the header of a 429, None = no header. `slow_seconds`: how long a slow
    answer takes. A reset closes the socket without an answer; without a socket ConnectionResetError
    is raised, and TimeoutError for a time-out, which over a socket is a broken connection too.

    Two hooks are called outside the lock of the world, with the number of the request from 0:
    `before_request(number, method, path)`, so that a test can change the world between requests,
    and `after_request(number, method, path, status)`, when the server has done its work and before
    the answer leaves. Both may name the fault that this request meets. Named after the work, RESET,
    LOST and TIMEOUT lose the answer, TRUNCATED cuts it, SERVER_ERROR and HTML stand in for it.
    Whatever a hook raises comes out where the request was made, as a crash would.
    """

    seed: int = 0
    rate_limited: float = 0.0
    retry_after: int | None = 1
    server_errors: float = 0.0
    html: float = 0.0
    truncated: float = 0.0
    slow: float = 0.0
    slow_seconds: float = 0.05
    resets: float = 0.0
    lost_answers: float = 0.0
    before_request: BeforeRequest | None = None
    after_request: AfterRequest | None = None

    def asked_before(self, number: int, request: Request) -> Fault | None:
        """What `before_request` says."""
        hook = self.before_request
        return None if hook is None else hook(number, request.method, request.path)

    def asked_after(self, number: int, request: Request, response: Response) -> Fault | None:
        """What `after_request` says."""
        hook = self.after_request
        status = response.status_code
        return None if hook is None else hook(number, request.method, request.path, status)

    def of_request(self, number: int) -> Fault | None:
        """The fault of the request with this number, None for most."""
        drawn = Random(f"{self.seed}/{number}").random()
        rates = (
            (Fault.RATE_LIMITED, self.rate_limited),
            (Fault.SERVER_ERROR, self.server_errors),
            (Fault.HTML, self.html),
            (Fault.TRUNCATED, self.truncated),
            (Fault.SLOW, self.slow),
            (Fault.RESET, self.resets),
            (Fault.LOST, self.lost_answers),
        )
        for fault, rate in rates:
            if drawn < rate:
                return fault
            drawn -= rate
        return None

    def instead_of_answer(self, fault: Fault, number: int) -> Response | None:
        """The answer that a fault gives without asking the world; None for faults that do ask."""
        if fault is Fault.RATE_LIMITED:
            return self._too_many()
        if fault is Fault.SERVER_ERROR:
            status = (500, 502, 503)[number % 3]
            text = '{"message":"Internal Server Error","code":"unknown","status":500}'
            if status == 500:
                return Response(text, status, mimetype="application/json")
            return Response(_PROXY_PAGE, status, mimetype="text/html")
        if fault is Fault.HTML:
            return Response("<html><body>Please wait …</body></html>", mimetype="text/html")
        return None

    def _too_many(self) -> Response:
        text = '{"code":"too_many_requests","message":"Too many requests.","status":429}'
        response = Response(text, 429, mimetype="application/json")
        if self.retry_after is not None:
            response.headers["Retry-After"] = str(self.retry_after)
        return response


def truncate(response: Response) -> Response:
    """The same answer with the second half of its body lost."""
    body = response.get_data()
    response.set_data(body[: len(body) // 2])
    return response
