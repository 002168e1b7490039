"""/apps: the list with its filters."""

from __future__ import annotations

from uuid import UUID

from dify_simulated.server.calls import Call, Route
from dify_simulated.server.errors import invalid_param
from dify_simulated.server.paging import LIMIT, PAGE, page_answer
from dify_simulated.server.parameters import Choice, Flag, Parameter, Values
from dify_simulated.server.permissions import app_permissions
from dify_simulated.server.presentation import account_name, epoch, known, signed
from dify_simulated.world.indexes import tie_order
from dify_simulated.world.rows import App, AppModelConfig, JsonObject, Workflow

CHAT_MODES = ("chat", "agent-chat", "advanced-chat", "agent")
WORKFLOW_MODES = ("workflow", "advanced-chat")

_MODES = ("completion", "chat", "advanced-chat", "workflow", "agent-chat", "channel", "all")
# As the refusal of an unknown mode names them.
_MODES_WITH_AGENTS = (*_MODES[:5], "agent", *_MODES[5:])
_SORT_BY = Choice(
    "sort_by",
    "last_modified",
    choices=("last_modified", "recently_created", "earliest_created"),
)
# 1.0 grouped the modes of /apps?mode=.
_GROUPED_MODES = {
    "chat": ("chat", "advanced-chat"),
    "workflow": ("workflow", "completion"),
    "agent-chat": ("agent-chat",),
}


def list_apps(call: Call) -> object:
    """GET /apps: newest first by whole seconds, ties in no promised order.

    From 1.16 `sort_by` chooses, and without it the last that was modified comes first.
    """
    grouped = not call.version.since(1, 3)
    modes: tuple[str, ...] = (*_GROUPED_MODES, "channel", "all") if grouped else _MODES
    if call.version.has_agents:
        modes = _MODES_WITH_AGENTS
    asked = call.query(
        "AppListQuery",
        PAGE,
        LIMIT,
        Choice("mode", "all", choices=modes),
        Parameter("name"),
        Flag("is_created_by_me"),
        *((_SORT_BY,) if call.version.answers_by_models else ()),
    )
    _check_tags(call)
    rows = [app for app in call.world.apps.values() if _matches(app, asked, call)]
    page, limit = asked.whole("page"), asked.whole("limit")
    _sort(rows, asked.text("sort_by") or "recently_created", limit)
    shown = [app_in_list(app, call) for app in rows[(page - 1) * limit : page * limit]]
    return page_answer(shown, page=page, limit=limit, total=len(rows))


def _sort(rows: list[App], sort_by: str, limit: int) -> None:
    if sort_by == "last_modified":
        rows.sort(key=lambda app: (app.updated_at, tie_order(app.id, limit)), reverse=True)
    else:
        rows.sort(
            key=lambda app: (app.created_at, tie_order(app.id, limit)),
            reverse=sort_by == "recently_created",
        )


def _matches(app: App, asked: Values, call: Call) -> bool:
    if app.tenant_id != call.tenant_id:
        return False
    if asked.flag("is_created_by_me") and app.created_by != call.account.id:
        return False
    return (
        _of_mode(app, asked.text("mode") or "all", call)
        and _of_name(app, asked.text("name"), call)
        and _of_tags(app, call)
        and _of_creators(app, call)
    )


def _of_mode(app: App, mode: str, call: Call) -> bool:
    """`channel` is accepted and filters nothing; `all`, the default, leaves agents out."""
    if mode in ("all", "channel"):
        return mode == "channel" or app.mode != "agent"
    if not call.version.since(1, 3):
        return app.mode in _GROUPED_MODES[mode]
    return app.mode == mode


def _of_name(app: App, name: str | None, call: Call) -> bool:
    """The first 30 characters count; up to 1.11 a `%` matches everything."""
    if not name:
        return True
    wanted = name[:30].lower()
    if not call.version.since(1, 12):
        wanted = wanted.replace("%", "")
    return wanted in app.name.lower()


def _check_tags(call: Call) -> None:
    for tag_id in _tags_asked(call):
        try:
            UUID(tag_id)
        except ValueError:
            raise invalid_param("Invalid UUID format in tag_ids.") from None


def _of_tags(app: App, call: Call) -> bool:
    return set(_tags_asked(call)) <= set(app.tag_ids)


