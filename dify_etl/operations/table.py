"""Every operation on Dify, once: commands and Dagster's jobs are made of it."""

from dify_etl.operations.app_deletion import DeleteApps
from dify_etl.operations.apps import CreateApp, UpdateApp
from dify_etl.operations.deploying.deployment import DeployApps
from dify_etl.operations.exchange import ExportApps, ImportApp
from dify_etl.operations.indexing import ExamineDocuments
from dify_etl.operations.indexing_retries import RetryIndexing
from dify_etl.operations.members import InviteMembers, RemoveMembers, SetMemberRole
from dify_etl.operations.publishing import PublishApps
from dify_etl.operations.request import OperationSpec

OPERATIONS = (
    OperationSpec("apps create", "create_app", CreateApp),
    OperationSpec("apps update", "update_app", UpdateApp),
    OperationSpec("apps publish", "publish_apps", PublishApps, most=10),
    OperationSpec("apps export", "export_apps", ExportApps),
    OperationSpec("apps import", "import_app", ImportApp),
    OperationSpec("apps deploy", "deploy_apps", DeployApps, most=50),
    OperationSpec("apps delete", "delete_apps", DeleteApps, is_deletion=True),
    OperationSpec("members invite", "invite_members", InviteMembers, most=50),
    OperationSpec("members set-role", "set_member_role", SetMemberRole, most=50),
    OperationSpec("members remove", "remove_members", RemoveMembers, most=5, is_deletion=True),
    OperationSpec("indexing list", "indexing_report", ExamineDocuments),
    OperationSpec("indexing retry", "retry_indexing", RetryIndexing, most=20, is_scheduled=True),
)


def operation_of(job: str) -> OperationSpec:
    """The operation whose job in Dagster is called so."""
    return next(spec for spec in OPERATIONS if spec.job == job)
