"""The steps that make an app, or give it what its file says."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dify_etl.dify.app_records import App
from dify_etl.dify.app_writes import AppChanges
from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import NotSent
from dify_etl.dify.model_config import ModelConfig
from dify_etl.operations.applying import Action, Answer, Found, Operator
from dify_etl.operations.apps import AGENT, DesiredApp, update_operation
from dify_etl.operations.deploying.comparing import Comparison, compared, first_few
from dify_etl.operations.deploying.file_apps import FileApp
from dify_etl.operations.deploying.folder import AppFile
from dify_etl.operations.deploying.keeping_secrets import (
    Filled,
    needs_secrets,
    with_held_secrets,
)
from dify_etl.operations.deploying.publication import is_excused
from dify_etl.operations.dsl import app_document
from dify_etl.operations.errors import InputWrong
from dify_etl.operations.exchange import (
    OVERWRITE,
    exported_dsl,
    import_action,
    import_message,
)
from dify_etl.operations.plan import Step
from dify_etl.operations.publishing import MODES as WITH_DRAFT
from dify_etl.operations.readable_yaml import yaml_text

REPLACE_CONFIG = "apps.replace_model_config"
# What an app is beside its workflow or configuration, by the names of the DSL; what of it an import
# over an app leaves as it is.
_FIELDS = ("name", "description", "icon_type", "icon", "icon_background", "use_icon_as_answer_icon")
_LEFT_BY_AN_IMPORT = ("use_icon_as_answer_icon",)


def content_actions(operator: Operator, one: FileApp, listed: Sequence[App]) -> list[Action]:
    """What it takes until the app is as its file says: nothing when it is. `listed`: all apps.

    InputWrong for what Dify cannot do, or what would lose a secret that only Dify holds.
    """
    if one.app is None:
        return [_making(operator.dify, one, listed)]
    held = _held(operator.dify, one.app)
    found = compared(one.file.document, held)
    if found.is_alike or is_excused(operator.dify, one.app, one.file, found):
        return []
    if one.file.mode == AGENT:
        raise InputWrong(
            f"the agent {one.app.name!r} is not as the file says: {found.places()}",
            where=one.file.where,
            hint="Dify replaces no agent by a DSL. Change it in Dify and export it, take the file "
            "out of the folder, or delete the agent.",
        )
    if one.file.mode in WITH_DRAFT:
        return _replacing_workflow(operator, one.app, one.file, found)
    return _configuring(operator, one.app, one.file, found)


def _held(dify: DifyClient, app: App) -> dict[str, Any]:
    """What Dify exports; nothing where nobody has saved a draft."""
    text = exported_dsl(dify, app)
    return {} if text is None else app_document(text, f"DSL of {app.name}")


def _making(dify: DifyClient, one: FileApp, listed: Sequence[App]) -> Action:
    file = one.file
    action = import_action(
        dify,
        file.text,
        where=file.where,
        name=file.name,
        publishing=_of_an_agent,
        listed=listed,
    )

    def read_back(answer: Answer) -> Found:
        found = action.read_back(answer)
        one.made_id = found.target_id
        return found

    notes = (_kept(with_held_secrets(file.document, None), file), _of_an_agent(file.mode, None))
    step = replace(action.step, note="; ".join(one for one in notes if one))
    return replace(action, step=step, read_back=read_back)


def _of_an_agent(mode: str, app_id: str | None) -> str:
    """What is left to do after a deployment."""
    return "publish the agent in Dify" if mode == AGENT else ""


def _replacing_workflow(
    operator: Operator, app: App, file: AppFile, found: Comparison
) -> list[Action]:
    actions = _fields(operator, app, found, _LEFT_BY_AN_IMPORT)
    left = _without(found, _LEFT_BY_AN_IMPORT)
    return actions if left.is_alike else [*actions, _overwriting(operator.dify, app, file, left)]


def _without(found: Comparison, names: Collection[str]) -> Comparison:
    """The comparison without these fields of the app."""
    sides = (found.wanted, found.held)
    left = [
        one | {"app": {name: one["app"][name] for name in one["app"] if name not in names}}
        if "app" in one
        else one
        for one in sides
    ]
    return Comparison(*left)


def _overwriting(dify: DifyClient, app: App, file: AppFile, found: Comparison) -> Action:
    """Replace the draft. What is published stays until the next step."""
    note = _kept(_filled(dify, app, file), file)

    def write() -> Answer:
        filled = _filled(dify, app, file)
        _kept(filled, file)
        is_as_written = filled.document == file.document
        text = file.text if is_as_written else yaml_text(filled.document)
        return dify.apps.import_dsl(text, app_id=app.app_id, name=file.name)

    return _replacing(dify, app, file, found, OVERWRITE, write, note)


def _filled(dify: DifyClient, app: App, file: AppFile) -> Filled:
    """The DSL to send: with the secrets that Dify holds where the file leaves them out."""
    if not needs_secrets(file.document):
        return Filled(file.document)
    held: Any = {}
    if file.mode not in WITH_DRAFT:
        # Masked as Dify shows them to whoever edits: it keeps what comes back so.
        held = {"model_config": dify.apps.model_config(app.app_id).body()}
    elif dify.workflows.draft(app.app_id) is not None:
        text = dify.apps.export_dsl(app.app_id, include_secret=True)
        held = app_document(text, f"DSL of {app.name}")
    return with_held_secrets(file.document, held)


def _kept(filled: Filled, file: AppFile) -> str:
    """What is to be said of secrets. InputWrong when one would be lost."""
    if filled.lost:
        raise InputWrong(
            f"a secret that Dify holds would be lost at {first_few(filled.lost)}",
            where=file.where,
            hint="The text around it is another now, so it cannot be told where it belongs. Change "
            "this place in Dify, export the app, and deploy again.",
        )
    notes = []
    if filled.missing:
        number, where = len(filled.missing), first_few(filled.missing)
        notes.append(
            f"secrets are missing in {number} places ({where}): write them into the app afterwards"
        )
    if filled.dropped:
        where = first_few(filled.dropped)
        notes.append(f"Dify holds secrets that the file has no place for, and loses them: {where}")
    return "; ".join(notes)


def _configuring(operator: Operator, app: App, file: AppFile, found: Comparison) -> list[Action]:
    """Chat, agent-chat and completion apps: Dify overwrites none, so fields and configuration are
    written by calls of their own.
    """
    dify = operator.dify
    actions = _fields(operator, app, found, _FIELDS)
    parts = (found.wanted.get("model_config"), found.held.get("model_config"))
    if parts[0] == parts[1]:
        return actions
    note = _kept(_filled(dify, app, file), file)
    config_alone = Comparison({"model_config": parts[0]}, {"model_config": parts[1]})

    def write() -> Answer:
        filled = _filled(dify, app, file)
        _kept(filled, file)
        return dify.apps.replace_model_config(app.app_id, _config(filled.document, file))

    _config(file.document, file)
    action = _replacing(dify, app, file, config_alone, REPLACE_CONFIG, write, note)
    return [*actions, action]


def _fields(
    operator: Operator, app: App, found: Comparison, names: Collection[str]
) -> list[Action]:
    """The steps for those of these fields that are not as the file says."""
    wanted, held = found.wanted.get("app", {}), found.held.get("app", {})
    told = {name: wanted[name] for name in names if name in wanted and name in held}
    changes = {name: value for name, value in told.items() if value != held[name]}
    if not changes:
        return []
    desired = DesiredApp(AppChanges(**changes))
    return list(update_operation(operator, app.app_id, desired).actions)


def _config(document: Mapping[str, Any], file: AppFile) -> ModelConfig:
    try:
        return ModelConfig.of(document.get("model_config"))
    except NotSent as error:
        raise InputWrong(error.what, where=file.where, hint=error.hint) from None


def _replacing(
    dify: DifyClient,
    app: App,
    file: AppFile,
    found: Comparison,
    operation: str,
    write: Callable[[], Answer],
    note: str,
) -> Action:
    """A step that replaces what an app holds, read back as an export."""
    part = "model_config" if operation == REPLACE_CONFIG else ""

    def now() -> Comparison:
        seen = compared(file.document, _held(dify, app))
        if not part:
            return _without(seen, _LEFT_BY_AN_IMPORT)
        return Comparison({part: seen.wanted.get(part)}, {part: seen.held.get(part)})

    def read_back(answer: Answer) -> Found:
        seen = now()
        told = import_message(answer) if operation == OVERWRITE else ""
        left = "" if seen.is_alike else f"Dify tells otherwise than the file: {seen.places()}"
        message = "; ".join(part for part in (told, left) if part)
        return Found(seen.states()[0], app.app_id, message)

    before, after = found.states()
    return Action(
        Step(operation, FileApp(file, app).target, before, after, note=note),
        write=write,
        read_back=read_back,
        look=lambda: now().states()[0],
        # What Dify says in words of its own differs for ever: that it moved is what can be seen.
        is_done=lambda seen: now().is_alike or seen.state != before,
    )
