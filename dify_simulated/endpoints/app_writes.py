"""Making, changing, switching and deleting apps. PUT replaces: what is left out is emptied."""

from __future__ import annotations

from werkzeug.wrappers import Response

from dify_simulated.endpoints.app_detail import bare_app, whole_app, without_permissions
from dify_simulated.server.answers import json_response
from dify_simulated.server.bodies import Field, read_body
from dify_simulated.server.calls import ADMINS, EDITORS, Call, Route
from dify_simulated.server.errors import ApiError, bad_request, internal_error
from dify_simulated.server.parameters import older_refusal
from dify_simulated.versions import ErrorFamily
from dify_simulated.world.rows import App, AppModelConfig, Icon, JsonObject, first_settings
from dify_simulated.world.tables import whole_second

CONFIGURED_MODES = ("chat", "agent-chat", "completion")
_MODES = ("chat", "agent-chat", "advanced-chat", "workflow", "completion")
_LONGEST_NAME = 255
_LONGEST_DESCRIPTION = 400


def create_app(call: Call) -> object:
    """POST /apps: 201, every time another app; from 1.16 the whole of it is told."""
    body = read_body(call, "CreateAppPayload", _name(call), Field("mode", choices=_MODES))
    _check_texts(body, call)
    if body.get("mode") is None:
        raise _no_mode(body, call)
    row = new_app(call, body, mode=str(body["mode"]))
    show = whole_app if call.version.answers_by_models else bare_app
    return json_response(show(row, call), 201)


def _name(call: Call) -> Field:
    """From 1.11 a name has at least one letter; before, "" is a name."""
    pydantic = call.version.error_family is ErrorFamily.PYDANTIC
    return Field("name", required=True, low=1 if pydantic else 0)


def _no_mode(body: JsonObject, call: Call) -> ApiError:
    if call.version.error_family is ErrorFamily.PYDANTIC:
        read_body(call, "CreateAppPayload", Field("mode", required=True))
    return bad_request("mode is required")


def _check_texts(body: JsonObject, call: Call) -> None:
    """A long description is refused since 1.7; a long name breaks in the database."""
    description = body.get("description") or ""
    if isinstance(description, str) and len(description) > _LONGEST_DESCRIPTION:
        text = f"Description cannot exceed {_LONGEST_DESCRIPTION} characters."
        if call.version.error_family is ErrorFamily.ERRORS:
            raise older_refusal("description", text, call.version)
        if call.version.error_family is ErrorFamily.PYDANTIC:
            read_body(call, "CreateAppPayload", Field("description", high=_LONGEST_DESCRIPTION))
    if len(str(body["name"])) > _LONGEST_NAME:
        raise internal_error()


def new_app(call: Call, told: JsonObject, *, mode: str) -> App:
    """An app of the account that asks; `told` has name, description and icon."""
    row = call.world.add_app(
        name=str(told["name"]),
        mode=mode,
        at=call.at,
        created_by=call.account.id,
        tenant_id=call.tenant_id,
        description=_text(told.get("description")),
    )
    row.icon_type, row.icon, row.icon_background = _icon_in(told)
    if call.version.answers_by_models:
        row.icon_type = row.icon_type or "emoji"
    if mode in CONFIGURED_MODES:
        row.app_model_config = _first_config(call, mode)
    return row


def _first_config(call: Call, mode: str) -> AppModelConfig:
    """What a new app runs with: the default model of the workspace, when the daemon tells one."""
    no_model = call.switches.plugin_daemon_down
    form: JsonObject = {
        "paragraph": {"label": "Query", "variable": "query", "required": True, "default": ""}
    }
    return AppModelConfig(
        id=call.world.new_id(),
        model={
            "provider": None if no_model else "langgenius/openai/openai",
            "name": None if no_model else "gpt-4o",
            "mode": "chat",
            "completion_params": {},
        },
        pre_prompt="{{query}}" if mode == "completion" else None,
        created_by=call.account.id,
        created_at=call.at.replace(microsecond=0),
        agent_mode={"enabled": False, "strategy": None, "tools": [], "prompt": None},
        user_input_form=(form,) if mode == "completion" else (),
        others=first_settings(newest=call.version.answers_by_models),
    )


