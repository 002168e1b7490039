"""Model configs survive reading, changing and writing whole."""

from typing import Any

import pytest

from dify_etl.dify.errors import AppGone, NotAllowed, NotFound, NotSent, Refused
from dify_etl.dify.model_config import STAMPS, ModelConfig
from dify_etl_tests.dify.pretend_workspace import (
    EVERY_VERSION,
    NORMAL,
    app_of,
    client_of,
)
from dify_etl_tests.dify.recordings import VERSIONS, exchanges
from dify_simulated import SimulatedDify, World

MODEL = {"provider": "langgenius/openai/openai", "name": "gpt-4o", "completion_params": {}}
WHOLE: dict[str, Any] = {
    "model": {**MODEL, "mode": "chat", "completion_params": {"temperature": 0.2, "stop": ["END"]}},
    "pre_prompt": "Be kind. 请友善",
    "prompt_type": "advanced",
    "chat_prompt_config": {"prompt": [{"role": "system", "text": "hi"}]},
    "completion_prompt_config": {},
    "user_input_form": [{"select": {"label": "Zone", "variable": "zone", "options": ["a"]}}],
    "dataset_query_variable": "query",
    "opening_statement": "hello",
    "suggested_questions": ["why?"],
    "suggested_questions_after_answer": {"enabled": True},
    "speech_to_text": {"enabled": True},
    "text_to_speech": {"enabled": True, "voice": "alloy", "language": "en-US"},
    "retriever_resource": {"enabled": True},
    "more_like_this": {"enabled": True},
    "sensitive_word_avoidance": {
        "enabled": True,
        "type": "keywords",
        "config": {"keywords": "spam", "inputs_config": {"enabled": True}},
    },
    "external_data_tools": [{"variable": "weather", "type": "api", "enabled": True}],
    "agent_mode": {
        "enabled": True,
        "strategy": "function_call",
        "max_iteration": 5,
        "tools": [
            {
                "provider_type": "builtin",
                "provider_id": "langgenius/google/google",
                "provider_name": "google",
                "tool_name": "google_search",
                "tool_label": "Search",
                "tool_parameters": {"api_key": "secret-of-a-tool", "depth": 2},
                "enabled": True,
                "notAuthor": False,
            }
        ],
        "prompt": None,
    },
    "dataset_configs": {
        "retrieval_model": "multiple",
        "datasets": {"datasets": [{"dataset": {"enabled": True, "id": "d-1"}}]},
        "top_k": 4,
        "score_threshold": 0.5,
        "score_threshold_enabled": True,
        "reranking_enable": False,
        "reranking_mode": "weighted_score",
        "reranking_model": {"reranking_provider_name": "", "reranking_model_name": ""},
        "weights": None,
    },
    "file_upload": {
        "image": {
            "enabled": True,
            "detail": "low",
            "number_limits": 2,
            "transfer_methods": ["local_file"],
        },
        "enabled": True,
        "allowed_file_types": ["image"],
        "allowed_file_extensions": [".png"],
        "allowed_file_upload_methods": ["local_file"],
        "number_limits": 2,
    },
}


def shown(config: ModelConfig) -> dict[str, Any]:
    """Without what only another endpoint writes."""
    return {key: value for key, value in config.body().items() if key != "annotation_reply"}


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_every_parameter_arrives(world: World, version: str) -> None:
    """Whatever a config can say is stored and read back, secrets of tools masked."""
    dify, app = client_of(SimulatedDify(world, version)), app_of(world, "agent-chat")

    dify.apps.replace_model_config(app.id, ModelConfig.of(WHOLE))

    read = shown(dify.apps.model_config(app.id))
    parameters = read["agent_mode"]["tools"][0]["tool_parameters"]
    assert parameters.pop("api_key") == "se************ol"
    sent = ModelConfig.of(WHOLE).body()
    sent["agent_mode"]["tools"][0]["tool_parameters"].pop("api_key")
    assert read == sent


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_a_change_keeps_the_rest(world: World, version: str) -> None:
    """Read, change, write: objects are merged, and a masked secret keeps its value."""
    dify, app = client_of(SimulatedDify(world, version)), app_of(world, "agent-chat")
    dify.apps.replace_model_config(app.id, ModelConfig.of(WHOLE))
    before = shown(dify.apps.model_config(app.id))

    written = dify.apps.change_model_config(
        app.id, {"model": {"completion_params": {"temperature": 0.9}}, "suggested_questions": []}
    )

    after = shown(dify.apps.model_config(app.id))
    before["model"]["completion_params"]["temperature"] = 0.9
    before["suggested_questions"] = []
    assert after == before == shown(written.value)
    config = app.app_model_config
    assert config is not None
    tools: Any = config.agent_mode["tools"]
    assert tools[0]["tool_parameters"]["api_key"] == "secret-of-a-tool"


