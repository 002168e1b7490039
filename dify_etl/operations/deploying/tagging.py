"""The steps that give apps their tags. A tag that nobody has made yet is made first; none is ever
taken away.
"""

from collections.abc import Sequence
from functools import partial

from dify_etl.dify.app_records import App
from dify_etl.dify.client import DifyClient
from dify_etl.operations.applying import Action, Answer, Found
from dify_etl.operations.apps import detail_of, every_app
from dify_etl.operations.deploying.file_apps import FileApp
from dify_etl.operations.errors import TargetUnknown
from dify_etl.operations.plan import Step, Target
from dify_etl.operations.redaction import State

CREATE_TAG, GIVE_TAGS = "tags.create", "tags.give"


def making_actions(dify: DifyClient, names: Sequence[str]) -> list[Action]:
    """A step for each of these tags that the workspace does not have."""
    held = _tags(dify) if names else {}
    return [_making(dify, name) for name in names if name not in held]


def _making(dify: DifyClient, name: str) -> Action:
    def look() -> State | None:
        return {"name": name} if name in _tags(dify) else None

    return Action(
        Step(CREATE_TAG, Target("tag", None, name), None, {"name": name}),
        write=partial(dify.tags.create, name),
        read_back=lambda answer: Found(look(), _tags(dify).get(name)),
        look=look,
    )


def tagging_actions(dify: DifyClient, one: FileApp, names: Sequence[str]) -> list[Action]:
    """One step, when the app lacks any of these tags."""
    held = set() if one.app is None else one.app.tag_values("name")
    if set(names) <= held:
        return []

    def look() -> State:
        return _state(_tags_of(dify, one))

    def write() -> Answer:
        known = _tags(dify)
        missing = [name for name in names if name not in known]
        if missing:
            raise TargetUnknown(
                f"Dify has no tag called {missing[0]!r} any more",
                where="GET /tags",
                hint="Deploy again: it is made then.",
            )
        return dify.tags.give(one.app_id, [known[name] for name in names])

    step = Step(GIVE_TAGS, one.target, _state(held), _state(held | set(names)))
    return [
        Action(step, write=write, read_back=lambda answer: Found(look(), one.app_id), look=look)
    ]


def _tags_of(dify: DifyClient, one: FileApp) -> set[str]:
    detail: App | None = detail_of(dify, one.app_id)
    if detail is not None and "tags" not in detail.model_fields_set:
        # 1.0 tells them in the list alone.
        listed = every_app(dify, name=one.file.name)
        detail = next((app for app in listed if app.app_id == one.app_id), None)
    return set() if detail is None else detail.tag_values("name")


def _state(names: set[str]) -> State:
    return {"tags": [*sorted(names)]}


def _tags(dify: DifyClient) -> dict[str, str]:
    """Ids of the tags by name, the first of several."""
    return {tag.name: tag.tag_id for tag in reversed(dify.tags.of_apps().records)}
