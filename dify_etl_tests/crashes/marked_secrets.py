"""Secrets with a mark, where Dify shows them and where it should not; and a search for them."""

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import duckdb

from dify_simulated import SimulatedDify, World

StartResponse = Callable[..., Any]


@dataclass
class MarkedSecrets:
    """What must be found nowhere: a name for each value."""

    values: dict[str, str] = field(default_factory=dict)

    def mark(self, name: str) -> str:
        """A secret of this name, such as nobody would write by chance."""
        self.values[name] = f"c4n4ry-{name.replace(' ', '-')}-{len(self.values):04d}"
        return self.values[name]

    def found_in(self, content: bytes) -> list[str]:
        """The names of the secrets that stand there, plainly or in Base64."""
        return [
            name
            for name, value in self.values.items()
            if value.encode() in content or base64.b64encode(value.encode()) in content
        ]

    def found_in_files(self, folder: Path) -> list[str]:
        """Where secrets stand: in any file below the folder, or in a row of a warehouse."""
        found = []
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                found += [f"{one} in {path.name}" for one in self.found_in(path.read_bytes())]
            if path.suffix == ".duckdb":
                found += [f"{one} in a row of {path.name}" for one in self.found_in(_rows(path))]
        return found


def _rows(path: Path) -> bytes:
    """Every row of a warehouse as text: pages of the file may be compressed."""
    with duckdb.connect(path, read_only=True) as connection:
        tables = connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables()"
        ).fetchall()
        rows = [connection.sql(f'FROM "{schema}"."{name}"').fetchall() for schema, name in tables]
    return repr(rows).encode()


CREATED = 1_760_000_000  # epoch seconds, as Dify sends them


def mark_world(world: World, secrets: MarkedSecrets) -> None:
    """Give the world's own secrets marks: password, API keys, and what opens an app's page."""
    world.account.password = secrets.mark("password")
    for number, key in enumerate(world.api_keys.values()):
        key.token = secrets.mark(f"key {number}")
    for number, app in enumerate(world.apps.values()):
        app.site.code = secrets.mark(f"site {number}")


class LeakyDify:
    """A Dify that shows secrets where no known version does, and keeps count of session tokens."""

    def __init__(self, server: SimulatedDify, secrets: MarkedSecrets) -> None:
        self._server = server
        self._secrets = secrets
        self._malformed = [
            {"id": 5, "type": "app", "token": secrets.mark("key of a bad id")},
            {"id": None, "token": [secrets.mark("key in a list")]},
            {"id": "a", "type": "app", "created_at": "?", "secret": secrets.mark("unknown field")},
            {
                "id": "b",
                "type": "app",
                "created_at": CREATED,
                "token": secrets.mark("key of a good row"),
            }
            | {"last_used_at": None, "plain": secrets.mark("unknown field of a good row")},
            secrets.mark("key without a row"),
        ]
        self._form = {
            "type": "human_input",
            "workflow_run_id": "0a7e3c55-8b41-4f9e-9d5b-1d2c3b4a5f60",
            "submitted": False,
            "form_definition": {
                "form_id": "01a21f97-6dce-7c17-83fe-2698e9b91dcc",
                "node_id": "human",
                "node_title": "Boss approves",
                "form_content": "Approve?",
                "inputs": [],
                "actions": [{"id": "yes", "title": "Yes", "button_style": "primary"}],
                "display_in_ui": True,
                "form_token": secrets.mark("form token"),
                "resolved_default_values": {},
                "expiration_time": 1795826347,
            },
            "links": f"http://dify/form/human_input/{secrets.mark('form page')}",
        }
        self._lock = Lock()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        path = environ["PATH_INFO"]
        told: list[tuple[str, list[tuple[str, str]]]] = []

        def remember(status: str, headers: list[tuple[str, str]], *_: object) -> Any:
            told.append((status, headers))

        body = b"".join(self._server(environ, remember))
        status, headers = told[0][0], [one for one in told[0][1] if one[0] != "Content-Length"]
        self._remember_tokens(headers)
        if path.endswith("/annotations"):
            status = "403 FORBIDDEN"
            body = json.dumps({"code": "forbidden", "message": "no", "status": 403}).encode()
        elif status.startswith("200") and path.endswith("/api-keys"):
            body = json.dumps(self._with_malformed(path, body)).encode()
        elif status.startswith("200") and path.endswith(("/chat-messages", "/node-executions")):
            body = json.dumps(self._with_forms(body)).encode()
        start_response(status, [*headers, ("Content-Length", str(len(body)))])
        return [body]

    def _with_malformed(self, path: str, body: bytes) -> Any:
        """More keys; what has an id is another one in each list."""
        try:
            answer = json.loads(body)
        except ValueError:
            return {}  # cut off by the faults
        own = [
            {**row, "id": f"{row['id']} of {path[-60:]}"}
            if isinstance(row, dict) and isinstance(row["id"], str)
            else row
            for row in self._malformed
        ]
        return {**answer, "data": [*answer["data"], *own]}

    def _with_forms(self, body: bytes) -> Any:
        """Every row with the token of a form, one more that is no record, and a text with JSON."""
        try:
            answer = json.loads(body)
        except ValueError:
            return {}  # cut off by the faults
        told = {"extra_contents": [self._form], "inputs": {"asked": json.dumps(self._form)}}
        rows = [{**row, **told, "brand_new": self._form} for row in answer["data"]]
        return {**answer, "data": [*rows, *({**row, "created_at": "?"} for row in rows[:1])]}

    def _remember_tokens(self, headers: Iterable[tuple[str, str]]) -> None:
        for name, value in _cookies(headers):
            with self._lock:
                self._secrets.values[f"{name} {len(self._secrets.values)}"] = value


def _cookies(headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for header, text in headers:
        if header == "Set-Cookie":
            name, _, value = text.partition(";")[0].partition("=")
            if value:
                yield name, value
