"""A job per operation on Dify. Each shows its plan, and applies it only when its id is given."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import Any

import dagster as dg

from dify_etl.assembly.connection import effective_settings, export_place, home_of
from dify_etl.defs.location import Location
from dify_etl.defs.operation_configs import config_schema
from dify_etl.defs.operation_runs import DifyOperations, run_operation
from dify_etl.defs.resources import clear_failures
from dify_etl.defs.schedules import sleeping_schedule
from dify_etl.operations.exchange import ExportApps
from dify_etl.operations.request import Agreement, OperationSpec
from dify_etl.operations.table import OPERATIONS, operation_of
from dify_etl.private_files import private_files
from dify_etl.settings import Settings

Body = Callable[[dg.OpExecutionContext, DifyOperations, Any, Agreement], dg.Output[None]]
RETRY_INDEXING = "retry_indexing"


def operation_jobs(at: Location) -> list[dg.JobDefinition]:
    """All jobs that change Dify, and the one that writes apps into files."""
    planned = [_job(spec, run_operation, at) for spec in OPERATIONS if spec.changes_dify]
    return [*planned, _job(operation_of("export_apps"), _export, at)]


def retry_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Every night at four, once it is turned on: what failed is retried, within the cap."""

    def run_config(token: str) -> Mapping[str, Any]:
        config = {"dry_run": False, "schedule_token": token}
        return {"ops": {op_of(RETRY_INDEXING): {"config": config}}}

    return sleeping_schedule(
        settings,
        RETRY_INDEXING,
        "0 4 * * *",
        run_config,
        description="Off until you turn it on. From then on it lets Dify index documents that "
        "failed once more, every night, as many as the job's cap allows: nobody is shown a plan or "
        "asked to agree. Indexing may cost money.",
    )


def op_of(job: str) -> str:
    """The name of the job's only op, whose config the launchpad shows."""
    return f"run_{job}"


def _job(spec: OperationSpec, body: Body, at: Location) -> dg.JobDefinition:
    @dg.op(
        name=op_of(spec.job),
        description=spec.description,
        config_schema=config_schema(spec),
        pool=at.pool,
    )
    def run(context: dg.OpExecutionContext, dify_operations: DifyOperations) -> dg.Output[None]:
        with clear_failures():
            return body(context, dify_operations, *spec.asked(context.op_config))

    @dg.job(name=spec.job, description=spec.description, tags=at.tags)
    def job() -> None:
        run()

    return job


def _export(
    context: dg.OpExecutionContext,
    operations: DifyOperations,
    request: ExportApps,
    agreement: Agreement,
) -> dg.Output[None]:
    settings = effective_settings()
    folder = export_place(settings)
    with private_files() if folder.is_relative_to(home_of(settings)) else nullcontext():
        done = request.export(operations.operator.dify, folder)
    metadata: dict[str, dg.MetadataValue] = {
        "folder": dg.MetadataValue.path(folder.absolute()),
        "written": dg.MetadataValue.int(len(done.written)),
        "unchanged": dg.MetadataValue.int(len(done.unchanged)),
        "files of no app": dg.MetadataValue.json([str(path) for path in done.orphans]),
        "without a draft": dg.MetadataValue.json(list(done.empty)),
        "failed": dg.MetadataValue.json(dict(done.failed)),
        "known secrets left out": dg.MetadataValue.json([list(one) for one in done.hidden]),
        "may hold others": dg.MetadataValue.json([list(one) for one in done.doubtful]),
    }
    if done.failed:
        raise dg.Failure("some apps were not exported", metadata, allow_retries=False)
    if request.fail_on_secret and (done.hidden or done.doubtful):
        raise dg.Failure("apps hold secrets, or may", metadata, allow_retries=False)
    return dg.Output(None, metadata=metadata)
