"""Read an answer of Dify: its JSON, or the error that it means.

Dify has three shapes of error bodies (`code, message, status`; `errors, message`; only some of
the keys), HTML for unknown routes, and message texts that change: only status and code count.
"""

import re
from typing import Any

import httpx

from dify_etl.dify.errors import (
    AppGone,
    DifyError,
    DifyUnavailable,
    NoSuchEndpoint,
    NotAllowed,
    NotDify,
    NotFound,
    NotShown,
    RateLimited,
    Refused,
    RowNotBuilt,
    UnexpectedAnswer,
)
from dify_etl.dify.http.deny_list import text_without_secrets
from dify_etl.dify.http.echoes import repeats, unless_repeated
from dify_etl.dify.http.exact_json import decode
from dify_etl.dify.rights import right_to, role_for_write

API_PATH = "/console/api"
RETRY_AFTER_CAP_SECONDS = 60.0
TOLD_CHARACTERS = 200  # of Dify's message
UNTOLD_ROUTES = ("/login", "/refresh-token")  # whose messages are about secrets alone
PLUGIN_DAEMON = "plugin daemon"  # in every refusal that comes of it, on all recorded versions
# Dify's words for an import that failed, with what helps. All its other texts may quote the DSL.
FAILED_IMPORTS = {
    "App not found": "The app to overwrite is deleted, or in another workspace.",
    "Only workflow or advanced chat apps can be overwritten": "Import it as a new app.",
    "Import information expired or does not exist": "Dify lets an import wait for ten minutes: "
    "import once more.",
    "Missing app data in YAML content": "Give a DSL that has a section `app`.",
    "yaml_content is required when import_mode is yaml-content": "Give a file that is not empty.",
}
# The list of accepted values in the refusal of an unknown one.
_CHOICES = re.compile(r"Input should be ((?:'[\w-]+'(?:, | or )?)+)")
# The first line of pydantic's text when an answer of Dify's own, and no parameter, does not fit.
_UNBUILT = re.compile(r"\d+ validation errors? for \w*Response", re.ASCII)
_FIELD = re.compile(r"\w{1,40}(\.\w{1,40}){0,4}", re.ASCII)
_CODE = re.compile(r"[a-zA-Z][\w.-]{1,60}", re.ASCII)
UNKNOWN_CODE = "unknown_code"  # in place of what is none, or repeats what was sent
# What recorded servers and their sources answer to a login or a refresh.
LOGIN_CODES = frozenset(
    {
        "account_banned",
        "account_not_found",
        "account_not_link_tenant",
        "already_setup",
        "authentication_failed",
        "bad_request",
        "email_code_error",
        "email_code_login_limit",
        "email_or_password_mismatch",
        "email_password_login_limit",
        "education_account_in_freeze",
        "account_in_freeze",
        "forbidden",
        "init_validate_failed",
        "invalid_email",
        "invalid_param",
        "invalid_token",
        "method_not_allowed",
        "not_allowed_create_workspace",
        "not_found",
        "not_init_validated",
        "not_setup",
        "password_mismatch",
        "too_many_requests",
        "unauthorized",
        "unprocessable_entity",
        "unsupported_media_type",
        "workspace_not_allowed_create",
        "workspaces_limit_exceeded",
    }
)


NO_LICENCE = "unauthorized_and_force_logout"  # 401 of an enterprise Dify without a valid licence
NO_ROUTE = (404, 405)  # what Dify answers where it has no such route


class Transient(Exception):
    """A failure that may pass: the error to raise when it does not, and how long Dify asks for."""

    def __init__(self, error: DifyError, retry_after: float | None = None) -> None:
        super().__init__(error.what)
        self.error = error
        self.retry_after = retry_after


def where_of(request: httpx.Request) -> str:
    """Method and path, without the query: `GET /console/api/apps`; without tokens, too."""
    return text_without_secrets(f"{request.method} {request.url.path}", is_machine=True)


def place_of(request: httpx.Request) -> str:
    """The same with host and port: for what is likely to be a wrong address or account."""
    return f"{where_of(request)} at {request.url.netloc.decode()}"


def json_of(response: httpx.Response) -> Any:
    """The JSON of a good answer; raises Transient when it is HTML, cut off or not UTF-8."""
    try:
        return decode(response.content)
    except ValueError as error:
        raise Transient(_no_json(response)) from error


def code_of(response: httpx.Response) -> str | None:
    """Dify's own code of an error; None when the body has none, a word of ours where the text is
    no code or repeats what was sent.
    """
    body = _body(response)
    found = body.get("code") or body.get("custom")
    if not isinstance(found, str) or not found:
        return None
    is_code = _CODE.fullmatch(found) is not None
    if is_code and response.request.url.path.endswith(UNTOLD_ROUTES):
        is_code = found in LOGIN_CODES  # a password may look like a code
    return found if is_code and not repeats(found, response.request) else UNKNOWN_CODE


