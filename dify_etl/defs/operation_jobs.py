"""A job per operation on Dify. Each shows its plan, and applies it only when its id is given."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg

from dify_etl.assembly.connection import effective_settings, export_place, home_of
from dify_etl.assembly.sync_proof import escrow_of
from dify_etl.defs.operation_configs import (
    CreateAppConfig,
    DeleteAppsConfig,
    ExamineConfig,
    ExportAppsConfig,
    ImportAppConfig,
    InviteMembersConfig,
    PlanConfig,
    PublishAppsConfig,
    RemoveMembersConfig,
    RetryIndexingConfig,
    SetMemberRoleConfig,
    UpdateAppConfig,
)
from dify_etl.defs.operation_runs import DifyOperations, run_operation
from dify_etl.defs.resources import clear_failures
from dify_etl.defs.schedules import sleeping_schedule
from dify_etl.home import Home
from dify_etl.operations.app_deletion import delete_operation
from dify_etl.operations.applying import Operation
from dify_etl.operations.apps import (
    Wishes,
    changed,
    create_operation,
    drafted,
    every_app,
    found_apps,
    update_operation,
)
from dify_etl.operations.audit import AuditFile
from dify_etl.operations.exchange import dsl_operation, export_apps, read_dsl
from dify_etl.operations.indexing import Examination, examine
from dify_etl.operations.indexing_retries import Patience, RetryHistory, retry_operation
from dify_etl.operations.invitees import invitees
from dify_etl.operations.members import (
    LinkFile,
    invite_operation,
    remove_operation,
    set_role_operation,
)
from dify_etl.operations.model_configs import read_config
from dify_etl.operations.publishing import publish_operation
from dify_etl.private_files import private_files
from dify_etl.settings import Settings

C = TypeVar("C", bound=PlanConfig)
RETRY_INDEXING = "retry_indexing"


def operation_jobs() -> list[dg.JobDefinition]:
    """All jobs that change Dify, and the one that writes apps into files."""
    return [
        _job("create_app", CreateAppConfig, _create_app),
        _job("update_app", UpdateAppConfig, _update_app),
        _job("publish_apps", PublishAppsConfig, _publish_apps),
        _job("import_app", ImportAppConfig, _import_app),
        _job("delete_apps", DeleteAppsConfig, _delete_apps),
        _job("invite_members", InviteMembersConfig, _invite_members),
        _job("set_member_role", SetMemberRoleConfig, _set_member_role),
        _job("remove_members", RemoveMembersConfig, _remove_members),
        _job(RETRY_INDEXING, RetryIndexingConfig, _retry_indexing),
        _export_job(),
    ]


def retry_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Every night at four, once it is turned on: what failed is retried, within the cap."""

    def run_config(token: str) -> Mapping[str, Any]:
        config = {"dry_run": False, "schedule_token": token}
        return {"ops": {op_of(RETRY_INDEXING): {"config": config}}}

    return sleeping_schedule(settings, RETRY_INDEXING, "0 4 * * *", run_config)


def op_of(job: str) -> str:
    """The name of the job's only op, whose config the launchpad shows."""
    return f"run_{job}"


def _job(
    name: str, config_class: type[C], plan: Callable[[DifyOperations, C], Operation]
) -> dg.JobDefinition:
    schema: Any = config_class.to_config_schema()  # Dagster's types do not know their own product

    @dg.op(name=op_of(name), description=config_class.__doc__, config_schema=schema)
    def run(context: dg.OpExecutionContext, dify_operations: DifyOperations) -> dg.Output[None]:
        config = config_class(**context.op_config)
        with clear_failures():
            return run_operation(
                context,
                dify_operations,
                plan(dify_operations, config),
                config,
                typed=getattr(config, "names", ()),
                schedule_token=getattr(config, "schedule_token", ""),
            )

    @dg.job(name=name, description=config_class.__doc__)
    def job() -> None:
        run()

    return job


def _create_app(operations: DifyOperations, config: CreateAppConfig) -> Operation:
    told = (config.description, config.icon, config.icon_background)
    draft = drafted(config.name, config.mode, *(text or None for text in told))
    return create_operation(operations.operator, draft, is_twin_wanted=config.twin)