def update_app(call: Call) -> object:
    """PUT /apps/{id}: replaces everything; up to 1.10 a null where the database wants a value
    breaks it.
    """
    body = read_body(call, "UpdateAppPayload", _name(call))
    _check_texts(body, call)
    app, empty = call.app, "" if call.version.since(1, 11) else None
    emoji, description = body.get("use_icon_as_answer_icon"), body.get("description")
    if not call.version.since(1, 11) and (emoji is None or description is None):
        raise internal_error()
    app.name, app.description = str(body["name"]), _text(description)
    kind, icon, background = _icon_in(body)
    app.change_icon((kind or empty, icon or empty, background or empty))
    app.use_icon_as_answer_icon = bool(emoji)
    most = body.get("max_active_requests")
    app.max_active_requests = most if isinstance(most, int) else 0 if empty == "" else None
    _touch(call)
    return without_permissions(whole_app(app, call))


def _icon_in(told: JsonObject) -> Icon:
    kind, icon, background = (told.get(key) for key in ("icon_type", "icon", "icon_background"))
    return _text_or_none(kind), _text_or_none(icon), _text_or_none(background)


def _touch(call: Call) -> None:
    call.app.updated_at, call.app.updated_by = whole_second(call.at), call.account.id


def rename_app(call: Call) -> object:
    """POST /apps/{id}/name."""
    call.app.name = str(read_body(call, "AppNamePayload", _name(call))["name"])
    _touch(call)
    return bare_app(call.app, call)


def change_icon(call: Call) -> object:
    """POST /apps/{id}/icon: what is left out is emptied; the newest keep a type that is not sent.

    Recorded of the newest servers; of the older ones by their sources.
    """
    body = read_body(call, "AppIconPayload")
    kind, icon, background = _icon_in(body)
    kind = kind if call.version.since(1, 15) else None
    call.app.change_icon((kind or call.app.icon_type, icon, background))
    _touch(call)
    return bare_app(call.app, call)


def switch_site(call: Call) -> object:
    """POST /apps/{id}/site-enable."""
    return _switched(call, "enable_site")


def switch_api(call: Call) -> object:
    """POST /apps/{id}/api-enable."""
    return _switched(call, "enable_api")


def _switched(call: Call, key: str) -> JsonObject:
    body = read_body(call, "AppSwitchPayload", Field(key, bool, required=True))
    if body[key]:
        call.check_published()
    if getattr(call.app, key) != body[key]:
        setattr(call.app, key, body[key])
        _touch(call)
    return bare_app(call.app, call)


def delete_app(call: Call) -> object:
    """DELETE /apps/{id}: the row goes at once, what belongs to it when a worker comes."""
    del call.world.apps[call.app.id]
    if agent_id := call.world.agent_of_app.get(call.app.id):
        call.world.take_agent(agent_id)
    call.memory.dropped_apps[call.app.id] = call.at
    return Response("", 204, mimetype="application/json")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


_APP = "/apps/<uuid:app_id>"

ROUTES = (
    Route("POST", "/apps", create_app, roles=EDITORS),
    Route("PUT", _APP, update_app, roles=EDITORS),
    Route("DELETE", _APP, delete_app, roles=EDITORS),
    Route("POST", f"{_APP}/name", rename_app, roles=EDITORS),
    Route("POST", f"{_APP}/icon", change_icon, roles=EDITORS),
    Route("POST", f"{_APP}/site-enable", switch_site, roles=EDITORS),
    Route("POST", f"{_APP}/api-enable", switch_api, roles=ADMINS),
)
