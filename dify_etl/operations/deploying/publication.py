"""The step that publishes what was deployed. The version's comment tells the file: `dify-etl
deploy 3f0c9a1b2d4e`, the beginning of the SHA-256 of its DSL without secrets.
"""

import hashlib

from dify_etl.dify.app_records import App
from dify_etl.dify.client import DifyClient
from dify_etl.dify.json_text import JsonText
from dify_etl.dify.workflow_records import WorkflowVersion
from dify_etl.operations.applying import Action, Answer, Found
from dify_etl.operations.deploying.comparing import HIDDEN, Comparison
from dify_etl.operations.deploying.file_apps import FileApp
from dify_etl.operations.deploying.folder import AppFile
from dify_etl.operations.dsl import stable_dsl
from dify_etl.operations.plan import Step
from dify_etl.operations.publishing import MODES as WITH_DRAFT
from dify_etl.operations.publishing import PUBLISH
from dify_etl.operations.redaction import State

_PARTS = ("graph", "features", "environment_variables", "conversation_variables")
DIGITS = 12


def mark_of(file: AppFile) -> str:
    """The comment of a version that was made of this file."""
    shown = stable_dsl(file.text, where=file.where).shown
    return f"dify-etl deploy {hashlib.sha256(shown.encode()).hexdigest()[:DIGITS]}"


def is_excused(dify: DifyClient, app: App, file: AppFile, found: Comparison) -> bool:
    """Whether the app differs only by what Dify itself made of this very file: it was published
    from it, and nobody has saved the draft since.
    """
    is_of_the_app = found.wanted.get("app") != found.held.get("app")
    # The comment tells nothing of secrets: where they alone differ, the file is another.
    if file.mode not in WITH_DRAFT or is_of_the_app or HIDDEN in found.states()[1]:
        return False
    published, draft = dify.workflows.published(app.app_id), dify.workflows.draft(app.app_id)
    if published is None or draft is None or published.marked_comment != mark_of(file):
        return False
    saved = draft.updated_at or draft.created_at
    is_untouched = saved and published.created_at and saved <= published.created_at
    return bool(is_untouched) and _is_same(published, draft)


def publishing_actions(dify: DifyClient, one: FileApp, *, is_written: bool) -> list[Action]:
    """Publish the draft, when it is written in this deployment or is not what is published."""
    if one.file.mode not in WITH_DRAFT:
        return []
    if one.app is not None and not is_written and _is_published(dify, one.app.app_id):
        return []
    return [_publication(dify, one)]


def _is_published(dify: DifyClient, app_id: str) -> bool:
    published, draft = dify.workflows.published(app_id), dify.workflows.draft(app_id)
    return draft is None or (published is not None and _is_same(published, draft))


def _is_same(one: WorkflowVersion, other: WorkflowVersion) -> bool:
    return all(_value(getattr(one, part)) == _value(getattr(other, part)) for part in _PARTS)


def _value(part: JsonText | None) -> object:
    """A part of a workflow; nothing and an empty one are the same."""
    return (part.load() if part is not None else None) or None


def _publication(dify: DifyClient, one: FileApp) -> Action:
    held = None if one.app is None else _version(dify, one.app.app_id)
    mark = mark_of(one.file)
    before: State = {"version": held}

    def look() -> State:
        return {"version": _version(dify, one.app_id)}

    def read_back(answer: Answer) -> Found:
        found = look()
        told = f"version {found['version']}" if found != before else ""
        return Found(found, one.app_id, told)

    def is_done(found: Found) -> bool:
        return found.state != before and _is_published(dify, one.app_id)

    after: State = {"version": "(new)", "marked_comment": mark}
    note = "the first publication of this app" if held is None else ""
    step = Step(PUBLISH, one.target, before, after, is_irreversible=True, note=note)
    return Action(
        step,
        write=lambda: dify.workflows.publish(one.app_id, "", mark),
        read_back=read_back,
        look=look,
        is_done=is_done,
    )


def _version(dify: DifyClient, app_id: str) -> str | None:
    published = dify.workflows.published(app_id)
    return None if published is None else published.version