def test_a_replacement_resets_what_it_leaves_out(world: World) -> None:
    """The server fills the rest with its defaults: why changing reads first."""
    dify, app = client_of(SimulatedDify(world)), app_of(world, "chat")
    dify.apps.replace_model_config(app.id, ModelConfig.of({**WHOLE, "agent_mode": None}))

    dify.apps.replace_model_config(app.id, ModelConfig.of({"model": MODEL}))

    config = dify.apps.model_config(app.id)
    assert (config.opening_statement, config.suggested_questions) == ("", [])
    assert config.speech_to_text is not None
    assert not config.speech_to_text.enabled


@pytest.mark.parametrize("version", ["1.7.2", "1.12.1"])
def test_moderation_is_read_from_config(world: World, version: str) -> None:
    """A list `configs`, as one client sends it, is no moderation to the server."""
    dify, app = client_of(SimulatedDify(world, version)), app_of(world, "chat")
    wrong = {"enabled": True, "type": "keywords", "configs": [{"keywords": "spam"}]}

    with pytest.raises(Refused):
        dify.apps.change_model_config(app.id, {"sensitive_word_avoidance": wrong})


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"name": None}},
        {"agent_mode": {"strategy": "magic"}},
        {"user_input_form": [{"colour": {"label": "x", "variable": "x"}}]},
        {"prompt_type": "advanced"},
    ],
)
def test_broken_rules_are_refused(world: World, changes: dict[str, Any]) -> None:
    """The server checks, and the stored config stays."""
    dify, app = client_of(SimulatedDify(world)), app_of(world, "chat")
    before = app.app_model_config

    with pytest.raises(Refused):
        dify.apps.change_model_config(app.id, changes)

    assert app.app_model_config is before


@pytest.mark.parametrize(
    "told", [{}, {"model": "gpt-4o"}, {"model": MODEL, "agent_mode": {"tools": [{"x": 1}]}}]
)
def test_what_is_no_config_is_not_sent(told: dict[str, Any]) -> None:
    """The error names the place, not the value."""
    with pytest.raises(NotSent) as caught:
        ModelConfig.of(told)

    assert "model" in caught.value.what or "agent_mode.tools.0" in caught.value.what


@pytest.mark.parametrize("told", [7, "text", ["model"], None])
def test_what_is_no_object_is_not_sent(told: object) -> None:
    """Whatever a server shows for a config."""
    with pytest.raises(NotSent, match="no model config"):
        ModelConfig.of(told)


def test_unknown_keys_pass_through() -> None:
    """A newer server's parameter, on any level, is sent back as it came."""
    told = {"model": {**MODEL, "tier": "x"}, "future": {"a": [1]}, "dataset_configs": {"k": 1}}

    assert ModelConfig.of(told).body() == told


@pytest.mark.parametrize("version", VERSIONS)
def test_recorded_configs_survive(version: str) -> None:
    """Every config that a real server told is sent back as it was, without its stamps."""
    told = [
        body["model_config"]
        for body in (one.body for one in exchanges(version) if one.area == "apps")
        if isinstance(body, dict) and body.get("id") and body.get("model_config")
    ]

    assert len(told) > 5
    for config in told:
        kept = {key: config[key] for key in config if key not in STAMPS}
        assert ModelConfig.of(config).body() == kept


def test_apps_without_a_config(world: World) -> None:
    """Workflows have none: neither to read nor to write."""
    dify, app = client_of(SimulatedDify(world)), app_of(world, "workflow")

    with pytest.raises(NotFound):
        dify.apps.model_config(app.id)
    with pytest.raises(AppGone):
        dify.apps.replace_model_config(app.id, ModelConfig.of({"model": MODEL}))


@pytest.mark.parametrize(("version", "allowed"), [("1.7.2", True), ("1.12.1", False)])
def test_who_may_write_a_config(world: World, version: str, allowed: bool) -> None:
    """Any member before 1.9, an editor since."""
    dify, app = client_of(SimulatedDify(world, version), NORMAL), app_of(world, "chat")
    config = ModelConfig.of({"model": MODEL})

    if allowed:
        dify.apps.replace_model_config(app.id, config)
    else:
        with pytest.raises(NotAllowed):
            dify.apps.replace_model_config(app.id, config)
