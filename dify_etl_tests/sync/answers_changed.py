"""A transport that changes what Dify answers, as a proxy or an unseen version might."""

from collections.abc import Callable
from typing import Any

import httpx
import orjson

from dify_etl_tests.dify.recordings import exchange

# Gets path and JSON of an answer; answers the JSON that the client shall see.
Change = Callable[[str, Any], Any]


class ChangedAnswers(httpx.BaseTransport):
    """Passes requests on and changes the JSON of the answers.

    `refuse` names the status of paths that are not answered at all, None for the others.
    """

    def __init__(
        self,
        inner: httpx.BaseTransport,
        change: Change = lambda path, answer: answer,
        *,
        refuse: Callable[[str], int | None] = lambda path: None,
    ) -> None:
        self._inner = inner
        self._change = change
        self._refuse = refuse

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        path = request.url.path
        answer = self._inner.handle_request(request)
        body = answer.read()
        headers = [
            (name, value)
            for name, value in answer.headers.multi_items()
            if name != "content-length"
        ]
        if (status := self._refuse(path)) is not None:
            refusal = {"code": "refused", "message": "refused by the test", "status": status}
            return httpx.Response(status, headers=headers, json=refusal)
        if "json" not in answer.headers.get("content-type", ""):
            return httpx.Response(answer.status_code, headers=headers, content=body)
        changed = orjson.dumps(self._change(path, orjson.loads(body)))
        return httpx.Response(answer.status_code, headers=headers, content=changed)


class Forbidding(httpx.BaseTransport):
    """Passes requests on, but answers 403 `forbidden` where `is_closed` says so of the path."""

    def __init__(self, inner: httpx.BaseTransport, is_closed: Callable[[str], bool]) -> None:
        self._inner = inner
        self._is_closed = is_closed
        self.refused = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        answer = self._inner.handle_request(request)
        if request.method != "GET" or not self._is_closed(request.url.path):
            return answer
        answer.read()
        self.refused += 1
        body = {"code": "forbidden", "message": "You don't have the permission.", "status": 403}
        headers = {"x-version": answer.headers["x-version"]}
        return httpx.Response(403, headers=headers, json=body)


def rows_changed(path_end: str, change: Callable[[int, Any], Any]) -> Change:
    """Changes each row of the lists at paths with this end: `change(position, row)`.

    A refusal, which holds no list, stays as it is.
    """

    def changed(path: str, answer: Any) -> Any:
        if not path.endswith(path_end) or "data" not in answer:
            return answer
        rows = [change(position, row) for position, row in enumerate(answer["data"])]
        return {**answer, "data": rows}

    return changed


class Without(httpx.BaseTransport):
    """A server that answers as main of August 2026 does for routes that are gone."""

    def __init__(self, inner: httpx.BaseTransport, *path_ends: str) -> None:
        self._inner = inner
        self._path_ends = path_ends

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        if request.url.path.endswith(self._path_ends):
            return exchange("main-2026-08", "auth", "workspace-current-post").response()
        return self._inner.handle_request(request)
