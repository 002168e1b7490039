"""Read a night in this process, with progress, and show what came of it."""

import os
import time
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

from rich.console import Console

from dify_etl.assembly.alerting import NightNote, alerts_of, noted_night
from dify_etl.assembly.connection import (
    check_kind,
    copy_place,
    effective_settings,
    home_of,
    open_dify,
    require_room,
    rules_of,
    shared_place,
)
from dify_etl.assembly.night_times import next_night
from dify_etl.cli.clear_errors import NOT_WHOLE, NOTHING_PUBLISHED
from dify_etl.cli.consoles import err
from dify_etl.cli.dagster_home import DAGSTER_HOME
from dify_etl.cli.json_answers import print_json
from dify_etl.cli.sync_request import READERS_SECONDS, SyncRequest
from dify_etl.cli.sync_voices import Voice, voice_of
from dify_etl.interrupts import noted_interrupts
from dify_etl.settings import DIFY_BEGINS, Settings, SettingWrong
from dify_etl.time_zones import local_date, utc_now

# What reads is loaded while Dify answers the login.
if TYPE_CHECKING:
    from dify_etl.cli.summary import SyncOutcome
    from dify_etl.sync.opening import OpenHome
    from dify_etl.sync.windows import Window


def run_demo(console: Console, *, is_debug: bool) -> int:
    """The nightly sync of all 30 days of the simulated Dify, whatever server the settings name."""
    settings = effective_settings(DIFY_ETL_SIMULATED=True, DIFY_ETL_START_DATE=DIFY_BEGINS)
    code = _run(settings, SyncRequest(is_debug=is_debug), console)
    copy = copy_place(settings).path
    if copy.exists():
        from dify_etl.cli.demonstration import show_demo
        from dify_etl.report.writing import keep_report

        show_demo(console, copy, keep_report(home_of(settings), copy).path)
    return code


def run_sync(request: SyncRequest, console: Console) -> int:
    """The nightly sync on the settings' Dify; answers the exit code. As JSON, what it says on the
    way goes to stderr, and `console` gets nothing but the object at its end. SettingWrong, before
    Dify is asked: a feed that is left out, or DIFY_ETL_SCHEDULE is no cron expression.
    """
    return _run(effective_settings(), request, err if request.is_json else console)


def _run(settings: Settings, request: SyncRequest, console: Console) -> int:
    _check_asked_for(settings, request.feeds)
    next_night(settings, utc_now())  # whoever reads the status or alerts would meet it afterwards
    run_id = str(uuid.uuid4())
    voice = voice_of(console, run_id, is_json=settings.log == "json" and not request.is_json)
    is_night = request.is_night and not request.apps and not request.feeds
    alerts = alerts_of(settings)
    with noted_night(alerts, run_id, is_night=is_night, tell=voice.warn) as note:
        return _read_and_show(settings, request, voice, run_id, note)


def _read_and_show(
    settings: Settings, request: SyncRequest, voice: Voice, run_id: str, note: NightNote
) -> int:
    started = time.monotonic()
    outcome = _read(settings, request, voice, run_id)
    if outcome.is_published:
        note.published()
    elif outcome.messages:
        note.failed(outcome.messages[0].words, outcome.messages[0].kind)
    seconds = time.monotonic() - started
    voice.outcome(outcome, seconds)
    for trace in outcome.traces if request.is_debug else ():
        err.print(trace, markup=False, highlight=False, soft_wrap=True)
    code = _exit_code(outcome)
    if request.is_json:
        from dify_etl.cli.verdict_json import sync_object

        print_json(sync_object(run_id, outcome, code=code, seconds=seconds))
    return code


def _exit_code(outcome: "SyncOutcome") -> int:
    if not outcome.is_published:
        return NOTHING_PUBLISHED
    return 0 if outcome.verdict.is_good and not outcome.messages else NOT_WHOLE


