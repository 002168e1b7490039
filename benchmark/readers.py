"""The readers side by side: dify-etl, the floor under it, dlt, and dify-user-client."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmark.children import Measured, measure
from benchmark.losses import (
    held_by_dify_etl,
    held_by_dlt,
    held_by_seed_client,
    losses_of,
    merged,
)
from benchmark.results import FeedTime, Run
from benchmark.serving import Served
from benchmark.worlds import NOW

PEERS_PYTHON = ".venv-bench/bin/python"
TALK = ("apps", "conversations", "messages")
ALL = (*TALK, "workflow_runs", "node_executions")
DIFY_ETL, FLOOR, DLT, SEED = "dify-etl", "floor", "dlt", "dify-user-client"
LOOKBACK_SECONDS = 7 * 86_400


@dataclass
class Bench:
    """One served world and a folder; every reader's run gets a home of its own in it.

    `days` is the length of the world's history. `targets` are the reads that dify-etl asked last.
    """

    served: Served
    folder: Path
    days: int
    targets: list[str] = field(default_factory=list)
    _homes: int = 0

    def new_home(self) -> Path:
        """An empty folder."""
        self._homes += 1
        home = self.folder / f"home-{self._homes}"
        home.mkdir()
        return home

    def dify_etl(
        self, home: Path, *, workers: int = 8, feeds: tuple[str, ...] = TALK, **more: Any
    ) -> Run:
        """The feeds of dify-etl into a home, as at night. `more`: fields of its task."""
        task = {
            "feeds": list(feeds),
            "start_date": str((NOW - timedelta(days=self.days + 60)).date()),
            **more,
        }
        measured = self._measure(sys.executable, "read_with_dify_etl", home, workers, task)
        self.targets = self.served.asked()
        return self._run(DIFY_ETL, workers, measured, len(self.targets))

    def floor(self, *, workers: int = 8) -> Run:
        """The reads that dify-etl asked last, with httpx alone."""
        file = self.folder / "targets.json"
        file.write_text(json.dumps(self.targets))
        task = {"base_url": self.served.base_url, "targets": str(file), "workers": workers}
        measured = measure(sys.executable, "benchmark.read_floor", task)
        return self._run(FLOOR, workers, measured, len(self.served.asked()))

    def dlt(
        self, home: Path, *, workers: int = 8, lag_seconds: int | None = LOOKBACK_SECONDS
    ) -> Run:
        """dlt into a home: everything at first, later what its cursor and the lag say."""
        task = {"lag_seconds": lag_seconds}
        measured = self._measure(PEERS_PYTHON, "peers.read_with_dlt", home, workers, task)
        return self._run(DLT, workers, measured, len(self.served.asked()))

    def seed_client(self, home: Path) -> Run:
        """dify-user-client, one request after another."""
        task = {"seen": str(home / "seen.json")}
        measured = self._measure(PEERS_PYTHON, "peers.read_with_seed_client", home, 1, task)
        return self._run(SEED, 1, measured, len(self.served.asked()))

    def losses(self, run: Run, home: Path) -> Run:
        """The run with what it lost and doubled of the world as it is now."""
        return self.losses_among(self.served.ids(), run, home)

    def losses_among(self, ids: list[tuple[str, str]], run: Run, home: Path) -> Run:
        """The run with what it lost and doubled of these rows."""
        if run.reader == DIFY_ETL:
            has_runs = any("/node-executions" in target for target in self.targets)
            tables = ["conversations", "messages", *(["runs", "nodes"] if has_runs else [])]
            found = losses_of(merged(ids), held_by_dify_etl(home, tables))
        elif run.reader == DLT:
            found = losses_of(merged(ids), held_by_dlt(home))
        else:
            found = losses_of(ids, held_by_seed_client(home / "seen.json"))
        return replace(run, losses=found)

    def _measure(
        self, python: str, module: str, home: Path, workers: int, task: dict[str, Any]
    ) -> Measured:
        self.served.asked()
        shared = {
            "base_url": self.served.base_url,
            **self.served.account,
            "home": str(home),
            "workers": workers,
        }
        return measure(python, f"benchmark.{module}", {**shared, **task})

    def _run(self, reader: str, workers: int, measured: Measured, requests: int) -> Run:
        return Run(
            reader=reader,
            workers=workers,
            seconds=measured.seconds,
            cpu_seconds=measured.cpu_seconds,
            peak_bytes=measured.peak_bytes,
            requests=requests,
            median_rate=measured.told.get("median_rate", 0.0),
            feeds=tuple(
                FeedTime(feed, seconds, measured.told["requests"][feed])
                for feed, seconds in measured.told.get("feed_seconds", {}).items()
            ),
        )
