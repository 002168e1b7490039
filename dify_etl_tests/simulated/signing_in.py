"""A signed-in httpx client of a simulated Dify, in whichever style the release wants."""

from __future__ import annotations

from base64 import b64encode

import httpx

from dify_simulated import SimulatedDify
from dify_simulated.versions import SessionStyle

BASE = "http://dify.test/console/api"


def stranger(dify: SimulatedDify) -> httpx.Client:
    """A client without credentials."""
    return httpx.Client(transport=httpx.WSGITransport(app=dify), base_url=BASE)


def login_body(dify: SimulatedDify, email: str, password: str) -> dict[str, str]:
    """What a person sends to log in."""
    if dify.version.session_style is SessionStyle.COOKIE_BASE64:
        password = b64encode(password.encode()).decode()
    return {"email": email, "password": password}


def signed_in(dify: SimulatedDify, email: str | None = None) -> httpx.Client:
    """A client of the reading account, or of another one."""
    client = stranger(dify)
    account = dify.world.account
    answer = client.post("/login", json=login_body(dify, email or account.email, "Simulated2026"))
    answer.raise_for_status()
    if dify.version.session_style is SessionStyle.BEARER:
        token = answer.json()["data"]["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
    else:
        client.headers["X-CSRF-Token"] = client.cookies["csrf_token"]
    return client