def _read(settings: Settings, request: SyncRequest, voice: Voice, run_id: str) -> "SyncOutcome":
    """Everything that needs Dify and the home; both are given back before anything is shown."""
    with noted_interrupts(), _opened(settings, request, run_id, voice) as opened:
        from dify_etl.assembly.night import read_night
        from dify_etl.cli.summary import SyncOutcome
        from dify_etl.sync.opening import check_apps
        from dify_etl.sync.run import SyncPlan

        window = _window(settings, request, opened)
        opened.check_source(lists_apps=not request.feeds and not os.environ.get(DAGSTER_HOME))
        if newer := opened.dify.newer_than_tested:
            voice.warn(f"{newer}; it is read all the same.")
        check_apps(opened, request.apps)
        feeds = _with_needs(request.feeds, opened)
        plan = SyncPlan(window=window, apps=request.apps, is_full=request.is_full)
        if os.environ.get(DAGSTER_HOME):
            from dify_etl.cli.recorded_night import read_recorded

            if outcome := read_recorded(settings, opened, plan, feeds):
                return outcome
            voice.warn(
                "the run is not recorded: Dagster's daemon would mark it as failed, since no "
                "worker of DAGSTER_HOME has it."
            )
        return SyncOutcome.of(read_night(opened, plan, feeds))


def _check_asked_for(settings: Settings, feeds: Collection[str]) -> None:
    """SettingWrong when a feed is named that the settings leave out."""
    if not feeds:
        return
    from dify_etl.sync.opt_in import OPT_IN, is_read

    for feed in feeds:
        if not is_read(feed, settings):
            raise SettingWrong(
                f"the feed {feed} is read only where {OPT_IN[feed]}=true is set",
                where=f"--feed {feed}",
                hint=f"Set {OPT_IN[feed]}=true in the environment or .env; every night reads it "
                "from then on.",
            )


@contextmanager
def _opened(
    settings: Settings, request: SyncRequest, run_id: str, voice: Voice
) -> Iterator["OpenHome"]:
    if not settings.is_simulated:
        settings.require_credentials()
    check_kind(settings)
    require_room(settings)
    with (
        open_dify(
            settings, tell=voice.tell, run_id=run_id, meanwhile=_load_readers, warn=voice.warn
        ) as dify,
        voice.watch() as watch,
    ):
        from dify_etl.sync.opening import open_home

        with open_home(
            dify,
            home_of(settings),
            rules=rules_of(settings),
            run_id=run_id,
            watch=watch,
            wait_seconds=request.wait_seconds,
            file_seconds=max(request.wait_seconds, READERS_SECONDS),
            copy=copy_place(settings),
            shared=shared_place(settings),
        ) as opened:
            yield opened


def _load_readers() -> None:
    import_module("dify_etl.assembly.night")
    import_module("dify_etl.cli.summary")


def _window(settings: Settings, request: SyncRequest, opened: "OpenHome") -> "Window | None":
    """The asked days; None for a night."""
    if request.is_night:
        return None
    request.check_start(settings.start_date)  # that of the demo is not the settings' own
    from dify_etl.sync.windows import asked_window

    today = local_date(opened.dify.earlier_time(), settings.zone)
    first = request.first or settings.start_date
    return asked_window(first, request.last or today, today=today, zone=settings.zone)


def _with_needs(asked: tuple[str, ...], opened: "OpenHome") -> tuple[str, ...]:
    """The asked feeds and, in a home that never read them, the feeds that they start from."""
    if not asked:
        return ()
    from dify_etl.feeds.table import FEEDS

    with opened.database() as database:
        held = {row[0] for row in database.rows("SELECT DISTINCT feed FROM ops.slices")}
    chosen = set(asked)
    for feed in reversed(FEEDS):  # a feed stands behind those that it needs
        if feed.name in chosen:
            chosen |= set(feed.needs) - held
    return tuple(feed.name for feed in FEEDS if feed.name in chosen)
