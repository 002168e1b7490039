"""Publish a large home into a shared warehouse: `python -m benchmark.shared --messages 1000000`.

A simulated workspace is read once and copied until it is as large as wanted, and its marts are
built. Then it is published into a DuckDB file and into a lake (catalog in PostgreSQL, Parquet
files in a folder, or in an S3 whose answers take a tenth of a second; by the DuckDB whose
extensions come as packages): at first, again without a change, and after a night that changed the
newest hundredth, whose marts are built before it. At the end the warehouse is compacted.
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
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from benchmark.children import Measured, measure
from benchmark.machine import machine
from benchmark.markdown_table import table
from benchmark.object_store import BUCKET, ObjectStore, keep_secret, serving_s3
from benchmark.progress import say
from benchmark.workspace_copies import SHORT_TEXTS, TEXTS, multiply, rows_held, touch_newest
from dify_etl.home import LIVE
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.shared_warehouse.publication import publish_shared
from dify_etl.shared_warehouse.upkeep import compact_shared
from dify_etl.warehouse.copying import copy_file
from dify_etl.warehouse.database import Database, open_database
from dify_etl.warehouse.model_builds import build_all
from dify_etl.warehouse.sql_files import sql_files
from dify_etl_tests.postgres import Postgres, serving_postgres

LAKE_PACKAGES = Path(".venv-lake")
MARTS, ALL_ANEW = "marts", "all anew"
AT_FIRST, AGAIN, A_NIGHT, COMPACTED = "at first", "without a change", "newest 1 %", "compacted"
KINDS = ("file", "lake", "s3")
Row = tuple[str, str, str, str, str, str]


def main() -> None:
    """Print a report in Markdown; as a child, with a task as JSON, do one step."""
    if sys.argv[1:2] and sys.argv[1].startswith("{"):
        print(json.dumps(_step(json.loads(sys.argv[1]))))
        return
    parser = argparse.ArgumentParser(prog="python -m benchmark.shared", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--home", help="the live file of a large home, instead of one made now")
    parser.add_argument("--short-texts", action="store_true", help="where the disk has no room")
    parser.add_argument("--into", choices=KINDS, help="one of them alone")
    asked = parser.parse_args()
    kinds = (asked.into,) if asked.into else KINDS
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        server = stack.enter_context(serving_postgres(log_statement="none"))
        store = stack.enter_context(serving_s3()) if "s3" in kinds else None
        places = {kind: _place(kind, folder, server) for kind in kinds}
        home = _copied(Path(asked.home), folder) if asked.home else _small_home(Path(folder))
        task = {
            "home": home,
            "spill": f"{folder}/spill",
            "messages": None if asked.home else asked.messages,
            "texts": SHORT_TEXTS if asked.short_texts else TEXTS,
            "endpoint": store and store.endpoint,
        }
        print(_measured(task, places, store))


def _place(kind: str, folder: str, server: Postgres) -> dict[str, str | None]:
    if kind == "file":
        return {"target": f"{folder}/shared.duckdb", "data_path": None}
    server.execute(f"CREATE DATABASE of_{kind}")
    catalog = f"dbname=of_{kind} host=127.0.0.1 port={server.port} user=owner"
    data_path = f"{folder}/lake" if kind == "lake" else f"s3://{BUCKET}/dify"
    return {"target": f"ducklake:postgres:{catalog}", "data_path": data_path}


def _copied(home: Path, folder: str) -> str:
    """A copy of the file, which is changed as a night changes it."""
    copy = Path(folder, home.name)
    copy_file(home, copy)
    return str(copy)


def _small_home(folder: Path) -> str:
    """The live file of a simulated workspace, read as users do."""
    say("reading a simulated workspace")
    command = [str(Path(sys.executable).with_name("dify-etl")), "sync", "--simulated"]
    environment = {**os.environ, "DIFY_ETL_HOME": str(folder / "home")}
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return str(next((folder / "home").rglob(LIVE)))


def _measured(
    task: Mapping[str, Any],
    places: Mapping[str, Mapping[str, Any]],
    store: ObjectStore | None,
) -> str:
    """The report; without `messages` the home has them."""

    def step(name: str, kind: str = "") -> Measured:
        say(f"{name} {kind}")
        with _environment_of(kind, Path(task["home"]).parent):
            measured = measure(
                sys.executable, "benchmark.shared", {**task, "step": name, **places.get(kind, {})}
            )
        if kind == "s3" and store is not None and "came" in measured.told:
            more = f"{measured.told['came']}; {store.asked()}"
            return replace(measured, told={**measured.told, "came": more})
        return measured

    if store is not None:
        step("secret", "s3")
    made = step("make").told
    rows = [_row(MARTS, ALL_ANEW, step("build"))]
    rows += [
        _row(kind, when, step("publish", kind)) for kind in places for when in (AT_FIRST, AGAIN)
    ]
    step("touch")
    rows.append(_row(MARTS, A_NIGHT, step("build")))
    rows += [_row(kind, A_NIGHT, step("publish", kind)) for kind in places]
    rows += [_row(kind, COMPACTED, step("compact", kind)) for kind in places]
    held = ", ".join(f"{count:,} {name}" for name, count in made["rows"].items())
    titles = ("into", "what", "seconds", "CPU seconds", "peak MB", "rows, or MB and files")
    size = Path(task["home"]).stat().st_size / 1e6
    return "\n".join(
        [
            f"# A shared warehouse\n\n{held}. The home's file: {size:,.0f} MB.\n",
            table(titles, rows),
            table(("machine", "value"), machine().items()),
        ]
    )


@contextmanager
def _environment_of(kind: str, user: Path) -> Iterator[None]:
    """Children for a lake find the DuckDB of its packages before ours; in an S3, the secret in the
    home of a user of their own.
    """
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "HOME")}
    if kind in ("lake", "s3"):
        (packages,) = LAKE_PACKAGES.glob("lib/python3*/site-packages")
        os.environ["PYTHONPATH"] = str(packages.absolute())
    if kind == "s3":
        os.environ["HOME"] = str(user)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _row(kind: str, when: str, step: Measured) -> Row:
    measured = (f"{step.seconds:.1f}", f"{step.cpu_seconds:.1f}", f"{step.peak_bytes / 1e6:,.0f}")
    return kind, when, *measured, step.told["came"]


def _step(task: Mapping[str, Any]) -> dict[str, Any]:
    """One step in a process of its own: its seconds, and what came of it."""
    home = Path(task["home"])
    began = time.monotonic()
    if task["step"] in ("make", "touch", "build"):
        with open_database(home) as database:
            came = _in_the_home(database, task)
        return {"seconds": time.monotonic() - began, **came}
    if task["step"] == "secret":
        keep_secret(task["endpoint"])
        return {"seconds": time.monotonic() - began}
    place = SharedPlace(SecretStr(task["target"]), task["data_path"], Path(task["spill"]))
    if task["step"] == "publish":
        done = publish_shared(place, home, run_id="benchmark")
        came = f"{done.rows:,} rows in {done.partitions:,} partitions"
    else:
        was, now = compact_shared(place, keep_days=0)
        came = f"{was.bytes / 1e6:,.0f} MB in {was.files:,}, then {now.bytes / 1e6:,.0f} "
        came += f"in {now.files:,}"
    return {"seconds": time.monotonic() - began, "came": came}


def _in_the_home(database: Database, task: Mapping[str, Any]) -> dict[str, Any]:
    if task["step"] == "touch":
        touch_newest(database)
        return {}
    if task["step"] == "make":
        many = task["messages"]
        made = multiply(database, many, texts=task["texts"]) if many else rows_held(database)
        return {"rows": made}
    built = list(build_all(database, sql_files(), run_id="benchmark"))
    if errors := [error for _, error in built if error is not None]:
        raise errors[0]
    return {"came": f"{len(built)} models"}


if __name__ == "__main__":
    main()
