"""The simulated Dify of a home, for `dify-etl demo` and `--simulated`. Loaded only there."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
from pydantic import SecretStr

from dify_etl.assembly.home_files import fingerprint_key, private_once
from dify_etl.dify.client import DifyClient
from dify_etl.home import Home
from dify_etl.warehouse.errors import WarehouseUnwritable
from dify_simulated import SimulatedDify, WorldPlan, build_world

DEMO_PLAN = WorldPlan(
    seed=7,
    apps=10,
    agents=2,
    days=30,
    conversations_per_day=6,  # read in seconds, and every table has rows
    timezone="UTC",
    version="1.16.1",
)
# What a home has whose file does not say how many: they were made larger once.
_ONCE_PER_DAY = 20
# The workspace of a home whose file names no version: dify-etl 0.1 made it.
_FIRST_PLAN = replace(DEMO_PLAN, agents=0, version="1.12.1")
_PLANS = {plan.version: plan for plan in (_FIRST_PLAN, DEMO_PLAN)}


def simulated_client(home: Path, run_id: str | None = None) -> DifyClient:
    """A client of a simulated workspace that stays the same for every run into this home."""
    plan, _ = demo_of(home)
    world = build_world(plan)
    return DifyClient(
        "http://simulated.dify",
        email=world.account.email,
        password=SecretStr(world.account.password or ""),
        transport=httpx.WSGITransport(app=SimulatedDify(world, plan.version)),
        fingerprint_key=fingerprint_key(home),
        run_id=run_id,
    )


def demo_of(home: Path) -> tuple[WorldPlan, datetime]:
    """The home's simulated workspace, and the moment at which it stands still: its first use.

    Version and size are kept as well: another one has other rows, and those held would count as
    deleted.
    """
    told = private_once(Home(home).world, _new_demo)
    try:
        world = json.loads(told)
        now = datetime.fromisoformat(world["now"])
        plan = _PLANS[world.get("version", _FIRST_PLAN.version)]
        per_day = int(world.get("conversations_per_day", _ONCE_PER_DAY))
        return replace(plan, now=now, conversations_per_day=per_day), now
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WarehouseUnwritable(
            f"{Home(home).world.name} is damaged, or a newer dify-etl wrote it",
            where=str(Home(home).world),
            hint=f"Delete the folder {home}; the demo makes it anew.",
        ) from error


def _new_demo() -> bytes:
    now = datetime.now(UTC).replace(microsecond=0)
    per_day = DEMO_PLAN.conversations_per_day
    world = {"now": now.isoformat(), "version": DEMO_PLAN.version, "conversations_per_day": per_day}
    return json.dumps(world).encode()
