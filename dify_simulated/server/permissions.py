"""What `permission_keys` tell (from 1.16): what the caller may do with an app or a dataset.

Without RBAC, as recorded, the role alone decides. Some answers to writes tell none at all.
"""

from __future__ import annotations

from dify_simulated.server.calls import Call

_APP_OF_EDITOR = (
    "app.acl.preview",
    "app.acl.view_layout",
    "app.acl.test_and_run",
    "app.acl.edit",
    "app.acl.import_export_dsl",
    "app.acl.delete",
    "app.acl.release_and_version",
    "app.acl.monitor",
)
_APP_KEYS = {
    "owner": (
        *_APP_OF_EDITOR,
        "app.acl.access_config",
        "app.acl.tracing_config",
        "app.acl.log_and_annotation",
    ),
    "admin": (
        *_APP_OF_EDITOR,
        "app.acl.access_config",
        "app.acl.access_config",  # twice, as recorded
        "app.acl.tracing_config",
        "app.acl.log_and_annotation",
    ),
    "editor": (*_APP_OF_EDITOR, "app.acl.log_and_annotation", "app.acl.access_config"),
    "normal": ("app.acl.monitor",),
}
_DATASET_OF_EDITOR = (
    "dataset.acl.preview",
    "dataset.acl.readonly",
    "dataset.acl.edit",
    "dataset.acl.import_export_dsl",
    "dataset.acl.pipeline_test",
    "dataset.acl.document_download",
    "dataset.acl.retrieval_recall",
    "dataset.acl.use",
    "dataset.acl.delete_file",
    "dataset.acl.pipeline_release",
)
_DATASET_OF_ADMIN = (
    *_DATASET_OF_EDITOR,
    "dataset.acl.delete",
    "dataset.acl.access_config",
    "dataset.api_key.manage",
)
_DATASET_KEYS = {
    "owner": _DATASET_OF_ADMIN,
    "admin": _DATASET_OF_ADMIN,
    "editor": _DATASET_OF_EDITOR,
}


def app_permissions(call: Call) -> list[str]:
    """What the caller may do with any app of the workspace; none for a dataset operator."""
    return list(_APP_KEYS.get(call.role or "", ()))


def dataset_permissions(call: Call) -> list[str]:
    """What the caller may do with a dataset that it sees; none below an editor."""
    return list(_DATASET_KEYS.get(call.role or "", ()))
