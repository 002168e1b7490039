"""Serve a simulated Dify on a port and print the settings that reach it."""

import re
import signal
import threading
from typing import Any

from rich.console import Console

from dify_etl.settings import SettingWrong
from dify_etl.simulated import SimulatedDify, WorldPlan, build_world, serve

_LATENCY = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>ms|s)")


def run_simulation(
    console: Console, *, port: int, version: str, latency: str, plan: dict[str, Any]
) -> None:
    """Serve until interrupted. SettingWrong for a latency that cannot be read."""
    world = build_world(WorldPlan(**plan))
    dify = SimulatedDify(world, version=version, latency=_seconds(latency))
    with serve(dify, port=port) as server:
        # Plain print: the lines are there to be copied, and flushed before anybody waits for them.
        print(f"DIFY_BASE_URL={server.base_url}", flush=True)
        print(f"DIFY_EMAIL={world.account.email}", flush=True)
        print(f"DIFY_PASSWORD={world.account.password}", flush=True)
        print(f"DIFY_ETL_TIMEZONE={world.account.timezone}", flush=True)
        console.print(f"# Simulated Dify {version} answers; end it with Ctrl-C.", highlight=False)
        _wait_for_signal()


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
