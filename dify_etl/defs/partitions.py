"""Local days as Dagster partitions, and what a run's partition range means for a sync."""

from collections.abc import Mapping
from datetime import date

import dagster as dg

from dify_etl.defs.schedules import RANGE_END, RANGE_START
from dify_etl.settings import Settings
from dify_etl.sync.errors import WindowWrong
from dify_etl.sync.windows import Window, asked_window

PARTITION = "dagster/partition"


def daily_partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """One partition per local day from the start date to today, today included."""
    return dg.DailyPartitionsDefinition(
        start_date=settings.start_date.isoformat(), timezone=settings.timezone, end_offset=1
    )


def window_of(context: dg.AssetExecutionContext, settings: Settings) -> Window | None:
    """The days of the run's partitions; None when it runs without any."""
    if not context.has_partition_key_range and not context.has_partition_key:
        return None
    keys = context.partition_key_range
    first, last = date.fromisoformat(keys.start), date.fromisoformat(keys.end)
    return Window(first, last, settings.zone)


def check_asked_days(tags: Mapping[str, str], settings: Settings, *, today: date) -> None:
    """WindowWrong when the partitions in a run's tags lie in the future or before the start date,
    or are reversed: Dagster starts such a run, which would read nothing and be green.
    """
    keys = [tags[name] for name in (PARTITION, RANGE_START, RANGE_END) if name in tags]
    if not keys:
        return
    first, last = date.fromisoformat(keys[0]), date.fromisoformat(keys[-1])
    try:
        asked_window(first, last, today=today, zone=settings.zone)
    except WindowWrong as error:
        raise _wrong(error.what, settings) from None
    if first < settings.start_date:
        raise _wrong(f"{first} is before the start date {settings.start_date}", settings)


def _wrong(what: str, settings: Settings) -> WindowWrong:
    return WindowWrong(
        what,
        where="the partitions of the run",
        hint=f"Choose days from {settings.start_date} (DIFY_ETL_START_DATE) to today, the earlier "
        "one first.",
    )
