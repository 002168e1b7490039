"""Clients of simulated servers, for tests that write."""

from datetime import UTC, datetime
from typing import Any

import httpx
from pydantic import SecretStr

from dify_etl.dify import DifyClient
from dify_etl.dify.http.clock import Clock
from dify_etl_tests.worlds import built_once
from dify_simulated import SimulatedDify, World, WorldPlan, build_world
from dify_simulated.world.build_workspace import PASSWORD
from dify_simulated.world.rows import App

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
EVERY_VERSION = ("1.0.0", "1.7.2", "1.9.2", "1.11.0", "1.12.1", "1.14.2")
EDITOR = "eddie@dify.test"
NORMAL = "normal.user@dify.test"


@built_once
def quiet_world() -> World:
    """Five apps, one of each mode, six datasets, and hardly any traffic."""
    return build_world(WorldPlan(seed=11, apps=5, days=1, conversations_per_day=1, now=NOW))


def client_of(
    dify: SimulatedDify, email: str | None = None, *, address: str | None = None, **options: Any
) -> DifyClient:
    """A client of the owner, or of another member, in process or at an address; it never waits."""
    return DifyClient(
        address or "http://dify.test",
        **{
            "email": email or dify.world.account.email,
            "password": SecretStr(PASSWORD),
            "transport": None if address else httpx.WSGITransport(app=dify),
            "clock": Clock(sleep=lambda seconds: None, now=dify.world.now),
            "fingerprint_key": b"key",
            **options,
        },
    )


def app_of(world: World, mode: str) -> App:
    """The app of this mode."""
    return next(app for app in world.apps.values() if app.mode == mode)
