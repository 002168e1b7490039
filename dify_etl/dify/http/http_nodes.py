"""What Dify's HTTP nodes hold as texts: lines of headers and parameters, bodies, and the log of the
request that was sent, in which Dify hides one header at most.

Dify keeps headers and parameters of a node as one text, a `name:value` per line; old ones the
fields of a form as well. The log (`process_data.request`) is a request as HTTP writes it.
"""

import re
from collections.abc import Callable
from typing import Any

from dify_etl.dify.http.secret_names import opens_something
from dify_etl.dify.http.secret_shapes import REMOVED, text_without_keys

Change = Callable[[str], str]

HTTP_REQUEST = "http-request"
_LINES = ("headers", "params")
_FORMS = ("form-data", "x-www-form-urlencoded")
_TEXT_BODIES = ("json", "raw-text")
_VARIABLES = re.compile(r"\s*(?:bearer|basic|token)?\s*(?:\{\{#[\w.-]+#\}\}\s*)+", re.IGNORECASE)
_REQUEST_LINE = re.compile(r"[A-Z]{3,10} [^\r\n]{0,100000} HTTP/\d(?:\.\d)?\r?\n")
_BLANK_LINE = re.compile(r"\r?\n\r?\n")
_SCHEME = re.compile(r"(?i)\s*(?:bearer|basic|token|apikey|digest)\s+")
_STARS = re.compile(r"\s*\**\s*")  # what Dify hid
_USER = re.compile(r"(?i)(host:\s*[^\s/:@]{0,200}:)[^\s/@]{1,200}(?=@)")
_PARAMETER = re.compile(r"([?&]([\w.%+\[\]-]{1,200})=)([^&\s]+)")
_FIELD = re.compile(r"[\w.%+\[\]-]{1,200}=[^&=\s\"'<>{}]*=*")
_PART = re.compile(r"(name=\"([^\"\r\n]{1,200})\"\r?\n\r?\n)([^\r\n]*)")


def with_lines(request: dict[str, Any], line: Change) -> dict[str, Any]:
    """An HTTP node's data with each of its `name:value` lines as `line` answers it."""
    made = {name: _each(request[name], line) for name in _LINES if name in request}
    body = request.get("body")
    if isinstance(body, dict) and body.get("type") in _FORMS and "data" in body:
        made["body"] = {**body, "data": _each(body["data"], line)}
    return {**request, **made}


def node_without_secrets(node: dict[str, Any], inner: Change) -> dict[str, Any]:
    """An HTTP node's data without secrets in its lines, its address and the text of its body.

    A value that is a variable (`{{#env.KEY#}}`), also behind a word as Bearer, stays. `inner`
    takes secrets out of a text of any kind, and the rest of the node is left to whoever calls.
    """
    made = with_lines(node, _line)
    if isinstance(made.get("url"), str):
        made["url"] = text_without_keys(made["url"])
    body = made.get("body")
    if isinstance(body, dict) and body.get("type") in _TEXT_BODIES:
        data = body.get("data")
        if isinstance(data, str):
            data = body_without_secrets(data, inner)
        elif isinstance(data, list):
            data = [_with_text(one, inner) for one in data]
        made["body"] = {**body, "data": data}
    return made


def is_request(text: str) -> bool:
    """Whether a text is a request as the log of an HTTP node has it."""
    return _REQUEST_LINE.match(text) is not None


def request_without_secrets(text: str, inner: Change) -> str:
    """The log of a request without secrets in its address, its headers and its body."""
    blank = _BLANK_LINE.search(text)
    end, begin = (blank.start(), blank.end()) if blank else (len(text), len(text))
    first, *headers = text[:end].splitlines(keepends=True)
    kept = [_PARAMETER.sub(_parameter, text_without_keys(first)), *map(_header, headers)]
    return "".join([*kept, text[end:begin], body_without_secrets(text[begin:], inner)])


def body_without_secrets(text: str, inner: Change) -> str:
    """The body of a request: JSON, a form, the parts of one, or any text."""
    if not text:
        return text
    fields = text.split("&")
    if all(map(_FIELD.fullmatch, fields)):
        return "&".join(map(_field, fields))
    return inner(text_without_keys(_PART.sub(_part, text)))


def _each(lines: Any, line: Change) -> Any:
    return "\n".join(map(line, lines.split("\n"))) if isinstance(lines, str) else lines


def _with_text(part: Any, inner: Change) -> Any:
    value = part.get("value") if isinstance(part, dict) else None
    return {**part, "value": body_without_secrets(value, inner)} if isinstance(value, str) else part


def _line(line: str) -> str:
    name, colon, value = line.partition(":")
    if not value.strip() or _VARIABLES.fullmatch(value) is not None:
        return line
    if opens_something(name.strip()):
        return f"{name}{colon}{REMOVED}"
    return f"{name}{colon}{text_without_keys(value)}"


def _header(line: str) -> str:
    """A header of a log, with its line end; the word before a credential stays."""
    name, colon, value = line.partition(":")
    told = value.rstrip("\r\n")
    if not opens_something(name.strip()) or _STARS.fullmatch(told):
        return _USER.sub(rf"\1{REMOVED}", text_without_keys(line))
    scheme = _SCHEME.match(told)
    return f"{name}{colon}{scheme[0] if scheme else ' '}{REMOVED}{value[len(told) :]}"


def _field(field: str) -> str:
    name, _, value = field.partition("=")
    return f"{name}={REMOVED}" if value and opens_something(name) else text_without_keys(field)


def _parameter(found: re.Match[str]) -> str:
    return f"{found[1]}{REMOVED}" if opens_something(found[2]) else found[0]


def _part(found: re.Match[str]) -> str:
    return f"{found[1]}{REMOVED}" if found[3] and opens_something(found[2]) else found[0]
