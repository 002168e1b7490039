"""Run the assets in this process, with progress, and show what came of it."""

import os
import time
import uuid
import warnings
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import dagster as dg
from rich.console import Console
from rich.table import Table as RichTable

from dify_etl.connection import effective_settings, home_of, open_dify, rules_of
from dify_etl.pipeline.code_location import code_location
from dify_etl.pipeline.publication import SYNC_VERDICT, BadSlice, bad_slices
from dify_etl.pipeline.raw_assets import raw_key
from dify_etl.pipeline.resources import DifyHome, holding
from dify_etl.pipeline.schedules import NIGHTLY_SYNC, RANGE_END, RANGE_START, lookback_tags
from dify_etl.settings import Settings
from dify_etl.sync.errors import WindowWrong
from dify_etl.sync.feeds import FEEDS
from dify_etl.sync.opening import OpenHome, open_home
from dify_etl.sync.report import STATES, FeedReport
from dify_etl.sync.windows import asked_window, local_date
from dify_etl.terminal.progress import progress_on
from dify_etl.warehouse.publish import COPY
from dify_etl.warehouse.upsert import Changes

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


def run_demo(console: Console) -> int:
    """The nightly sync on the simulated Dify, whatever server the settings name."""
    settings = effective_settings(DIFY_BASE_URL=None)
    code = _run(settings, SyncRequest(), console)
    copy = home_of(settings) / COPY
    console.print(f"\nThe data is in [bold]{copy}[/]. Three queries to try:\n")
    for query in QUERIES:
        console.print(query + "\n", highlight=False)
    return code


def run_sync(request: SyncRequest, console: Console) -> int:
    """The nightly sync on the settings' Dify; answers the exit code."""
    return _run(effective_settings(), request, console)


def _run(settings: Settings, request: SyncRequest, console: Console) -> int:
    _check_feeds(request.feeds)
    _quiet()
    started = time.monotonic()
    run_id = str(uuid.uuid4())
    home = home_of(settings)
    with (
        open_dify(settings) as dify,
        progress_on(console) as watch,
        open_home(
            dify,
            home,
            rules=rules_of(settings),
            run_id=run_id,
            watch=watch,
            wait_seconds=request.wait_seconds,
        ) as opened,
    ):
        tags = _partition_tags(settings, request, opened)
        opened.check_source()
        resource = DifyHome(
            apps=list(request.apps), full=request.is_full, catch_up=request.first is None
        )
        with holding(opened):
            errors = _execute(settings, resource, request, tags, run_id)
        with opened.database() as database:
            bad = bad_slices(database, run_id)
    _show(console, opened.reports, bad, time.monotonic() - started)
    for error in errors:
        console.print(f"[bold red]failed[/] {error}", highlight=False)
    return 1 if bad or errors else 0


def _partition_tags(settings: Settings, request: SyncRequest, opened: OpenHome) -> dict[str, str]:
    """The partition range of the asked days, or of the look-back."""
    if request.first is None and request.last is None:
        return lookback_tags(settings, opened.dify.server_time())
    today = local_date(opened.dify.server_time(), settings.zone)
    first = request.first or settings.start_date
    window = asked_window(first, request.last or today, today=today, zone=settings.zone)
    if window.first < settings.start_date:
        raise WindowWrong(
            f"{window.first} is before the start date {settings.start_date}",
            where="--from",
            hint=f"Set DIFY_ETL_START_DATE={window.first} to load earlier days.",
        )
    return {RANGE_START: window.first.isoformat(), RANGE_END: window.last.isoformat()}


def _execute(
    settings: Settings,
    resource: DifyHome,
    request: SyncRequest,
    tags: dict[str, str],
    run_id: str,
) -> list[str]:
    """Run the job in this process; answers the failures that no slice tells of."""
    job = code_location(settings, resource).resolve_job_def(NIGHTLY_SYNC)
    result = job.execute_in_process(
        instance=_instance(),
        run_id=run_id,
        tags=tags,
        asset_selection=_selection(job, request.feeds),
        # Dagster's own lines are for its UI, not for this terminal.
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        raise_on_error=False,
    )
    failed = [event for event in result.all_events if event.is_step_failure]
    verdict = SYNC_VERDICT.to_python_identifier()
    told = [f"{event.step_key}: {_what(event)}" for event in failed if event.step_key != verdict]
    if not result.success and not failed:
        told.append("the run ended before its first step; `dify-etl doctor` may say why")
    return told


def _what(event: dg.DagsterEvent) -> str:
    """The failure in one line: ours as it was raised, else the innermost cause."""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip().splitlines()[0] if error else "no message"


def _instance() -> dg.DagsterInstance:
    """The instance of DAGSTER_HOME, so that the UI shows the run; else one that is forgotten."""
    if os.environ.get("DAGSTER_HOME"):
        return dg.DagsterInstance.get()
    return dg.DagsterInstance.ephemeral()


def _selection(job: dg.JobDefinition, feeds: tuple[str, ...]) -> list[dg.AssetKey] | None:
    """All assets, or the chosen feeds' tables with the models, the copy and the verdict."""
    if not feeds:
        return None
    left_out = {raw_key(name) for feed in FEEDS if feed.name not in feeds for name in feed.tables}
    return [key for key in job.asset_layer.executable_asset_keys if key not in left_out]


def _check_feeds(feeds: tuple[str, ...]) -> None:
    known = [feed.name for feed in FEEDS]
    for name in feeds:
        if name not in known:
            raise WindowWrong(
                f"there is no feed {name!r}", where="--feed", hint=f"Feeds: {', '.join(known)}."
            )


def _show(console: Console, reports: list[FeedReport], bad: list[BadSlice], seconds: float) -> None:
    table = RichTable(title=f"Loaded in {seconds:.1f} s", title_justify="left")
    table.add_column("feed")
    for heading in ("rows", "new", "changed", "requests", "seconds"):
        table.add_column(heading, justify="right")
    table.add_column("state")
    own = {report.feed: report for report in reports}
    for name, changes in _changes_by_table(reports).items():
        report = own.get(name)
        table.add_row(
            name,
            f"{changes.new + changes.changed + changes.unchanged:,}",
            f"{changes.new:,}",
            f"{changes.changed:,}",
            f"{report.requests:,}" if report else "",
            f"{report.seconds:.1f}" if report else "",
            _states(report) if report else "",
        )
    console.print(table)
    if bad:
        _show_bad(console, bad)


def _changes_by_table(reports: list[FeedReport]) -> dict[str, Changes]:
    """Per raw table what all feeds of the run brought; feeds that failed early show too."""
    sums: dict[str, Changes] = {}
    for report in reports:
        for name in (report.feed, *report.table_changes):
            sums.setdefault(name, Changes())
        for name, changes in report.table_changes.items():
            sums[name] += changes
    return sums


def _states(report: FeedReport) -> str:
    return ", ".join(f"{report.states[one]} {one}" for one in STATES if report.states.get(one))


def _show_bad(console: Console, bad: list[BadSlice]) -> None:
    table = RichTable(title="Not read whole", title_justify="left")
    for heading in ("feed", "app", "days", "state", "what happened, and what to do"):
        table.add_column(heading, overflow="fold")
    for row in bad[:50]:
        table.add_row(*(text.replace("[", "\\[") for text in row))
    console.print(table)


def _quiet() -> None:
    """Dagster's warnings about its own beta features say nothing to a user of this program."""
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    warnings.filterwarnings("ignore", category=dg.PreviewWarning)


def copy_of(settings: Settings) -> Path:
    """The published copy of the settings' home."""
    return home_of(settings) / COPY
