"""Where dify-etl's Python time goes while it reads: what a profile says of a missed target.

py-spy samples the thread that holds the interpreter's lock, so waiting for Dify is left out. DuckDB
and Polars work mostly without the lock; their share is small here. The start of Python is left out
too, as it is in the seconds of the runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PY_SPY = ".venv-bench/bin/py-spy"
RATE = "250"

# The innermost frame whose file holds one of these names the step; the first that fits counts.
STEPS = (
    ("sending and receiving (httpx, httpcore, h11)", ("(httpx/", "(httpcore/", "(h11/")),
    ("validation (pydantic)", ("(dify_etl/dify/record.py", "(dify_etl/dify/messages.py")),
    ("parsing JSON (orjson)", ("(dify_etl/dify/http/answers.py",)),
    ("the rest of the client: signing, limits, counting, paging", ("(dify_etl/dify/",)),
    ("records to frames (Polars)", ("(polars/", "(dify_etl/raw/")),
    ("loading (DuckDB)", ("(dify_etl/warehouse/",)),
    (
        "the rest of the sync: tasks, books",
        ("(dify_etl/sync/", "(dify_etl/feeds/", "(concurrent/futures/"),
    ),
)
OTHER = "imports while it reads, and whatever else"
# Frames without which a sample is of the start or the end: the main thread reads, the others fetch.
READING = ("read (benchmark/read_with_dify_etl.py", "(threading.py")


def profile(module: str, task: Mapping[str, Any], file: Path) -> tuple[tuple[str, float], ...]:
    """Shares of the steps, largest first; empty where this machine allows no profiler."""
    command = [PY_SPY, "record", "--gil", "--threads", "--rate", RATE, "--format", "raw"]
    child = [sys.executable, "-m", module, json.dumps(task)]
    done = subprocess.run(
        [*command, "--output", str(file), "--", *child], capture_output=True, check=False
    )
    if done.returncode != 0 or not file.exists():
        return ()
    return shares(file.read_text().splitlines())


def shares(lines: Iterable[str]) -> tuple[tuple[str, float], ...]:
    """Share of each step in py-spy's raw lines: `outer (file:1);inner (file:2) count`."""
    counted: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        if any(frame in stack for frame in READING):
            counted[_step_of(stack.split(";"))] += int(count)
    return tuple((step, count / counted.total()) for step, count in counted.most_common())


def _step_of(stack: list[str]) -> str:
    if any("<frozen importlib" in frame for frame in stack):
        return OTHER
    for frame in reversed(stack):
        for step, places in STEPS:
            if any(place in frame for place in places):
                return step
    return OTHER
