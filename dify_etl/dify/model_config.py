"""The model config of a chat, agent-chat or completion app: every parameter that Dify reads.

Dify replaces the whole config on each write. So all keys that were read are kept, known or not, and
what was absent stays absent: `ModelConfig.of(read).body()` is what was read, without its stamps.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dify_etl.dify.errors import NotSent

STAMPS = ("created_by", "created_at", "updated_by", "updated_at")  # the server's own


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow", hide_input_in_errors=True)


class Model(_Part):
    """Which model answers. Dify sets `mode` itself, and `stop` in completion_params."""

    provider: str | None = Field(None, description="as langgenius/openai/openai; null: none yet")
    name: str | None = Field(None, description="name of the model, among those of the workspace")
    mode: str | None = Field(None, description="chat or completion; the server overwrites it")
    completion_params: dict[str, Any] = Field(
        {}, description="temperature, max_tokens, …; stop is a list of at most 4"
    )


class Switch(_Part):
    """Something that is on or off."""

    enabled: bool = False


class TextToSpeech(Switch):
    """Reading answers aloud."""

    voice: str | None = None
    language: str | None = None


class SensitiveWordAvoidance(Switch):
    """Moderation. Dify reads the object `config`; a list `configs` is ignored."""

    type: str | None = Field(None, description="openai_moderation, keywords, api")
    config: dict[str, Any] | None = None


class AgentTool(_Part):
    """A tool of an agent. Secret parameters come masked, and keep their value when sent back so."""

    provider_type: str = Field(description="builtin, api, workflow, mcp")
    provider_id: str
    tool_name: str
    tool_parameters: dict[str, Any]
    provider_name: str | None = None
    tool_label: str | None = None
    enabled: bool | None = None


class AgentMode(Switch):
    """How an agent works. `strategy`: router, react-router, react, function_call."""

    strategy: str | None = None
    max_iteration: int | None = None
    tools: list[AgentTool] = []
    prompt: dict[str, Any] | str | None = None


class ImageUpload(Switch):
    """Pictures of users."""

    detail: str | None = Field(None, description="high or low")
    number_limits: int | None = None
    transfer_methods: list[str] | None = Field(None, description="remote_url, local_file")


class FileUpload(_Part):
    """Files of users."""

    enabled: bool | None = None
    image: ImageUpload | None = None
    allowed_file_types: list[str] | None = None
    allowed_file_extensions: list[str] | None = None
    allowed_file_upload_methods: list[str] | None = None
    number_limits: int | None = None


class DatasetConfigs(_Part):
    """What is retrieved before answering; other keys of retrieval pass through."""

    retrieval_model: str | None = Field(None, description="single or multiple")
    datasets: dict[str, Any] | None = Field(
        None, description='{"datasets": [{"dataset": {"enabled": true, "id": …}}]}'
    )
    top_k: int | None = None
    score_threshold: float | None = None
    score_threshold_enabled: bool | None = None
    reranking_enable: bool | None = None
    reranking_mode: str | None = None
    reranking_model: dict[str, Any] | None = None
    weights: dict[str, Any] | None = None


class ModelConfig(_Part):
    """A whole model config, by Dify's names. Build one with `of`, change one with `changed`."""

    model: Model = Field(description="required, with provider, name and completion_params")
    pre_prompt: str | None = Field(None, description="prompt of the type simple")
    prompt_type: Literal["simple", "advanced"] = "simple"
    chat_prompt_config: dict[str, Any] | None = Field(
        None, description="prompt of the type advanced: at most 10 messages"
    )
    completion_prompt_config: dict[str, Any] | None = None
    user_input_form: list[dict[str, Any]] = Field(
        [], description="one key per line (text-input, select, paragraph, number, …)"
    )
    dataset_query_variable: str | None = Field(
        None, description="required in completion apps with datasets"
    )
    opening_statement: str | None = None
    suggested_questions: list[str] = []
    suggested_questions_after_answer: Switch | None = None
    speech_to_text: Switch | None = None
    text_to_speech: TextToSpeech | None = None
    retriever_resource: Switch | None = None
    more_like_this: Switch | None = Field(None, description="completion apps only")
    sensitive_word_avoidance: SensitiveWordAvoidance | None = None
    external_data_tools: list[dict[str, Any]] = []
    agent_mode: AgentMode | None = None
    dataset_configs: DatasetConfigs | None = None
    file_upload: FileUpload | None = None

    @classmethod
    def of(cls, told: Any) -> "ModelConfig":
        """A config as Dify tells it, or as somebody wrote it by Dify's names. Raises NotSent."""
        kept = told
        if isinstance(told, Mapping):
            kept = {key: told[key] for key in told if key not in STAMPS}
        try:
            return cls.model_validate(kept)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            path = ".".join(str(part) for part in found[0]["loc"])
            raise NotSent(
                f"no model config: {path}: {found[0]['msg']}",
                where="model config",
                hint="Use Dify's own names and types, as the export of an app shows them.",
            ) from None

    def body(self) -> dict[str, Any]:
        """The JSON to send: what was set or read, nothing else."""
        return self.model_dump(mode="json", exclude_unset=True)

    def changed(self, changes: Mapping[str, Any]) -> "ModelConfig":
        """This config with changes by Dify's names: objects are merged key by key, all else is
        replaced, lists too. A key cannot be taken away so: build another config for that.
        Raises NotSent when the result is no config.
        """
        return ModelConfig.of(_merged(self.body(), changes))


def _merged(old: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(old)
    for key, value in changes.items():
        before = merged.get(key)
        both = isinstance(before, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(before, value) if both and before is not None else value
    return merged