def _update_app(operations: DifyOperations, config: UpdateAppConfig) -> Operation:
    path = config.model_config_file
    wishes = Wishes(
        changed(
            config.name,
            config.description,
            config.icon,
            config.icon_background,
            max_active_requests=config.max_active_requests,
            use_icon_as_answer_icon=config.is_icon_as_answer_icon,
        ),
        is_site_on=config.is_site_on,
        is_api_on=config.is_api_on,
        model_config=read_config(Path(path)) if path else None,
    )
    return update_operation(operations.operator, config.app, wishes)


def _publish_apps(operations: DifyOperations, config: PublishAppsConfig) -> Operation:
    return publish_operation(
        operations.operator, config.apps, name=config.version_name, comment=config.comment
    )


def _import_app(operations: DifyOperations, config: ImportAppConfig) -> Operation:
    text = read_dsl(Path(config.file))
    return dsl_operation(
        operations.operator,
        text,
        where=config.file,
        over=config.over or None,
        name=config.name or None,
        is_twin=config.twin,
    )


def _delete_apps(operations: DifyOperations, config: DeleteAppsConfig) -> Operation:
    escrow = escrow_of(
        operations.home,
        zone=effective_settings().zone,
        now=operations.operator.clock.now(),
        synced_within=timedelta(minutes=config.synced_within_minutes),
        accepts_unproven=config.accept_unproven,
    )
    return delete_operation(operations.operator, config.apps, escrow)


def _invite_members(operations: DifyOperations, config: InviteMembersConfig) -> Operation:
    people = invitees(
        config.emails, role=config.role, csv_path=Path(config.csv) if config.csv else None
    )
    return invite_operation(
        operations.operator,
        people,
        language=config.language or None,
        links=LinkFile(Path(config.links_file)) if config.links_file else None,
    )


def _set_member_role(operations: DifyOperations, config: SetMemberRoleConfig) -> Operation:
    return set_role_operation(operations.operator, config.members, config.role)


def _remove_members(operations: DifyOperations, config: RemoveMembersConfig) -> Operation:
    return remove_operation(operations.operator, config.members)


def _retry_indexing(operations: DifyOperations, config: RetryIndexingConfig) -> Operation:
    operator = operations.operator
    report = examine(
        operator.dify, examination_of(config), datasets=config.datasets, clock=operator.clock
    )
    history = RetryHistory(AuditFile(Home(operations.home).audit).entries())
    patience = Patience(config.tries, config.follow_seconds)
    return retry_operation(operator, report, history, patience)


def examination_of(config: ExamineConfig) -> Examination:
    """How the doctor looks, as the launchpad says."""
    return Examination(timedelta(minutes=config.stuck_after_minutes), config.second_look_seconds)


def _export_job() -> dg.JobDefinition:
    @dg.op(name=op_of("export_apps"), description=ExportAppsConfig.__doc__)
    def export(config: ExportAppsConfig, dify_operations: DifyOperations) -> dg.Output[None]:
        dify = dify_operations.operator.dify
        with clear_failures():
            apps = found_apps(dify, config.apps) if config.apps else every_app(dify)
            settings = effective_settings()
            folder = export_place(settings)
            with private_files() if folder.is_relative_to(home_of(settings)) else nullcontext():
                done = export_apps(dify, apps, folder, is_all=not config.apps)
        metadata: dict[str, dg.MetadataValue] = {
            "folder": dg.MetadataValue.path(folder.absolute()),
            "written": dg.MetadataValue.int(len(done.written)),
            "unchanged": dg.MetadataValue.int(len(done.unchanged)),
            "files of no app": dg.MetadataValue.json([str(path) for path in done.strays]),
            "without a draft": dg.MetadataValue.json(list(done.empty)),
            "failed": dg.MetadataValue.json(dict(done.failed)),
            "known secrets left out": dg.MetadataValue.json([list(one) for one in done.hidden]),
            "may hold others": dg.MetadataValue.json([list(one) for one in done.doubtful]),
        }
        if done.failed:
            raise dg.Failure("some apps were not exported", metadata, allow_retries=False)
        if config.fail_on_secret and (done.hidden or done.doubtful):
            raise dg.Failure("apps hold secrets, or may", metadata, allow_retries=False)
        return dg.Output(None, metadata=metadata)

    @dg.job(name="export_apps", description=ExportAppsConfig.__doc__)
    def job() -> None:
        export()

    return job
