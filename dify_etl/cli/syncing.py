"""Run the assets in this process, with progress, and show what came of it."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

from rich.console import Console
from rich.markup import escape

from dify_etl.assembly.connection import (
    copy_place,
    effective_settings,
    home_of,
    open_dify,
    rules_of,
)
from dify_etl.cli.clear_errors import NOT_WHOLE, NOTHING_PUBLISHED
from dify_etl.cli.consoles import err, teller
from dify_etl.cli.error_messages import ErrorMessage, print_error
from dify_etl.cli.nightly_job import JobFailures, execute, nightly_job
from dify_etl.cli.progress import progress_on
from dify_etl.cli.summary import (
    show_accepted,
    show_bad_slices,
    show_hidden_feeds,
    show_summary,
    show_waiting,
)
from dify_etl.defs.resources import DifyHome, check_apps, holding
from dify_etl.defs.schedules import RANGE_END, RANGE_START, lookback_tags
from dify_etl.feeds.table import FEEDS
from dify_etl.settings import DIFY_BEGINS, Settings
from dify_etl.sync.errors import WindowWrong
from dify_etl.sync.opening import OpenHome, open_home
from dify_etl.sync.report import FeedReport
from dify_etl.sync.verdict import Verdict, judge
from dify_etl.sync.windows import asked_window
from dify_etl.time_zones import local_date

QUERIES = (
    "SELECT app_name, sum(messages) AS messages, sum(total_price) AS price\n"
    "FROM marts.app_daily_usage GROUP BY ALL ORDER BY messages DESC;",
    "SELECT app_name, sum(runs) AS runs, sum(failed_runs) AS failed\n"
    "FROM marts.workflow_reliability GROUP BY ALL ORDER BY failed DESC;",
    "SELECT feed, state, count(*) AS slices FROM ops.slices GROUP BY ALL ORDER BY ALL;",
)


@dataclass(frozen=True)
class SyncRequest:
    """What was asked for on the command line; no dates means a night."""

    first: date | None = None
    last: date | None = None
    apps: tuple[str, ...] = ()
    feeds: tuple[str, ...] = ()
    is_full: bool = False
    wait_seconds: float = 60.0
    is_debug: bool = False

    @property
    def is_night(self) -> bool:
        """Whether no days were asked for, so that the run catches up what was missed."""
        return self.first is None and self.last is None


@dataclass(frozen=True)
class _Outcome:
    reports: list[FeedReport]
    verdict: Verdict
    failures: JobFailures


def run_demo(console: Console, *, is_debug: bool) -> int:
    """The nightly sync of all 30 days of the simulated Dify, whatever server the settings name."""
    settings = effective_settings(DIFY_ETL_SIMULATED=True, DIFY_ETL_START_DATE=DIFY_BEGINS)
    code = _run(settings, SyncRequest(is_debug=is_debug), console)
    copy = copy_place(settings).path
    if copy.exists():
        console.print(f"\nThe data is in [bold]{escape(str(copy))}[/]. Three queries to try:\n")
        for query in QUERIES:
            console.print(query + "\n", highlight=False, soft_wrap=True)
    return code


def run_sync(request: SyncRequest, console: Console) -> int:
    """The nightly sync on the settings' Dify; answers the exit code."""
    return _run(effective_settings(), request, console)


def _run(settings: Settings, request: SyncRequest, console: Console) -> int:
    started = time.monotonic()
    _check_days(request)
    _check_feeds(request.feeds)
    outcome = _read(settings, request, console)
    show_summary(console, outcome.reports, time.monotonic() - started)
    verdict = outcome.verdict
    show_hidden_feeds(console, verdict.hidden)
    show_bad_slices(console, verdict.bad)
    show_accepted(console, verdict.accepted)
    show_waiting(console, verdict.waiting)
    broken = [
        ErrorMessage("ModelBroken", one.reason, one.where, one.hint) for one in verdict.broken
    ]
    for message in [*outcome.failures.messages, *broken]:
        print_error(err, message)
    for trace in outcome.failures.traces if request.is_debug else ():
        err.print(trace, markup=False, highlight=False, soft_wrap=True)
    if not outcome.failures.is_published:
        return NOTHING_PUBLISHED
    return 0 if verdict.is_good and not outcome.failures.messages else NOT_WHOLE


def _read(settings: Settings, request: SyncRequest, console: Console) -> _Outcome:
    """Everything that needs Dify and the home; both are given back before anything is shown."""
    run_id = str(uuid.uuid4())
    resource = DifyHome(apps=list(request.apps), full=request.is_full, catch_up=request.is_night)
    job = nightly_job(settings, resource)
    with _opened(settings, request, run_id, console) as opened, holding(opened):
        tags = _partition_tags(settings, request, opened)
        opened.check_source()
        if newer := opened.dify.newer_than_tested:
            err.print(f"{newer}; it is read all the same.", highlight=False, markup=False)
        check_apps(opened, request.apps)
        feeds = _with_needs(request.feeds, opened)
        failures = execute(job, run_id=run_id, tags=tags, feeds=feeds)
        with opened.database() as database:
            return _Outcome(opened.reports, judge(database), failures)


@contextmanager
def _opened(
    settings: Settings, request: SyncRequest, run_id: str, console: Console
) -> Iterator[OpenHome]:
    with (
        open_dify(settings, tell=teller(console)) as dify,
        progress_on(console) as watch,
        open_home(
            dify,
            home_of(settings),
            rules=rules_of(settings),
            run_id=run_id,
            watch=watch,
            wait_seconds=request.wait_seconds,
            copy=copy_place(settings),
        ) as opened,
    ):
        yield opened


def _partition_tags(settings: Settings, request: SyncRequest, opened: OpenHome) -> dict[str, str]:
    """The partition range of the asked days, or of the look-back."""
    if request.is_night:
        return lookback_tags(settings, opened.dify.earlier_time())
    today = local_date(opened.dify.earlier_time(), settings.zone)
    first = request.first or settings.start_date
    window = asked_window(first, request.last or today, today=today, zone=settings.zone)
    if window.first < settings.start_date:
        raise WindowWrong(
            f"{window.first} is before the start date {settings.start_date}",
            where="--from",
            hint=f"Set DIFY_ETL_START_DATE={window.first} to load earlier days.",
        )
    return {RANGE_START: window.first.isoformat(), RANGE_END: window.last.isoformat()}


def _check_days(request: SyncRequest) -> None:
    if request.is_full and not request.is_night:
        raise WindowWrong(
            "--full reads all days, --from and --to only some",
            where="--full and --from or --to",
            hint="Leave one of them out.",
        )


def _check_feeds(feeds: tuple[str, ...]) -> None:
    known = [feed.name for feed in FEEDS]
    for name in feeds:
        if name not in known:
            raise WindowWrong(
                f"there is no feed {name!r}", where="--feed", hint=f"Feeds: {', '.join(known)}."
            )


def _with_needs(asked: tuple[str, ...], opened: OpenHome) -> tuple[str, ...]:
    """The asked feeds and, in a home that never read them, the feeds that they start from."""
    if not asked:
        return ()
    with opened.database() as database:
        held = {row[0] for row in database.rows("SELECT DISTINCT feed FROM ops.slices")}
    chosen = set(asked)
    for feed in reversed(FEEDS):  # a feed stands behind those that it needs
        if feed.name in chosen:
            chosen |= set(feed.needs) - held
    return tuple(feed.name for feed in FEEDS if feed.name in chosen)
