"""All definitions of the code location, for given settings and a given resource."""

import os

import dagster as dg

from dify_etl.assembly.connection import effective_settings
from dify_etl.defs.alert_sensor import alert_sensor
from dify_etl.defs.indexing_assets import indexing_report
from dify_etl.defs.key_adoption import adoption_job
from dify_etl.defs.key_assets import (
    KEY_OPERATIONS,
    ROTATE_KEYS,
    key_assets,
    rotation_schedule,
)
from dify_etl.defs.key_checks import api_key_checks
from dify_etl.defs.key_rollback import rollback_job
from dify_etl.defs.key_runs import KeyOperations
from dify_etl.defs.location import Location
from dify_etl.defs.model_assets import model_assets
from dify_etl.defs.operation_jobs import operation_jobs, retry_schedule
from dify_etl.defs.operation_runs import DifyOperations
from dify_etl.defs.publication import published_copy, shared_warehouse_asset, sync_verdict
from dify_etl.defs.raw_assets import raw_assets
from dify_etl.defs.report_asset import report_asset
from dify_etl.defs.resources import DifyHome
from dify_etl.defs.run_log import json_lines
from dify_etl.defs.schedules import NIGHTLY_SYNC, nightly_schedule
from dify_etl.defs.status_asset import status_asset
from dify_etl.feeds.table import FEEDS
from dify_etl.setting_sources import WORKSPACE
from dify_etl.settings import Settings, SettingWrong, setting_names
from dify_etl.workspaces import all_workspaces


def code_location(
    settings: Settings | None = None, dify_home: DifyHome | None = None
) -> dg.Definitions:
    """Assets, checks, jobs, schedules, sensor. SettingWrong when a setting is bad, or when there
    are several workspaces and none is chosen.
    """
    settings = settings or _settings_here()
    at = Location.of(settings)
    models = model_assets(own=settings.own_sql, at=at)
    loaded = [*raw_assets(settings, at), models]
    keys = [key for assets in loaded for key in assets.keys]
    # Not raw assets and models: what stands behind one that is skipped is skipped, too.
    built = [at.models_tried, *(at.feed(feed.name) for feed in FEEDS)]
    is_shared = settings.warehouse is not None and not settings.is_simulated
    shared = [shared_warehouse_asset(at)] if is_shared else []
    ends = [at.published_copy, at.report, at.status, at.sync_verdict]
    job = dg.define_asset_job(
        NIGHTLY_SYNC,
        selection=[*keys, *ends, *([at.shared_warehouse] if is_shared else [])],
        tags=at.tags,
        description="Read the look-back and what is due, build the models, publish, write the "
        "report, judge.",
    )
    rotation = dg.define_asset_job(
        ROTATE_KEYS,
        selection=[*at.rotation],
        tags=at.tags,
        description="Look at API keys, plan, rotate, revoke; a dry run unless told otherwise.",
    )
    return dg.Definitions(
        assets=[
            *loaded,
            published_copy(built, at),
            status_asset(settings, at),
            report_asset(at),
            *shared,
            sync_verdict(at),
            indexing_report(at),
            *key_assets(at),
        ],
        asset_checks=api_key_checks(at),
        jobs=[job, rotation, rollback_job(at), adoption_job(at), *operation_jobs(at)],
        schedules=[
            nightly_schedule(settings),
            retry_schedule(settings),
            rotation_schedule(settings),
        ],
        sensors=[alert_sensor(settings, at)],
        resources={
            "dify_home": dify_home or DifyHome(),
            "dify_operations": DifyOperations(),
            KEY_OPERATIONS: KeyOperations(),
        },
        # In one process: DuckDB has one writer, and the concurrency is inside the assets.
        executor=dg.in_process_executor,
        loggers={"console": json_lines} if settings.log == "json" else None,
    )


def _settings_here() -> Settings:
    """Those of the workspace that this process is for. SettingWrong: there are several."""
    settings = effective_settings()
    names = list(all_workspaces(setting_names())) if settings.workspace is None else []
    if len(names) > 1:
        raise SettingWrong(
            f"there are {len(names)} workspaces ({', '.join(names)}), and a code location has one",
            where="dify_etl.definitions",
            hint="Start `dify-etl serve` or `dify-etl dev`, which make one for each; or set "
            f"{WORKSPACE} for each code server of your own.",
        )
    if not names:
        return settings
    os.environ[WORKSPACE] = names[0]  # runs load their settings anew
    return effective_settings()