def failure_of(response: httpx.Response) -> DifyError | Transient:
    """The error that an answer with a status other than 2xx means."""
    status = response.status_code
    where = where_of(response.request)
    if status == 429:
        return Transient(_rate_limited(response, where), _retry_after(response))
    if status >= 500:
        return Transient(_server_error(status, where), _retry_after(response))
    if status < 400:
        return _redirected(response, where)
    if not is_dify(response):
        return _not_dify(f"HTTP {status} without Dify's X-Version header", where)
    return _refusal(response, where)


def is_dify(response: httpx.Response) -> bool:
    """Every answer of Dify carries its version, also an error and HTML."""
    return "x-version" in response.headers


def _refusal(response: httpx.Response, where: str) -> DifyError:
    status, code = response.status_code, code_of(response)
    if status == 403:
        return _forbidden(response, code, where)
    if status == 405:
        return _no_such_endpoint(status, where)
    if status == 404:
        return _not_found(response, code, where)
    if (path := _unbuilt_field(response)) is not None:
        return _not_built(response, where, path)
    told = "; ".join(part for part in (code, _message(response)) if part)
    if code == NO_LICENCE:
        told = f"the licence of this Dify has expired, or is none ({code})"
    return Refused(
        f"Dify answers {status}: {told or 'no reason'}",
        where=where,
        hint=_advice(response),
        status=status,
        code=code,
        choices=_choices(response),
    )


def _unbuilt_field(response: httpx.Response) -> str | None:
    """The field of the row that Dify could not show; None when the answer says something else.

    Pydantic's text: how many errors in which answer, then the first field, as `data.2.name`. What
    follows quotes the row's values.
    """
    message = _body(response).get("message")
    lines = message.splitlines() if isinstance(message, str) else []
    is_read = response.request.method == "GET" and response.status_code == 400
    if len(lines) < 2 or not is_read or not _UNBUILT.fullmatch(lines[0]):
        return None
    path = lines[1].strip()
    return path if _FIELD.fullmatch(path) else ""


def _not_built(response: httpx.Response, where: str, path: str) -> RowNotBuilt:
    code = code_of(response)
    told = "; ".join(part for part in (code, _message(response)) if part)
    return RowNotBuilt(
        f"Dify answers 400: {told}: {path or 'a field without a plain name'}",
        where=where,
        hint=_cure(path),
        status=400,
        code=code,
        path=path,
    )


def _cure(path: str) -> str:
    field = path.rpartition(".")[2]
    if field == "message_files":
        return (
            "A file of a message cannot be reached from Dify, and Dify shows no page with this "
            "message: bring the file's host back, or delete the message."
        )
    if field.startswith("data_source"):
        return (
            "A document's source is not what Dify expects, and Dify shows no page with this "
            "document: delete it in the console or load it anew, or mend its row in the database."
        )
    return (
        "Dify cannot show one of its own rows, and with it no page that holds it: the log of the "
        "Dify API container tells which; mend or delete that row."
    )


def _choices(response: httpx.Response) -> tuple[str, ...]:
    """The words of "Input should be 'a', 'b' or 'c'": Dify's own, never what was sent."""
    message = _body(response).get("message")
    found = _CHOICES.search(message) if isinstance(message, str) else None
    return tuple(re.findall(r"'([\w-]+)'", found.group(1))) if found else ()


def _forbidden(response: httpx.Response, code: str | None, where: str) -> NotAllowed:
    """`forbidden` is Dify's word for a role that is too low; other codes are limits and plans."""
    request = response.request
    route = str(request.extensions.get("route", request.url.path.removeprefix(API_PATH)))
    if request.method == "GET" and code == "forbidden":
        right = right_to(route)
        hint = f"{right.sentence[:1].upper()}{right.sentence[1:]}."
        return NotShown(
            "Dify answers 403 forbidden", where=where, hint=hint, route=route, right=right
        )
    told = "; ".join(part for part in (code, _message(response)) if part)
    hint = (
        "A plan, a limit or a proxy in between may refuse this; ask an owner of the workspace."
        if request.method == "GET"
        else f"This takes the role {role_for_write(request.method, route)}; ask an owner for it."
    )
    return NotAllowed(
        f"Dify answers 403 {told}".rstrip(), where=where, hint=hint, status=403, code=code
    )


