"""What is too much of an answer: bounds that no real Dify meets, so that none holds a night up."""

import ssl
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class AnswerBounds:
    """`mebibytes` of one answer after decompression, `seconds` from its request to its last byte,
    `pages` of one walk through a list.
    """

    mebibytes: int = 256
    seconds: float = 900.0
    pages: int = 100_000


class AnswerTooMuch(httpx.RequestError):
    """An answer is longer, or takes longer, than the bounds allow; it was dropped."""

    def __init__(self, what: str, *, setting: str) -> None:
        super().__init__(what)
        self.what = what
        self.setting = setting


class AnswerDeadline:
    """Until when the answer of the request under way must have ended; one for each connection,
    which carries one request at a time.
    """

    def __init__(self, bounds: AnswerBounds, monotonic: Callable[[], float]) -> None:
        self._seconds = bounds.seconds
        self._monotonic = monotonic
        self._ends = float("inf")

    def begin(self, request: httpx.Request) -> None:
        """A request is sent now; that of a login has a deadline of its own."""
        self._ends = self._monotonic() + self._seconds

    def left(self) -> float:
        """Seconds that are left. Raises AnswerTooMuch when none are."""
        left = self._ends - self._monotonic()
        if left <= 0:
            raise self.passed()
        return left

    def passed(self) -> AnswerTooMuch:
        """The error to raise when it has passed."""
        return AnswerTooMuch(
            f"the answer did not end within {self._seconds:.0f} s",
            setting="DIFY_ETL_MAX_ANSWER_SECONDS",
        )


def read_within(response: httpx.Response, bounds: AnswerBounds, deadline: AnswerDeadline) -> None:
    """Read an answer whole. Raises AnswerTooMuch beyond the bounds, with the rest unread."""
    # What `read` would set; httpx has no public way to bound what it reads.
    response._content = b"".join(_bounded(response, bounds, deadline))


def _bounded(
    response: httpx.Response, bounds: AnswerBounds, deadline: AnswerDeadline
) -> Iterator[bytes]:
    size = 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > bounds.mebibytes * MEBIBYTE:
            raise AnswerTooMuch(
                f"the answer is longer than {bounds.mebibytes} MiB",
                setting="DIFY_ETL_MAX_ANSWER_MIB",
            )
        deadline.left()
        yield chunk


def bound_headers(client: httpx.Client, deadline: AnswerDeadline) -> None:
    """Let the deadline cut every read of this client's sockets, to a proxy too: headers that come
    a byte at a time are never silent, and httpx shows nothing of them before they are whole.
    """
    # httpx has no public way to give its pools another network.
    for transport in (client._transport, *client._mounts.values()):
        if isinstance(transport, httpx.HTTPTransport):
            pool = transport._pool
            pool._network_backend = _DeadlineNetwork(pool._network_backend, deadline)


class _DeadlineNetwork(httpcore.NetworkBackend):
    """The sockets of another network, whose reads and writes end with the deadline."""

    def __init__(self, network: httpcore.NetworkBackend, deadline: AnswerDeadline) -> None:
        self._network = network
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._network.connect_tcp(host, port, timeout, local_address, socket_options)
        return _DeadlineStream(stream, self._deadline)


class _DeadlineStream(httpcore.NetworkStream):
    """A socket whose time-outs are cut to what is left."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: AnswerDeadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._deadline.left()
        if timeout is not None and timeout <= left:
            return self._stream.read(max_bytes, timeout)
        try:
            return self._stream.read(max_bytes, left)
        except httpcore.ReadTimeout as error:
            raise self._deadline.passed() from error

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = self._deadline.left()
        self._stream.write(buffer, left if timeout is None else min(timeout, left))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _DeadlineStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
