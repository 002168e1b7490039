"""Secrets that people write into apps: known by their place in the DSL, or by their shape.

Dify leaves out what it knows as a secret. Keys in headers of HTTP nodes, in plain variables and in
code it exports like any other text. A value that only names a variable (`{{#env.KEY#}}`) is none.
"""

import math
import re
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

from dify_etl.dify.http.http_nodes import HTTP_REQUEST, with_lines
from dify_etl.dify.http.secret_names import HOW, opens_something, secret_members
from dify_etl.dify.http.secret_shapes import REMOVED, holds_key, text_without_keys

_REFERENCE = re.compile(r"\{\{.*?\}\}|\$\{.*?\}", re.DOTALL)
_SCHEMES = re.compile(r"(?i)^(?:bearer|basic|token|apikey)$")
_LINE = re.compile(r"^(\s*)([^:\n]+?)(\s*:\s*)(\S.*?)(\s*)$")
# Words that say of which kind a value is; none of them is one.
_TYPES = re.compile(
    r"(?i)(?:string|secret-input|text-input|select|number|boolean|object|array|file|"
    r"model-selector|app-selector|bearer|basic|custom|api-key|no-auth|none|true|false|required)$"
)
# Of a value that is described, as in the schema of a tool: its type, and what is given for it.
_SCHEMA_TYPES = re.compile(
    r"string|number|integer|boolean|object|array|file|null|array\[\w+\]|secret-input|text-input"
)
_OF_SCHEMAS = frozenset({"anyOf", "oneOf", "allOf", "$ref", "properties"})
_GIVEN = frozenset({"default", "const", "example", "examples"})
# A literal that JSON gives to such a name, in words that are no key by their looks.
_QUOTED = re.compile(
    r"(?i)[\"'][\w-]*(?:api_?key|secret|passw(?:or)?d|access_?key|private_?key|token|authorization)"
    r"\\*[\"']\s*:\s*\\*[\"'](?!\(secret\)|bearer \(secret\))[^\"'\s{}<>]{8,}[\"'\\]"
)
_TELLING_WORDS = re.compile(
    r"(?i)api.?key|secret|passw(?:or)?d|credential|authorization|access.?(?:key|token)"
)
LEAST_PIECE, LEAST_ENTROPY = 16, 3.3  # characters in a row, and bits per character, of a key
_KEY_LIKE = re.compile(r"[A-Za-z0-9_+/=.-]{20,}")
# Names of what is long and random, and opens nothing.
_NO_SECRET = re.compile(r"(?i)(?:ids?|identifier|hash|checksum|version|selector|url)$")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class Masked:
    """A DSL without the secrets that were known; `hidden` and `doubtful`: where, in words.

    `doubtful` are parts that speak of secrets or hold what may be one, and were left as they are.
    """

    document: Any
    hidden: tuple[str, ...]
    doubtful: tuple[str, ...]


def without_known_secrets(document: Any) -> Masked:
    """The same document with `(secret)` in place of each known secret."""
    masker = _Masker()
    kept = masker.part(document, "")
    return Masked(kept, tuple(dict.fromkeys(masker.hidden)), tuple(masker.doubtful(kept)))


