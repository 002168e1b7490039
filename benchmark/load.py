"""What load dify-etl puts on a server: requests in flight against time, as the server counts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from benchmark.pace import Pace
from benchmark.progress import say
from benchmark.readers import Bench
from benchmark.results import Load

CAP = 32  # far more than any of the servers can use: the adaptive limit has to find out
STEPS = 40
SERVERS = (
    Pace("works on 2 at a time, 20 ms each", 0.02, workers=2),
    Pace("works on 4 at a time, 30 ms each", 0.03, workers=4),
    Pace("works on 16 at a time, 60 ms each", 0.06, workers=16),
    Pace(
        "works on 8 at a time, 40 ms each; answers 429 from second 5 to second 8",
        0.04,
        workers=8,
        refuses_from=5.0,
        refuses_until=8.0,
    ),
)


def loads(bench: Bench) -> tuple[Load, ...]:
    """A first load from each kind of server."""
    return tuple(_load(bench, pace) for pace in SERVERS)


def _load(bench: Bench, pace: Pace) -> Load:
    home = bench.new_home()
    bench.served.set_pace(pace)
    run = bench.dify_etl(home, workers=CAP)
    flow = bench.served.flow()
    run = bench.losses(run, home)
    step = (flow[-1][0] - flow[0][0]) / STEPS
    load = Load(pace.name, CAP, step, tuple(in_steps(flow, STEPS)), run.losses)
    say(f"  load, {pace.name}: {[round(one, 1) for one in load.in_flight]}")
    return load


def in_steps(flow: Sequence[tuple[float, int]], steps: int) -> list[float]:
    """Means over time of a count that changes at given seconds, in equal steps."""
    begin, end = flow[0][0], flow[-1][0]
    width = (end - begin) / steps
    sums = [0.0] * steps
    for (since, count), (until, _) in pairwise(flow):
        place = since
        while place < until:
            step = min(steps - 1, int((place - begin) / width))
            edge = min(until, begin + (step + 1) * width) if step < steps - 1 else until
            sums[step] += count * (edge - place)
            place = edge if edge > place else until
    return [one / width for one in sums]
