"""Raw assets: one per raw table, and one per feed on which models hang; made from the feeds.

A raw asset is told only what is whole: a full list without a bad slice, and each local day of which
no slice failed or is incomplete, and none is missing of an app that Dify has. A day that is not
whole gets an observation that says why.
"""

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from datetime import date

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationTargetMaterializationData,
)

from dify_etl.defs.checks import (
    BAD,
    FRESH_WITHIN,
    MISSING,
    Metadata,
    check_specs,
    holes_of,
    judged,
)
from dify_etl.defs.groups import RAW
from dify_etl.defs.location import Location
from dify_etl.defs.markdown import plain
from dify_etl.defs.partitions import daily_partitions, window_of
from dify_etl.defs.resources import DifyHome, clear_failures
from dify_etl.feeds.reading import read_feed
from dify_etl.feeds.table import FEEDS, Feed
from dify_etl.feeds.unread import unlisted_apps, unread_by_day
from dify_etl.feeds.whole_lists import AppList
from dify_etl.raw.tables import raw_table
from dify_etl.settings import Settings
from dify_etl.sync.causes import some_of
from dify_etl.sync.days import rows_by_day
from dify_etl.sync.opt_in import OPT_IN, is_read
from dify_etl.sync.report import STATES, FeedReport
from dify_etl.sync.run import Sync
from dify_etl.warehouse.database import Database
from dify_etl.warehouse.tables import Table
from dify_etl.warehouse.upsert import Changes

Told = dg.MaterializeResult[None] | dg.AssetCheckResult


def raw_assets(settings: Settings, at: Location) -> list[dg.AssetsDefinition]:
    """One definition per feed; a feed that fills several tables has one asset for each."""
    return [_assets_of(feed, settings, at) for feed in FEEDS]


def _assets_of(feed: Feed, settings: Settings, at: Location) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=feed.name,
        pool=at.pool,
        specs=[*(_spec(feed, name, settings, at) for name in feed.tables), _feed_spec(feed, at)],
        check_specs=check_specs(feed, at, is_read=is_read(feed.name, settings)),
        # Outputs that are not told are skipped, and checks can be run without reading anything.
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.single_run() if feed.is_daily else None,
    )
    def read_feed(context: dg.AssetExecutionContext, dify_home: DifyHome) -> Iterator[Told]:
        chosen = [name for name in feed.tables if at.raw(name) in context.selected_asset_keys]
        own: Metadata = {}
        with clear_failures(failed_tries=dify_home.failed_tries(context)):
            if chosen and not is_read(feed.name, settings):
                own = _left_out(context, feed)
            elif chosen:
                own = yield from _read(context, dify_home, feed, chosen, settings, at)
            with dify_home.opened.database() as database:
                found = list(judged(database, feed, context.selected_asset_check_keys))
                own = {**own, **holes_of(database, feed.name)}
        yield from _in_partitions(context, found)
        if at.feed(feed.name) in context.selected_asset_keys:
            yield dg.MaterializeResult(asset_key=at.feed(feed.name), metadata=own)

    return read_feed


def _left_out(context: dg.AssetExecutionContext, feed: Feed) -> Metadata:
    """Say that the feed was not read: its raw asset is told nothing."""
    told = f"{OPT_IN[feed.name]} is not set to true"
    context.log.info(f"{feed.name}: not read, {told}")
    return {"not read": told}


