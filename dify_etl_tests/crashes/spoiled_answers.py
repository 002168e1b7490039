"""A transport that puts spoiled twins behind the first row of a list: every field, every way.

Cursor lists take no more rows than their page holds: the rest comes with the next such list.
"""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from threading import Lock
from typing import Any
from uuid import UUID

import httpx

Row = dict[str, Any]
Path = tuple[str, ...]  # of a field, through nested objects
Spoil = Callable[[Any], Any]


class Missing:
    """Stands for a field that is not there."""


def _other_type(value: Any) -> Any:
    return 7 if isinstance(value, dict | list) else {"not": "this"}


def _too_large(value: Any) -> Any:
    return "很" * 100_000 if isinstance(value, str) else 2**70


SPOILS: dict[str, Spoil] = {
    "missing": lambda value: Missing,
    "null": lambda value: None,
    "another type": _other_type,
    "a list": lambda value: [1, "two", None],
    "far too large": _too_large,
    "below every number": lambda value: -(2**70),
    "a number beyond time": lambda value: 9e300,
    "not UTF-8": lambda value: "\ud800 \udfff",
    "a null byte": lambda value: "a\x00b",
}


class SpoiledAnswers(httpx.BaseTransport):
    """Passes requests on; the lists at `path_end` get the twins. `rows` is their JSON key.

    `most`: twins per answer. `twins` tells for each twin's id what is wrong with it.
    """

    def __init__(
        self, inner: httpx.BaseTransport, path_end: str, *, rows: str = "data", most: int = 1000
    ) -> None:
        self._inner = inner
        self._path_end = path_end
        self._rows = rows
        self._most = most
        self._left: Iterator[tuple[Path, str]] | None = None
        self._lock = Lock()  # answers come on several threads; each twin has an id of its own
        self.good: list[Row] = []
        self.twins: dict[str, tuple[Path, str]] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        answer = self._inner.handle_request(request)
        body = answer.read()
        if answer.status_code == 200 and request.url.path.endswith(self._path_end):
            with self._lock:
                body = json.dumps(self._spoiled(json.loads(body))).encode()
        headers = [one for one in answer.headers.multi_items() if one[0] != "content-length"]
        return httpx.Response(answer.status_code, headers=headers, content=body)

    def _spoiled(self, answer: Row) -> Row:
        rows = answer[self._rows]
        if not rows:
            return answer
        self.good.append(rows[0])
        if self._left is None:
            self._left = iter([(path, kind) for path in _paths(rows[0]) for kind in SPOILS])
        twins = [self._twin(rows[0], *wrong) for wrong in islice(self._left, self._most)]
        more = {**answer, self._rows: [*rows, *twins]}
        return more | {"total": answer["total"] + len(twins)} if "total" in answer else more

    def _twin(self, good: Row, path: Path, kind: str) -> Row:
        twin_id = str(UUID(int=len(self.twins) + 1, version=4))
        self.twins[twin_id] = (path, kind)
        return _changed(_renamed(good, twin_id), path, SPOILS[kind])


def _paths(row: Row) -> Iterator[Path]:
    """Every field but the ids, and every field of nested objects."""
    for name, value in row.items():
        if name != "id":
            yield (name,)
        if isinstance(value, dict):
            yield from ((name, inner) for inner in value if inner != "id")


def _renamed(row: Row, twin_id: str) -> Row:
    """The row under another id, and the run of a log row as well."""
    if isinstance(row.get("workflow_run"), dict):
        row = {**row, "workflow_run": {**row["workflow_run"], "id": twin_id}}
    return {**row, "id": twin_id}


def _changed(row: Row, path: Path, spoil: Spoil) -> Row:
    name, *inner = path
    held = row.get(name)
    value = _changed(held or {}, tuple(inner), spoil) if inner else spoil(held)
    rest = {key: other for key, other in row.items() if key != name}
    return rest if value is Missing else {**rest, name: value}
