"""First loads: every reader on the same world at the same pace, in the same stretch of time."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from benchmark.pace import Pace
from benchmark.progress import say
from benchmark.readers import ALL, TALK, Bench
from benchmark.results import FirstLoad, Run, typical
from benchmark.sizes import CROWDED

# Requests at a time: what dify-etl allows itself by default, and what a generous owner allows.
POLITE, WIDE = 8, 32
# The floor and dlt are tried with these where dify-etl is WIDE; their best counts.
WIDE_FLOORS, WIDE_DLT = (16, 32), 20

Reading = Callable[[], Run]


def first_loads(bench: Bench, pace: Pace, *, repeats: int, is_large: bool = False) -> FirstLoad:
    """dify-etl, the floor and dlt with 8 requests at a time and, where that helps, with many."""
    bench.served.set_pace(pace)
    others: list[Reading] = [lambda: _dlt(bench, POLITE)]
    if pace not in CROWDED and not is_large:
        others += [
            lambda: _dify_etl(bench, WIDE),
            lambda: min(
                (bench.floor(workers=workers) for workers in WIDE_FLOORS), key=lambda r: r.seconds
            ),
            lambda: _dlt(bench, WIDE_DLT),
        ]
    runs = (*_pair(bench, repeats), *(_tell(reading()) for reading in others))
    return FirstLoad(_world(bench, runs), pace.name, repeats, runs)


def loads_with_runs(bench: Bench, pace: Pace, *, repeats: int) -> FirstLoad:
    """dify-etl with workflow runs and nodes, and the floor under the same requests."""
    bench.served.set_pace(pace)
    runs = _pair(bench, repeats, feeds=ALL)
    return FirstLoad(_world(bench, runs), pace.name, repeats, runs)


def _pair(bench: Bench, repeats: int, feeds: tuple[str, ...] = TALK) -> tuple[Run, Run]:
    """dify-etl and the floor in turns: what slows the machine slows both."""
    pairs = [
        (_tell(_dify_etl(bench, POLITE, feeds)), _tell(bench.floor(workers=POLITE)))
        for _ in range(repeats)
    ]
    ours, floors = zip(*pairs, strict=True)
    return typical(ours), typical(floors)


def seed_load(bench: Bench, pace: Pace) -> Run:
    """dify-user-client on the world of its server version."""
    bench.served.set_pace(pace)
    home = bench.new_home()
    run = bench.losses(bench.seed_client(home), home)
    _tell(run)
    return run


def _dify_etl(bench: Bench, workers: int, feeds: tuple[str, ...] = TALK) -> Run:
    home = bench.new_home()
    run = bench.losses(bench.dify_etl(home, workers=workers, feeds=feeds), home)
    shutil.rmtree(home)
    return run


def _dlt(bench: Bench, workers: int) -> Run:
    home = bench.new_home()
    run = bench.losses(bench.dlt(home, workers=workers), home)
    shutil.rmtree(home)
    return run


def _tell(run: Run) -> Run:
    lost = {table: (one.lost, one.duplicated) for table, one in run.losses.items()}
    say(f"  {run.reader} x{run.workers}: {run.seconds:.2f} s, {run.requests} requests {lost}")
    return run


def _world(bench: Bench, runs: tuple[Run, ...]) -> str:
    """The size of the world in words, by what dify-etl should have found."""
    counted = {table: one.expected for table, one in runs[0].losses.items()}
    return ", ".join(f"{count:,} {table}" for table, count in counted.items())
