"""Publish the drafts of workflows and chatflows.

Every call makes another version in Dify, changed or not, and none can be taken back: a plan names
the draft that it is about, and a draft edited meanwhile makes the plan stale.
"""

from collections.abc import Sequence
from functools import partial

from pydantic import Field

from dify_etl.dify.app_records import App
from dify_etl.dify.client import DifyClient
from dify_etl.operations.applying import Action, Answer, Found, Operation, Operator
from dify_etl.operations.apps import SomeApps, found_apps, target_of
from dify_etl.operations.errors import InputWrong
from dify_etl.operations.plan import Step
from dify_etl.operations.redaction import State
from dify_etl.operations.request import OperationContext, PlannedRequest

PUBLISH = "apps.publish"
MODES = ("workflow", "advanced-chat")
LONGEST_NAME, LONGEST_COMMENT = 20, 100


class PublishApps(PlannedRequest):
    """Publish the drafts of workflows and chatflows; each makes a new version."""

    apps: SomeApps
    version_name: str = Field(
        default="", max_length=LONGEST_NAME, description="Name of the version."
    )
    comment: str = Field(default="", max_length=LONGEST_COMMENT, description="Comment on it.")

    def plan(self, context: OperationContext) -> Operation:
        """A step per app."""
        return publish_operation(
            context.operator, self.apps, name=self.version_name, comment=self.comment
        )


def publish_operation(
    operator: Operator, texts: Sequence[str], *, name: str = "", comment: str = ""
) -> Operation:
    """A step per app. InputWrong for an app without a draft."""
    apps = found_apps(operator.dify, texts)
    actions = [_publication(operator.dify, app, name, comment) for app in apps]
    return operator.operation(PUBLISH, actions, ())


def _publication(dify: DifyClient, app: App, name: str, comment: str) -> Action:
    draft_hash, draft_at = _draft(dify, app)
    look = partial(_published, dify, app.app_id)
    before = look()
    wanted: State = {
        "version": "(new)",
        "graph_hash": draft_hash,
        "draft_saved_at": draft_at,
        "marked_name": name,
        "marked_comment": comment,
    }
    held_version = before.get("version")

    def read_back(answer: Answer) -> Found:
        found = look()
        version = f"version {found['version']}"
        return Found(found, app.app_id, version if found["version"] != held_version else "")

    def is_done(found: Found) -> bool:
        now = found.state or {}
        return now.get("version") != held_version and now.get("graph_hash") == draft_hash

    note = ""
    if held_version is None:
        note = "the first publication of this app"
    elif before.get("graph_hash") == draft_hash:
        note = "nodes and edges are as published; variables may differ"
    step = Step(PUBLISH, target_of(app), before, wanted, is_irreversible=True, note=note)
    write = partial(dify.workflows.publish, app.app_id, name, comment)
    return Action(step, write=write, read_back=read_back, look=look, is_done=is_done)


def _draft(dify: DifyClient, app: App) -> tuple[str | None, str | None]:
    """Hash of the draft's graph, and when it was saved."""
    if app.mode not in MODES:
        raise _unpublishable(app, f"its mode is {app.mode}; only workflows and chatflows have one")
    draft = dify.workflows.draft(app.app_id)
    if draft is None:
        raise _unpublishable(app, "nobody has saved one")
    saved = draft.updated_at or draft.created_at
    return draft.graph_hash, saved.isoformat() if saved else None


def _published(dify: DifyClient, app_id: str) -> State:
    published = dify.workflows.published(app_id)
    if published is None:
        return {"version": None, "graph_hash": None}
    return {"version": published.version, "graph_hash": published.graph_hash}


def _unpublishable(app: App, reason: str) -> InputWrong:
    return InputWrong(
        f"{app.name!r} has no draft to publish: {reason}",
        where="GET /apps/{app_id}/workflows/draft",
        hint="Leave this app out, save a draft in Dify, or give it one from a DSL: "
        "`dify-etl apps import FILE --over APP`.",
    )
