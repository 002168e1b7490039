"""A pretend Dify: a seeded workspace in memory that answers as real servers were seen to answer."""

from dify_simulated.server.app import SimulatedDify
from dify_simulated.server.faults import Faults
from dify_simulated.server.serving import serve
from dify_simulated.world.build import build_world
from dify_simulated.world.world import World, WorldPlan

__all__ = ["Faults", "SimulatedDify", "World", "WorldPlan", "build_world", "serve"]
