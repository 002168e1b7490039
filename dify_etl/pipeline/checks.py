"""Asset checks: the key of every raw table is unique, and every table is read again in time."""

import dagster as dg

from dify_etl.normalise.raw_tables import RAW_TABLES
from dify_etl.pipeline.raw_assets import FRESH_WITHIN, raw_key
from dify_etl.pipeline.resources import DifyHome, clear_failures
from dify_etl.sync.feeds import FEEDS
from dify_etl.warehouse.database import utc_now
from dify_etl.warehouse.tables import Table


def key_checks() -> list[dg.AssetChecksDefinition]:
    """One check per raw table: no two rows share a key. The tables carry no constraints."""
    return [_key_check(raw.table) for raw in RAW_TABLES.values()]


def freshness_checks() -> list[dg.AssetChecksDefinition]:
    """One check per feed: the books say that it was read within the last 36 hours."""
    return [_freshness_check(feed.name) for feed in FEEDS]


def _freshness_check(feed: str) -> dg.AssetChecksDefinition:
    hours = FRESH_WITHIN.total_seconds() / 3600

    @dg.asset_check(
        asset=raw_key(feed),
        name="is_fresh",
        description=f"raw.{feed} was read within the last {hours:.0f} hours.",
    )
    def check_freshness(dify_home: DifyHome) -> dg.AssetCheckResult:
        with clear_failures(), dify_home.opened.database() as database:
            read_at = database.value(
                "SELECT max(ended_at) FROM ops.runs "
                "WHERE feed = ? AND (slices_failed = 0 OR slices_proven > 0)",
                [feed],
            )
        is_fresh = read_at is not None and utc_now() - read_at < FRESH_WITHIN
        return dg.AssetCheckResult(passed=is_fresh, metadata={"last read": str(read_at)})

    return check_freshness


def _key_check(table: Table) -> dg.AssetChecksDefinition:
    key = ", ".join(table.key)

    @dg.asset_check(
        asset=raw_key(table.name),
        name="key_is_unique",
        description=f"No two rows of {table.qualified} share {key}.",
    )
    def check_key(dify_home: DifyHome) -> dg.AssetCheckResult:
        with clear_failures(), dify_home.opened.database() as database:
            rows = database.rows(
                f"SELECT {key}, count(*) FROM {table.qualified} GROUP BY {key} "
                "HAVING count(*) > 1 LIMIT 10"
            )
        found = [str(row[:-1]) for row in rows]
        return dg.AssetCheckResult(
            passed=not rows, metadata={"keys": dg.MetadataValue.json(found)} if found else {}
        )

    return check_key
