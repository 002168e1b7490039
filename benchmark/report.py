"""Write the results as docs/benchmark.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from statistics import median

from benchmark.loading import POLITE
from benchmark.markdown_table import table
from benchmark.readers import DIFY_ETL, FLOOR
from benchmark.results import (
    FeedTime,
    FirstLoad,
    Load,
    Losses,
    MovingWorld,
    Night,
    Results,
    Run,
)
from benchmark.sizes import INSTANT
from benchmark.targets import verdicts

HEAD = """# Benchmark

Written by `make bench` on {date}; nothing here is typed by hand. It takes about an hour on two
cores; `make bench SIZE=small` prints a quick version.

All readers read the same simulated Dify over a socket, each as a child process, one after another.
Answers are rendered beforehand, so the server costs next to nothing. Seconds are from the first
request until everything is loaded, without the start of Python; CPU seconds and peak memory are the
kernel's for the whole process. Runs of one table were made in one stretch of time. Where dify-etl
and the floor ran more than once, in turns, the run with the median of the seconds is told.

- **dify-etl** reads lists, messages and their parts as its nightly sync does, into its own tables.
- **floor** asks the same requests with httpx alone; it knows them beforehand, parses and keeps
  nothing.
- **dlt** has one resource per app, all parallel, pages of 100, merge into DuckDB, lists as JSON;
  the logs of agents, which tell the seconds of tool calls, by a transformer.
- **dify-user-client** runs the loop of its README; it reads at most nine pages of ten messages of a
  conversation, and keeps nothing.

`x8` means at most eight requests at a time, dify-etl's own default; more load a server that people
work on. The worlds hold conversations of 130 and 250 messages with many in one second.
"""
LOAD_HEAD = (
    "reader",
    "seconds",
    "of dify-etl",
    "CPU s",
    "requests",
    "rows/s",
    "peak MB",
    "lost",
    "twice",
)
BARS = " ▁▂▃▄▅▆▇█"
NIGHT_HEAD = (
    "reader",
    "history",
    "conversations",
    "touched",
    "requests",
    "seconds",
    "deep read's requests",
    "deep read's seconds",
)


def report(results: Results, *, now: datetime | None = None) -> str:
    """The whole page in Markdown."""
    date = (now or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")
    parts = [
        HEAD.format(date=date),
        *_verdicts(results),
        *_loads(results),
        *_beyond_floor((*results.loads, *results.with_runs)),
        *_moving(results.moving),
        *_nights(results),
        *_load_on_server(results.load),
        *_processing(results),
        *_memory(results.memory),
        *_profile(results.profile),
        *_circumstances(results),
    ]
    return "\n".join(parts) + "\n"


def _verdicts(results: Results) -> Iterator[str]:
    yield "## Targets\n"
    rows = (
        (one.target, one.measured, "met" if one.is_met else "missed") for one in verdicts(results)
    )
    yield table(("target", "measured", "verdict"), rows)


def _loads(results: Results) -> Iterator[str]:
    yield "## First load: conversations and messages\n"
    yield from (_load(load) for load in results.loads)
    yield "## First load with workflow runs and nodes\n"
    yield from (_load(load) for load in results.with_runs)


def _load(load: FirstLoad) -> str:
    title = f"{load.world}; server: {load.pace}; runs of dify-etl x8 and floor x8: {load.repeats}"
    base = {run.workers: run.seconds for run in load.runs if run.reader == DIFY_ETL}
    widest = base[max(base)]
    rows = (_run_row(run, base.get(run.workers, widest)) for run in load.runs)
    return f"**{title}**\n\n{table(LOAD_HEAD, rows)}"


def _run_row(run: Run, base_seconds: float) -> tuple[str, ...]:
    return (
        f"{run.reader} x{run.workers}",
        f"{run.seconds:.2f}",
        f"{run.seconds / base_seconds:.2f}",
        f"{run.cpu_seconds:.1f}",
        f"{run.requests:,}",
        f"{run.rows / run.seconds:,.0f}" if run.rows else "",
        f"{run.peak_bytes / 1e6:,.0f}",
        _sentence(run.losses, "lost"),
        _sentence(run.losses, "duplicated"),
    )


def _sentence(losses: dict[str, Losses], what: str) -> str:
    """Rows by table, 0 when there are none, empty where the reader keeps nothing."""
    if not losses:
        return ""
    found = {name: getattr(one, what) for name, one in losses.items()}
    return ", ".join(f"{count:,} {name}" for name, count in found.items() if count) or "0"


def _beyond_floor(loads: Sequence[FirstLoad]) -> Iterator[str]:
    """Where each run of dify-etl took longer than its requests need at the floor's rate."""
    yield (
        "## Where the seconds beyond the floor go\n\nWhat each feed would take if its requests "
        "were answered as quickly as those of the floor, which knows them all beforehand, and the "
        "seconds that it took beyond that. `at full speed`: answers per second in the median half "
        "second.\n"
    )
    for load in loads:
        ours, floor = load.run(DIFY_ETL, POLITE), load.run(FLOOR, POLITE)
        if load.pace != INSTANT.name and ours and floor:
            yield _beyond(load, ours, floor)


