"""The sensor of alerts: after every night, and every hour, since a night may not happen at all."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from dify_etl.alerts.ledger import Night
from dify_etl.assembly.alerting import Alerts, NightNote, alerts_of
from dify_etl.control_codes import harmless
from dify_etl.defs.location import Location
from dify_etl.defs.schedules import NIGHTLY_SYNC, RANGE_START
from dify_etl.defs.step_failures import RunError, error_of_run, error_of_step
from dify_etl.settings import Settings
from dify_etl.time_zones import utc_now

ALERTS = "alerts"
LOOKS_EVERY = timedelta(hours=1)
TICK_SECONDS = 60
# Nights that ended while nobody ticked.
LOOKS_BACK = timedelta(days=2)
PARTITION = "dagster/partition"
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]


def alert_sensor(settings: Settings, at: Location) -> dg.SensorDefinition:
    """Notes how nights ended and sends what is to be heard; runs where DIFY_ETL_NOTIFY is set.

    A tick asks for the runs that ended since the last one, and no more, unless one did or an hour
    has passed. It waits for nobody: while a sync runs its data are not looked at.
    """
    status = dg.DefaultSensorStatus.RUNNING if settings.notify else dg.DefaultSensorStatus.STOPPED

    @dg.sensor(
        name=ALERTS,
        minimum_interval_seconds=TICK_SECONDS,
        default_status=status,
        description="Sends alerts to DIFY_ETL_NOTIFY, once when something begins and once when it "
        "ends: see `dify-etl docs alerts`. `dify-etl notify --test` tries the targets.",
    )
    def tick(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        alerts = alerts_of(settings)
        if alerts is None:
            is_simulated = settings.notify is not None
            why = "nobody is told of the simulated Dify" if is_simulated else "nobody to tell"
            return dg.SkipReason(
                f"DIFY_ETL_NOTIFY is not {'used' if is_simulated else 'set'}: {why}."
            )
        return _tick(context, alerts, at)

    return tick


def _tick(context: dg.SensorEvaluationContext, alerts: Alerts, at: Location) -> dg.SkipReason:
    now = utc_now()
    seen, looked = _times(context.cursor, now)
    ended = context.instance.get_run_records(
        dg.RunsFilter(job_name=NIGHTLY_SYNC, statuses=_ENDED, updated_after=seen, tags=at.tags),
        order_by="update_timestamp",
        ascending=True,
    )
    if not ended and now - looked < LOOKS_EVERY:
        return dg.SkipReason("No night ended since the last look.")
    for record in ended:
        if _is_night(record.dagster_run):
            alerts.note(_night_of(context.instance, record, at))
    told: list[str] = []
    done = alerts.evaluate(told.append, wait_seconds=0.0)
    if done is not None:  # else the next tick tries again
        newest = max([seen, *(record.update_timestamp for record in ended)])
        context.update_cursor(json.dumps([newest.isoformat(), now.isoformat()]))
        told.append(
            f"{len(done.incidents)} incidents are open; {done.sent} messages sent, "
            f"{done.undelivered} not delivered."
        )
    return dg.SkipReason(harmless("\n".join(told)))


def _times(cursor: str | None, now: datetime) -> tuple[datetime, datetime]:
    """Up to when ended runs were seen, and when the home was looked at last; UTC."""
    if cursor is None:
        return now - LOOKS_BACK, datetime.min.replace(tzinfo=UTC)
    seen, looked = (datetime.fromisoformat(text) for text in json.loads(cursor))
    return seen, looked


def _is_night(run: dg.DagsterRun) -> bool:
    """Whether it was asked for what is due: not for some days or apps."""
    resources: Any = run.run_config.get("resources", {}) if run.run_config else {}
    config = resources.get("dify_home", {}).get("config", {})
    asks_for_days = RANGE_START in run.tags or PARTITION in run.tags
    return not config.get("apps") and (bool(config.get("catch_up")) or not asks_for_days)


def _night_of(instance: dg.DagsterInstance, record: Any, at: Location) -> Night:
    run = record.dagster_run
    began, ended = (
        _instant(at, record.create_timestamp) for at in (record.start_time, record.end_time)
    )
    note = NightNote()
    if run.status == dg.DagsterRunStatus.SUCCESS:
        note.published()
    elif run.status == dg.DagsterRunStatus.CANCELED:
        note.outcome = "interrupted"
    else:
        events = [one.dagster_event for one in instance.all_logs(run.run_id) if one.dagster_event]
        _judge(note, events, at)
    return Night(run.run_id, began, ended, note.outcome, note.what)


def _judge(note: NightNote, events: Iterable[dg.DagsterEvent], at: Location) -> None:
    """Of a failed run: published all the same, as when something is not whole, or why not."""
    held = list(events)
    published = at.published_copy.to_python_identifier()
    if any(one.is_step_success and one.step_key == published for one in held):
        note.published()
        return
    errors = [error_of_step(one) for one in held if one.is_step_failure]
    errors += [
        error_of_run(one) for one in held if one.event_type == dg.DagsterEventType.RUN_FAILURE
    ]
    first = errors[0] if errors else RunError("RunFailed", "", NIGHTLY_SYNC, None)
    note.failed(f"{first.what} ({first.where})" if first.hint else "", first.kind)


def _instant(seconds: float | None, otherwise: datetime) -> datetime:
    return otherwise if seconds is None else datetime.fromtimestamp(seconds, UTC)
