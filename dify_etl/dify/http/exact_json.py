"""JSON with nothing lost: numbers of any length keep their digits, keys their order.

orjson turns integers beyond 64 bits and decimals beyond a double into the nearest double. Bodies
that hold such a number, which are next to none, are parsed once more by the standard library.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, cast

import orjson

# A run of digits in which a number may be longer than a double: most are ids and times in texts.
# `translate` and a search for one text look through a body ten times quicker than an expression.
_RUN = b"0" * 16
_DIGITS_AS_ZEROS = bytes.maketrans(b"123456789.", b"0" * 10)
_LONG = re.compile(rb"[\d.]{16,}(?:[eE][+-]?\d+)?")
# As the standard library reads it. Possessive, as Python keeps a hundred bytes for each character
# to which it could go back; and one that nothing ends goes on to the end of an answer that was cut
# off, or each quote in it would be tried as a begin.
_TEXT = rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)'
# A number that stands in a text is no number.
_TEXT_OR_NUMBER = re.compile(_TEXT + rb"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", re.DOTALL)
_MOST_DIGITS_OF_INT = 20  # of an integer that may fit into 64 bits
_BITS_64 = 1 << 64
# Where the parsers give up, what lies deeper than this is cut off, so that the rest can be read.
_MOST_LEVELS = 100
_TEXT_OR_BRACKET = re.compile(_TEXT + rb"|[\[\]{}]", re.DOTALL)
_CUT = "\ue000nested too deep\ue000"


class LongNumber(float):
    """A number that no double and no 64 bit integer holds: its nearest double, and its digits."""

    __slots__ = ("digits",)
    digits: str

    def __new__(cls, digits: str) -> "LongNumber":
        """From its JSON text."""
        made = super().__new__(cls, digits)
        made.digits = digits
        return made

    def __repr__(self) -> str:
        return self.digits

    __str__ = __repr__  # so that a Decimal made of it is exact

    def __eq__(self, other: object) -> bool:
        if isinstance(other, LongNumber):
            return self.digits == other.digits
        return False

    def __hash__(self) -> int:
        return hash(self.digits)


class TooDeep:
    """Stands for what is nested deeper than a parser goes: no field takes it, nothing writes it."""

    def __repr__(self) -> str:
        return "(nested too deep)"


def decode(content: bytes) -> Any:
    """Parse JSON; NaN becomes null and lone surrogates `?`, since Python servers send both.

    Of a key that comes twice the last value counts. Numbers that would lose digits are LongNumber.
    What is nested deeper than a parser goes is TooDeep, and costs its field, not its neighbours.
    Raises ValueError when it is no JSON.
    """
    if _loses_digits(content):
        return _slowly(content)
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return _slowly(content)


def encode(value: Any) -> str:
    """Compact JSON text of a parsed value, digits as they came; raises ValueError."""
    try:
        return orjson.dumps(value, default=_long_number).decode()
    except orjson.JSONEncodeError as error:
        raise ValueError("cannot be written as JSON (nested too deep?)") from error


def _loses_digits(content: bytes) -> bool:
    """Whether a number in it comes out of orjson otherwise than it stands there."""
    if not any(_is_lossy(run) for run in _long_runs(content)):
        return False
    return any(
        _is_lossy(found[0])
        for found in _TEXT_OR_NUMBER.finditer(content)
        if not found[0].startswith(b'"')
    )


def _long_runs(content: bytes) -> Iterator[bytes]:
    """All runs of 16 digits and more, in numbers and in texts."""
    zeros = content.translate(_DIGITS_AS_ZEROS)
    at = zeros.find(_RUN)
    while at >= 0 and (found := _LONG.match(content, at)) is not None:
        yield found[0]
        at = zeros.find(_RUN, found.end())


def _is_lossy(number: bytes) -> bool:
    text = number.decode("ascii")
    if text.lstrip("-").isdigit():
        return len(text) >= _MOST_DIGITS_OF_INT - 1 and not _fits_64_bits(text)
    try:
        shortest = repr(float(text))
    except ValueError:
        return False  # no number: a version or an address in a text
    # A double is written with up to 17 digits; one that a server wrote comes back as it was.
    return _plain(shortest) != _plain(text)


def _fits_64_bits(digits: str) -> bool:
    if len(digits) > _MOST_DIGITS_OF_INT:
        return False
    return -(_BITS_64 >> 1) <= int(digits) < _BITS_64


def _plain(number: str) -> tuple[str, str, int]:
    """Sign, digits without zeros at the ends, and the power of ten of the last digit."""
    sign = "-" if number.startswith("-") else ""
    mantissa, _, exponent = number.lstrip("-").lower().partition("e")
    whole, _, part = mantissa.partition(".")
    digits = (whole + part).lstrip("0")
    kept = digits.rstrip("0")
    power = int(exponent[:9] or 0) if exponent else 0
    return sign, kept, power - len(part) + len(digits) - len(kept) if kept else 0


def _slowly(content: bytes) -> Any:
    try:
        return _read(content)
    except RecursionError:
        cut = _cut(content)
    try:
        return _with_cuts(_read(cut))
    except RecursionError as error:  # brackets that nothing closes
        raise ValueError("the JSON is nested too deep") from error


def _read(content: bytes) -> Any:
    """By the standard library. Raises RecursionError when it is nested too deep."""
    value = json.loads(
        content.decode("utf-8"),
        parse_constant=lambda name: None,
        parse_float=_number,
        parse_int=_number,
    )
    # Lone surrogates, which no column takes, become a question mark.
    return _without_surrogates(value) if b"\\u" in content else value


def _cut(content: bytes) -> bytes:
    """The JSON with a mark in the place of each list and object that lies too deep."""
    kept: list[bytes] = []
    level = start = 0
    for found in _TEXT_OR_BRACKET.finditer(content):
        token = found[0]
        if token in (b"[", b"{"):
            level += 1
            if level == _MOST_LEVELS + 1:
                kept.append(content[start : found.start()])
        elif token in (b"]", b"}"):
            level -= 1
            if level == _MOST_LEVELS:
                kept.append(json.dumps(_CUT).encode())
                start = found.end()
    return b"".join([*kept, content[start:]])


def _with_cuts(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_cuts(one) for one in value]
    if isinstance(value, dict):
        return {name: _with_cuts(one) for name, one in value.items()}
    return TooDeep() if isinstance(value, str) and value == _CUT else value


def _number(text: str) -> int | float:
    if text.lstrip("-").isdigit():
        return int(text) if _fits_64_bits(text) else LongNumber(text)
    return LongNumber(text) if _is_lossy(text.encode("ascii")) else float(text)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_without_surrogates(one) for one in value]
    if isinstance(value, dict):
        return {
            cast(str, _without_surrogates(name)): _without_surrogates(one)
            for name, one in value.items()
        }
    return value


def _long_number(value: object) -> orjson.Fragment:
    if isinstance(value, LongNumber):
        return orjson.Fragment(value.digits)
    raise TypeError(f"{type(value).__name__} is no JSON")
