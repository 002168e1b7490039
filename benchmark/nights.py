"""Nights after a first load: a settled world, one that goes on, and one that moves while read."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from benchmark.losses import merged
from benchmark.pace import Pace
from benchmark.progress import say
from benchmark.readers import DLT, Bench
from benchmark.results import FirstLoad, MovingWorld, Night, Run
from benchmark.sizes import INSTANT

ONE_DAY = 86_400.0
# Of the conversations, in the nights that are compared by length of history.
ACTIVE_SHARE = 0.02
TOUCH_EVERY = 10


def settled_nights(bench: Bench) -> tuple[Night, ...]:
    """A day later nothing has changed: what do dify-etl and dlt ask?

    dlt once with a lag of seven days (it reads again what dify-etl's look-back covers), once with
    none (it trusts that nothing old changes).
    """
    bench.served.set_pace(INSTANT)
    ours, lagging, trusting = bench.new_home(), bench.new_home(), bench.new_home()
    bench.dify_etl(ours)
    bench.dlt(lagging)
    bench.dlt(trusting, lag_seconds=0)
    conversations = _conversations(bench)
    bench.served.advance(ONE_DAY)
    runs = {
        "dify-etl": _with_and_without_deep_read(bench, ours),
        "dlt, lag of 7 days": (bench.dlt(lagging), None),
        "dlt, no lag": (bench.dlt(trusting, lag_seconds=0), None),
    }
    nights = {name: _night(bench, pair, conversations, touched=0) for name, pair in runs.items()}
    return tuple(replace(night, reader=name) for name, night in nights.items())


def settled_beside_floor(bench: Bench, pace: Pace) -> FirstLoad:
    """A settled night of dify-etl, and its requests by httpx alone."""
    home = bench.new_home()
    bench.served.set_pace(INSTANT)
    bench.dify_etl(home)
    bench.served.advance(ONE_DAY)
    bench.served.set_pace(pace)
    runs = (bench.dify_etl(home), bench.floor())
    say(f"  a settled night beside the floor: {[round(run.seconds, 2) for run in runs]} s")
    return FirstLoad(f"{_conversations(bench):,} conversations", pace.name, 1, runs)


def night_after(bench: Bench, pace: Pace) -> Night:
    """A night of dify-etl when 2 % of all conversations, old and new, went on the day before."""
    home = bench.new_home()
    bench.served.set_pace(INSTANT)
    bench.dify_etl(home)
    conversations = _conversations(bench)
    bench.served.advance(ONE_DAY)
    touched = bench.served.touch(ACTIVE_SHARE)
    bench.served.set_pace(pace)
    return _night(bench, _with_and_without_deep_read(bench, home), conversations, touched=touched)


def moving_world(bench: Bench, reader: str) -> MovingWorld:
    """A load while every tenth read finds another conversation gone on, then a quiet run."""
    bench.served.set_pace(INSTANT)
    before, home = bench.served.ids(), bench.new_home()
    bench.served.touch_every(TOUCH_EVERY)
    first = bench.losses_among(before, _read(bench, reader, home), home)
    bench.served.touch_every(0)
    later = bench.losses_among(before, _read(bench, reader, home), home)
    say(f"  {reader} in a moving world: {first.losses}, then {later.losses}")
    return MovingWorld(reader, TOUCH_EVERY, first.losses, later.losses)


def _read(bench: Bench, reader: str, home: Path) -> Run:
    return bench.dlt(home) if reader == DLT else bench.dify_etl(home)


def _with_and_without_deep_read(bench: Bench, home: Path) -> tuple[Run, Run]:
    """The same night twice, from copies of one home."""
    copy = bench.new_home()
    shutil.copytree(home, copy, dirs_exist_ok=True)
    return bench.dify_etl(home), bench.dify_etl(copy, deep_read_days=0)


def _night(
    bench: Bench, runs: tuple[Run, Run | None], conversations: int, *, touched: int
) -> Night:
    whole, shallow = runs
    night = Night(
        reader=whole.reader,
        days=bench.days,
        conversations=conversations,
        touched=touched,
        requests=whole.requests,
        seconds=whole.seconds,
        deep_requests=whole.requests - shallow.requests if shallow else 0,
        deep_seconds=whole.seconds - shallow.seconds if shallow else 0.0,
    )
    say(f"  night: {night}")
    return night


def _conversations(bench: Bench) -> int:
    return sum(table == "conversations" for table, _ in merged(bench.served.ids()))
