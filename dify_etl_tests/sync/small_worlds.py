"""Worlds of a few rows, for tests that change one thing and watch what becomes of it."""

from datetime import datetime, timedelta

from dify_etl_tests.sync.workplace import NOW
from dify_etl_tests.worlds import built_once
from dify_simulated import World, WorldPlan, build_world
from dify_simulated.versions import ServerVersion
from dify_simulated.world.rows import App, Conversation, WorkflowRun


@built_once
def lively_world(*, seed: int = 3, timezone: str = "UTC", version: str = "1.12.1") -> World:
    """Five apps of five modes, four days of traffic, and one of each kind that is odd; two agents
    beside them where the version has such.
    """
    return build_world(
        WorldPlan(
            seed=seed,
            apps=5,
            days=4,
            conversations_per_day=4,
            now=NOW,
            timezone=timezone,
            version=version,
            agents=2 if ServerVersion(version).has_agents else 0,
        )
    )


@built_once
def brief_world(version: str = "1.12.1") -> World:
    """A lively world whose talks are short, so that it is read quickly."""
    return shortened(lively_world(version=version))


def shortened(world: World) -> World:
    """The same world, of whose talks the first four messages are left."""
    for conversation_id, index in world.messages_of_conversation.items():
        for message_id in list(index)[4:]:
            run_id = world.take_message(message_id).workflow_run_id
            if run_id is not None and conversation_id in world.conversations:
                world.take_run(run_id)
    return world


@built_once
def quiet_world(*modes: str, timezone: str = "UTC") -> World:
    """One app per mode, and no traffic at all."""
    world = build_world(
        WorldPlan(seed=1, apps=0, days=1, conversations_per_day=0, now=NOW, timezone=timezone)
    )
    for mode in modes or ("chat",):
        world.add_app(
            name=f"the {mode} app",
            mode=mode,
            at=NOW - timedelta(days=50),
            created_by=world.account_id,
            tenant_id=world.workspace_id,
        )
    return world


@built_once
def agent_world() -> World:
    """Two agents with talks of end users and accounts, of debugging too, and a chat app."""
    world = build_world(
        WorldPlan(seed=2, apps=1, days=2, conversations_per_day=1, agents=2, now=NOW)
    )
    for index in list(world.messages_of_conversation.values()):
        for message_id in list(index)[6:]:
            world.take_message(message_id)
    return world


def app_of(world: World, mode: str = "chat") -> App:
    """The first app of a mode."""
    return next(app for app in world.apps.values() if app.mode == mode)


def talk(
    world: World, *, at: datetime, messages: int = 2, mode: str = "chat", seconds_apart: float = 60
) -> Conversation:
    """A conversation of some answered messages."""
    row = world.add_conversation(app_of(world, mode).id, at=at, name=f"at {at:%F %T}")
    for number in range(messages):
        asked_at = at + timedelta(seconds=seconds_apart * number)
        world.add_message(row.id, at=asked_at, query=f"question {number}")
    return row


def first_message(world: World, conversation: Conversation) -> str:
    """The id of a conversation's oldest message."""
    return world.messages_of_conversation[conversation.id].entries[0][1]


def run(world: World, *, at: datetime, status: str = "succeeded", mode: str = "workflow") -> str:
    """A published run of two nodes; unfinished when its status is running. Answers its id."""
    row: WorkflowRun = world.start_run(app_of(world, mode).id, at=at)
    for node_id in ("start", "end"):
        world.add_node(row.id, at=at, node_id=node_id, node_type=node_id)
    row.total_steps = 2
    if status != "running":
        world.finish_run(row.id, at=at + timedelta(seconds=3), status=status)
    return row.id


def failing_document(world: World, *, dataset: str = "the handbook") -> str:
    """A document `page.txt` that failed an hour ago (disk full), in a dataset of its own."""
    at = world.now() - timedelta(hours=1)
    row = world.add_dataset(
        name=dataset,
        at=at,
        created_by=world.account_id,
        tenant_id=world.workspace_id,
        permission="all_team_members",
    )
    document = world.add_document(row.id, at=at, name="page.txt")
    world.set_indexing_status(document.id, "error", at=at, error="disk full")
    return document.id
