"""Answers of the simulated Dify as bytes, rendered once and then only looked up.

Reads are rendered for the account that owns the world, whoever asks: the server must cost next to
nothing. Logins and everything else that is no GET go to the live simulation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from werkzeug.http import http_date
from werkzeug.test import Client, TestResponse

from benchmark.worlds import CHAT_MODES, Traffic, readable_ids, readable_runs
from dify_simulated import SimulatedDify, World

API = "/console/api"
OK = b"HTTP/1.1 200 OK"
Headers = Iterable[tuple[str, str]]


class RenderedDify:
    """A world's answers by request target. A change of the world forgets what it made stale."""

    def __init__(self, world: World, version: str) -> None:
        self.world = world
        self.version = version
        self.traffic = Traffic(world)
        self._live = Client(SimulatedDify(world, version), use_cookies=False)
        # Bearer tokens need neither cookies nor CSRF; the answers are the same.
        reading = SimulatedDify(world, version, session_style="bearer", expires_in=10**9)
        self._reader = Client(reading, use_cookies=False)
        self._token = self._log_in()
        self._lists: dict[bytes, bytes] = {}
        self._details: dict[bytes, bytes] = {}

    def read(self, target: bytes) -> bytes:
        """The whole HTTP answer to a GET."""
        key = canonical(target)
        answer = self._details.get(key) or self._lists.get(key) or self._remember(key)
        return self.dated(answer) if answer else self._ask(key)

    def dated(self, answer: bytes) -> bytes:
        """A kept answer with the first line, and the date by the world's clock."""
        date = f"Date: {http_date(self.world.now())}".encode()
        return b"\r\n".join((OK, date, answer))

    def send(self, method: str, target: bytes, headers: Headers, body: bytes) -> bytes:
        """The whole HTTP answer of the live simulation to any other request."""
        path, _, query = target.decode("latin-1").partition("?")
        answer = self._live.open(
            path, method=method, query_string=query, headers=dict(headers), data=body
        )
        return whole(answer)

    def render_ahead(self, *, runs: bool) -> int:
        """Render the messages of every conversation, and every run; answers how many answers."""
        targets = [*self._message_targets(), *(self._run_targets() if runs else ())]
        for target in targets:
            self._remember(canonical(target.encode()))
        return len(targets)

    def ids(self) -> Iterator[tuple[str, str]]:
        """Every row that can be read now, as (table, id)."""
        return readable_ids(self.world)

    def advance(self, seconds: float) -> None:
        """Let the world's clock go on; what was rendered is stale."""
        self.traffic.advance(seconds)
        self._lists.clear()
        self._details.clear()

    def touch_share(self, share: float) -> int:
        """New messages in this share of the conversations; answers in how many."""
        touched = self.traffic.touch_share(share)
        self._lists.clear()
        self._details.clear()
        return len(touched)

    def touch_one(self) -> None:
        """A new message in one conversation; lists and its own messages are rendered anew."""
        conversation = self.world.conversations[self.traffic.touch_one()]
        self._lists.clear()
        stale = f"conversation_id={conversation.id}".encode()
        for key in [key for key in self._details if stale in key]:
            del self._details[key]

    def _message_targets(self) -> Iterator[str]:
        for row in self.world.conversations.values():
            if row.mode in CHAT_MODES and not row.is_deleted and self.world.listed(row):
                query = f"conversation_id={row.id}&limit=100"
                yield f"{API}/apps/{row.app_id}/chat-messages?{query}"

    def _run_targets(self) -> Iterator[str]:
        for run_id in readable_runs(self.world):
            run = self.world.workflow_runs[run_id]
            path = f"{API}/apps/{run.app_id}/workflow-runs/{run_id}"
            yield path
            yield f"{path}/node-executions"

    def _remember(self, key: bytes) -> bytes | None:
        """Render and keep a good answer without its first line and date; None for a bad one."""
        answer = self._ask(key)
        head, _, body = answer.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        if status != OK:
            return None
        is_detail = b"/chat-messages?" in key or b"/workflow-runs/" in key
        lines = [line for line in lines if not line.startswith(b"Date: ")]
        kept = b"\r\n".join([*lines, b"", body])
        (self._details if is_detail else self._lists)[key] = kept
        return kept

    def _ask(self, key: bytes) -> bytes:
        path, _, query = key.decode("latin-1").partition("?")
        headers = {"Authorization": f"Bearer {self._token}"}
        return whole(self._reader.get(path, query_string=query, headers=headers))

    def _log_in(self) -> str:
        account = self.world.account
        body = {"email": account.email, "password": account.password}
        answer = self._reader.post(f"{API}/login", json=body).get_json()
        return str(answer["data"]["access_token"])


def canonical(target: bytes) -> bytes:
    """The target with its parameters in order, so that all readers share the rendered answers."""
    path, mark, query = target.partition(b"?")
    return path + mark + b"&".join(sorted(query.split(b"&")))


def whole(answer: TestResponse) -> bytes:
    """Status line, headers and body as they go over the wire."""
    body = answer.get_data()
    headers = [(name, value) for name, value in answer.headers if name != "Content-Length"]
    headers.append(("Content-Length", str(len(body))))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {answer.status}\r\n{lines}\r\n".encode("latin-1") + body
