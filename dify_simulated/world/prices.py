"""What models cost: the price list of the simulated world, and the usage that Dify makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from dify_simulated.world.rows import App, JsonObject

_MILLION = Decimal("0.000001")
_DIGITS = Decimal("0.0000001")  # NUMERIC(10, 7)


@dataclass(frozen=True)
class Model:
    """A model with its prices per million tokens of prompt and answer."""

    provider: str
    name: str
    prompt_price: str = "2.5"
    answer_price: str = "10"
    currency: str = "USD"


GPT_4O = Model("langgenius/openai/openai", "gpt-4o")
MODELS = {
    one.name: one
    for one in (
        GPT_4O,
        Model("langgenius/openai/openai", "gpt-4o-mini", "0.15", "0.6"),
        Model("langgenius/deepseek/deepseek", "deepseek-chat", "2", "8", "RMB"),
        Model("langgenius/mistralai/mistralai", "mistral-large", "1.8", "5.4", "EUR"),
    )
}


def model_of(app: App) -> Model:
    """The model that an app is configured with; graphs and apps without one use gpt-4o."""
    config = app.app_model_config
    return MODELS.get(str(config.model.get("name")), GPT_4O) if config else GPT_4O


def usage_of(
    prompt_tokens: int, completion_tokens: int, latency: float, model: Model = GPT_4O
) -> JsonObject:
    """The usage of one call of a model: each price rounded to seven digits, as Dify does."""
    prompt_price = _price(prompt_tokens, model.prompt_price)
    completion_price = _price(completion_tokens, model.answer_price)
    return {
        "prompt_tokens": prompt_tokens,
        "prompt_unit_price": model.prompt_price,
        "prompt_price_unit": f"{_MILLION:f}",
        "prompt_price": f"{prompt_price:.7f}",
        "completion_tokens": completion_tokens,
        "completion_unit_price": model.answer_price,
        "completion_price_unit": f"{_MILLION:f}",
        "completion_price": f"{completion_price:.7f}",
        "total_tokens": prompt_tokens + completion_tokens,
        "total_price": f"{prompt_price + completion_price:.7f}",
        "currency": model.currency,
        "latency": latency,
    }


def _price(tokens: int, unit_price: str) -> Decimal:
    return (tokens * Decimal(unit_price) * _MILLION).quantize(_DIGITS, ROUND_HALF_UP)


def node_usage(usage: JsonObject, model: Model) -> tuple[JsonObject, JsonObject]:
    """What a node of type llm tells of its call: its process_data, and its execution_metadata."""
    process_data: JsonObject = {
        "model_mode": "chat",
        "usage": usage,
        "finish_reason": "stop",
        "model_provider": model.provider,
        "model_name": model.name,
    }
    told = ("total_tokens", "total_price", "currency")
    return process_data, {key: usage[key] for key in told}
