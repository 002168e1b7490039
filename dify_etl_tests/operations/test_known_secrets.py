"""Keys that people write into apps: they stand in no exported file and in no plan."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import JsonValue

from dify_etl.operations.deploying.comparing import compared
from dify_etl.operations.deploying.keeping_secrets import with_held_secrets
from dify_etl.operations.dsl import shared_dsl, stable_dsl
from dify_etl.operations.exchange import export_apps, import_operation
from dify_etl.operations.known_secrets import looks_like_key
from dify_etl.operations.redaction import without_secrets
from dify_etl_tests.dify import secret_places
from dify_etl_tests.dify.pretend_workspace import app_of
from dify_etl_tests.dify.secret_places import SECRET, places
from dify_etl_tests.operations.workbench import Workbench

CANARY = "c4n4ryK9x2Vb7Qw8Zt5Ls"  # what no file may hold


def http(**data: Any) -> dict[str, Any]:
    return {"type": "http-request", "title": "Call", "headers": "", "params": "", **data}


def code(text: str) -> dict[str, Any]:
    return {"type": "code", "title": "Sign", "code": text}


# Each as it stood in public DSL files, the key replaced.
NODES: dict[str, dict[str, Any]] = {
    "authorization": http(
        authorization={
            "type": "api-key",
            "config": {"type": "bearer", "api_key": CANARY, "header": "X-Auth"},
        }
    ),
    "header": http(headers=f"Content-Type:application/json\nX-Api-Key: {CANARY}"),
    "bearer": http(headers=f"Authorization:Bearer {CANARY}"),
    "basic": http(headers="Authorization: Basic YzRuNHJ5Szl4MlZiN1F3OFp0NUxz"),
    "cookie": http(headers=f"Cookie: session={CANARY}"),
    "odd header": http(headers=f"X-My-Thing: {CANARY}"),
    "parameter": http(params=f"q:1\nappid:7\napi_key:{CANARY}"),
    "address": http(url=f"https://api.example.com/v1?city=x&key={CANARY}"),
    "password in an address": http(url=f"https://me:{CANARY}@example.com/"),
    "body": http(body={"type": "json", "data": f'{{"api_key": "{CANARY}"}}'}),
    "form": http(body={"type": "form-data", "data": [{"key": "token", "value": CANARY}]}),
    "code": code(f"api_key = '{CANARY}'\nreturn {{}}"),
    "dictionary in code": code(f'headers = {{"Authorization": "Bearer {CANARY}"}}'),
    "environment in code": code(f"os.environ['OPENAI_API_KEY'] = '{CANARY}'"),
    "tool": {"type": "tool", "title": "Search", "tool_configurations": {"api_key": CANARY}},
    "prompt": {"type": "llm", "title": "Ask", "text": f"Use sk-{CANARY} for the call"},
    "comment": {"type": "", "title": "Note", "text": f"token ghp_{CANARY}{CANARY}"},
}


def dsl_of(*nodes: dict[str, Any], **workflow: Any) -> str:
    graph = {"nodes": [{"id": str(n), "data": data} for n, data in enumerate(nodes)], "edges": []}
    document = {
        "kind": "app",
        "app": {"name": "x", "mode": "workflow"},
        "workflow": {"graph": graph, **workflow},
    }
    return str(yaml.safe_dump(document))


def texts(value: Any) -> Iterator[str]:
    """All texts of a document."""
    if isinstance(value, dict):
        for inner in value.values():
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize("name", NODES)
def test_key_of_a_node_is_left_out(name: str) -> None:
    """Neither file nor plan holds it; the node is named, and everything else of it stays."""
    node = NODES[name]
    shared = shared_dsl(dsl_of(node), where="a test")
    shown = stable_dsl(dsl_of(node), where="a test").shown
    for text in (shared.text, shown):
        assert CANARY not in text
        assert "YzRuNHJ5" not in text
    assert shared.hidden == (f"node {node['title']!r} ({node['type']})",)
    (kept,) = yaml.safe_load(shared.text)["workflow"]["graph"]["nodes"]
    assert [*kept["data"]] == sorted(node)
    assert kept["data"]["title"] == node["title"]


@pytest.mark.parametrize("kind", ["environment_variables", "conversation_variables"])
@pytest.mark.parametrize("name", ["API_KEY", "whatever"])
def test_key_in_a_plain_variable_is_left_out(kind: str, name: str) -> None:
    """A variable of type string that has the name of a secret, or the looks of a key."""
    variable = {"name": name, "value_type": "string", "value": CANARY}
    shared = shared_dsl(dsl_of(**{kind: [variable]}), where="a test")
    assert CANARY not in shared.text
    assert shared.hidden == (f"variable {name!r}",)


@pytest.mark.parametrize("name", places(SECRET))
def test_secret_is_left_out_wherever_dify_saves_one(name: str) -> None:
    """In whatever shape: the file and the plan have `(secret)` there, and the export says so."""
    document = {
        "kind": "app",
        "app": {"name": "x", "mode": "chat"},
        "workflow": places(SECRET)[name],
    }
    shared = shared_dsl(yaml.safe_dump(document), where="a test")
    assert SECRET not in shared.text
    assert SECRET not in stable_dsl(yaml.safe_dump(document), where="a test").shown
    assert yaml.safe_load(shared.text)["workflow"] == places("(secret)")[name]
    assert len(shared.hidden) == 1


@pytest.mark.parametrize("name", places(SECRET))
def test_secret_goes_back_wherever_dify_saves_one(name: str) -> None:
    """The file of an export is no difference to the app, and sent over it, it changes nothing."""
    held = {"workflow": places(SECRET)[name]}
    exported = {"workflow": places("(secret)")[name]}
    assert compared(exported, held).is_alike
    filled = with_held_secrets(exported, held)
    assert filled.document == held
    assert (filled.missing, filled.lost, filled.dropped) == ([], [], [])


def test_json_in_a_text_is_named_where_a_secret_may_stand() -> None:
    """A password of words, as no key looks, in a body or the configuration of an MCP server."""
    text = f'{{"server": {{"password": "{SECRET}"}}}}'
    shared = shared_dsl(dsl_of(http(body={"type": "json", "data": text})), where="a test")
    assert (shared.hidden, shared.doubtful) == ((), ("node 'Call' (http-request)",))


INNOCENT: tuple[dict[str, Any], ...] = (
    *secret_places.INNOCENT,
    http(
        headers="Authorization: Bearer {{#env.API_KEY#}}\nAccept: application/vnd.github.v3+json"
        "\nanthropic-version: 2023-06-01",
        authorization={"type": "api-key", "config": {"api_key": "{{#env.KEY#}}", "type": "bearer"}},
        params="token:{{#sys.query#}}\nmodel:gpt-4-turbo-2024-04-09",
        url="https://example.com/{{#env.PATH#}}?key={{#env.KEY#}}",
    ),
    code(
        "def main(text: str) -> dict:\n    tokens = text.split()\n    return {'token': tokens[0]}"
    ),
    {"type": "start", "title": "Start", "variables": [{"variable": "token", "type": "text-input"}]},
    {
        "type": "tool",
        "title": "Form",
        "schema": {"password": {"type": "string", "description": "Which one to reset"}},
    },
    {"type": "knowledge-retrieval", "title": "Look", "dataset_ids": ["hW3kq9Zx81LmT5v7Rb2cYw=="]},
    {"type": "llm", "title": "Ask", "model": {"name": "text-embedding-3-large", "max_tokens": 7}},
)


def test_what_is_no_secret_stays() -> None:
    """Names of variables, models and content types: the same app comes of the file."""
    text = dsl_of(*INNOCENT)
    shared = shared_dsl(text, where="a test")
    assert yaml.safe_load(shared.text) == yaml.safe_load(text)
    assert shared.hidden == ()
    assert shared.doubtful == ()


def test_what_may_hold_others_is_named() -> None:
    """Code that speaks of a password, and a long random text: left as they are, and told."""
    shared = shared_dsl(
        dsl_of(
            code("password = ask()"),
            {"type": "template-transform", "title": "Fill", "template": f"id={CANARY}"},
        ),
        where="a test",
    )
    assert shared.doubtful == ("node 'Fill' (template-transform)", "node 'Sign' (code)")


@pytest.mark.parametrize(
    ("text", "is_key"),
    [
        (CANARY, True),
        ("sk-proj-abcdefghijklmnopqrst", True),
        ("gpt-4-turbo-2024-04-09", False),
        ("5d1c9b7e-2f43-4a8b-b6a0-7e9d8c5f4a31", False),
        ("a sentence of many words, with 12 in it", False),
        ("aaaaaaaaaaaaaaaaaaaaaaaaaaaa1", False),
    ],
)
def test_looks_of_a_key(text: str, is_key: bool) -> None:
    """Long, random, in one piece."""
    assert looks_like_key(text) is is_key


def test_plans_and_audits_hide_shapes_of_keys() -> None:
    """Whatever an operation changes: a prompt, a description, a model configuration."""
    state: dict[str, JsonValue] = {"pre_prompt": f"Use sk-{CANARY}", "list": [f"AKIA{'A1' * 8}"]}
    assert CANARY not in str(without_secrets(state))
    assert "AKIA" not in str(without_secrets(state))


def test_export_tells_where_secrets_are(bench: Workbench, tmp_path: Path) -> None:
    """App and node; the files hold none, and the plan to import one says what to fill in."""
    app = app_of(bench.world, "workflow")
    for workflow in bench.world.workflows.values():
        if workflow.app_id == app.id:
            nodes: Any = workflow.graph["nodes"]
            nodes[0]["data"] |= NODES["header"]
    with bench.client() as dify:
        done = export_apps(dify, list(dify.apps.list()), tmp_path, is_all=True)
    assert (app.name, "node 'Call' (http-request)") in done.hidden
    assert CANARY not in "".join(path.read_text() for path in done.written)
    (path,) = [one for one in done.written if app.id in one.name]
    with bench.operator() as operator:
        plan = import_operation(
            operator, path.read_text(), where="a file", name="y", allows_duplicate=False
        ).plan
    assert "(secret) 1 times" in "\n".join(plan.lines())
