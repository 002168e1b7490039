"""A small pretend Dify for session tests: logins, single-use refresh tokens, CSRF, one list."""

import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from dify_etl.dify.http.server import parse_version

EMAIL = "owner@difylab.test"
PASSWORD = "Difylab2026"
PROFILE = {"id": "account-1", "name": "Lab", "email": EMAIL, "timezone": "UTC"}
START = datetime(2026, 11, 20, 12, tzinfo=UTC)


def jwt(number: int, expires: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": expires, "n": number}).encode())
    return f"head.{claims.decode().rstrip('=')}.sign"


@dataclass
class PretendServer:
    """Answers like the session part of one Dify version; counts what it was asked."""

    version: str = "1.12.1"
    prefix: str = ""
    password: str = PASSWORD
    lifetime: float = 3600.0
    now: Callable[[], datetime] = lambda: START
    answer: Callable[[httpx.Request], httpx.Response] | None = None
    refresh_status: int = 200
    pause: float = 0.0
    asked: list[str] = field(default_factory=list)
    signed: list[httpx.Headers] = field(default_factory=list)
    valid_access: set[str] = field(default_factory=set)
    valid_refresh: set[str] = field(default_factory=set)
    is_rejecting: bool = False
    _made: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def has_cookies(self) -> bool:
        return parse_version(self.version) >= (1, 9, 2)

    @property
    def has_base64(self) -> bool:
        return parse_version(self.version) >= (1, 11, 2)

    def count(self, path: str) -> int:
        return self.asked.count(path)

    def expire(self) -> None:
        self.valid_access.clear()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.split("/console/api")[1]
        with self._lock:
            self.asked.append(path)
            response = self._respond(path, request)
        time.sleep(self.pause)
        response.headers["x-version"] = self.version
        return response

    def _respond(self, path: str, request: httpx.Request) -> httpx.Response:
        if path == "/ping":
            return httpx.Response(200, json={"result": "pong"})
        if path == "/login":
            return self._login(json.loads(request.content))
        if path == "/refresh-token":
            return self._refresh(request)
        self.signed.append(request.headers)
        if self.is_rejecting or not self._is_signed(request):
            return httpx.Response(401, json={"code": "unauthorized", "message": "Token expired."})
        return self.answer(request) if self.answer else httpx.Response(200, json=PROFILE)

    def _login(self, body: dict[str, str]) -> httpx.Response:
        sent = body["password"]
        sent = base64.b64decode(sent).decode() if self.has_base64 else sent
        if sent != self.password:
            body = {"code": "authentication_failed", "message": f"no: {sent}"}
            return httpx.Response(401, json=body)
        return self._session()

    def _refresh(self, request: httpx.Request) -> httpx.Response:
        if self.refresh_status != 200:
            return httpx.Response(self.refresh_status, json={"code": "unknown"})
        if self.has_cookies:
            token = _cookies(request).get(f"{self.prefix}refresh_token", "")
        else:
            token = json.loads(request.content)["refresh_token"]
        if token not in self.valid_refresh:
            return httpx.Response(401, json={"result": "fail", "message": "Invalid refresh token"})
        self.valid_refresh.discard(token)
        return self._session()

    def _session(self) -> httpx.Response:
        self._made += 1
        access = jwt(self._made, self.now().timestamp() + self.lifetime)
        refresh = f"refresh-{self._made}"
        self.valid_access.add(access)
        self.valid_refresh.add(refresh)
        if not self.has_cookies:
            data = {"access_token": access, "refresh_token": refresh}
            return httpx.Response(200, json={"result": "success", "data": data})
        values = {"access_token": access, "refresh_token": refresh, "csrf_token": f"csrf-{access}"}
        headers = [
            ("set-cookie", f"{self.prefix}{name}={value}; Secure; HttpOnly; Path=/; SameSite=Lax")
            for name, value in values.items()
        ]
        return httpx.Response(200, json={"result": "success"}, headers=headers)

    def _is_signed(self, request: httpx.Request) -> bool:
        if not self.has_cookies:
            token = request.headers.get("authorization", "").removeprefix("Bearer ")
            return token in self.valid_access
        cookies = _cookies(request)
        csrf = cookies.get(f"{self.prefix}csrf_token")
        access = cookies.get(f"{self.prefix}access_token", "")
        return access in self.valid_access and csrf == request.headers.get("x-csrf-token")


def _cookies(request: httpx.Request) -> dict[str, str]:
    header = request.headers.get("cookie", "")
    return dict(part.split("=", 1) for part in header.split("; ") if "=" in part)
