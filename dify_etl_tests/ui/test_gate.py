"""What reaches Dagster's own web application, and what a page of a stranger gets instead.

The application is Dagster's, over an instance and a workspace without code: a request that is let
through leaves its trace in the instance.
"""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from starlette.types import ASGIApp, Receive, Scope, Send

from dify_etl.settings import Settings, load_settings
from dify_etl.ui.gate import Gate
from dify_etl.ui.marks import Marks
from dify_etl.ui.webserver import gated_ui
from dify_etl_tests.ui.in_process import Client

HOST = "localhost:3000"
OWN = f"http://{HOST}"
MUTATION = "mutation { setNuxSeen }"
READ = "{ version }"
REPORTS = ("materialization", "check", "observation")
Headers = dict[str, str]
NO_MARKS = Marks(Path("nobody lives"))


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("instance"))) as instance:
        yield instance


@pytest.fixture(scope="module")
def ui(instance: dg.DagsterInstance) -> Iterator[Client]:
    """The UI as `dify-etl dev` serves it, reached under the name `localhost`."""
    with gated_ui(instance, EmptyWorkspaceTarget(), settings(), ["ui.test"], marks=NO_MARKS) as app:
        yield Client(app, HOST)


def settings(**changed: Any) -> Settings:
    return load_settings(_env_file=None, **changed)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that takes everything."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "let through"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"let through"})


def behind(**given: Any) -> Client:
    app: ASGIApp = Gate(echo, **given)
    return Client(app, HOST)


def basic(password: str, user: str = "me") -> Headers:
    told = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {told}"}


def is_refused(answer: httpx.Response, status: int) -> bool:
    return answer.status_code == status and answer.text.startswith("dify-etl refused this: ")


# What the UI and programs send.


def test_page_of_the_ui_comes(ui: Client) -> None:
    """The page itself, with Dagster's policy and ours."""
    answer = ui.get("/", headers={"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"})
    assert answer.status_code == 200
    assert "Dagster" in answer.text
    policies = answer.headers.get_list("content-security-policy")
    assert any("script-src" in policy for policy in policies)
    assert "frame-ancestors 'none'" in policies


@pytest.mark.parametrize("query", [READ, MUTATION])
def test_ui_reads_and_changes_by_post(ui: Client, query: str) -> None:
    """JSON from its own origin does everything."""
    own = {"Origin": OWN, "Sec-Fetch-Site": "same-origin"}
    answer = ui.post("/graphql", json={"query": query}, headers=own)
    assert answer.status_code == 200
    assert "errors" not in answer.json()


def test_program_of_this_machine_needs_no_origin(ui: Client) -> None:
    """No browser, no header of a browser."""
    assert ui.post("/graphql", json={"query": READ}).json()["data"] is not None


def test_reading_by_get_goes_on(ui: Client) -> None:
    """A plain query in the address, and the page to try queries."""
    assert "data" in ui.get("/graphql", params={"query": READ}).json()
    assert "graphiql" in ui.get("/graphql", headers={"Accept": "text/html"}).text


def test_ui_gets_its_websocket(ui: Client) -> None:
    """Logs come by one; a mutation does not."""
    start = {"type": "start", "id": "1", "payload": {"query": MUTATION}}
    accepted, ready, refused = ui.websocket(
        {"Origin": OWN}, {"type": "connection_init"}, start, answers=2
    )
    assert accepted == {"type": "websocket.accept", "subprotocol": "graphql-ws", "headers": []}
    assert json.loads(ready["text"]) == {"type": "connection_ack"}
    assert json.loads(refused["text"])["type"] == "error"


def test_link_from_elsewhere_opens_a_page(ui: Client) -> None:
    """A link to a run in somebody's mail is no attack."""
    clicked = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }
    assert ui.get("/runs", headers=clicked).status_code == 200


# What a page of a stranger sends.


