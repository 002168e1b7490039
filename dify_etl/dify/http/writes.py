"""What a write brings back, and the refusal to guess when its answer is lost.

Dify makes another object with every POST. So a write is sent once: when the outcome is unknown,
`WriteUnanswered` tells so, and whoever wrote reads back what is there now.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx

from dify_etl.dify.errors import DifyError, UnexpectedAnswer, WriteUnanswered
from dify_etl.dify.http.echoes import repeats
from dify_etl.dify.record import Record, parse_one

T = TypeVar("T")
U = TypeVar("U")
R = TypeVar("R", bound=Record)

NOTHING_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    ConnectionRefusedError,
)
_REQUEST_ID = re.compile(r"[\w:./=+-]{1,128}", re.ASCII)
REQUEST_ID_HEADERS = ("x-request-id", "x-trace-id")  # of a proxy, of tracing


@dataclass(frozen=True)
class Written(Generic[T]):
    """What an answered write gave: its value, the HTTP status, and the request's id if one came."""

    value: T
    status: int
    request_id: str | None = None

    def holding(self, value: U) -> "Written[U]":
        """The same answer with another value."""
        return Written(value, self.status, self.request_id)


def request_id_of(response: httpx.Response) -> str | None:
    """The id under which the server or its proxy logged the request; None where it is no id, or
    repeats what was sent: it goes into the audit.
    """
    found = (response.headers.get(name) for name in REQUEST_ID_HEADERS)
    known = (one for one in found if one and _REQUEST_ID.fullmatch(one))
    return next((one for one in known if not repeats(one, response.request)), None)


def is_maybe_done(request: httpx.Request, cause: BaseException | None) -> bool:
    """Whether a write that failed for `cause` (None: by its status) may have been done.

    Logging in and renewing the session are requests of their own: when those fail, the write was
    not under way.
    """
    return bool(request.extensions.get("is_under_way")) and not isinstance(cause, NOTHING_SENT)


def unanswered(error: DifyError, *, status: int | None = None) -> WriteUnanswered:
    """The same trouble, told as what it means for a write."""
    return WriteUnanswered(
        f"nobody knows whether the write was done: {error.what}",
        where=error.where,
        hint="Read back what is there now before writing again; it was sent once. " + error.hint,
        status=status,
    )


def record_written(
    written: Written[Any],
    record_class: type[R],
    *,
    endpoint: str,
    context: Mapping[str, Any] | None = None,
) -> Written[R]:
    """The record in the answer to a write. Raises WriteUnanswered when it does not parse: the
    write was done all the same.
    """
    try:
        record = parse_one(record_class, written.value, endpoint=endpoint, context=context)
    except UnexpectedAnswer as error:
        raise unanswered(error, status=written.status) from None
    return written.holding(record)
