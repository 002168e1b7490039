"""What is too much of an answer: bounds that no real Dify meets, so that none holds a night up."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class AnswerBounds:
    """`mebibytes` of one answer after decompression, `seconds` from its first byte to its last,
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


def read_within(
    response: httpx.Response,
    bounds: AnswerBounds,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Read an answer whole. Raises AnswerTooMuch beyond the bounds, with the rest unread."""
    # What `read` would set; httpx has no public way to bound what it reads.
    response._content = b"".join(_bounded(response, bounds, monotonic))


def _bounded(
    response: httpx.Response, bounds: AnswerBounds, monotonic: Callable[[], float]
) -> Iterator[bytes]:
    begun = monotonic()
    size = 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > bounds.mebibytes * MEBIBYTE:
            raise AnswerTooMuch(
                f"the answer is longer than {bounds.mebibytes} MiB",
                setting="DIFY_ETL_MAX_ANSWER_MIB",
            )
        if monotonic() - begun > bounds.seconds:
            raise AnswerTooMuch(
                f"the answer did not end within {bounds.seconds:.0f} s",
                setting="DIFY_ETL_MAX_ANSWER_SECONDS",
            )
        yield chunk
