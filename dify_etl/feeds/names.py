"""The names of the feeds, in the order in which they are read; nothing large is loaded for them."""

FEED_NAMES = (
    "apps",
    "members",
    "app_api_keys",
    "dataset_api_keys",
    "datasets",
    "documents",
    "document_segments",
    "annotations",
    "agent_versions",
    "workflow_versions",
    "app_triggers",
    "archived_runs",
    "daily_statistics",
    "conversations",
    "messages",
    "workflow_runs",
    "node_executions",
)
