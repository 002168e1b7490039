"""The DSL of an app: exported as YAML, and imported as a new app or over an old one.

All is recorded for 1.16.1 and later. Of older releases one export and one import of two were
recorded; inferred are imports that wait or fail there, the versions of the DSL between, and that
an import over an app takes features, variables and the icon of the DSL, and leaves whether answers
show it; and that they ignore the version that an export asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from werkzeug.wrappers import Response
from yaml import YAMLError, safe_dump, safe_load

from dify_simulated.endpoints.app_detail import config_detail
from dify_simulated.endpoints.app_writes import CONFIGURED_MODES, new_app
from dify_simulated.endpoints.apps import WORKFLOW_MODES
from dify_simulated.endpoints.workflows import features_of
from dify_simulated.server.answers import json_response
from dify_simulated.server.bodies import Field, read_body
from dify_simulated.server.calls import EDITORS, Call, Route
from dify_simulated.server.errors import internal_error, invalid_param, plugin_daemon_down
from dify_simulated.server.parameters import Flag, Identifier, Values
from dify_simulated.server.presentation import known
from dify_simulated.versions import ServerVersion
from dify_simulated.world.prices import GPT_4O
from dify_simulated.world.rows import Agent, App, AppModelConfig, JsonObject, Workflow

_LISTS = ("suggested_questions", "user_input_form")
# How a DSL of one agent names its package.
_REF = "agent_1"
_STAMPS = ("created_by", "created_at", "updated_by", "updated_at")


def dsl_version(version: ServerVersion) -> str:
    """The version of the DSL that a release writes; 0.3.1, 0.5.0 and 0.7.0 were recorded."""
    if version.since(1, 16):
        return "0.7.0"
    if version.since(1, 11):
        return "0.5.0"
    if version.since(1, 9):
        return "0.4.0"
    return "0.3.1" if version.since(1, 7) else "0.1.5"


def export_app(call: Call) -> object:
    """GET /apps/{id}/export: the draft as YAML, or the version that `workflow_id` names.

    Secrets of its environment come on request only. Without a draft a workflow is refused: 500 was
    recorded of 1.16.1, 400 seen of 1.12.1.
    """
    asked = call.query("AppExportQuery", Flag("include_secret", False), Identifier("workflow_id"))
    if call.switches.plugin_daemon_down:
        raise plugin_daemon_down(call.tenant_id, "installation/fetch/batch")
    app = call.app
    dsl: JsonObject = {
        "version": dsl_version(call.version),
        "kind": "app",
        "app": {
            "name": app.name,
            "mode": app.mode,
            **({"icon_type": app.icon_type} if call.version.answers_by_models else {}),
            "icon": app.icon,
            "icon_background": app.icon_background,
            "description": app.description or "",
            "use_icon_as_answer_icon": app.use_icon_as_answer_icon,
        },
        "dependencies": [],
        **_content(app, call, asked),
    }
    return {"data": safe_dump(dsl, allow_unicode=True)}


def _content(app: App, call: Call, asked: Values) -> JsonObject:
    if app.mode == "agent":
        return _package(app, call.world.agents[call.world.agent_of_app[app.id]])
    if app.mode not in WORKFLOW_MODES:
        config = app.app_model_config
        told = {} if config is None else config_detail(config)
        return {"model_config": {key: told[key] for key in told if key not in _STAMPS}}
    exported, with_secrets = _exported(app, call, asked), bool(asked.flag("include_secret"))
    variables = exported.environment_variables
    return {
        "workflow": {
            "graph": exported.graph,
            "features": features_of(exported),
            "environment_variables": [
                one if with_secrets or one.get("value_type") != "secret" else {**one, "value": ""}
                for one in variables
            ],
            "conversation_variables": [*exported.conversation_variables],
        }
    }


def _package(app: App, agent: Agent) -> JsonObject:
    """What an agent is: who it says that it is, and the model that it thinks with."""
    provider = GPT_4O.provider
    model: JsonObject | None = {
        "plugin_id": provider.rpartition("/")[0],
        "model_provider": provider,
        "model": agent.model,
    }
    model = None if agent.model is None else model
    metadata: JsonObject = {
        "name": app.name,
        "description": app.description or "",
        "role": agent.role,
        "icon_type": app.icon_type,
        "icon": app.icon,
        "icon_background": app.icon_background,
    }
    package: JsonObject = {
        "schema_version": 1,
        "metadata": metadata,
        "omitted_assets": [],
        "soul": {"schema_version": 1, "model": model, "prompt": {"system_prompt": ""}},
    }
    return {"agent": {"package_ref": _REF}, "agent_packages": {_REF: package}}


def _exported(app: App, call: Call, asked: Values) -> Workflow:
    version_id = asked.text("workflow_id") if call.version.since(1, 9) else None
    row = call.world.workflows.get(version_id) if version_id else call.world.draft_of(app.id)
    if row is not None and row.app_id == app.id:
        return row
    if call.version.since(1, 15):
        raise internal_error()
    raise invalid_param("Missing draft workflow configuration, please check.")


def import_app(call: Call) -> object:
    """POST /apps/imports: 200 done, 202 waiting for a confirmation, 400 failed; never idempotent.

    A DSL that is newer than the server, or of another major version, waits for ten minutes.
    """
    body = read_body(call, "AppImportPayload", Field("mode", required=True))
    if body["mode"] not in ("yaml-content", "yaml-url"):
        raise invalid_param(f"Invalid import_mode: {body['mode']}")
    dsl, problem = _parsed(body, _modes(call))
    if problem is not None:
        return _failed(call, dsl, problem)
    if _is_newer(dsl, call.version):
        import_id = call.world.new_id()
        call.memory.pending_imports[import_id] = {**body, "dsl": dsl}
        return json_response(_import_state(call, dsl, "pending", None, import_id), 202)
    return _brought_in(call, dsl, body, call.world.new_id())


def confirm_import(call: Call) -> object:
    """POST /apps/imports/{id}/confirm: once."""
    import_id = call.path["import_id"]
    body = call.memory.pending_imports.pop(import_id, None)
    if body is None:
        return _failed(call, {}, "Import information expired or does not exist", import_id)
    dsl = body["dsl"]
    return _brought_in(call, dsl if isinstance(dsl, dict) else {}, body, import_id)


def _modes(call: Call) -> tuple[str, ...]:
    agents = ("agent",) if call.version.has_agents else ()
    return (*CONFIGURED_MODES, *WORKFLOW_MODES, *agents)


def _parsed(body: JsonObject, modes: tuple[str, ...]) -> tuple[JsonObject, str | None]:
    if not body.get("yaml_content"):
        return {}, "yaml_content is required when import_mode is yaml-content"
    try:
        dsl = safe_load(str(body["yaml_content"]))
    except YAMLError as error:
        return {}, f"Invalid YAML format: {error}"
    if not isinstance(dsl, dict):
        return {}, "Invalid YAML format: content must be a mapping"
    if not isinstance(dsl.get("app"), dict):
        return dsl, "Missing app data in YAML content"
    if not _is_number(dsl.get("version")):
        return dsl, f"Invalid version: {dsl.get('version')}"
    if _mode(dsl) not in modes:
        return dsl, "Invalid app mode"
    return dsl, None


def _number(text: object) -> tuple[int, ...]:
    return tuple(int(part) for part in str(text or "0.1.0").split("."))


def _mode(dsl: JsonObject) -> object:
    app = dsl["app"]
    return app.get("mode") if isinstance(app, dict) else None


def _is_number(text: object) -> bool:
    return all(part.isdecimal() for part in str(text or "0.1.0").split("."))


def _is_newer(dsl: JsonObject, version: ServerVersion) -> bool:
    theirs, ours = _number(dsl.get("version")), _number(dsl_version(version))
    return theirs > ours or theirs[0] < ours[0]


def _brought_in(call: Call, dsl: JsonObject, body: JsonObject, import_id: str) -> Response:
    told = dsl["app"]
    assert isinstance(told, dict)
    app_id = body.get("app_id")
    app = call.world.apps.get(str(app_id)) if app_id else None
    if app_id and app is None:
        return _failed(call, dsl, "App not found")
    if app is not None and app.mode not in WORKFLOW_MODES:
        return _failed(call, dsl, "Only workflow or advanced chat apps can be overwritten")
    name = {"name": body.get("name") or told.get("name") or "", "icon_type": "emoji"}
    if app is None and told.get("mode") == "agent":
        app = _new_agent(call, dsl, str(name["name"]))
    elif app is None:
        app = new_app(call, {**told, **name}, mode=str(told.get("mode")))
        app.use_icon_as_answer_icon = bool(told.get("use_icon_as_answer_icon"))
    else:
        app.name, app.description = str(name["name"]), str(told.get("description") or "")
        app.icon = str(told.get("icon") or app.icon or "")
        app.icon_background = str(told.get("icon_background") or app.icon_background or "")
    _fill(call, app, dsl)
    older = _number(dsl.get("version"))[:2] < _number(dsl_version(call.version))[:2]
    status = "completed-with-warnings" if older else "completed"
    return json_response(_import_state(call, dsl, status, app, import_id), 200)


def _new_agent(call: Call, dsl: JsonObject, name: str) -> App:
    """An agent as its package tells it; never published."""
    package = _at(dsl, "agent_packages", str(_at(dsl, "agent", "package_ref")))
    description, role, model = (
        _at(package, *path)
        for path in (("metadata", "description"), ("metadata", "role"), ("soul", "model", "model"))
    )
    return call.world.add_agent_app(
        name=name,
        at=call.at,
        created_by=call.account.id,
        tenant_id=call.tenant_id,
        description=str(description or ""),
        role=str(role or ""),
        model=None if model is None else str(model),
    )


def _at(held: object, *path: str) -> object:
    for key in path:
        held = held.get(key) if isinstance(held, dict) else None
    return held


def _fill(call: Call, app: App, dsl: JsonObject) -> None:
    flow, config = dsl.get("workflow"), dsl.get("model_config")
    if app.mode in WORKFLOW_MODES and isinstance(flow, dict):
        features = flow.get("features")
        draft = call.world.save_draft(
            app.id,
            flow.get("graph") or {},
            at=call.at,
            features=features if isinstance(features, dict) else None,
        )
        draft.environment_variables = tuple(flow.get("environment_variables") or ())
        draft.conversation_variables = tuple(flow.get("conversation_variables") or ())
    if app.mode in CONFIGURED_MODES and isinstance(config, dict):
        app.app_model_config = _config(config, call)


def _config(told: Mapping[str, Any], call: Call) -> AppModelConfig:
    named = ("model", "pre_prompt", "opening_statement", "agent_mode", *_LISTS)
    return AppModelConfig(
        id=call.world.new_id(),
        model=told.get("model") or {},
        pre_prompt=told.get("pre_prompt"),
        created_by=call.account.id,
        created_at=call.at.replace(microsecond=0),
        opening_statement=told.get("opening_statement"),
        suggested_questions=tuple(told.get("suggested_questions") or ()),
        agent_mode=told.get("agent_mode") or {},
        user_input_form=tuple(told.get("user_input_form") or ()),
        others={key: told[key] for key in told if key not in named},
    )


def _import_state(
    call: Call, dsl: JsonObject, status: str, app: App | None, import_id: str, error: str = ""
) -> JsonObject:
    values: JsonObject = {
        "id": import_id,
        "status": status,
        "app_id": None if app is None else app.id,
        "app_mode": None if app is None else app.mode,
        "permission_keys": [],
        "current_dsl_version": dsl_version(call.version),
        "imported_dsl_version": str(dsl.get("version") or ""),
        "error": error,
        "warnings": [],
    }
    newest = call.version.answers_by_models
    return known(values, permission_keys=newest, warnings=newest)


def _failed(call: Call, dsl: JsonObject, error: str, import_id: str | None = None) -> Response:
    """From 1.16 the version of what was sent is not told."""
    told = {} if call.version.answers_by_models else dsl
    answer = _import_state(call, told, "failed", None, import_id or call.world.new_id(), error)
    return json_response(answer, 400)


ROUTES = (
    Route("GET", "/apps/<uuid:app_id>/export", export_app, roles=EDITORS),
    Route("POST", "/apps/imports", import_app, roles=EDITORS),
    Route("POST", "/apps/imports/<import_id>/confirm", confirm_import, roles=EDITORS),
)
