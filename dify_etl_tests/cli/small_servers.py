"""Worlds of today behind sockets: small enough that a whole sync takes a second."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

from dify_etl_tests.cli.command_line import ServedDify
from dify_simulated import SimulatedDify, World, WorldPlan, build_world, serve

MODES = ("chat", "workflow", "completion")


def small_world(*, now: datetime | None = None) -> World:
    """Three apps with a conversation or run each, yesterday; little else."""
    world = build_world(WorldPlan(seed=1, apps=0, days=1, conversations_per_day=0, now=now))
    yesterday = world.now() - timedelta(days=1)
    for mode in MODES:
        app = world.add_app(
            name=f"the {mode} app",
            mode=mode,
            at=yesterday - timedelta(hours=1),
            created_by=world.account_id,
            tenant_id=world.workspace_id,
        )
        if mode == "workflow":
            run = world.start_run(app.id, at=yesterday)
            world.finish_run(run.id, at=yesterday + timedelta(seconds=9))
        else:
            talk = world.add_conversation(app.id, at=yesterday)
            world.add_message(talk.id, at=yesterday, query="a question")
    return world


@contextmanager
def served(world: World, version: str = "1.12.1") -> Iterator[ServedDify]:
    """The world behind a socket while the block runs."""
    server = SimulatedDify(world, version)
    with serve(server) as running:
        yield ServedDify(world, server, running.base_url)


def today() -> date:
    """Today in UTC, the zone of the small worlds."""
    return datetime.now(UTC).date()


def some_days_ago(days: int) -> str:
    """A local day before today, as a command wants it."""
    return (today() - timedelta(days=days)).isoformat()