def _beyond(load: FirstLoad, ours: Run, floor: Run) -> str:
    told = FeedTime(
        "login, tables, closing",
        ours.seconds - sum(feed.seconds for feed in ours.feeds),
        ours.requests - sum(feed.requests for feed in ours.feeds),
    )
    whole = FeedTime("all", ours.seconds, ours.requests)
    rows = []
    for one in (told, *ours.feeds, whole):
        at_floor = one.requests * floor.seconds / floor.requests
        numbers = (one.seconds, at_floor, one.seconds - at_floor)
        rows.append((one.feed, f"{one.requests:,}", *(f"{number:.2f}" for number in numbers)))
    head = ("feed", "requests", "seconds", "at the floor's rate", "beyond")
    return (
        f"**{load.world}; server: {load.pace}**; at full speed dify-etl {ours.median_rate:.0f}, "
        f"the floor {floor.median_rate:.0f}\n\n{table(head, rows)}"
    )


def _moving(worlds: Sequence[MovingWorld]) -> Iterator[str]:
    every = worlds[0].touch_every
    yield (
        f"## A world that moves while it is read\n\nAt every {every}th read somebody goes on with "
        "another conversation. Counted are the rows that were there before.\n"
    )
    rows = (
        (
            one.reader,
            _sentence(one.first, "lost"),
            _sentence(one.first, "duplicated"),
            _sentence(one.next, "lost"),
            _sentence(one.next, "duplicated"),
        )
        for one in worlds
    )
    head = ("reader", "lost at first", "twice", "lost after the next, quiet run", "twice")
    yield table(head, rows)


def _nights(results: Results) -> Iterator[str]:
    yield "## A settled night\n\nA day after the first load; nothing has changed.\n"
    yield table(NIGHT_HEAD, map(_night_row, results.settled))
    yield _load(results.settled_beside_floor)
    yield (
        "## A night by length of history\n\n2 % of all conversations, old and new, went on the day "
        "before; 20 ms per answer. The deep read lists 1/28 of the history again; its seconds are "
        "the difference of two runs of the same night, with and without it: a tenth is noise.\n"
    )
    yield table(NIGHT_HEAD, map(_night_row, results.history))


def _night_row(night: Night) -> tuple[str, ...]:
    return (
        night.reader,
        f"{night.days} days",
        f"{night.conversations:,}",
        f"{night.touched:,}",
        f"{night.requests:,}",
        f"{night.seconds:.2f}",
        f"{night.deep_requests:,}",
        f"{night.deep_seconds:.2f}",
    )


def _load_on_server(loads: Sequence[Load]) -> Iterator[str]:
    yield (
        "## Load on the server\n\nRequests that the server had from dify-etl at a time, against "
        f"time, in a first load with up to {loads[0].cap} allowed. One character is one "
        f"{len(loads[0].in_flight)}th of the run, its height the mean; the scale ends at twice "
        "the median.\n"
    )
    head = ("server", "requests in flight against time", "median", "most", "seconds", "lost")
    yield table(head, map(_load_row, loads))


def _load_row(load: Load) -> tuple[str, ...]:
    middle = median(load.in_flight)
    heights = (min(len(BARS) - 1, round(one / middle * len(BARS) / 2)) for one in load.in_flight)
    return (
        load.server,
        f"`{''.join(BARS[height] for height in heights)}`",
        f"{middle:.1f}",
        f"{max(load.in_flight):.1f}",
        f"{load.step_seconds * len(load.in_flight):.0f}",
        _sentence(load.losses, "lost"),
    )


def _processing(results: Results) -> Iterator[str]:
    one = results.processing
    yield (
        f"## Processing\n\n{one.rows:,} messages of a real server in one process, rows per CPU "
        f"second of each step alone and of all together; the best of {one.runs} runs, since "
        "whatever else a machine does only takes away.\n"
    )
    cells = (f"{value:,.0f}" for value in (one.validate, one.normalise, one.load, one.all))
    yield table(("validate", "normalise", "load", "all"), [tuple(cells)])


def _memory(runs: Sequence[Run]) -> Iterator[str]:
    yield "## Memory\n\nA first load by dify-etl at 0 ms.\n"
    rows = (
        (
            f"{run.losses['messages'].expected:,}",
            f"{run.peak_bytes / 1e6:,.0f}",
            f"{run.seconds:.0f}",
            f"{run.requests:,}",
            _sentence(run.losses, "lost"),
        )
        for run in runs
    )
    yield table(("messages", "peak MB", "seconds", "requests", "lost"), rows)


def _profile(shares: Sequence[tuple[str, float]]) -> Iterator[str]:
    yield (
        "## Where dify-etl's Python time goes\n\nA first load at 0 ms; waiting and the start of "
        "Python are left out.\n"
    )
    if not shares:
        yield "This machine allows no profiler.\n"
        return
    yield table(("step", "share"), ((step, f"{share:.0%}") for step, share in shares))


def _circumstances(results: Results) -> Iterator[str]:
    yield "## Machine and versions\n"
    yield table(("what", "value"), [*results.machine.items(), *results.versions.items()])
    yield f"Size `{results.size}`; the benchmark took {results.seconds / 60:.0f} minutes."
