"""How a session travels: on our requests, in Dify's cookies, inside its JWT."""

import base64
import json
from http.cookies import CookieError, SimpleCookie

import httpx

from dify_etl.dify.http.tokens import SessionTokens

SESSION_COOKIES = ("access_token", "refresh_token", "csrf_token")
HOST_PREFIX = "__Host-"
LAST_SECOND = 32_503_680_000  # of the year 2999: a token that lives longer tells no time


def sign(request: httpx.Request, tokens: SessionTokens) -> None:
    """Bearer, or both cookies and the CSRF header; added by hand, since Secure cookies would not
    travel to a server that we reach by plain http."""
    if tokens.csrf_token is None:
        request.headers["authorization"] = f"Bearer {tokens.access_token}"
        request.headers.pop("cookie", None)
        return
    prefix = tokens.cookie_prefix
    request.headers["cookie"] = (
        f"{prefix}access_token={tokens.access_token}; {prefix}csrf_token={tokens.csrf_token}"
    )
    request.headers["x-csrf-token"] = tokens.csrf_token
    request.headers.pop("authorization", None)


def cookies_of(response: httpx.Response) -> tuple[dict[str, str], str]:
    """The session's cookies by their plain names, and the prefix that they came with."""
    found: dict[str, str] = {}
    prefix = ""
    for header in response.headers.get_list("set-cookie"):
        try:
            morsels = SimpleCookie(header)
        except CookieError:
            continue  # some other cookie that a proxy adds
        for name, morsel in morsels.items():
            plain = name.removeprefix(HOST_PREFIX)
            if plain in SESSION_COOKIES and morsel.value:
                found[plain] = morsel.value
                prefix = HOST_PREFIX if name != plain else prefix
    return found, prefix


def expiry_of(token: str) -> float | None:
    """The `exp` claim of a JWT, epoch seconds; None when it is no readable JWT."""
    try:
        payload = token.split(".")[1]
        expires = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"]
        seconds = float(expires)
        return seconds if 0 < seconds < LAST_SECOND else None
    except (IndexError, KeyError, ValueError, TypeError, OverflowError, RecursionError):
        return None
