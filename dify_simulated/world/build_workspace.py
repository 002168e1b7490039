"""People, tags, apps, their graphs and their keys."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise

from dify_simulated.world.build_chronicle import Chronicle
from dify_simulated.world.rows import App, AppModelConfig, JsonObject, Tag, Workspace
from dify_simulated.world.texts import APP_NAMES, PROMPT

# Every simulated person has this password.
PASSWORD = "Simulated2026"

_NO_AGENT: JsonObject = {"enabled": False, "tools": [], "strategy": "router"}
_MODES = ("chat", "advanced-chat", "workflow", "agent-chat", "completion")
_PEOPLE = (
    ("Ada Admin", "admin", "active"),
    ("编辑 Eddie", "editor", "active"),
    ("Normal.User", "normal", "active"),
    ("Dora Datasets", "dataset_operator", "active"),
    ("Pending Pat", "normal", "pending"),
    ("Banned Ben", "normal", "banned"),
    ("Unready Uli", "normal", "uninitialized"),
    ("Closed Clara", "editor", "closed"),
)


def furnish_workspace(chronicle: Chronicle) -> None:
    """Open the workspace and fill it with everything but datasets and traffic."""
    _open_workspaces(chronicle)
    _invite_people(chronicle)
    _make_tags(chronicle)
    for number in range(chronicle.plan.apps):
        _make_app(chronicle, number)


def _open_workspaces(chronicle: Chronicle) -> None:
    """The reading account owns the first one; the second, empty one is there to switch to."""
    world = chronicle.world
    rows = [
        Workspace(world.new_id(), name, chronicle.began.replace(microsecond=0))
        for name in ("Simulated Bicycles 自行车", "Another workspace")
    ]
    world.workspaces = {row.id: row for row in rows}
    world.workspace_id = rows[0].id
    owner = world.add_account(
        name="Olga Owner",
        email="owner@dify.test",
        at=chronicle.began,
        password=PASSWORD,
    )
    world.join(owner.id, rows[0].id, role="owner", at=chronicle.began)
    owner.timezone = chronicle.plan.timezone
    world.account_id = owner.id
    world.join(owner.id, rows[1].id, role="editor", at=chronicle.began)


def _invite_people(chronicle: Chronicle) -> None:
    world = chronicle.world
    for number, (name, role, status) in enumerate(_PEOPLE):
        account = world.add_account(
            name=name,
            email=f"{name.split()[-1].lower()}@dify.test",
            at=chronicle.began + timedelta(days=number),
            password=PASSWORD if status in ("active", "banned") else None,
        )
        world.join(account.id, world.workspace_id, role=role, at=account.created_at)
        account.status = status
        if status == "active":
            account.last_login_at = account.created_at + timedelta(days=1)
    nobody = "Nora Nowhere"  # in no workspace
    world.add_account(name=nobody, email="nowhere@dify.test", at=chronicle.began, password=PASSWORD)


def _make_tags(chronicle: Chronicle) -> None:
    world = chronicle.world
    for name, kind in (("客服", "app"), ("production", "app"), ("manuals 📚", "knowledge")):
        row = Tag(world.new_id(), world.workspace_id, name, kind)
        world.tags[row.id] = row


def _make_app(chronicle: Chronicle, number: int) -> None:
    world = chronicle.world
    mode = _MODES[number % len(_MODES)]
    names = APP_NAMES[mode]
    turn = number // len(_MODES)
    name = names[turn % len(names)] + (f" {turn}" if turn >= len(names) else "")
    at = chronicle.began + timedelta(days=7, seconds=number // 3)  # some share a second
    app = world.add_app(
        name=name,
        mode=mode,
        at=at,
        created_by=world.account_id,
        tenant_id=world.workspace_id,
        description=_description(number, f"{mode} 应用: {name}"),
    )
    _dress(chronicle, app, number)
    if mode in ("chat", "agent-chat", "completion"):
        app.app_model_config = _config(chronicle, mode, at)
        if turn == 1:
            _unconfigure(app.app_model_config)
    else:
        _draw_graph(chronicle, app, publish=not (mode == "workflow" and turn == 1))
    used = world.add_api_key(tenant_id=app.tenant_id, at=at, app_id=app.id)
    used.last_used_at = (chronicle.now - timedelta(hours=number)).replace(microsecond=0)
    world.add_api_key(tenant_id=app.tenant_id, at=at + timedelta(days=1), app_id=app.id)


def _description(number: int, text: str) -> str | None:
    """Mostly a text; some have none, which Dify keeps as "" or as null."""
    if number % 10 == 9:
        return None
    return "" if number % 4 == 0 else text


def _dress(chronicle: Chronicle, app: App, number: int) -> None:
    tag_ids = [tag.id for tag in chronicle.world.tags.values() if tag.type == "app"]
    app.tag_ids = tuple(tag_ids[: number % 3])
    if number % 5 == 1:
        app.icon_type, app.icon, app.icon_background = "image", chronicle.world.new_id(), None
    if number % 7 == 6:
        app.icon_type = app.icon = app.icon_background = None
    app.max_active_requests = 10 if number % 6 == 5 else None


def _config(chronicle: Chronicle, mode: str, at: datetime) -> AppModelConfig:
    form: JsonObject = {
        "paragraph": {"label": "Query", "variable": "query", "required": True, "default": ""}
    }
    completion = mode == "completion"
    return AppModelConfig(
        id=chronicle.world.new_id(),
        model={
            "provider": "langgenius/openai/openai",
            "name": "gpt-4o",
            "mode": "chat",
            "completion_params": {"temperature": 0.7, "stop": []},
        },
        pre_prompt="{{query}}" if completion else PROMPT,
        created_by=chronicle.world.account_id,
        created_at=at.replace(microsecond=0),
        opening_statement=None if completion else "你好！How can I help?",
        suggested_questions=("Where is my order?",),
        agent_mode=_agent() if mode == "agent-chat" else _NO_AGENT,
        user_input_form=(form,) if completion else (),
    )


def _agent() -> JsonObject:
    tool: JsonObject = {
        "provider_id": "langgenius/google/google",
        "provider_type": "builtin",
        "provider_name": "langgenius/google/google",
        "tool_name": "google_search",
        "tool_label": "GoogleSearch",
        "tool_parameters": {},
        "enabled": True,
    }
    return {
        "enabled": True,
        "strategy": "function_call",
        "max_iteration": 5,
        "tools": [tool],
        "prompt": None,
    }


def _unconfigure(config: AppModelConfig) -> None:
    """What an app has that was created and never saved: no model, no prompt."""
    config.model = {"provider": None, "name": None, "mode": "chat", "completion_params": {}}
    config.pre_prompt = config.opening_statement = None
    config.suggested_questions = ()
    config.agent_mode = {"enabled": False, "strategy": None, "tools": [], "prompt": None}


def _draw_graph(chronicle: Chronicle, app: App, *, publish: bool) -> None:
    world = chronicle.world
    kinds = ("start", "llm", "answer") if app.mode == "advanced-chat" else ("start", "llm", "end")
    nodes: list[JsonObject] = [
        {
            "id": kind,
            "type": "custom",
            "position": {"x": 80 + 300 * place, "y": 280},
            "data": {"type": kind, "title": kind, "desc": "", "selected": False},
        }
        for place, kind in enumerate(kinds)
    ]
    edges: list[JsonObject] = [
        {"id": f"{a}-{b}", "source": a, "target": b, "type": "custom"} for a, b in pairwise(kinds)
    ]
    graph: JsonObject = {
        "nodes": nodes,
        "edges": edges,
        "viewport": {"x": 0, "y": 0, "zoom": 1},
    }
    saved_at = app.created_at + timedelta(minutes=3)
    world.save_draft(app.id, graph, at=saved_at)
    if publish:
        world.publish(app.id, at=saved_at + timedelta(minutes=5, microseconds=71_013))
        latest = world.publish(app.id, at=saved_at + timedelta(days=2, microseconds=406_161))
        latest.marked_name, latest.marked_comment = "v2", "nothing changed 😅"
