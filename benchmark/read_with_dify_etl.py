"""Read a Dify with the feeds of dify-etl, as its nightly sync does; run as a child process."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from benchmark.rates import median_rate
from dify_etl.dify.client import DifyClient
from dify_etl.dify.http.adaptive_limit import RequestLimits
from dify_etl.feeds.reading import read_feeds
from dify_etl.feeds.table import FEEDS
from dify_etl.sync.fetching import workers_for
from dify_etl.sync.opening import open_sync
from dify_etl.sync.report import FeedReport
from dify_etl.sync.run import NoWatcher, SyncPlan, SyncRules
from dify_etl.time_zones import zone_of

if TYPE_CHECKING:
    from dify_etl.dify_database.connection import DifyDatabase


@dataclass(frozen=True)
class Task:
    """What to read into which home; `start_date` as 2026-01-31."""

    base_url: str
    email: str
    password: str
    home: str
    feeds: list[str]
    start_date: str
    workers: int = 8
    deep_read_days: int = 28
    database_url: str | None = None


def read(task: Task) -> dict[str, object]:
    """Read the feeds in their order; answers seconds, and requests by feed."""
    moments: list[float] = []
    rules = SyncRules(
        zone=zone_of("UTC"),
        start_date=date.fromisoformat(task.start_date),
        deep_read_days=task.deep_read_days,
        workers=workers_for(task.workers),
        dify_database=_database(task.database_url),
    )
    began = time.monotonic()
    with (
        DifyClient(
            task.base_url,
            email=task.email,
            password=SecretStr(task.password),
            limits=RequestLimits(max_concurrency=task.workers),
            fingerprint_key=b"of the benchmark",
            on_request=lambda done: moments.append(time.monotonic()),
        ) as dify,
        open_sync(
            dify,
            Path(task.home),
            rules=rules,
            plan=SyncPlan(),
            run_id="benchmark",
            watch=NoWatcher(),
            lists_apps="apps" in task.feeds,
        ) as sync,
    ):
        reports: list[FeedReport] = []
        read_feeds(sync, [feed for feed in FEEDS if feed.name in task.feeds], reports.append)
    return {
        "seconds": time.monotonic() - began,
        "requests": {report.feed: report.requests for report in reports},
        "feed_seconds": {report.feed: report.seconds for report in reports},
        "median_rate": median_rate(moments),
        "states": {report.feed: report.states for report in reports},
    }


def _database(url: str | None) -> DifyDatabase | None:
    if url is None:
        return None
    from dify_etl.dify_database.connection import (
        DifyDatabase,
    )  # who reads no database has no driver

    return DifyDatabase(SecretStr(url))


def main() -> None:
    """Do the task of the command line; the last line is the result as JSON."""
    task = Task(**json.loads(sys.argv[1]))
    print(json.dumps(read(task)))


if __name__ == "__main__":
    main()