def without_keys(value: Any) -> Any:
    """The same JSON with every text passed through `text_without_keys`."""
    if isinstance(value, dict):
        return {name: without_keys(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [without_keys(inner) for inner in value]
    return text_without_keys(value) if isinstance(value, str) else value


def looks_like_key(text: str) -> bool:
    """Whether a whole text looks like a random key: long, in one piece, of letters and figures."""
    if holds_key(text):
        return True
    if not _KEY_LIKE.fullmatch(text) or _UUID.fullmatch(text):
        return False
    # Names of models, versions and content types have figures too, but no long piece of both.
    longest = max(re.findall(r"[A-Za-z0-9]+", text), key=len, default="")
    has_both = re.search(r"\d", longest) and re.search(r"[A-Za-z]", longest)
    return len(longest) >= LEAST_PIECE and bool(has_both) and _entropy(text) >= LEAST_ENTROPY


def _entropy(text: str) -> float:
    counts = Counter(text).values()
    return -sum(one / len(text) * math.log2(one / len(text)) for one in counts)


class _Masker:
    def __init__(self) -> None:
        self.hidden: list[str] = []

    def part(self, value: Any, place: str) -> Any:
        """A part of the DSL; `place` names the node or variable that it belongs to."""
        if isinstance(value, dict):
            return self._object(value, _place_of(value) or place)
        if isinstance(value, list):
            return [self.part(inner, place) for inner in value]
        return self._text(value, place) if isinstance(value, str) else value

    def _object(self, held: dict[str, Any], place: str) -> dict[str, Any]:
        secret = secret_members(held)
        if held.get("type") == HTTP_REQUEST:
            held = with_lines(held, partial(self._line, place=place))
            secret -= {"authorization"}  # what kind it is, and below that its key
        is_variable = "value_type" in held and "value" in held
        kept: dict[str, Any] = {}
        for name, inner in held.items():
            if name in secret and not _is_selector(held, name):
                kept[name] = self._below(inner, place)
            elif is_variable and name == "value":
                kept[name] = self._key_like(inner, place)
            else:
                kept[name] = self.part(inner, place)
        return kept

    def _below(self, value: Any, place: str) -> Any:
        """What stands below the name of a secret: every text is one, but for what says of which
        kind it is, describes it, or points to a variable.
        """
        if isinstance(value, list):
            return [self._below(inner, place) for inner in value]
        if isinstance(value, str):
            return self._value(value, place)
        if not isinstance(value, dict):
            return value
        if _is_schema(value):
            secret = {name for name in value if name in _GIVEN}
        else:
            secret = {name for name in value if name not in HOW and not _is_selector(value, name)}
        return {
            name: self._below(inner, place) if name in secret else self.part(inner, place)
            for name, inner in value.items()
        }

    def _key_like(self, value: Any, place: str) -> Any:
        """What a variable holds: a text of it that looks like a key is one."""
        if isinstance(value, list):
            return [self._key_like(inner, place) for inner in value]
        if isinstance(value, dict):
            secret = secret_members(value)
            return {
                name: self._below(inner, place) if name in secret else self._key_like(inner, place)
                for name, inner in value.items()
            }
        if isinstance(value, str) and looks_like_key(value):
            return self._value(value, place)
        return self._text(value, place) if isinstance(value, str) else value

    def _line(self, line: str, place: str) -> str:
        """`X-Api-Key: abc` of a header or parameter, one per line."""
        found = _LINE.match(line)
        if found is None:
            return self._text(line, place)
        before, name, colon, value, after = found.groups()
        if opens_something(name) or looks_like_key(value):
            value = self._value(value, place)
        else:
            value = self._text(value, place)
        return f"{before}{name}{colon}{value}{after}"

    def _value(self, value: str, place: str) -> str:
        """What stands where a secret belongs; its scheme and names of variables stay."""
        words = [one for one in _REFERENCE.sub(" ", value).split() if not _SCHEMES.match(one)]
        if not words or _TYPES.match(value.strip()) or value == REMOVED:
            return value
        self.hidden.append(place)
        scheme, _, rest = value.partition(" ")
        return f"{scheme} {REMOVED}" if rest and _SCHEMES.match(scheme) else REMOVED

    def _text(self, value: str, place: str) -> str:
        kept = text_without_keys(value)
        if kept != value:
            self.hidden.append(place)
        return kept

    def doubtful(self, document: Any) -> list[str]:
        """Parts that speak of a secret, or hold what looks like one, though none was known."""
        found: dict[str, None] = {}
        waiting: list[tuple[str, Any]] = [("", document)]
        while waiting:
            place, value = waiting.pop()
            if isinstance(value, dict):
                place = _place_of(value) or place
                code = value.get("code") if value.get("type") == "code" else None
                if isinstance(code, str) and _TELLING_WORDS.search(code):
                    found.setdefault(place)
                waiting += [
                    (place, inner) for name, inner in value.items() if not _NO_SECRET.search(name)
                ]
            elif isinstance(value, list):
                waiting += [(place, inner) for inner in value]
            elif (
                isinstance(value, str)
                and place
                and (_holds_key_like(value) or _QUOTED.search(value))
            ):
                found.setdefault(place)
        return sorted(one for one in found if one not in self.hidden)


def _holds_key_like(text: str) -> bool:
    return any(
        looks_like_key(one) and "/" not in one and not one.isdecimal()
        for one in _KEY_LIKE.findall(text)
    )


def _is_selector(held: dict[str, Any], name: str) -> bool:
    """Whether a value is the way to a variable: `{type: variable, value: [node, output]}`."""
    is_way = isinstance(held[name], list) and all(isinstance(one, str) for one in held[name])
    is_told = any(held.get(one) == "variable" for one in ("type", "value_type", "input_type"))
    return name == "value" and is_told and is_way


def _is_schema(held: dict[str, Any]) -> bool:
    """Whether an object describes a value, as the fields of an answer and of a tool are."""
    if "value" in held:
        return False
    told = held.get("type")
    types = told if isinstance(told, list) else [told]
    return bool(_OF_SCHEMAS & held.keys()) or all(
        isinstance(one, str) and _SCHEMA_TYPES.fullmatch(one) for one in types
    )


def _place_of(held: dict[str, Any]) -> str | None:
    """The node or variable that an object is, in words."""
    if isinstance(held.get("title"), str) and isinstance(held.get("type"), str):
        return f"node {held['title']!r} ({held['type']})"
    if isinstance(held.get("name"), str) and "value_type" in held:
        return f"variable {held['name']!r}"
    if isinstance(held.get("tool_name"), str):
        return f"tool {held['tool_name']!r}"
    return None
