"""Raw assets: one per raw table, made from the table of feeds."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from dify_etl.normalise.raw_tables import raw_table
from dify_etl.pipeline.partitions import daily_partitions, window_of
from dify_etl.pipeline.resources import DifyHome, clear_failures
from dify_etl.settings import Settings
from dify_etl.sync.feeds import FEEDS, Feed
from dify_etl.sync.report import STATES, FeedReport
from dify_etl.warehouse.database import Database
from dify_etl.warehouse.tables import Table, quoted
from dify_etl.warehouse.upsert import Changes

# The column by which a row of a daily table belongs to a day, where it is not created_at.
DAY_COLUMNS = {
    "daily_statistics": "statistic_date",
    "message_feedbacks": "message_created_at",
    "message_citations": "message_created_at",
    "message_files": "message_created_at",
    "human_inputs": "asked_at",
}
# A night may be missed by some hours, not by a day.
FRESH_WITHIN = timedelta(hours=36)


def raw_key(name: str) -> dg.AssetKey:
    """The asset of a raw table: raw/<table>."""
    return dg.AssetKey(["raw", name])


def raw_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """One definition per feed; a feed that fills several tables has one asset for each."""
    return [_asset_of(feed, settings) for feed in FEEDS]


def _asset_of(feed: Feed, settings: Settings) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=feed.name,
        specs=[_spec(feed, name, settings) for name in feed.tables],
        backfill_policy=dg.BackfillPolicy.single_run() if feed.is_daily else None,
    )
    def read_feed(
        context: dg.AssetExecutionContext, dify_home: DifyHome
    ) -> Iterator[dg.MaterializeResult[None]]:
        window = window_of(context, settings)
        with (
            clear_failures(failed_tries=context.retry_number),
            dify_home.opened.sync(dify_home.plan(window)) as sync,
        ):
            report = feed.read(sync)
            dify_home.opened.reports.append(report)
            context.log.info(told(report))
            for name in feed.tables:
                table = raw_table(name)
                if feed.is_daily:
                    _tell_days(context, sync.database, table, settings)
                yield dg.MaterializeResult(
                    asset_key=raw_key(name), metadata=_metadata(sync.database, table, report)
                )

    return read_feed


def _spec(feed: Feed, name: str, settings: Settings) -> dg.AssetSpec:
    table = raw_table(name)
    return dg.AssetSpec(
        raw_key(name),
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=FRESH_WITHIN),
        deps=[raw_key(needed) for needed in feed.needs],
        description=table.grain,
        group_name="raw",
        kinds={"dify", "duckdb"},
        metadata={
            "dagster/table_name": table.qualified,
            "dagster/column_schema": column_schema(table),
        },
        partitions_def=daily_partitions(settings) if feed.is_daily else None,
    )


def column_schema(table: Table) -> dg.TableSchema:
    """The table's columns with types and sentences, as Dagster shows them."""
    return dg.TableSchema(
        [
            dg.TableColumn(column.name, column.type, description=column.description)
            for column in table.all_columns
        ]
    )


def told(report: FeedReport) -> str:
    """One line about a feed's read, for logs."""
    changes = report.changes
    states = ", ".join(f"{report.states[one]} {one}" for one in STATES if report.states.get(one))
    return (
        f"{report.feed}: {changes.new} new, {changes.changed} changed, "
        f"{changes.unchanged} unchanged, {changes.absent} absent; {report.requests} requests, "
        f"{report.retries} retries, {report.seconds:.1f} s; slices: {states or 'none'}"
    )


def _metadata(
    database: Database, table: Table, report: FeedReport
) -> dict[str, dg.MetadataValue | int | float]:
    rows = database.value(f"SELECT count(*) FROM {table.qualified}")
    changes = report.table_changes.get(table.name, Changes())
    return {
        "dagster/row_count": rows,
        "rows new": changes.new,
        "rows changed": changes.changed,
        "rows unchanged": changes.unchanged,
        "rows absent": changes.absent,
        "rows quarantined": report.quarantined,
        "requests": report.requests,
        "retries": report.retries,
        "received bytes": report.received_bytes,
        "seconds": round(report.seconds, 3),
        "slices": dg.MetadataValue.json(report.states),
    }


def _tell_days(
    context: dg.AssetExecutionContext, database: Database, table: Table, settings: Settings
) -> None:
    """Rows per local day, on every partition of the run."""
    if not context.has_partition_key_range and not context.has_partition_key:
        return  # a run without partitions, for example from a notebook
    column = DAY_COLUMNS.get(table.name, "created_at")
    local = f"({column} AT TIME ZONE {quoted(settings.timezone)})::DATE"
    day = column if table.column(column).type == "DATE" else local
    counted = dict(
        database.rows(f"SELECT {day}::VARCHAR, count(*) FROM {table.qualified} GROUP BY 1")
    )
    for key in context.partition_keys:
        context.add_asset_metadata(
            {"dagster/partition_row_count": counted.get(key, 0)},
            asset_key=raw_key(table.name),
            partition_key=key,
        )
