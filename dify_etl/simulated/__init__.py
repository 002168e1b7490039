"""A pretend Dify: a seeded workspace in memory that answers as real servers were seen to answer."""

from dify_etl.simulated.app import SimulatedDify
from dify_etl.simulated.build import build_world
from dify_etl.simulated.faults import Faults
from dify_etl.simulated.server import serve
from dify_etl.simulated.world import World, WorldPlan

__all__ = ["Faults", "SimulatedDify", "World", "WorldPlan", "build_world", "serve"]
