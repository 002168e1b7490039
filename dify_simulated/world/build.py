"""Build a world from a plan: the same plan and instant give the same world, id for id."""

from __future__ import annotations

from dify_simulated.world.build_agents import tell_agents
from dify_simulated.world.build_chronicle import Chronicle
from dify_simulated.world.build_conversations import tell_conversations
from dify_simulated.world.build_datasets import stock_datasets
from dify_simulated.world.build_human_input import tell_human_input
from dify_simulated.world.build_runs import tell_runs
from dify_simulated.world.build_workspace import furnish_workspace
from dify_simulated.world.tables import wall_clock
from dify_simulated.world.world import World, WorldPlan


def build_world(plan: WorldPlan) -> World:
    """A workspace with people, apps, datasets and `plan.days` of traffic up to now."""
    world = World(seed=plan.seed, now=plan.now)
    chronicle = Chronicle(world, plan, now=plan.now or wall_clock())
    furnish_workspace(chronicle)
    stock_datasets(chronicle)
    tell_conversations(chronicle)
    tell_runs(chronicle)
    tell_agents(chronicle)
    tell_human_input(chronicle)
    return world
