"""Asset checks: the key of every raw table is unique, and every table is read again in time."""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from dify_etl.normalise.raw_tables import RAW_TABLES
from dify_etl.pipeline.raw_assets import raw_key
from dify_etl.pipeline.resources import DifyHome, clear_failures
from dify_etl.warehouse.tables import Table

# A night may be missed by some hours, not by a day.
FRESH_WITHIN = timedelta(hours=36)


def key_checks() -> list[dg.AssetChecksDefinition]:
    """One check per raw table: no two rows share a key. The tables carry no constraints."""
    return [_key_check(raw.table) for raw in RAW_TABLES.values()]


def freshness_checks() -> Sequence[dg.AssetChecksDefinition]:
    """One check per raw table: it was read within the last 36 hours."""
    return dg.build_last_update_freshness_checks(
        assets=[raw_key(name) for name in RAW_TABLES], lower_bound_delta=FRESH_WITHIN
    )


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
