"""Build all marts of a large home: `python -m benchmark.marts --messages 10000000`.

A simulated workspace is read once and copied until it is as large as wanted; then all models are
built as on the first night; once more after a night that touched one message in a hundred, all over
the last month; and after one that touched the newest hundredth, as those that were just asked.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmark.children import Measured, measure
from benchmark.machine import machine
from benchmark.markdown_table import table
from benchmark.progress import say
from benchmark.workspace_copies import multiply, touch, touch_newest
from dify_etl.home import LIVE
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.model_builds import MEMORY, build_all
from dify_etl.warehouse.sql_files import sql_files

THREADS = 2
# Text for text, they are no part of the target for a full build; nor is what is made for the
# groups of questions alone.
OF_TEXTS = (
    "staging.stg_questions",
    "staging.stg_annotated_groups",
    "marts.unanswered_questions",
    "marts.conversation_quality",
)
FULL, NIGHT = "90", "15"  # seconds that are wanted


def main() -> None:
    """Print a report in Markdown; as a child, with a task as JSON, do one step."""
    if sys.argv[1:2] and sys.argv[1].startswith("{"):
        print(json.dumps(_step(json.loads(sys.argv[1]))))
        return
    parser = argparse.ArgumentParser(prog="python -m benchmark.marts", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000_000)
    with tempfile.TemporaryDirectory() as folder:
        print(_measured(Path(folder), parser.parse_args().messages))


def _measured(folder: Path, messages: int) -> str:
    say("reading a simulated workspace")
    command = [str(Path(sys.executable).with_name("dify-etl")), "sync", "--simulated"]
    environment = {**os.environ, "DIFY_ETL_HOME": str(folder)}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    live = str(next(folder.rglob(LIVE)))

    def step(name: str) -> Measured:
        say(name)
        return measure(
            sys.executable, "benchmark.marts", {"live": live, "step": name, "messages": messages}
        )

    made, full = step("multiply"), step("build")
    step("touch")
    night = step("build")
    step("touch_newest")
    return _report(made.told, full, (night, step("build")), Path(live).stat().st_size)


def _step(task: Mapping[str, Any]) -> dict[str, Any]:
    """One step in a process of its own: its seconds, and what it tells."""
    live = Path(task["live"])
    told: dict[str, Any] = {}
    began = time.monotonic()
    with open_database(live) as database:
        database.execute(f"SET threads = {THREADS}")
        if task["step"] == "multiply":
            told["rows"] = multiply(database, task["messages"])
        elif task["step"] == "touch":
            touch(database)
        elif task["step"] == "touch_newest":
            touch_newest(database)
        else:
            told["models"] = dict(_builds(database))
    return {"seconds": time.monotonic() - began, **told}


def _builds(database: Database) -> Iterator[tuple[str, float]]:
    """The seconds of each model; those that are as they were take none."""
    start = time.monotonic()
    for file, error in build_all(database, sql_files(), run_id="benchmark"):
        if error is not None:
            raise error
        yield file.qualified, time.monotonic() - start
        start = time.monotonic()


def _report(
    made: Mapping[str, Any], full: Measured, nights: tuple[Measured, Measured], size: int
) -> str:
    first = full.told["models"]
    month, newest = (night.told["models"] for night in nights)
    others = sum(seconds for model, seconds in first.items() if model not in OF_TEXTS)
    rows = (
        (name, f"{first[name]:.1f}", f"{month[name]:.1f}", f"{newest[name]:.1f}") for name in first
    )
    slow = sorted(rows, key=lambda row: -float(row[1]))[:25]
    held = ", ".join(f"{count:,} {name}" for name, count in made["rows"].items())
    kept = [
        ("all models but those of texts, seconds", f"{others:.0f}", FULL),
        ("all models, seconds", f"{full.seconds:.0f}", ""),
        *(
            (f"all models after a night of 1 %, {where}", f"{night.seconds:.0f}", NIGHT)
            for where, night in zip(("all over a month", "the newest"), nights, strict=True)
        ),
        ("CPU seconds of all models", f"{full.cpu_seconds:.0f}", ""),
        ("peak MB", f"{full.peak_bytes / 1e6:,.0f}", "2,000"),
        ("file MB", f"{size / 1e6:,.0f}", ""),
    ]
    return "\n".join(
        [
            f"# All marts\n\n{held}. DuckDB with {THREADS} threads and {MEMORY}.\n",
            table(("what", "measured", "wanted"), kept),
            table(("model", "first night", "all over a month", "the newest"), slow),
            table(("machine", "value"), machine().items()),
        ]
    )


if __name__ == "__main__":
    main()