def _read(
    context: dg.AssetExecutionContext,
    dify_home: DifyHome,
    feed: Feed,
    chosen: Sequence[str],
    settings: Settings,
    at: Location,
) -> Generator[dg.MaterializeResult[None], None, Metadata]:
    """Read the feed and tell of the chosen tables what is whole; returns what the read cost."""
    plan = dify_home.plan(window_of(context, settings))
    with dify_home.opened.sync(plan) as sync:
        open_before = _open_days(sync.database, feed)
        report = read_feed(sync, feed)
        dify_home.opened.reports.append(report)
        context.log.info(report_line(report))
        days = _days(sync.database, feed)
        holes = holes_of(sync.database, feed.name)
        asked = _asked_days(context, sync.asked_days)
        healed = {day for day in open_before if not days.get(day, True)}
        told = sorted({*asked, *healed})
        unread = unread_by_day(sync.database, feed.name, told) if feed.is_daily else {}
        unlisted = _unlisted(sync, feed)
        for name in chosen:
            metadata = {**_metadata(sync.database, raw_table(name), report), **holes}
            if feed.is_daily:
                counted = _rows_by_day(sync.database, raw_table(name))
                for day in told:
                    # Where no app has such rows there is nothing to miss.
                    is_whole = not days.get(day, False) and day not in unread
                    is_whole = is_whole and day <= sync.today and not report.is_given_up
                    rows = {"dagster/partition_row_count": counted.get(day, 0)}
                    of_day = {**metadata, **rows, **_never_read(unread.get(day, ()))}
                    _tell(context, at.raw(name), of_day, is_whole=is_whole, day=day)
            elif MISSING in holes or unlisted:
                of_list = {**metadata, **_never_read(unlisted)}
                _tell(context, at.raw(name), of_list, is_whole=False)
            else:
                yield dg.MaterializeResult(asset_key=at.raw(name), metadata=metadata)
    return _costs(report)


def _open_days(database: Database, feed: Feed) -> set[date]:
    """The days of the ledger that are bad, or that some app of Dify lacks: a run may make them
    whole.
    """
    days = _days(database, feed)
    lacking = unread_by_day(database, feed.name, days) if feed.is_daily else ()
    return {day for day, is_bad in days.items() if is_bad} | {*lacking}


def _unlisted(sync: Sync, feed: Feed) -> Sequence[str]:
    """Apps whose list was never read, where the run is over some apps alone."""
    if not sync.plan.apps or not isinstance(feed.reads, AppList):
        return ()
    return unlisted_apps(sync.database, feed.name, feed.reads.is_for)


def _never_read(apps: Sequence[str]) -> Metadata:
    """As an observation says it; names are texts of strangers."""
    return {"never read": dg.MetadataValue.md(plain(some_of(apps)))} if apps else {}


def _tell(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    metadata: Metadata,
    *,
    is_whole: bool,
    day: date | None = None,
) -> None:
    """An event by hand: a result of the step would mark all partitions of its range."""
    kind = dg.AssetMaterialization if is_whole else dg.AssetObservation
    partition = day.isoformat() if day else None
    context.log_event(kind(key, partition=partition, metadata=dict(metadata)))


def _in_partitions(
    context: dg.AssetExecutionContext, found: Iterable[dg.AssetCheckResult]
) -> Iterator[dg.AssetCheckResult]:
    """The results of checks, as results of the step where it has partitions.

    Without any Dagster fails on them, since it looks for the partition that they speak of; there
    they are reported beside the run.
    """
    if context.has_partition_key_range or context.has_partition_key:
        yield from found
        return
    for one in found:
        if one.asset_key is None or one.check_name is None:
            continue
        if context.assets_def.specs_by_key[one.asset_key].partitions_def is None:
            yield one
        else:
            context.instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(
                    asset_key=one.asset_key,
                    check_name=one.check_name,
                    passed=one.passed,
                    metadata=one.metadata,
                    severity=one.severity,
                    target_materialization_data=_newest(context, one.asset_key),
                )
            )


def _newest(
    context: dg.AssetExecutionContext, key: dg.AssetKey
) -> AssetCheckEvaluationTargetMaterializationData | None:
    """Which materialisation a check is of. Told nothing, Dagster takes one of the same second for
    a later one, and shows the check as never evaluated.
    """
    records = context.instance.fetch_materializations(key, limit=1).records
    return (
        AssetCheckEvaluationTargetMaterializationData(
            storage_id=records[0].storage_id,
            run_id=records[0].run_id,
            timestamp=records[0].timestamp,
        )
        if records
        else None
    )


