"""What is wrong between us and Dify for some nights: refusals, odd rows, clocks."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import httpx

from dify_simulated import World

ODD = {"not": "this"}
FIGURES = (
    *("message_count", "message_tokens", "answer_tokens", "total_tokens", "total_price"),
    *("provider_response_latency", "elapsed_time", "total_steps", "finished_at", "status"),
    *("updated_at", "tokens", "word_count", "hit_count", "document_count", "indexing_status"),
)
TEXTS = ("name", "query", "question", "title", "description", "from_end_user_session_id", "role")
PARTS = ("feedbacks", "retriever_resources", "message_files", "agent_thoughts", "tags")


@dataclass(frozen=True)
class Refusal:
    """Paths of these parts are answered with a status, up to a night."""

    parts: tuple[str, ...]
    status: int
    code: str
    until: int

    def meets(self, url: httpx.URL) -> bool:
        """Whether a request is refused. An empty last part means any path below the others."""
        target = f"{url.path}?{url.query.decode()}"
        return all(part in target for part in self.parts[:-1]) and (
            self.parts[-1] in target if self.parts[-1].endswith("=") else self._ends(url.path)
        )

    def _ends(self, path: str) -> bool:
        return not self.parts[-1] or path.endswith(self.parts[-1])

    def answer(self, headers: list[tuple[str, str]]) -> httpx.Response:
        """What the client gets instead; a 502 comes from the proxy and is no JSON."""
        if self.status == 502:
            kept = [one for one in headers if one[0] == "date"]
            return httpx.Response(502, headers=kept, html="<h1>502 Bad Gateway</h1>")
        told = {"code": self.code, "message": "refused for some nights", "status": self.status}
        return httpx.Response(self.status, headers=headers, json=told)


@dataclass(frozen=True)
class OddRow:
    """The row of this id is answered in an odd way, up to a night."""

    row_id: str
    way: str
    until: int


def _with(row: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: ODD if name in names else value for name, value in row.items()}


def _with_odd_parts(row: dict[str, Any]) -> dict[str, Any]:
    """The first of each list of parts is none, also below `metadata`."""
    changed = {
        name: [7, *value[1:]] if name in PARTS and isinstance(value, list) and value else value
        for name, value in row.items()
    }
    metadata: Any = changed.get("metadata")
    return changed | ({"metadata": _with_odd_parts(metadata)} if metadata else {})


WAYS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "its id is no text": lambda row: _with(row, ("id",)),
    "its time is none": lambda row: row | {"created_at": "?"},
    "figures are none": lambda row: _with(row, FIGURES),
    "figures beyond all": lambda row: {
        name: 10**40 if name in FIGURES else value for name, value in row.items()
    },
    "texts are none": lambda row: _with(row, TEXTS),
    "its mode is none": lambda row: _with(row, ("mode",)),
    "parts are none": _with_odd_parts,
    "no object at all": lambda row: "a row",
}


@dataclass
class Troubles:
    """What is wrong in this night: `dify_ahead` and `ours_ahead` are of the world's clock."""

    family: str
    night: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    odd_rows: list[OddRow] = field(default_factory=list)
    dify_ahead: timedelta = timedelta(0)
    ours_ahead: timedelta = timedelta(0)
    clocks_until: int = 0

    @property
    def is_any(self) -> bool:
        """Whether anything is wrong."""
        return bool(self.refusals or self.odd_rows or self.dify_ahead or self.ours_ahead)

    def last_of(self, nights: int) -> int:
        """The last of so many nights, this one included."""
        return self.night + nights - 1

    def begin(self, night: int) -> None:
        """A night begins: what lasted until the one before it is well."""
        self.night = night
        self.refusals = [one for one in self.refusals if one.until >= night]
        self.odd_rows = [one for one in self.odd_rows if one.until >= night]
        if self.clocks_until < night:
            self.dify_ahead = self.ours_ahead = timedelta(0)

    def end(self) -> None:
        """All is well from now on."""
        self.clocks_until = -1
        self.refusals, self.odd_rows = [], []
        self.dify_ahead = self.ours_ahead = timedelta(0)


class TroubledAnswers(httpx.BaseTransport):
    """Passes requests on, and answers as the troubles of the night want it."""

    def __init__(self, inner: httpx.BaseTransport, troubles: Troubles, world: World) -> None:
        self._inner = inner
        self._troubles = troubles
        self._world = world

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        answer = self._inner.handle_request(request)
        troubles = self._troubles
        if not troubles.is_any:
            return answer
        body = answer.read()
        headers = [
            (name, value)
            for name, value in answer.headers.multi_items()
            if name not in ("content-length", "date", "content-type")
        ]
        date = self._world.now() + troubles.dify_ahead
        headers.append(("date", format_datetime(date, usegmt=True)))
        for refusal in troubles.refusals:
            if refusal.meets(request.url):
                return refusal.answer(headers)
        kind = answer.headers.get("content-type", "")
        if troubles.odd_rows and "json" in kind:
            body = json.dumps(self._changed(json.loads(body))).encode()
        headers.append(("content-type", kind))
        return httpx.Response(answer.status_code, headers=headers, content=body)

    def _changed(self, value: Any) -> Any:
        """The answer with its odd rows; a log row is known by the run that it tells."""
        if isinstance(value, list):
            return [self._changed(one) for one in value]
        if not isinstance(value, dict):
            return value
        value = {name: self._changed(inner) for name, inner in value.items()}
        for odd in self._troubles.odd_rows:
            if value.get("id") == odd.row_id:
                return WAYS[odd.way](value)
        return value


def refusals_of(path: str) -> Iterator[tuple[int, str]]:
    """The ways in which a path may be refused: status, and Dify's code."""
    yield from ((403, "forbidden"), (404, "not_found"), (500, "unknown"), (502, ""))
    if path == "":
        yield (404, "app_not_found")
