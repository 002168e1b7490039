"""What we sent is never in what we say: a server may repeat a password or a session in its answer,
plainly or encoded, and our messages go to logs, Dagster and audits.
"""

import base64
import binascii
import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

import httpx

from dify_etl.dify.http.exact_json import decode

SHORTEST_SECRET = 4  # characters of a word that counts as repeated
REPEATED = "(repeats what was sent)"
# Headers whose values open something; all other headers of ours are public.
_SECRET_HEADERS = ("authorization", "cookie", "x-csrf-token", "x-api-key")
# Words of ours that Dify's own texts may hold as well.
_PUBLIC = frozenset({"bearer", "true", "false"})
_PIECES = re.compile(r"[^\s'\"`,;:=()\[\]{}<>&?]+")
_ENCODED = re.compile(r"[A-Za-z0-9+/_%-]{6,}={0,2}")
_DEEPEST = 3  # how often a text is decoded


def repeats(told: str, request: httpx.Request) -> bool:
    """Whether a text holds a value that was sent (of the body, or a header that opens something),
    as it is or encoded: Base64 in both alphabets, hex, per cent, JSON, HTML, backwards.
    """
    sent = set(_sent(request))
    if not sent:
        return False
    plain = told.lower()
    return any(_holds(one, sent) for one in _readings(told, _DEEPEST)) or any(
        form in plain for value in sent for form in _forms(value)
    )


def unless_repeated(told: str, request: httpx.Request) -> str:
    """The text, or a word in its place when it repeats what was sent."""
    return REPEATED if repeats(told, request) else told


def _holds(told: str, sent: set[str]) -> bool:
    """A value in the text, or a word of the text in a value."""
    words = [word.strip(".") for word in _PIECES.findall(told)]
    return any(
        one in other
        for value in sent
        for one, other in [(value, told), *((word, value) for word in words)]
        if len(one) >= SHORTEST_SECRET
    )


def _sent(request: httpx.Request) -> Iterator[str]:
    for name in _SECRET_HEADERS:
        for part in re.split(r"[\s;]+", request.headers.get(name, "")):
            value = part.partition("=")[2] if name == "cookie" else part
            if len(value) >= SHORTEST_SECRET and value.lower() not in _PUBLIC:
                yield value
    if request.content:
        try:
            held = decode(request.content)
        except ValueError:
            return
        for text in _texts(held):
            if len(text) >= SHORTEST_SECRET and text.lower() not in _PUBLIC:
                yield text
                yield from _decoded(text)  # newer clients send the password in Base64


def _texts(value: Any) -> Iterator[str]:
    """All texts and figures in JSON, but not its keys: those are Dify's own words."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str | int | float):
        yield str(value)


def _readings(told: str, deepest: int) -> Iterator[str]:
    """The text, and what its words say when they are decoded, again and again."""
    yield told
    if deepest:
        for piece in _ENCODED.findall(told):
            for inner in _decoded(piece):
                yield from _readings(inner, deepest - 1)
        for inner in (unquote(told), html.unescape(told), told[::-1]):
            if inner != told:
                yield from _readings(inner, 0)


def _decoded(piece: str) -> Iterator[str]:
    """What a word may stand for."""
    padded = piece.rstrip("=") + "=" * (-len(piece.rstrip("=")) % 4)
    readers: tuple[Callable[[], bytes], ...] = (
        lambda: base64.b64decode(padded, validate=True),
        lambda: base64.urlsafe_b64decode(padded),
        lambda: bytes.fromhex(piece),
    )
    for read in readers:
        try:
            text = read().decode("utf-8")
        except (ValueError, binascii.Error):
            continue
        if len(text) >= SHORTEST_SECRET:
            yield text


def _forms(value: str) -> Iterator[str]:
    """How a value may be written, in lower case and without padding."""
    plain = value.encode("utf-8", "replace")
    once = {
        value,
        value[::-1],
        base64.b64encode(plain).decode().rstrip("="),
        base64.urlsafe_b64encode(plain).decode().rstrip("="),
        plain.hex(),
        quote(value, safe=""),
        json.dumps(value)[1:-1],
        html.escape(value),
    }
    for one in once:
        if len(one) >= SHORTEST_SECRET:
            yield one.lower()