def _tags_asked(call: Call) -> list[str]:
    """`tag_ids`, of which an app needs all: a comma list to 1.13, `tag_ids[0]=` in 1.14 and 1.15.

    From 1.16 the name is repeated, and the indexed form is not known: all apps come.
    """
    arguments = call.request.args
    if call.version.answers_by_models:
        return arguments.getlist("tag_ids")
    if call.version.since(1, 14):
        return [value for key, value in arguments.items() if key.startswith("tag_ids[")]
    return [part for part in arguments.get("tag_ids", "").split(",") if part]


def _of_creators(app: App, call: Call) -> bool:
    """`creator_ids`: a comma list from 1.14, repeated from 1.16."""
    if call.version.answers_by_models:
        wanted = call.request.args.getlist("creator_ids")
    else:
        wanted = [part for part in call.request.args.get("creator_ids", "").split(",") if part]
    return not call.version.since(1, 14) or not wanted or app.created_by in wanted


def app_in_list(app: App, call: Call) -> JsonObject:
    """A line of the list."""
    config = app.app_model_config
    values: JsonObject = {
        "id": app.id,
        "name": app.name,
        "max_active_requests": app.max_active_requests,
        "description": _described(app, call),
        "mode": app.mode,
        "icon_type": app.icon_type,
        "icon": app.icon,
        "icon_background": app.icon_background,
        "icon_url": icon_url(app, call),
        "model_config": None if config is None else _config_brief(config),
        "workflow": published_brief(app, call),
        "use_icon_as_answer_icon": app.use_icon_as_answer_icon,
        **stamps(app),
        "tags": tags_of(app, call),
        "access_mode": None,
        "create_user_name": None,
        "author_name": account_name(call, app.created_by),
        "has_draft_trigger": False,
        "permission_keys": app_permissions(call),
        "bound_agent_id": call.world.agent_of_app.get(app.id),
        "app_id": None,
        "is_starred": call.account.id in app.starred_by,
        "maintainer": app.created_by,
    }
    newest = call.version.tells_permissions
    named = call.version.since(1, 7)
    return known(
        values,
        access_mode=named,
        create_user_name=named,
        author_name=named,
        has_draft_trigger=call.version.since(1, 10),
        permission_keys=newest,
        bound_agent_id=call.version.has_agents,
        app_id=call.version.has_agents,
        is_starred=newest,
        maintainer=newest,
    )


def _described(app: App, call: Call) -> str | None:
    """An empty description shows the first 200 characters of the prompt instead."""
    config = app.app_model_config
    prompt = config.pre_prompt if config else None
    if app.description or prompt:
        return app.description or (prompt or "")[:200]
    return "" if call.version.since(1, 9) else app.description


def stamps(row: App) -> JsonObject:
    """Who made and changed an app, and when."""
    return {
        "created_by": row.created_by,
        "created_at": epoch(row.created_at),
        "updated_by": row.updated_by,
        "updated_at": epoch(row.updated_at),
    }


def icon_url(app: App, call: Call) -> str | None:
    """A link to an image icon, signed anew each time; None for other icons."""
    return signed(f"{app.icon}/file-preview", call) if app.icon_type == "image" else None


def tags_of(app: App, call: Call) -> list[JsonObject]:
    """The tags of an app."""
    rows = (call.world.tags[tag_id] for tag_id in app.tag_ids)
    return [{"id": row.id, "name": row.name, "type": row.type} for row in rows]


def _config_brief(config: AppModelConfig) -> JsonObject:
    return {"model": config.model, "pre_prompt": config.pre_prompt, **config_stamps(config)}


def config_stamps(row: AppModelConfig) -> JsonObject:
    """A config is written once: each change is another row."""
    created_at = epoch(row.created_at)
    return {
        "created_by": row.created_by,
        "created_at": created_at,
        "updated_by": row.created_by,
        "updated_at": created_at,
    }


def published_brief(app: App, call: Call) -> JsonObject | None:
    """The published version without its graph, None before the first."""
    row: Workflow | None = call.world.published_of(app.id)
    if row is None:
        return None
    return {
        "id": row.id,
        "created_by": row.created_by,
        "created_at": epoch(row.created_at),
        "updated_by": row.updated_by,
        "updated_at": epoch(row.updated_at),
    }


ROUTES = (Route("GET", "/apps", list_apps),)
