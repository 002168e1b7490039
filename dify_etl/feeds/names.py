"""The names of the feeds, in the order in which they are read, and of the tables that come with
them; nothing large is loaded for them.
"""

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

# Raw tables that are parts of what a feed reads: whoever asks for one reads that feed.
READ_WITH = {
    "message_feedbacks": "messages",
    "message_citations": "messages",
    "message_files": "messages",
    "agent_thoughts": "messages",
    "agent_tool_calls": "messages",
    "human_inputs": "messages",
}
