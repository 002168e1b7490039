"""Local days as Dagster partitions, and what a run's partition range means for a sync."""

from datetime import date

import dagster as dg

from dify_etl.settings import Settings
from dify_etl.sync.windows import Window


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