def _asked_days(context: dg.AssetExecutionContext, asked: Sequence[date]) -> Sequence[date]:
    """The days of the run's partitions; of a run without any those that the sync was asked for."""
    if not context.has_partition_key_range and not context.has_partition_key:
        return asked
    return [date.fromisoformat(key) for key in context.partition_keys]


def _days(database: Database, feed: Feed) -> dict[date, bool]:
    """The local days that the ledger knows of a feed, and whether a slice of it is bad."""
    rows = database.rows(
        f"SELECT slice_date, bool_or({BAD}) FROM ops.slices "
        "WHERE feed = ? AND slice_date IS NOT NULL GROUP BY 1",
        [feed.name],
    )
    return dict(rows)


def _spec(feed: Feed, name: str, settings: Settings, at: Location) -> dg.AssetSpec:
    table = raw_table(name)
    return dg.AssetSpec(
        at.raw(name),
        # Of events that are told only of what was read whole.
        freshness_policy=dg.FreshnessPolicy.time_window(fail_window=FRESH_WITHIN)
        if is_read(feed.name, settings)
        else None,
        deps=[at.feed(needed) for needed in feed.needs],
        skippable=True,
        description=table.grain,
        group_name=RAW,
        kinds={"dify", "duckdb"},
        metadata={
            "dagster/table_name": table.qualified,
            "dagster/column_schema": column_schema(table),
        },
        partitions_def=daily_partitions(settings) if feed.is_daily else None,
    )


def _feed_spec(feed: Feed, at: Location) -> dg.AssetSpec:
    """Without partitions, and told whenever the step ends: models hang on it."""
    return dg.AssetSpec(
        at.feed(feed.name),
        # Not on its raw tables: in a run without partitions Dagster fails on a step that it gives
        # an input with partitions.
        deps=[at.feed(needed) for needed in feed.needs],
        skippable=True,
        description=f"The feed {feed.name} was read, well or not: what that cost, and what is "
        "missing. Models are built from what is there; chosen alone, nothing is read.",
        group_name=RAW,
        kinds={"dify"},
    )


def column_schema(table: Table) -> dg.TableSchema:
    """The table's columns with types and sentences, as Dagster shows them."""
    return dg.TableSchema(
        [
            dg.TableColumn(column.name, column.type, description=column.description)
            for column in table.all_columns
        ]
    )


def report_line(report: FeedReport) -> str:
    """One line about a feed's read, for logs."""
    changes = report.changes
    states = ", ".join(f"{report.states[one]} {one}" for one in STATES if report.states.get(one))
    return (
        f"{report.feed}: {changes.new} new, {changes.changed} changed, "
        f"{changes.unchanged} unchanged, {changes.absent} absent; {report.requests} requests, "
        f"{report.retries} retries, {report.seconds:.1f} s; slices: {states or 'none'}"
    )


def _metadata(database: Database, table: Table, report: FeedReport) -> Metadata:
    rows = database.value(f"SELECT count(*) FROM {table.qualified}")
    changes = report.table_changes.get(table.name, Changes())
    return {
        "dagster/row_count": rows,
        "rows new": changes.new,
        "rows changed": changes.changed,
        "rows unchanged": changes.unchanged,
        "rows absent": changes.absent,
        **_costs(report),
    }


def _costs(report: FeedReport) -> Metadata:
    return {
        "rows quarantined": report.quarantined,
        "requests": report.requests,
        "retries": report.retries,
        "received bytes": report.received_bytes,
        "seconds": round(report.seconds, 3),
        "slices": dg.MetadataValue.json(report.states),
    }


def _rows_by_day(database: Database, table: Table) -> dict[date, int]:
    """Rows per local day."""
    counted: Counter[date] = Counter()
    for (_, day), rows in rows_by_day(database, table.name).items():
        counted[day] += rows
    return counted
