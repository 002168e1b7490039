"""A server that answers about one app what real ones answered, in the order of its life."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from dify_etl.dify.http.clock import Clock
from dify_etl.home import Home
from dify_etl.operations.applying import Operator
from dify_etl.operations.audit import AuditFile
from dify_etl_tests.dify.recordings import Exchange, client, exchange, exchanges

RECORDED_VERSIONS = ("1.7.2", "1.12.1", "1.16.1", "main-2026-08")
SESSION = {"/ping": "setup-status-after", "/login": "login-ok", "/account/profile": "profile"}
Answers = Callable[[httpx.Request], httpx.Response | None]


@dataclass
class RecordedApp:
    """Answers by method and the end of the path; `answers` looks first, and may answer None.

    The lists of apps are the recorded ones: `row` is the first app of `mode` in them.
    """

    version: str
    mode: str
    answers: Answers
    sent: list[tuple[str, str, Any]] = field(default_factory=list)  # writes: method, path, body

    @property
    def row(self) -> dict[str, Any]:
        """The app as the list of apps shows it."""
        rows = self._list().body["data"]
        found: dict[str, Any] = next(row for row in rows if row["mode"] == self.mode)
        return found

    def _list(self) -> Exchange:
        """The recorded list with an app of the mode in it."""
        whole = exchange(self.version, "apps", "list-limit100")
        if any(row["mode"] == self.mode for row in whole.body["data"]):
            return whole
        return exchange(self.version, "apps", f"list-mode-{self.mode}")

    @contextmanager
    def operator(self, home: Path) -> Iterator[Operator]:
        """An operator over this server; the workspace is not asked for."""
        with client(self._answer, fingerprint_key=b"key") as dify:
            clock = Clock(sleep=lambda seconds: None)
            yield Operator(dify, "workspace", "tests", AuditFile(Home(home).audit), clock)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/console/api")
        if path in SESSION:
            return exchange(self.version, "auth", SESSION[path]).response()
        if request.method != "GET":
            body = json.loads(request.content) if request.content else None
            self.sent.append((request.method, path, body))
        answer = self.answers(request)
        if answer is not None:
            return answer
        if path == "/apps":
            return self._listed(request)
        raise AssertionError(f"nothing is recorded for {request.method} {path}")

    def _listed(self, request: httpx.Request) -> httpx.Response:
        """The list without a mode, or that of a mode as recorded; 400 for a mode that was not."""
        mode = request.url.params.get("mode")
        if mode is None:
            is_listed = self.mode != "agent"
            whole = exchange(self.version, "apps", "list-limit100")
            return (self._list() if is_listed else whole).response()
        names = {one.name for one in exchanges(self.version) if one.area == "apps"}
        name = f"list-mode-{mode}"
        return exchange(
            self.version, "apps", name if name in names else "list-mode-unknown"
        ).response()
