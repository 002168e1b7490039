"""How many conversations a second one process reads from a Dify that has all the cores it wants:
`python -m benchmark.scaling`.

Whether several processes for one workspace could ever pay: they do not while one of them keeps a
whole Dify busy.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmark.machine import machine
from benchmark.markdown_table import table
from benchmark.progress import say
from benchmark.readers import Bench
from benchmark.results import Run
from benchmark.server import ServedWorld
from benchmark.serving import serving
from benchmark.sizes import INSTANT, REAL

CONCURRENT = (8, 32, 64)
DIFY_CORES = (4, 8, 12)  # of a server that takes its time, asked with 64 requests at once
# What a Dify 1.12.1 spent of its CPU on a conversation of a first load: its row in the list of
# conversations, and its messages.
DIFY_SECONDS = REAL.listed_row + REAL.seconds + REAL.messages


def main() -> None:
    """Run it from the project's folder."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.scaling", description=__doc__)
    parser.add_argument("--copies", type=int, default=4, help="of a world of 30 days")
    world = ServedWorld(days=30, conversations_per_day=40, copies=parser.parse_args().copies)
    rows = []
    with tempfile.TemporaryDirectory() as folder, serving(world) as served:
        bench = Bench(served, Path(folder), world.days)
        served.set_pace(INSTANT)
        for workers in CONCURRENT:
            rows.append(_row(_run(bench, workers)))
            say(f"  {rows[-1]}")
        kept = []
        for cores in DIFY_CORES:
            served.set_pace(replace(REAL, workers=cores))
            run = _run(bench, max(CONCURRENT))
            ideal = run.losses["conversations"].expected * DIFY_SECONDS / cores
            kept.append((f"{cores}", f"{run.seconds:.1f}", f"{100 * ideal / run.seconds:.0f} %"))
            say(f"  {kept[-1]}")
    headings = (
        "requests at once",
        "conversations",
        "messages",
        "seconds",
        "conversations a second",
        "client CPU ms each",
        "cores of a Dify that keeps up",
        "at most, by client CPU",
        "lost",
    )
    print(table(headings, rows))
    print(table(("cores of Dify", "seconds", "kept busy, at the least"), kept))
    print(table(("machine", "value"), machine().items()))


def _run(bench: Bench, workers: int) -> Run:
    home = bench.new_home()
    run = bench.losses(bench.dify_etl(home, workers=workers), home)
    shutil.rmtree(home)
    return run


def _row(run: Run) -> tuple[str, ...]:
    conversations = run.losses["conversations"].expected
    rate = conversations / run.seconds
    cpu = run.cpu_seconds / conversations
    return (
        f"{run.workers}",
        f"{conversations:,}",
        f"{run.losses['messages'].expected:,}",
        f"{run.seconds:.1f}",
        f"{rate:,.0f}",
        f"{1000 * cpu:.2f}",
        f"{rate * DIFY_SECONDS:.0f}",
        f"{DIFY_SECONDS / cpu:.0f}",
        f"{sum(one.lost + one.duplicated for one in run.losses.values())}",
    )


if __name__ == "__main__":
    main()