@pytest.mark.parametrize("path", ["/graphql", "/graphql/", "//graphql"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "query",
    [
        MUTATION,
        "subscription { x }",
        f"query a {{ version }} {MUTATION}",
        "fragment f on Mutation { __typename } mutation { ...f }",
        "{ version",
        "{a" * 3000,
    ],
    ids=["mutation", "subscription", "hidden", "fragment", "broken", "deep"],
)
def test_address_changes_nothing(ui: Client, method: str, path: str, query: str) -> None:
    """An image on any page can be such an address."""
    answer = ui.request(method, path, params={"query": query})
    assert answer.status_code == 405


def test_last_of_two_queries_does_not_slip_through(ui: Client) -> None:
    """Dagster takes one of them; all are looked at."""
    for queries in ((READ, MUTATION), (MUTATION, READ)):
        answer = ui.get("/graphql", params=[("query", text) for text in queries])
        assert is_refused(answer, 405)


@pytest.mark.parametrize(
    "kind",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "text/plain; x=application/json",
        "application/jsonx",
    ],
)
@pytest.mark.parametrize("path", ["/graphql", *(f"/report_asset_{one}/a" for one in REPORTS)])
def test_what_a_form_sends_is_refused(
    ui: Client, instance: dg.DagsterInstance, path: str, kind: str | None
) -> None:
    """Pages may post these kinds of content anywhere; Dagster would take them."""
    headers = {} if kind is None else {"Content-Type": kind}
    body = b'{"query": "mutation { setNuxSeen }"}'
    params = {"query": MUTATION, "check_name": "c", "passed": "true"}
    assert is_refused(ui.post(path, content=body, params=params, headers=headers), 415)
    assert instance.all_asset_keys() == []


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_no_other_method_is_taken(ui: Client, method: str) -> None:
    """A browser that asks beforehand (OPTIONS) is told no, so it sends no JSON either."""
    answer = ui.request(method, "/graphql", headers={"Sec-Fetch-Site": "same-origin"})
    assert is_refused(answer, 405)
    assert "access-control-allow-origin" not in answer.headers


STRANGERS: list[Headers] = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:8000"},
    {"Origin": "http://localhost"},
    {"Origin": f"http://{HOST}.evil.example"},
    {"Origin": f"http://evil.example@{HOST}"},
    {"Origin": f"file://{HOST}"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": OWN, "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
]


@pytest.mark.parametrize("headers", STRANGERS, ids=str)
def test_other_origins_get_nothing(
    ui: Client, instance: dg.DagsterInstance, headers: Headers
) -> None:
    """Neither a page, nor data, nor a change, nor a websocket."""
    assert is_refused(ui.get("/", headers=headers), 403)
    assert is_refused(ui.get("/graphql", params={"query": READ}, headers=headers), 403)
    assert is_refused(ui.post("/graphql", json={"query": MUTATION}, headers=headers), 403)
    for one in REPORTS:
        path = f"/report_asset_{one}/a"
        report = {"check_name": "c", "passed": True}
        assert is_refused(ui.post(path, json=report, headers=headers), 403)
    assert refused_socket(ui, headers) == 403
    assert instance.all_asset_keys() == []


def refused_socket(client: Client, headers: Headers) -> int | None:
    """The status with which a handshake was refused; None when the socket was opened."""
    (without_status,) = client.websocket(headers, answers=0, can_refuse=False)[:1]
    (first,) = client.websocket(headers, answers=0)[:1]
    is_open = first["type"] == "websocket.accept"
    assert (without_status["type"] == "websocket.accept") == is_open
    return None if is_open else int(first["status"])


def test_click_from_elsewhere_sends_nothing(ui: Client) -> None:
    """A form that a page sends off is a navigation, but no GET."""
    clicked = {
        "Sec-Fetch-Site": "cross-site",
        "Sec-Fetch-Mode": "navigate",
        "Sec-Fetch-Dest": "document",
    }
    assert is_refused(ui.post("/graphql", json={"query": READ}, headers=clicked), 403)
    assert is_refused(ui.get("/graphql", params={"query": MUTATION}, headers=clicked), 405)


FOREIGN_NAMES = [
    "evil.example",
    "evil.example:3000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "2130706433",
    "0.0.0.0:3000",
    "[::]:3000",
    "10.0.0.1",
]


