"""POST /apps/{id}/model-config: replaces the whole config; what is left out falls to defaults."""

from __future__ import annotations

from dify_simulated.endpoints.app_detail import masked_secret
from dify_simulated.endpoints.app_writes import CONFIGURED_MODES
from dify_simulated.server.bodies import json_object
from dify_simulated.server.calls import EDITORS, Call, Route
from dify_simulated.server.errors import invalid_param
from dify_simulated.world.rows import AppModelConfig, JsonObject
from dify_simulated.world.tables import whole_second

_STRATEGIES = (None, "router", "react-router", "react", "function_call")
_TOOL_KEYS = ("provider_type", "provider_id", "tool_name", "tool_parameters")
_FORM_KINDS = (
    "text-input",
    "select",
    "paragraph",
    "number",
    "checkbox",
    "file",
    "file-list",
    "external_data_tool",
)
_OTHERS: JsonObject = {
    "suggested_questions_after_answer": {"enabled": False},
    "speech_to_text": {"enabled": False},
    "text_to_speech": {"enabled": False, "voice": "", "language": ""},
    "retriever_resource": {"enabled": False},
    "more_like_this": {"enabled": False},
    "sensitive_word_avoidance": {"enabled": False},
    "external_data_tools": [],
    "dataset_query_variable": None,
    "prompt_type": "simple",
    "chat_prompt_config": {},
    "completion_prompt_config": {},
    "dataset_configs": {
        "retrieval_model": "single",
        "datasets": {"strategy": "router", "datasets": []},
    },
    "file_upload": {
        "image": {
            "enabled": False,
            "number_limits": 3,
            "detail": "high",
            "transfer_methods": ["remote_url", "local_file"],
        }
    },
}


def replace_model_config(call: Call) -> object:
    """POST /apps/{id}/model-config: a new config row each time; unknown keys are dropped."""
    body = json_object(call)
    call.ask_for_models()
    call.app.app_model_config = AppModelConfig(
        id=call.world.new_id(),
        model=_model(body),
        pre_prompt=_text(body, "pre_prompt"),
        created_by=call.account.id,
        created_at=call.at.replace(microsecond=0),
        opening_statement=_text(body, "opening_statement"),
        suggested_questions=tuple(str(one) for one in _list(body, "suggested_questions")),
        agent_mode=_agent_mode(body, call),
        user_input_form=tuple(_form(body)),
        others=_others(body),
    )
    if call.version.since(1, 12):
        call.app.updated_at, call.app.updated_by = whole_second(call.at), call.account.id
    return {"result": "success"}


def _model(body: JsonObject) -> JsonObject:
    """The server sets `mode` and `stop`, and writes a bare provider out."""
    model = _object(body, "model")
    if not model:
        raise invalid_param("model is required")
    provider, name = model.get("provider"), model.get("name")
    if not isinstance(provider, str) or not provider:
        raise invalid_param("model.provider is required and must be in []")
    if not isinstance(name, str) or not name:
        raise invalid_param("model.name is required")
    parameters = model.get("completion_params")
    if not isinstance(parameters, dict):
        raise invalid_param("model.completion_params is required")
    stop = parameters.get("stop", [])
    if not isinstance(stop, list) or len(stop) > 4:
        raise invalid_param("stop sequences must be less than 4")
    whole = provider if "/" in provider else f"langgenius/{provider}/{provider}"
    return {
        "provider": whole,
        "name": name,
        "mode": "chat",
        "completion_params": {**parameters, "stop": stop},
    }


def _agent_mode(body: JsonObject, call: Call) -> JsonObject:
    mode = _object(body, "agent_mode")
    if mode.get("strategy") not in _STRATEGIES:
        raise invalid_param("strategy in agent_mode must be in the specified strategy list")
    tools = mode.get("tools") or []
    if not isinstance(tools, list):
        raise invalid_param("tools in agent_mode must be a list of objects")
    for tool in tools:
        for key in _TOOL_KEYS:
            if key not in tool:
                raise invalid_param(f"{key} is required in agent_mode.tools")
    return {
        **mode,
        "enabled": bool(mode.get("enabled")),
        "strategy": mode.get("strategy") or "router",
        "tools": [_with_kept_secrets(tool, call) for tool in tools],
    }


def _with_kept_secrets(tool: JsonObject, call: Call) -> JsonObject:
    """A secret that comes back masked is the stored one."""
    old = call.app.app_model_config
    stored = old.agent_mode.get("tools") if old is not None else None
    sent = _object(tool, "tool_parameters")
    for other in stored if isinstance(stored, list) else []:
        if other.get("tool_name") == tool.get("tool_name"):
            known = other.get("tool_parameters") or {}
            kept = {key: known[key] for key in sent if sent[key] == masked_secret(known.get(key))}
            return {**tool, "tool_parameters": {**sent, **kept}}
    return tool


def _form(body: JsonObject) -> list[JsonObject]:
    form = _list(body, "user_input_form")
    for line in form:
        kind, told = next(iter(line.items())) if isinstance(line, dict) and line else ("", {})
        if kind not in _FORM_KINDS:
            raise invalid_param("Keys in user_input_form list can only be one of the known kinds")
        for key in ("label", "variable"):
            if not isinstance(told, dict) or key not in told:
                raise invalid_param(f"{key} is required in user_input_form")
    return form


def _others(body: JsonObject) -> JsonObject:
    others = {key: body.get(key) or default for key, default in _OTHERS.items()}
    if others["prompt_type"] not in ("simple", "advanced"):
        raise invalid_param("prompt_type must be in ['simple', 'advanced']")
    prompts = ("chat_prompt_config", "completion_prompt_config")
    if others["prompt_type"] == "advanced" and not any(others[key] for key in prompts):
        raise invalid_param("chat_prompt_config or completion_prompt_config is required")
    avoidance = _object(others, "sensitive_word_avoidance")
    if avoidance.get("enabled"):
        if not avoidance.get("type"):
            raise invalid_param("sensitive_word_avoidance.type is required")
        if not isinstance(avoidance.get("config"), dict):
            raise invalid_param("sensitive_word_avoidance.config must be a dict")
    return others


def _object(body: JsonObject, key: str) -> JsonObject:
    value = body.get(key) or {}
    if not isinstance(value, dict):
        raise invalid_param(f"{key} must be of object type")
    return value


def _list(body: JsonObject, key: str) -> list[JsonObject]:
    value = body.get(key) or []
    if not isinstance(value, list):
        raise invalid_param(f"{key} must be of list type")
    return value


def _text(body: JsonObject, key: str) -> str:
    value = body.get(key) or ""
    if not isinstance(value, str):
        raise invalid_param(f"{key} must be of string type")
    return value


ROUTES = (
    Route(
        "POST",
        "/apps/<uuid:app_id>/model-config",
        replace_model_config,
        modes=CONFIGURED_MODES,
        roles=EDITORS,
        roles_since=(1, 9),
    ),
)
