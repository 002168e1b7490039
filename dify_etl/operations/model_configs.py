"""Change the model configuration of a chat, agent or completion app: read, change, write whole."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pydantic import JsonValue

from dify_etl.dify.app_records import App
from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import NotFound, NotSent
from dify_etl.dify.model_config import ModelConfig
from dify_etl.operations.applying import Action, Found, agrees
from dify_etl.operations.errors import InputWrong
from dify_etl.operations.files import read_text
from dify_etl.operations.plan import Step, Target
from dify_etl.operations.redaction import State, without_secrets

MODEL_CONFIG = "apps.change_model_config"


def read_config(path: Path) -> Mapping[str, JsonValue]:
    """Keys of a model configuration from a JSON file. InputWrong when it is no JSON object."""
    text = read_text(path, hint="Give a JSON object.")
    try:
        held = json.loads(text)
    except ValueError as error:
        what = f"the file is no JSON: {error}"
        raise InputWrong(what, where=str(path), hint="Give a JSON object.") from None
    if not isinstance(held, dict) or not held:
        raise InputWrong(
            "the file holds no JSON object with keys",
            where=str(path),
            hint='For example {"pre_prompt": "You are a support agent."}',
        )
    return held


def config_action(
    dify: DifyClient, app: App, target: Target, wanted: Mapping[str, JsonValue]
) -> Action:
    """The step that writes these keys: objects are merged, all else is replaced. InputWrong for
    what Dify would drop or refuse.
    """
    # Secrets are hidden in plans, so a change of one alone would look like none.
    has_secrets = without_secrets(dict(wanted)) != wanted

    def look() -> State:
        config = dify.apps.model_config(app.app_id).body()
        held = {name: config.get(name) for name in wanted}
        return held | ({"hidden values": "as they are"} if has_secrets else {})

    whole = _checked(dify, app, wanted).body()
    after: State = {name: whole[name] for name in wanted}
    return Action(
        Step(
            MODEL_CONFIG,
            target,
            look(),
            {**after, "hidden values": "as given"} if has_secrets else after,
        ),
        write=partial(dify.apps.change_model_config, app.app_id, wanted),
        read_back=lambda answer: Found(look(), app.app_id),
        look=look,
        # The server sets some keys itself (the mode of the model): only what was given counts.
        is_done=lambda found: agrees(found.state, wanted),
    )


def _checked(dify: DifyClient, app: App, wanted: Mapping[str, JsonValue]) -> ModelConfig:
    """The whole config as it will be."""
    where = f"model configuration of {app.name!r}"
    try:
        held = dify.apps.model_config(app.app_id)
        whole = held.changed(wanted)
    except NotFound as error:
        raise InputWrong(f"a {app.mode} app has none", where=where, hint=error.hint) from None
    except NotSent as error:
        raise InputWrong(error.what, where=where, hint=error.hint) from None
    unknown = [key for key in wanted if key not in {*ModelConfig.model_fields, *held.body()}]
    if unknown:
        raise InputWrong(
            f"Dify does not know and would drop: {', '.join(unknown)}",
            where=where,
            hint=f"Its keys are {', '.join(ModelConfig.model_fields)}.",
        )
    if not (whole.model.provider and whole.model.name):
        raise InputWrong(
            "the app has no model yet, and Dify takes no configuration without one",
            where=where,
            hint='Add it: {"model": {"provider": "langgenius/openai/openai", "name": "gpt-4o", '
            '"completion_params": {}}}',
        )
    return whole
