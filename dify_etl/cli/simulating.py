"""Serve a simulated Dify on a port and print the settings that reach it."""

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from rich.console import Console

from dify_etl.settings import SettingWrong
from dify_etl.time_zones import zone_names
from dify_simulated import SimulatedDify, World, WorldPlan, build_world, serve
from dify_simulated.server.serving import RunningServer
from dify_simulated.versions import KNOWN_VERSIONS, ServerVersion

AGENTS = 2  # apps of mode agent, where the server has them
_LATENCY = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>ms|s)")


def run_simulation(
    console: Console, *, port: int, version: str, latency: str, plan: dict[str, Any]
) -> None:
    """Serve until interrupted. SettingWrong for what cannot be simulated, or a port in use."""
    seconds, zone = _seconds(latency), str(plan["timezone"])
    if zone not in zone_names():
        raise SettingWrong(
            f"{zone!r} is no time zone", where="--timezone", hint="Write it as Europe/Berlin."
        )
    agents = AGENTS if version in KNOWN_VERSIONS and ServerVersion(version).has_agents else 0
    world = _built({**plan, "agents": agents}, version)
    dify = SimulatedDify(world, version=version, latency=seconds)
    with _served(dify, port) as server:
        # Plain print: the lines are there to be copied, and flushed before anybody waits for them.
        print(f"DIFY_BASE_URL={server.base_url}", flush=True)
        print(f"DIFY_EMAIL={world.account.email}", flush=True)
        print(f"DIFY_PASSWORD={world.account.password}", flush=True)
        print(f"DIFY_ETL_TIMEZONE={world.account.timezone}", flush=True)
        console.print(f"# Simulated Dify {version} answers; end it with Ctrl-C.", highlight=False)
        _wait_for_signal()


def _built(plan: dict[str, Any], version: str) -> World:
    try:
        return build_world(WorldPlan(**plan, version=version))
    except ValueError as error:
        raise SettingWrong(
            str(error), where="--version", hint="Choose the release that is nearest to yours."
        ) from error


@contextmanager
def _served(dify: SimulatedDify, port: int) -> Iterator[RunningServer]:
    with ExitStack() as stack:
        try:
            server = stack.enter_context(serve(dify, port=port))
        except (OSError, OverflowError) as error:
            raise SettingWrong(
                f"port {port} cannot be used: {error}",
                where="--port",
                hint="Choose another one; 0 takes a free one.",
            ) from error
        yield server


def _wait_for_signal() -> None:
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    stopped.wait()


def _seconds(text: str) -> float:
    found = _LATENCY.fullmatch(text.strip())
    if not found:
        raise SettingWrong(
            f"{text!r} is no latency", where="--latency", hint="Write it as 20ms or 0.1s."
        )
    return float(found["number"]) / (1000 if found["unit"] == "ms" else 1)