def _advice(response: httpx.Response) -> str:
    """What helps against a refusal. Dify itself names its plugin daemon where that is the cause."""
    failed = _failed_import(response)
    if failed is not None:
        return FAILED_IMPORTS[failed]
    if PLUGIN_DAEMON in str(_body(response).get("message")):
        return "Look at the container of the server's plugin daemon, then run again."
    if code_of(response) == NO_LICENCE:
        return "Renew the server's enterprise licence: Dify shows no apps and datasets without."
    if response.status_code == 401:
        return "Dify takes the session elsewhere: look for a proxy that guards this path."
    return "Check the parameters against the server's version."


def _failed_import(response: httpx.Response) -> str | None:
    """Dify's words for a failed import, where they are known to quote nothing of the DSL."""
    text = str(_body(response).get("error")).rstrip(".")
    return text if text in FAILED_IMPORTS else None


def _not_found(response: httpx.Response, code: str | None, where: str) -> NotFound | NoSuchEndpoint:
    if code == "app_not_found":
        return AppGone(
            "no such app for this endpoint",
            where=where,
            hint="The app is deleted, in another workspace, or its mode has no such endpoint.",
            status=404,
            code=code,
        )
    if not _body(response):
        return _no_such_endpoint(404, where)
    return NotFound(
        f"Dify answers 404 {code or ''}".rstrip(),
        where=where,
        hint="It is deleted, or in another workspace.",
        status=404,
        code=code,
    )


def _no_such_endpoint(status: int, where: str) -> NoSuchEndpoint:
    """404 in HTML, or 405: the server knows the path, for another method only."""
    return NoSuchEndpoint(
        f"this server has no such endpoint ({status})",
        where=where,
        hint="Its version has it no more or not yet, or an id in the path is no UUID. Only what "
        "needs this endpoint suffers.",
        status=status,
    )


def _rate_limited(response: httpx.Response, where: str) -> RateLimited:
    return RateLimited(
        "Dify answers 429: too many requests",
        where=where,
        hint="Wait, then allow fewer requests at a time or per second.",
        status=429,
        code=code_of(response),
    )


def _server_error(status: int, where: str) -> DifyUnavailable:
    return DifyUnavailable(
        f"Dify answers {status}",
        where=where,
        hint="Look at the log of the Dify API container, then run again.",
        status=status,
    )


def _redirected(response: httpx.Response, where: str) -> NotDify:
    try:
        target = httpx.URL(response.headers.get("location", ""))
    except httpx.InvalidURL:
        target = httpx.URL("")
    to = f"{target.scheme}://{target.netloc.decode()}" if target.host else "another path"
    # A host is told in lower case, from which no encoding can be read back.
    is_untold = response.request.url.path.endswith(UNTOLD_ROUTES)
    to = "another address" if is_untold else unless_repeated(to, response.request)
    return _not_dify(f"HTTP {response.status_code} redirects to {to}", place_of(response.request))


def _no_json(response: httpx.Response) -> DifyError:
    where = where_of(response.request)
    kind = response.headers.get("content-type", "no content type").split(";")[0]
    kind = unless_repeated(kind, response.request)
    if not is_dify(response):
        told = f"the answer is {kind} without Dify's X-Version header"
        return _not_dify(told, place_of(response.request))
    return UnexpectedAnswer(
        f"the answer ({kind}, {len(response.content)} bytes) is no whole JSON",
        where=where,
        hint="A proxy may cut answers off; check its size and time limits, then run again.",
    )


def _not_dify(what: str, where: str) -> NotDify:
    return NotDify(
        what,
        where=where,
        hint="Set the base URL to the address under which the Dify console itself opens, "
        "and let proxies pass the X-Version header.",
    )


def not_console(address: str, *, where: str) -> NotDify:
    """A Dify answers, but its console is not below this address."""
    return NotDify(
        f"a Dify answers there, but its console's API is not below {address}",
        where=where,
        hint="Set the base URL to the address under which the Dify console opens, without the path "
        "of a page such as /apps.",
    )


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds of Retry-After, at most 60; dates and nonsense are not obeyed."""
    try:
        seconds = float(response.headers.get("retry-after", ""))
    except ValueError:
        return None
    return min(seconds, RETRY_AFTER_CAP_SECONDS) if seconds > 0 else None


def _message(response: httpx.Response) -> str | None:
    """The first line of Dify's message, when it repeats nothing that was sent."""
    message = _body(response).get("message")
    if not isinstance(message, str) or not message:
        return _failed_import(response)
    first = message.splitlines()[0]
    request = response.request
    # The newest servers answer a write with the whole input.
    is_input = request.method != "GET" and first.startswith(("[", "{"))
    checked = first[: 2 * TOLD_CHARACTERS]
    if is_input or request.url.path.endswith(UNTOLD_ROUTES) or repeats(checked, request):
        return None
    return text_without_secrets(first, is_machine=True)[:TOLD_CHARACTERS]


def _body(response: httpx.Response) -> dict[str, Any]:
    try:
        body = decode(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
