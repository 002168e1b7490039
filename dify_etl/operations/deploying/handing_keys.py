"""The steps that give the consumers of an app their first key."""

from collections.abc import Sequence

from dify_etl.operations.applying import Action, Answer, Found
from dify_etl.operations.apps import AGENT
from dify_etl.operations.deploying.file_apps import FileApp
from dify_etl.operations.first_keys import DeployedApp, FirstKeys, WaitingConsumer
from dify_etl.operations.plan import Step, Target
from dify_etl.operations.redaction import State

FIRST_KEY = "keys.first"
_NONE, _HANDED_OVER = "none", "handed over"


def key_actions(keys: FirstKeys, one: FileApp, tags: Sequence[str]) -> list[Action]:
    """A step per consumer that the policy names for the app, and that has no key yet. An agent is
    published in Dify first.
    """
    if one.app is None and one.file.mode == AGENT:
        return []
    held = set() if one.app is None else one.app.tag_values("name")
    known = None if one.app is None else one.app.app_id
    app = DeployedApp(known, one.file.name, frozenset({*held, *tags}))
    return [_handing(keys, one, app, waiting) for waiting in keys.waiting(app)]


def _handing(keys: FirstKeys, one: FileApp, app: DeployedApp, waiting: WaitingConsumer) -> Action:
    told: list[str] = []

    def made() -> DeployedApp:
        return DeployedApp(one.app_id, app.name, app.tags)

    def look() -> State:
        still = {other.consumer for other in keys.waiting(made())}
        return {"key": _NONE if waiting.consumer in still else _HANDED_OVER}

    def write() -> Answer:
        told.append(keys.make(made(), waiting.consumer))
        return None

    return Action(
        Step(
            FIRST_KEY,
            Target("keys of target", None, f"{app.name} / {waiting.consumer}"),
            {"key": _NONE},
            {"key": _HANDED_OVER, "sink": waiting.place},
        ),
        write=write,
        read_back=lambda answer: Found(look(), None, "; ".join(told)),
        look=look,
        is_done=lambda found: found.state == {"key": _HANDED_OVER},
    )
