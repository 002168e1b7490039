"""When nights are due by DIFY_ETL_SCHEDULE: for the status and for alerts alike.

Dagster starts them by the same expression; to ask it would take the seconds that it needs to load.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

from cronsim import CronSim, CronSimError

from dify_etl.alerts.incidents import NightsDue
from dify_etl.settings import Settings, SettingWrong

_NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}


def next_night(settings: Settings, now: datetime) -> datetime:
    """When the next one is due after `now`, UTC. SettingWrong: the expression is none."""
    return next(_times(settings, now, is_back=False))


def nights_due(settings: Settings, now: datetime) -> NightsDue:
    """When nights were due last before `now`, UTC. SettingWrong: the expression is none."""
    last, before = islice(_times(settings, now, is_back=True), 2)
    return NightsDue(last, before)


def _times(settings: Settings, at: datetime, *, is_back: bool) -> Iterator[datetime]:
    text = settings.schedule.strip()
    # Dagster takes `?` for any day; here it is `*`.
    expression = _NICKNAMES.get(text, text).replace("?", "*")
    try:
        found = CronSim(expression, at.astimezone(settings.zone), reverse=is_back)
    except CronSimError as error:
        raise SettingWrong(
            f"DIFY_ETL_SCHEDULE is wrong: {text!r} is no cron expression: {error}",
            where="environment and .env",
            hint="Set it, for example DIFY_ETL_SCHEDULE='30 1 * * *'.",
        ) from error
    return (one.astimezone(UTC) for one in found)
