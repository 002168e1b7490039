"""A night as a run of Dagster in this process, recorded in DAGSTER_HOME, where its UI shows it."""

import os
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from dify_etl.cli.dagster_home import DAGSTER_HOME, enter_dagster_home
from dify_etl.cli.error_messages import ErrorMessage
from dify_etl.cli.summary import SyncOutcome
from dify_etl.defs.code_location import code_location
from dify_etl.defs.location import Location
from dify_etl.defs.resources import home_held
from dify_etl.defs.schedules import NIGHTLY_SYNC, RANGE_END, RANGE_START, lookback_tags
from dify_etl.defs.step_failures import error_of_step
from dify_etl.feeds.table import FEEDS
from dify_etl.settings import Settings, SettingWrong
from dify_etl.sync.opening import OpenHome
from dify_etl.sync.run import SyncPlan
from dify_etl.sync.verdict import judge
from dify_etl.ui.instance import opened_instance
from dify_etl.ui.marks import HOME_TAG

# Dagster's own lines are for its UI, not for this terminal.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def read_recorded(
    settings: Settings, opened: OpenHome, plan: SyncPlan, feeds: Collection[str]
) -> SyncOutcome | None:
    """The job `nightly_sync` into the open home, or the chosen feeds with models, copy and verdict.

    None: nothing was read, as the daemon of this DAGSTER_HOME would mark the run as failed. It asks
    its launcher (of Celery, Kubernetes) how the worker of a started run is, and this one has none.
    KeyboardInterrupt when the user stopped it. SettingWrong when DAGSTER_HOME is no folder, or
    Dagster does not take a setting.
    """
    # Dagster's warnings about its own beta features say nothing to a user of this program.
    warnings.filterwarnings("ignore", category=dg.BetaWarning)
    warnings.filterwarnings("ignore", category=dg.PreviewWarning)
    resource = home_held(
        opened, apps=list(plan.apps), full=plan.is_full, catch_up=plan.window is None
    )
    at = Location.of(settings)
    job = code_location(settings, resource).resolve_job_def(NIGHTLY_SYNC)
    with _instance(settings) as instance:
        if (
            instance.run_monitoring_enabled
            and instance.run_launcher.supports_check_run_worker_health
        ):
            return None
        try:
            result = job.execute_in_process(
                instance=instance,
                run_id=opened.run_id,
                tags=_partition_tags(settings, opened, plan) | {HOME_TAG: _home(opened)},
                asset_selection=_selection(job, feeds, at),
                run_config=QUIET,
                raise_on_error=False,
            )
        except dg.DagsterExecutionInterruptedError:
            raise KeyboardInterrupt from None
    failed = [event for event in result.all_events if event.is_step_failure]
    if any(_is_interrupt(event) for event in failed):
        raise KeyboardInterrupt
    verdict = at.sync_verdict.to_python_identifier()  # its slices are shown as a table
    messages = [_message(event) for event in failed if event.step_key != verdict]
    if not result.success and not failed:
        messages.append(_ended_early(result))
    done = {event.step_key for event in result.all_events if event.is_step_success}
    with opened.database() as database:
        return SyncOutcome(
            tuple(opened.reports),
            judge(database),
            tuple(dict.fromkeys(messages)),
            tuple(_trace(event) for event in failed),
            is_published=at.published_copy.to_python_identifier() in done,
        )


def _partition_tags(settings: Settings, opened: OpenHome, plan: SyncPlan) -> dict[str, str]:
    """The partition range of the asked days, or of the look-back."""
    if plan.window is None:
        return lookback_tags(settings, opened.dify.earlier_time())
    return {
        RANGE_START: plan.window.first.isoformat(),
        RANGE_END: plan.window.last.isoformat(),
    }


def _home(opened: OpenHome) -> str:
    """By which `dify-etl serve` knows whose lock tells whether the run is still under way."""
    return str(opened.path.resolve())


@contextmanager
def _instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    home = os.environ[DAGSTER_HOME]
    if not Path(home).is_absolute() or not Path(home).is_dir():
        raise SettingWrong(
            f"DAGSTER_HOME is wrong: {home} is no absolute path of a folder",
            where="environment",
            hint="Make the folder and set its whole path, or unset DAGSTER_HOME: the run is then "
            "not recorded for the Dagster UI.",
        )
    enter_dagster_home(settings)
    with opened_instance() as instance:
        yield instance


def _selection(
    job: dg.JobDefinition, feeds: Collection[str], at: Location
) -> list[dg.AssetKey] | None:
    if not feeds:
        return None
    others = [feed for feed in FEEDS if feed.name not in feeds]
    left_out = {at.raw(name) for feed in others for name in feed.tables}
    left_out |= {at.feed(feed.name) for feed in others}
    return [key for key in job.asset_layer.executable_asset_keys if key not in left_out]


def _is_interrupt(event: dg.DagsterEvent) -> bool:
    """Whether Ctrl-C met this step: Dagster notes it as the step's failure."""
    error = event.step_failure_data.error
    return error is not None and error.cls_name == dg.DagsterExecutionInterruptedError.__name__


def _message(event: dg.DagsterEvent) -> ErrorMessage:
    found = error_of_step(event)
    if found.hint is None:
        return ErrorMessage.of_bug(found.kind, found.what, where=found.where)
    return ErrorMessage(found.kind, found.what, found.where, found.hint)


def _ended_early(result: dg.ExecuteInProcessResult) -> ErrorMessage:
    failures = [event for event in result.all_events if event.is_failure]
    told = failures[-1].message if failures and failures[-1].message else "no step ran"
    return ErrorMessage.of_bug("RunFailed", told, where=NIGHTLY_SYNC)


def _trace(event: dg.DagsterEvent) -> str:
    error = event.step_failure_data.error
    return f"{event.step_key}: {error.to_string()}" if error is not None else str(event.step_key)
