"""The table of feeds: what each reads, which raw tables it fills, and what it needs before."""

from collections.abc import Callable
from dataclasses import dataclass

from dify_etl.feeds.apps import read_apps
from dify_etl.feeds.conversations import read_conversations
from dify_etl.feeds.messages import read_messages
from dify_etl.feeds.node_executions import read_node_executions
from dify_etl.feeds.statistics import read_daily_statistics
from dify_etl.feeds.whole_lists import (
    read_agent_versions,
    read_annotations,
    read_app_api_keys,
    read_app_triggers,
    read_archived_runs,
    read_dataset_api_keys,
    read_datasets,
    read_documents,
    read_members,
)
from dify_etl.feeds.workflow_runs import read_workflow_runs
from dify_etl.sync.report import FeedReport
from dify_etl.sync.run import Sync


@dataclass(frozen=True)
class Feed:
    """One read: its first table has its name. `needs` are feeds whose tables it starts from."""

    name: str
    read: Callable[[Sync], FeedReport]
    needs: tuple[str, ...] = ()
    is_daily: bool = False
    parts: tuple[str, ...] = ()

    @property
    def tables(self) -> tuple[str, ...]:
        """The raw tables that it fills."""
        return (self.name, *self.parts)


FEEDS = (
    Feed("apps", read_apps),
    Feed("members", read_members),
    Feed("app_api_keys", read_app_api_keys, needs=("apps",)),
    Feed("dataset_api_keys", read_dataset_api_keys),
    Feed("datasets", read_datasets, needs=("members",)),
    Feed("documents", read_documents, needs=("datasets",)),
    Feed("annotations", read_annotations, needs=("apps",)),
    Feed("agent_versions", read_agent_versions, needs=("apps",)),
    Feed("app_triggers", read_app_triggers, needs=("apps",)),
    Feed("archived_runs", read_archived_runs, needs=("apps",)),
    Feed("daily_statistics", read_daily_statistics, needs=("apps",), is_daily=True),
    Feed("conversations", read_conversations, needs=("apps",), is_daily=True),
    Feed(
        "messages",
        read_messages,
        needs=("conversations",),
        is_daily=True,
        parts=(
            "message_feedbacks",
            "message_citations",
            "message_files",
            "agent_thoughts",
            "agent_tool_calls",
            "human_inputs",
        ),
    ),
    Feed("workflow_runs", read_workflow_runs, needs=("apps", "messages"), is_daily=True),
    Feed("node_executions", read_node_executions, needs=("workflow_runs",), is_daily=True),
)
