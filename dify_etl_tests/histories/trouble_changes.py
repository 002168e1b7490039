"""What can go wrong between us and Dify for some nights, without a change of any row."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from dify_etl_tests.histories.history import Change, picked
from dify_etl_tests.histories.troubles import WAYS, OddRow, Refusal, Troubles, refusals_of
from dify_simulated import World

T = TypeVar("T")
TroubleVerb = Callable[[Troubles, World, Change], None]

NIGHTS = (1, 2, 3, 5, 13)
JUMPS = tuple(timedelta(hours=hours) for hours in (1, 24, 80, 250, 750))
APPS = "/console/api/apps"
# What a family asks of an app; the empty one is all of it.
OF_AN_APP = {
    "talk": (
        *("", "/chat-conversations", "/completion-conversations", "/chat-messages"),
        *("/annotations", "/export", "/chat-messages"),
    ),
    "runs": (
        *("", "/workflow-app-logs", "/workflow-runs", "/node-executions", "/chat-messages"),
        *("/chat-conversations",),
    ),
    "workspace": ("", "/api-keys", "/annotations", "/daily-messages", "/token-costs"),
}
OF_THE_WORKSPACE = {
    "talk": (APPS,),
    "runs": (APPS,),
    "workspace": (APPS, "/console/api/datasets", "/documents", "/members", "/datasets/api-keys"),
}
# Tables of the world whose rows may be answered odd, by their ids.
TABLES = {
    "talk": ("conversations", "messages", "messages", "apps", "annotations"),
    "runs": ("workflow_runs", "node_executions", "conversations", "messages", "apps"),
    "workspace": ("apps", "documents", "datasets", "api_keys", "accounts", "annotations"),
}


def refuse_app(troubles: Troubles, world: World, change: Change) -> None:
    """All of an app, or one list of it, is refused for some nights."""
    app = picked(world.apps.values(), change.count)
    if app is not None:
        path = _one(OF_AN_APP[troubles.family], change.pick)
        _refuse(troubles, change, f"/apps/{app.id}", path)


def refuse_list(troubles: Troubles, world: World, change: Change) -> None:
    """A list of the workspace is refused for some nights."""
    _refuse(troubles, change, _one(OF_THE_WORKSPACE[troubles.family], change.pick))


def refuse_object(troubles: Troubles, world: World, change: Change) -> None:
    """The messages of one conversation, or detail and nodes of one run, are refused."""
    run = picked(world.workflow_runs.values(), change.pick)
    talk = picked(world.conversations.values(), change.pick)
    if run is not None and (talk is None or change.count % 2):
        _refuse(troubles, change, f"/workflow-runs/{run.id}", "")
    elif talk is not None:
        _refuse(troubles, change, f"conversation_id={talk.id}", "/chat-messages")


def _refuse(troubles: Troubles, change: Change, *parts: str) -> None:
    status, code = _one([*refusals_of(parts[-1])], change.pick + change.count)
    until = troubles.last_of(_one(NIGHTS, change.count))
    troubles.refusals.append(Refusal(parts, status, code, until))


def answer_odd(troubles: Troubles, world: World, change: Change) -> None:
    """Some rows are answered odd for some nights; well afterwards."""
    held = [rows for name in TABLES[troubles.family] if (rows := getattr(world, name))]
    for number in range(change.pick, change.pick + change.count):
        row_id = picked(_one(held, number), change.pick)
        if row_id is not None and row_id != world.account_id:
            way = _one([*WAYS], change.pick + number)
            until = troubles.last_of(_one(NIGHTS, change.pick))
            troubles.odd_rows.append(OddRow(row_id, way, until))


def set_dify_clock(troubles: Troubles, world: World, change: Change) -> None:
    """The `Date` of the answers is of another day, as that of a proxy whose clock is wrong."""
    troubles.dify_ahead = _jump(change)
    troubles.clocks_until = troubles.last_of(_one(NIGHTS, change.pick))


def set_our_clock(troubles: Troubles, world: World, change: Change) -> None:
    """The clock of our machine is of another day."""
    troubles.ours_ahead = _jump(change)
    troubles.clocks_until = troubles.last_of(_one(NIGHTS, change.pick))


def jump(troubles: Troubles, world: World, change: Change) -> None:
    """Both clocks jump ahead, and what is written then is of that time. A Dify whose own clock
    went back would write rows into days that are over and proven: only a deep read finds these.
    """
    world.set_now(world.now() + abs(_jump(change)))


def _jump(change: Change) -> timedelta:
    span = _one(JUMPS, change.count)
    return span if change.pick % 2 else -span


def _one(held: Sequence[T], number: int) -> T:
    return held[number % len(held)]


TROUBLES: dict[str, TroubleVerb] = {
    verb.__name__: verb
    for verb in (
        *(refuse_app, refuse_list, refuse_object, answer_odd),
        *(set_dify_clock, set_our_clock, jump),
    )
}
