"""A whole run (all feeds, publish) in a process of its own that may be killed at any moment."""

import contextlib
import os
import sys
import time
from dataclasses import dataclass
from datetime import date
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TextIO

import httpx
from pydantic import SecretStr

from dify_etl.dify.client import DifyClient
from dify_etl.dify.http.clock import Clock
from dify_etl.dify.http.session import RetryPolicy
from dify_etl.dify.http.tokens import FileTokenStore
from dify_etl.errors import ActionableError
from dify_etl.feeds.reading import read_feeds
from dify_etl.feeds.table import FEEDS
from dify_etl.sync.opening import OpenHome, open_home
from dify_etl.sync.opt_in import is_read
from dify_etl.sync.run import NoWatcher, SyncPlan, SyncRules
from dify_etl.sync.verdict import judge
from dify_etl.time_zones import zone_of
from dify_etl.warehouse.publish import publish
from dify_etl_tests.forks import FORKS

# A client's answer takes at most this long here, and so do its waits.
READ_SECONDS = 0.5
MOST_WAIT = 0.01


@dataclass(frozen=True)
class ShortRun:
    """What a child needs to know; `most_bytes` is where the disk is full."""

    base_url: str
    email: str
    password: str
    home: Path
    start_date: date
    wait_seconds: float = 30.0
    attempts: int = 6
    most_bytes: int | None = None

    def start(self) -> BaseProcess:
        """Start it; its words go to `said.txt` beside the home."""
        process = FORKS.Process(target=_main, args=(self,))
        process.start()
        return process

    def finish(self) -> int:
        """Run it to its end; answers its exit code."""
        process = self.start()
        process.join(120)
        assert process.exitcode is not None, "the run hangs"
        return process.exitcode

    @property
    def said(self) -> str:
        """What the latest run said."""
        return (self.home.parent / f"{self.home.name}.txt").read_text("utf-8")


class ImpatientTransport(httpx.HTTPTransport):
    """Gives up on an answer that hangs."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send with our own time-outs."""
        request.extensions["timeout"] = dict.fromkeys(
            ("connect", "read", "write", "pool"), READ_SECONDS
        )
        return super().handle_request(request)


def _main(run: ShortRun) -> None:
    """In the child: exit code 0 when all was read, 1 when something was not."""
    with (run.home.parent / f"{run.home.name}.txt").open("w", encoding="utf-8") as said:
        os.dup2(said.fileno(), 2)
        with contextlib.redirect_stdout(said):
            if run.most_bytes is not None:
                _fill_the_disk(run.most_bytes)
            try:
                code = _read(run, said)
            except ActionableError as error:
                print(type(error).__name__, error, file=said)
                code = 1
        said.flush()
    sys.exit(code)


def _fill_the_disk(most_bytes: int) -> None:
    """From now on files cannot grow beyond this size, as on a full disk."""
    import resource
    import signal

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))


def _read(run: ShortRun, said: TextIO) -> int:
    client = DifyClient(
        run.base_url,
        email=run.email,
        password=SecretStr(run.password),
        token_store=FileTokenStore(run.home / "session.json"),
        transport=ImpatientTransport(),
        retry=RetryPolicy(attempts=run.attempts, wait_first=MOST_WAIT),
        clock=Clock(sleep=lambda seconds: time.sleep(min(seconds, MOST_WAIT))),
        fingerprint_key=b"a key of the tests",
    )
    rules = SyncRules(zone=zone_of("UTC"), start_date=run.start_date, lookback_days=2, workers=4)
    run_id = f"run {os.getpid()}"
    with (
        client as dify,
        open_home(
            dify,
            run.home,
            rules=rules,
            run_id=run_id,
            watch=NoWatcher(),
            wait_seconds=run.wait_seconds,
        ) as home,
    ):
        return _read_feeds(home, said)


def _read_feeds(home: OpenHome, said: TextIO) -> int:
    with home.sync(SyncPlan()) as sync:
        feeds = [one for one in FEEDS if is_read(one.name, home.rules)]
        read_feeds(sync, feeds, lambda report: None)
    publish(home.path, run_id=home.run_id, through=home.began_at.date(), wait_seconds=5)
    with home.database() as database:
        verdict = judge(database)
    for row in verdict.bad:
        print(" | ".join(map(str, row)), file=said)
    return 0 if verdict.is_good else 1
