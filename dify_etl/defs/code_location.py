"""All definitions of the code location, for given settings and a given resource."""

import dagster as dg

from dify_etl.assembly.connection import effective_settings
from dify_etl.defs.alert_sensor import alert_sensor
from dify_etl.defs.asset_keys import feed_key
from dify_etl.defs.indexing_assets import indexing_report
from dify_etl.defs.key_adoption import adoption_job
from dify_etl.defs.key_assets import (
    KEY_ASSETS,
    KEY_OPERATIONS,
    ROTATE_KEYS,
    key_assets,
    rotation_schedule,
)
from dify_etl.defs.key_checks import api_key_checks
from dify_etl.defs.key_rollback import rollback_job
from dify_etl.defs.key_runs import KeyOperations
from dify_etl.defs.model_assets import MODELS_TRIED, model_assets
from dify_etl.defs.operation_jobs import operation_jobs, retry_schedule
from dify_etl.defs.operation_runs import DifyOperations
from dify_etl.defs.publication import PUBLISHED_COPY, SYNC_VERDICT, published_copy, sync_verdict
from dify_etl.defs.raw_assets import raw_assets
from dify_etl.defs.report_asset import REPORT, report_asset
from dify_etl.defs.resources import DifyHome
from dify_etl.defs.run_log import json_lines
from dify_etl.defs.schedules import NIGHTLY_SYNC, nightly_schedule
from dify_etl.defs.status_asset import STATUS, status_asset
from dify_etl.feeds.table import FEEDS
from dify_etl.settings import Settings


def code_location(
    settings: Settings | None = None, dify_home: DifyHome | None = None
) -> dg.Definitions:
    """Assets, checks, jobs, schedules, sensor. SettingWrong when a setting is bad."""
    settings = settings or effective_settings()
    models = model_assets(own=settings.own_sql)
    loaded = [*raw_assets(settings), models]
    keys = [key for assets in loaded for key in assets.keys]
    # Not raw assets and models: what stands behind one that is skipped is skipped, too.
    built = [MODELS_TRIED, *(feed_key(feed.name) for feed in FEEDS)]
    job = dg.define_asset_job(
        NIGHTLY_SYNC,
        selection=[*keys, PUBLISHED_COPY, REPORT, STATUS, SYNC_VERDICT],
        description="Read the look-back and what is due, build the models, publish, write the "
        "report, judge.",
    )
    rotation = dg.define_asset_job(
        ROTATE_KEYS,
        selection=[*KEY_ASSETS],
        description="Look at API keys, plan, rotate, revoke; a dry run unless told otherwise.",
    )
    return dg.Definitions(
        assets=[
            *loaded,
            published_copy(built),
            status_asset(settings),
            report_asset(),
            sync_verdict(),
            indexing_report(),
            *key_assets(),
        ],
        asset_checks=api_key_checks(),
        jobs=[job, rotation, rollback_job(), adoption_job(), *operation_jobs()],
        schedules=[
            nightly_schedule(settings),
            retry_schedule(settings),
            rotation_schedule(settings),
        ],
        sensors=[alert_sensor(settings)],
        resources={
            "dify_home": dify_home or DifyHome(),
            "dify_operations": DifyOperations(),
            KEY_OPERATIONS: KeyOperations(),
        },
        # In one process: DuckDB has one writer, and the concurrency is inside the assets.
        executor=dg.in_process_executor,
        loggers={"console": json_lines} if settings.log == "json" else None,
    )