@pytest.mark.parametrize("host", FOREIGN_NAMES)
def test_foreign_name_gets_nothing(ui: Client, host: str) -> None:
    """A page of a domain that points to this machine for a moment is of the same origin."""
    own = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert is_refused(ui.get("/", headers=own), 421)
    assert is_refused(ui.post("/graphql", json={"query": READ}, headers=own), 421)
    assert refused_socket(ui, own) == 421


@pytest.mark.parametrize("host", ["", "localhost@evil.example", "a/b", "[::1", "x:y:z", "a b"])
def test_name_that_is_none_gets_nothing(ui: Client, host: str) -> None:
    """What cannot be read is not allowed."""
    assert ui.get("/", headers={"Host": host}).status_code in (400, 421)


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:8080", "127.0.0.1:3000", "127.0.0.2", "[::1]:3000", "UI.test:3000"],
)
def test_own_names_are_let_through(ui: Client, host: str) -> None:
    """Loopback under any port, since tunnels have their own, and the names that were allowed."""
    own = {"Host": host, "Origin": f"http://{host}"}
    assert ui.post("/graphql", json={"query": READ}, headers=own).status_code == 200


def test_names_of_the_settings_are_allowed(instance: dg.DagsterInstance) -> None:
    """DIFY_ETL_HOSTS, behind a proxy that speaks TLS."""
    own = {"Host": "etl.example.com", "Origin": "https://etl.example.com"}
    allowed = settings(DIFY_ETL_HOSTS="etl.example.com, other.example.com")
    with gated_ui(instance, EmptyWorkspaceTarget(), allowed, marks=NO_MARKS) as app:
        client = Client(app, HOST)
        assert client.post("/graphql", json={"query": READ}, headers=own).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/graphql?query=%7Bversion%7D", "/nowhere.js", "/logs/x/y.err"]
)
def test_answers_are_protected(ui: Client, path: str) -> None:
    """In no frame, never taken for another kind of content, read by no other page."""
    for headers in ({}, {"Origin": "http://evil.example"}):
        found = ui.get(path, headers=headers).headers
        assert found["x-frame-options"] == "DENY"
        assert found["x-content-type-options"] == "nosniff"
        assert found["cross-origin-resource-policy"] == "same-origin"
        assert "frame-ancestors 'none'" in found.get_list("content-security-policy")


# With a password.


def test_password_opens_everything() -> None:
    """Under any user name, for requests and for a websocket, which sends what a browser holds."""
    client = behind(password="pässword: 1")
    right = basic("pässword: 1")
    assert client.get("/", headers=right).text == "let through"
    assert client.websocket(right)[1] == {"type": "websocket.send", "text": "let through"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        basic("wrong"),
        basic(""),
        basic("secret "),
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Bearer " + basic("secret")["Authorization"][6:]},
        {"Authorization": "Basic c2VjcmV0"},
    ],
    ids=str,
)
def test_without_the_password_nothing_is_opened(headers: Headers) -> None:
    """A browser is asked for it; no page, file or websocket comes."""
    client = behind(password="secret")
    answer = client.get("/favicon.png", headers=headers)
    assert is_refused(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert is_refused(client.post("/graphql", json={}, headers=headers), 401)
    assert refused_socket(client, headers) == 401


def test_password_of_the_settings_is_asked_for(instance: dg.DagsterInstance) -> None:
    """On loopback, too, once it is set."""
    locked = settings(DIFY_ETL_UI_PASSWORD="secret")
    with gated_ui(instance, EmptyWorkspaceTarget(), locked, marks=NO_MARKS) as app:
        client = Client(app, HOST)
        assert client.get("/").status_code == 401
        assert client.get("/", headers=basic("secret")).status_code == 200


def test_password_is_no_pass_for_other_pages() -> None:
    """A browser adds it to what a stranger's page sends."""
    headers = basic("secret") | {"Origin": "http://evil.example"}
    client = behind(password="secret")
    assert is_refused(client.post("/graphql", json={}, headers=headers), 403)
    assert refused_socket(client, headers) == 403
