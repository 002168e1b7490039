"""The targets, and whether this run met them."""

from __future__ import annotations

from dataclasses import dataclass

from benchmark.loading import POLITE
from benchmark.readers import DIFY_ETL, DLT, FLOOR
from benchmark.results import FirstLoad, Results
from benchmark.sizes import INSTANT

FLOOR_FACTOR, NIGHT_FLOOR_FACTOR, DLT_FACTOR, NIGHT_FACTOR = 1.1, 1.2, 1.0, 10.0
ROWS_PER_SECOND, PEAK_BYTES = 30_000, 500 * 10**6


@dataclass(frozen=True)
class Verdict:
    """A target in words, what was measured, and whether that is good enough."""

    target: str
    measured: str
    is_met: bool


def verdicts(results: Results) -> list[Verdict]:
    """All targets in the order of the report."""
    floors = [_floor(load) for load in (*results.loads, *results.with_runs) if _has_floor(load)]
    dlt = [_dlt(load) for load in results.loads]
    nights = [_night_beside_floor(results.settled_beside_floor), _night(results)]
    return [*floors, *dlt, *nights, _processing(results), _memory(results)]


def ratio(load: FirstLoad, reader: str, workers: int, other: str, other_workers: int) -> float:
    """How many times the seconds of `other` the reader took; nan when one of them is missing."""
    run, base = load.run(reader, workers), load.run(other, other_workers)
    return run.seconds / base.seconds if run and base else float("nan")


def _has_floor(load: FirstLoad) -> bool:
    return load.pace != INSTANT.name


def _floor(load: FirstLoad) -> Verdict:
    found = ratio(load, DIFY_ETL, POLITE, FLOOR, POLITE)
    target = f"at most {FLOOR_FACTOR} x floor, {POLITE} requests at a time, {load.pace}"
    return Verdict(f"{target} ({load.world})", f"{found:.2f} x", found <= FLOOR_FACTOR)


def _dlt(load: FirstLoad) -> Verdict:
    runs = [run for run in load.runs if run.reader == DLT]
    best = min((run.seconds for run in runs), default=float("nan"))
    ours = min(run.seconds for run in load.runs if run.reader == DIFY_ETL)
    found = best / ours
    target = f"quicker than dlt's full load at its best, {load.pace}"
    return Verdict(f"{target} ({load.world})", f"{found:.1f} x", found >= DLT_FACTOR)


def _night_beside_floor(night: FirstLoad) -> Verdict:
    found = ratio(night, DIFY_ETL, POLITE, FLOOR, POLITE)
    target = f"a settled night in at most {NIGHT_FLOOR_FACTOR} x its requests alone, {night.pace}"
    return Verdict(f"{target} ({night.world})", f"{found:.2f} x", found <= NIGHT_FLOOR_FACTOR)


def _night(results: Results) -> Verdict:
    ours, theirs = results.settled[:2]
    told = f"{ours.requests} against {theirs.requests}, of ours {ours.deep_requests} deep read"
    target = "a settled night in under a tenth of the requests of dlt with a lag of 7 days"
    return Verdict(target, told, ours.requests * NIGHT_FACTOR < theirs.requests)


def _processing(results: Results) -> Verdict:
    found = results.processing.all
    target = (
        f"validate, normalise and load {ROWS_PER_SECOND:,} messages per CPU second (the best of "
    )
    target += f"{results.processing.runs} runs)"
    return Verdict(target, f"{found:,.0f}", found >= ROWS_PER_SECOND)


def _memory(results: Results) -> Verdict:
    largest = results.memory[-1]
    messages = largest.losses["messages"].expected
    target = f"{messages:,} messages under {PEAK_BYTES // 10**6} MB at the peak"
    return Verdict(target, f"{largest.peak_bytes / 1e6:,.0f} MB", largest.peak_bytes < PEAK_BYTES)
