"""The worlds that are read: simulated workspaces with what is hard to read, and their true ids."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

from dify_simulated import World, WorldPlan, build_world

# All worlds stand still at this moment unless the benchmark moves their clocks.
NOW = datetime(2026, 6, 10, 12, 0, 20, tzinfo=UTC)
APPS = 10
# Of one conversation: three pages of 100, with ties within a second across their edges.
HARD_MESSAGES, HARD_TIES = 250, 20

CHAT_MODES = ("chat", "agent-chat", "advanced-chat")


def hard_world(*, days: int, conversations_per_day: int) -> World:
    """A world of `days` days up to `NOW` (UTC), with conversations that are hard to read whole."""
    plan = WorldPlan(apps=APPS, days=days, conversations_per_day=conversations_per_day, now=NOW)
    world = build_world(plan)
    for app in list(world.apps.values()):
        if app.mode in CHAT_MODES:
            _add_hard_conversation(world, app.id)
    return world


def _add_hard_conversation(world: World, app_id: str) -> None:
    """More messages than a page holds; every 20 of them share a second."""
    began = NOW - timedelta(days=3)
    row = world.add_conversation(app_id, at=began, name="an import of many messages")
    for number in range(HARD_MESSAGES):
        at = began + timedelta(seconds=7 + number // HARD_TIES)
        world.add_message(row.id, at=at, query=f"line {number}")


def readable_ids(world: World) -> Iterator[tuple[str, str]]:
    """Every row that the console API shows, as (table, id)."""
    for conversation in world.conversations.values():
        if conversation.is_deleted or not world.listed(conversation):
            continue
        if conversation.mode not in CHAT_MODES:
            yield "completions", conversation.id
            continue
        yield "conversations", conversation.id
        for _, message_id in world.messages_of_conversation[conversation.id].entries:
            yield "messages", message_id
    for run_id in readable_runs(world):
        yield "runs", run_id
        for node_id in world.nodes_of_run[run_id]:
            yield "nodes", node_id


def readable_runs(world: World) -> Iterator[str]:
    """Runs that a list shows: logged ones, those of chatflows, and debugging ones."""
    for run in world.workflow_runs.values():
        is_chatflow = world.apps[run.app_id].mode == "advanced-chat"
        if run.id in world.log_of_run or is_chatflow or run.triggered_from == "debugging":
            yield run.id


class Traffic:
    """Lets a world go on: new messages in old conversations, chosen by chance with a fixed seed."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._chance = Random("traffic of the benchmark")

    def advance(self, seconds: float) -> None:
        """Let the world's clock go on."""
        self._world.set_now(self._world.now() + timedelta(seconds=seconds))

    def touch_share(self, share: float) -> list[str]:
        """A new message in this share of all chat conversations; answers their ids."""
        ids = self._conversations()
        chosen = self._chance.sample(ids, max(1, round(len(ids) * share)))
        for conversation_id in chosen:
            self._ask(conversation_id)
        return chosen

    def touch_one(self) -> str:
        """A new message in one conversation, a second later than the last; answers its id."""
        self.advance(1)
        chosen = self._chance.choice(self._conversations())
        self._ask(chosen)
        return chosen

    def _ask(self, conversation_id: str) -> None:
        self._world.add_message(conversation_id, at=self._world.now(), query="And one more?")

    def _conversations(self) -> list[str]:
        rows = self._world.conversations.values()
        return [
            row.id
            for row in rows
            if row.mode in CHAT_MODES and not row.is_deleted and self._world.listed(row)
        ]
