"""When and over which days the job `nightly_sync` runs."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from dify_etl.assembly.connection import home_of
from dify_etl.defs.schedule_tokens import ScheduleTokens
from dify_etl.settings import Settings, SettingWrong

RANGE_START = "dagster/asset_partition_range_start"
RANGE_END = "dagster/asset_partition_range_end"
NIGHTLY_SYNC = "nightly_sync"


def lookback_tags(settings: Settings, now: datetime) -> dict[str, str]:
    """The partition range of the look-back, up to the local day of `now`."""
    today = now.astimezone(settings.zone).date()
    first = max(today - timedelta(days=settings.lookback_days), settings.start_date)
    return {RANGE_START: first.isoformat(), RANGE_END: today.isoformat()}


def night_config() -> dict[str, object]:
    """The run config of a night: catch up what was missed, read deep.

    Dagster asks the code location's own logger (`run_log`) only where a run's config names it.
    """
    return {
        "resources": {"dify_home": {"config": {"catch_up": True}}},
        "loggers": {"console": {"config": {}}},
    }


def sleeping_schedule(
    settings: Settings,
    job: str,
    cron: str,
    run_config: Callable[[str], Mapping[str, Any]],
    *,
    description: str,
) -> dg.ScheduleDefinition:
    """A schedule of an operation on Dify: stopped until somebody turns it on, who is told by the
    description that no run of it is agreed to.

    `run_config` makes the config of a run out of the token by which the run shows that this
    schedule asked for it. Each tick writes a token of its own into the home.
    """

    def ask(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        token = ScheduleTokens(home_of(settings)).write(job)
        return dg.RunRequest(run_config=run_config(token))

    return dg.ScheduleDefinition(
        name=f"{job}_schedule",
        job_name=job,
        cron_schedule=cron,
        execution_timezone=settings.timezone,
        execution_fn=ask,
        description=description,
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )


def nightly_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """One run over the range of the look-back, at DIFY_ETL_SCHEDULE in DIFY_ETL_TIMEZONE.

    SettingWrong when Dagster does not take the cron expression.
    """

    def ask(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        at = context.scheduled_execution_time
        return dg.RunRequest(
            run_key=at.isoformat(), tags=lookback_tags(settings, at), run_config=night_config()
        )

    try:
        return dg.ScheduleDefinition(
            name=f"{NIGHTLY_SYNC}_schedule",
            job_name=NIGHTLY_SYNC,
            cron_schedule=settings.schedule,
            execution_timezone=settings.timezone,
            execution_fn=ask,
            description="Every night: reads the days of the look-back, what was missed or failed "
            "and a part of history, builds the models, publishes the copy and judges. It changes "
            "nothing in Dify. When: DIFY_ETL_SCHEDULE.",
            default_status=dg.DefaultScheduleStatus.RUNNING,
        )
    except dg.DagsterInvalidDefinitionError as error:
        raise SettingWrong(
            f"DIFY_ETL_SCHEDULE is wrong: {settings.schedule!r} is no cron expression, or "
            f"Dagster does not know the time zone {settings.timezone}",
            where="environment and .env",
            hint="Set it, for example DIFY_ETL_SCHEDULE='30 1 * * *'.",
        ) from error
