"""Measure everything: `python -m benchmark`, or `--size small`, which only prints its report."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from benchmark.children import measure
from benchmark.load import loads
from benchmark.loading import first_loads, loads_with_runs, seed_load
from benchmark.machine import machine, versions
from benchmark.nights import moving_world, night_after, settled_beside_floor, settled_nights
from benchmark.profiling import profile
from benchmark.progress import say
from benchmark.readers import DIFY_ETL, DLT, PEERS_PYTHON, TALK, Bench
from benchmark.report import report
from benchmark.results import FirstLoad, Load, MovingWorld, Night, Processing, Results, Run
from benchmark.server import ServedWorld
from benchmark.serving import serving
from benchmark.sizes import BUSY, INSTANT, NEAR, REAL, SIZES, Size
from benchmark.worlds import NOW

OUTPUT = Path("docs/benchmark.md")
SEED_VERSION = "1.7.2"  # dify-user-client knows bearer tokens only
WITH_SEED = (INSTANT, NEAR)  # it asks one request at a time: slower servers tell nothing more


def main() -> None:
    """Run the benchmark from the project's folder."""
    parser = argparse.ArgumentParser(prog="python -m benchmark", description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="full")
    size = SIZES[parser.parse_args().size]
    text = report(measured(size))
    print(text)
    if size.name == "full":
        OUTPUT.parent.mkdir(exist_ok=True)
        OUTPUT.write_text(text, encoding="utf-8")


def measured(size: Size) -> Results:
    """Everything, one after another."""
    began = time.monotonic()
    first, moving, settled, beside_floor, shares = _base(size)
    large = _large(size)
    return Results(
        size=size.name,
        machine=machine(),
        versions=versions(PEERS_PYTHON),
        loads=(*first, large),
        with_runs=_with_runs(size),
        moving=moving,
        settled=settled,
        settled_beside_floor=beside_floor,
        history=_history(size),
        load=_loads(size),
        processing=_processing(size),
        memory=(*_memory_of((first[0], large)), _many(size)),
        profile=shares,
        seconds=time.monotonic() - began,
    )


@contextmanager
def _bench(world: ServedWorld) -> Iterator[Bench]:
    say(f"building {world}")
    with serving(world) as served, tempfile.TemporaryDirectory() as folder:
        yield Bench(served, Path(folder), world.days)


def _base(
    size: Size,
) -> tuple[
    list[FirstLoad],
    tuple[MovingWorld, ...],
    tuple[Night, ...],
    FirstLoad,
    tuple[tuple[str, float], ...],
]:
    """All paces on the base world, at two of them with the seed client beside; then its nights."""
    world = ServedWorld(size.days, size.base_per_day)
    with _bench(replace(world, version=SEED_VERSION)) as bench:
        seeds = {pace.name: seed_load(bench, pace) for pace in WITH_SEED}
    first = []
    with _bench(world) as bench:
        for pace in size.paces:
            say(f"first loads, {pace.name}")
            load = first_loads(bench, pace, repeats=size.repeats_at(pace))
            beside = (seeds[pace.name],) if pace.name in seeds else ()
            first.append(replace(load, runs=(*load.runs, *beside)))
        shares = _profiled(bench)
        settled = settled_nights(bench)
        beside_floor = settled_beside_floor(bench, REAL)
        moving = tuple(moving_world(bench, reader) for reader in (DIFY_ETL, DLT))
    return first, moving, settled, beside_floor, shares


def _profiled(bench: Bench) -> tuple[tuple[str, float], ...]:
    bench.served.set_pace(INSTANT)
    task = {
        "base_url": bench.served.base_url,
        **bench.served.account,
        "home": str(bench.new_home()),
        "feeds": list(TALK),
        "start_date": str((NOW - timedelta(days=bench.days + 60)).date()),
    }
    return profile("benchmark.read_with_dify_etl", task, bench.folder / "profile.txt")


def _with_runs(size: Size) -> tuple[FirstLoad, ...]:
    with _bench(ServedWorld(size.days, size.base_per_day // 2, has_runs=True)) as bench:
        return tuple(
            loads_with_runs(bench, pace, repeats=size.repeats_at(pace))
            for pace in (NEAR, BUSY, REAL)
        )


def _large(size: Size) -> FirstLoad:
    with _bench(ServedWorld(size.days, size.large_per_day)) as bench:
        return first_loads(
            bench, NEAR, repeats=1, is_large=True
        )  # minutes, of which noise is little


def _many(size: Size) -> Run:
    """A base world many times over, for memory."""
    world = ServedWorld(size.days, size.base_per_day, copies=size.copies)
    with _bench(world) as bench:
        home = bench.new_home()
        run = bench.losses(bench.dify_etl(home), home)
        say(f"  {run}")
        return run


def _memory_of(loads: tuple[FirstLoad, ...]) -> tuple[Run, ...]:
    """dify-etl's own runs of some loads."""
    return tuple(load.runs[0] for load in loads)


def _history(size: Size) -> tuple[Night, ...]:
    nights = []
    for days in size.history_days:
        with _bench(ServedWorld(days, size.history_per_day)) as bench:
            nights.append(night_after(bench, NEAR))
    return tuple(nights)


def _loads(size: Size) -> tuple[Load, ...]:
    with _bench(ServedWorld(size.days, size.base_per_day)) as bench:
        return loads(bench)


def _processing(size: Size) -> Processing:
    tried = [_processed(size) for _ in range(size.processing_runs)]
    return max(tried, key=lambda one: one.all)


def _processed(size: Size) -> Processing:
    with tempfile.TemporaryDirectory() as folder:
        task = {"pages": size.pages, "home": folder}
        told = measure(sys.executable, "benchmark.processing", task).told
    steps = [told[step] for step in ("validate", "normalise", "load")]
    rates = [told["rows"] / seconds for seconds in (*steps, sum(steps))]
    return Processing(size.processing_runs, told["rows"], *rates)


if __name__ == "__main__":
    main()
