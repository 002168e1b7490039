"""Fixtures of the tests of the simulated Dify: a small world, a server, a signed-in reader."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from dify_etl_tests.simulated.signing_in import signed_in
from dify_etl_tests.worlds import built_once
from dify_simulated import SimulatedDify, World, WorldPlan, build_world
from dify_simulated.world.rows import App

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


@built_once
def busy_world() -> World:
    """Five apps, one of each mode, and a few days of traffic."""
    return build_world(WorldPlan(seed=5, apps=5, days=4, conversations_per_day=8, now=NOW))


@pytest.fixture
def world() -> World:
    """A busy world of the test's own."""
    return busy_world()


@pytest.fixture
def dify(world: World) -> SimulatedDify:
    """A server of the recorded release with cookies."""
    return SimulatedDify(world)


@pytest.fixture
def reader(dify: SimulatedDify) -> httpx.Client:
    """The reading account, signed in."""
    return signed_in(dify)


@pytest.fixture
def chat(world: World) -> App:
    """A chat app without any conversation."""
    return world.add_app(
        name="quiet chat",
        mode="chat",
        at=NOW,
        created_by=world.account_id,
        tenant_id=world.workspace_id,
    )
