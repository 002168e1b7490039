"""/apps/{id}: everything about one app, with secrets that a reader must drop."""

from __future__ import annotations

from dify_simulated.endpoints.apps import config_stamps, icon_url, published_brief, stamps, tags_of
from dify_simulated.server.calls import Call, Route
from dify_simulated.server.errors import plugin_daemon_down
from dify_simulated.server.permissions import app_permissions
from dify_simulated.server.presentation import epoch, known
from dify_simulated.world.rows import App, AppModelConfig, JsonObject

_NOT_TOLD = (
    "icon_type",
    "icon_url",
    "api_base_url",
    "max_active_requests",
    "deleted_tools",
    "site",
    "bound_agent_id",
    "app_id",
)


def get_app(call: Call) -> object:
    """GET /apps/{id}: the stored description, the whole config and the site with its code.

    The tools of an agent are looked up with the plugin daemon.
    """
    config = call.app.app_model_config
    if call.switches.plugin_daemon_down and config is not None and config.agent_mode.get("tools"):
        raise plugin_daemon_down(call.tenant_id, "tool")
    return whole_app(call.app, call)


def whole_app(app: App, call: Call) -> JsonObject:
    """An app with its site: what reading it and PUT answer."""
    config = app.app_model_config
    values: JsonObject = {
        "id": app.id,
        "name": app.name,
        "description": app.description,
        "mode": app.mode,
        "icon_type": app.icon_type,
        "icon": app.icon,
        "icon_background": app.icon_background,
        "icon_url": icon_url(app, call),
        "enable_site": app.enable_site,
        "enable_api": app.enable_api,
        "model_config": None if config is None else config_detail(config),
        "workflow": published_brief(app, call),
        "tracing": None,
        "api_base_url": service_api_url(call),
        "use_icon_as_answer_icon": app.use_icon_as_answer_icon,
        "max_active_requests": app.max_active_requests,
        **stamps(app),
        "deleted_tools": [],
        "access_mode": None,
        "bound_agent_id": call.world.agent_of_app.get(app.id),
        "tags": tags_of(app, call),
        "site": _site(app, call),
        "permission_keys": app_permissions(call),
        "maintainer": app.created_by,
        "app_id": None,
    }
    newest = call.version.tells_permissions
    named = call.version.since(1, 7)
    return known(
        values,
        tracing=call.version.since(1, 10),
        max_active_requests=named,
        access_mode=named,
        bound_agent_id=call.version.has_agents,
        tags=named,
        permission_keys=newest,
        maintainer=newest,
        app_id=call.version.has_agents,
    )


def bare_app(app: App, call: Call) -> JsonObject:
    """An app without its site and half of its icon: what renaming and switching answer.

    `tracing` is there in every release, unlike when the app is read; what the caller may do is not
    told.
    """
    whole = without_permissions(whole_app(app, call))
    return {**{key: whole[key] for key in whole if key not in _NOT_TOLD}, "tracing": None}


def without_permissions(app: JsonObject) -> JsonObject:
    """The answer to a change of an app: its `permission_keys` are empty."""
    return {**app, "permission_keys": []} if "permission_keys" in app else app


def service_api_url(call: Call) -> str:
    """SERVICE_API_URL of the server, else the host that the request names."""
    return (call.switches.service_api_url or call.request.host_url).rstrip("/") + "/v1"


def config_detail(config: AppModelConfig) -> JsonObject:
    """The whole model config."""
    return {
        "opening_statement": config.opening_statement,
        "suggested_questions": list(config.suggested_questions),
        "suggested_questions_after_answer": {"enabled": False},
        "speech_to_text": {"enabled": False},
        "text_to_speech": {"enabled": False, "voice": "", "language": ""},
        "retriever_resource": {"enabled": False},
        "annotation_reply": {"enabled": False},
        "more_like_this": {"enabled": False},
        "sensitive_word_avoidance": {"enabled": False},
        "external_data_tools": [],
        "model": config.model,
        "user_input_form": list(config.user_input_form),
        "dataset_query_variable": None,
        "pre_prompt": config.pre_prompt,
        "agent_mode": _with_masked_secrets(config.agent_mode),
        "prompt_type": "simple",
        "chat_prompt_config": {},
        "completion_prompt_config": {},
        "dataset_configs": {"retrieval_model": "multiple", "datasets": {"datasets": []}},
        "file_upload": {
            "image": {
                "enabled": False,
                "number_limits": 3,
                "detail": "high",
                "transfer_methods": ["remote_url", "local_file"],
            }
        },
        **config.others,
        **config_stamps(config),
    }


def _with_masked_secrets(agent_mode: JsonObject) -> JsonObject:
    """Secret parameters of tools (here: `api_key`) show their ends only."""
    tools = agent_mode.get("tools")
    if not isinstance(tools, list):
        return agent_mode
    return {**agent_mode, "tools": [_with_masked_secret(tool) for tool in tools]}


def _with_masked_secret(tool: JsonObject) -> JsonObject:
    parameters = tool.get("tool_parameters")
    if not isinstance(parameters, dict) or "api_key" not in parameters:
        return tool
    masked = {**parameters, "api_key": masked_secret(parameters["api_key"])}
    return {**tool, "tool_parameters": masked}


def masked_secret(value: object) -> object:
    """How Dify shows a secret parameter of a tool."""
    return f"{value[:2]}{'*' * 12}{value[-2:]}" if isinstance(value, str) else value


def _site(app: App, call: Call) -> JsonObject:
    """`access_token` and `code` open the public page: secrets."""
    created_at = epoch(app.site.created_at)
    kind, icon, background = app.site.first_icon or app.whole_icon
    values: JsonObject = {
        "access_token": app.site.code,
        "code": app.site.code,
        "title": app.site.title,
        "icon_type": kind,
        "icon": icon,
        "icon_background": background,
        "icon_url": icon_url(app, call),
        "description": None,
        "default_language": "en-US",
        "chat_color_theme": None,
        "chat_color_theme_inverted": False,
        "customize_domain": None,
        "copyright": None,
        "privacy_policy": None,
        "input_placeholder": None,
        "custom_disclaimer": "",
        "customize_token_strategy": "not_allow",
        "prompt_public": False,
        "app_base_url": "http://dify.test",
        "show_workflow_steps": True,
        "use_icon_as_answer_icon": False,
        "created_by": app.site.created_by,
        "created_at": created_at,
        "updated_by": app.site.created_by,
        "updated_at": created_at,
    }
    return known(values, input_placeholder=call.version.answers_by_models)


ROUTES = (Route("GET", "/apps/<uuid:app_id>", get_app),)
