"""The table of feeds: what each reads and how, which raw tables it fills, and what it needs before.

Record, key, marks and day of its rows are those of the raw table that has its name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from dify_etl.dify.app_modes import (
    CHAT_MODES,
    CHATFLOW_MODES,
    COMPLETION_MODES,
    WORKFLOW_MODES,
)
from dify_etl.feeds.apps import read_apps
from dify_etl.feeds.conversations import read_conversations
from dify_etl.feeds.database_feeds import (
    read_conversations_first,
    read_messages_first,
    read_nodes_first,
    read_runs_first,
)
from dify_etl.feeds.document_segments import read_document_segments
from dify_etl.feeds.message_parts import PARTS
from dify_etl.feeds.messages import read_messages
from dify_etl.feeds.node_executions import read_node_executions
from dify_etl.feeds.statistics import read_daily_statistics
from dify_etl.feeds.whole_lists import AppList, WholeList, hidden_datasets, read_documents
from dify_etl.feeds.workflow_runs import read_workflow_runs
from dify_etl.feeds.workflow_versions import due_apps
from dify_etl.raw.tables import raw_table
from dify_etl.sync.report import FeedReport
from dify_etl.sync.run import Sync


@dataclass(frozen=True)
class Feed:
    """One read: its first table has its name. `needs` are feeds whose tables it starts from,
    `parts` the tables of what comes with its rows.

    Read beside others it begins once what it needs was read, or has told that it may. It waits for
    the end of those that it is `after`: what they bring says what is due here.
    """

    name: str
    reads: Callable[[Sync], FeedReport] | WholeList | AppList
    needs: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def read(self, sync: Sync) -> FeedReport:
        """Read it; what Dify refuses is told by its slices."""
        if isinstance(self.reads, WholeList | AppList):
            return self.reads.read(sync, self.name)
        return self.reads(sync)

    @property
    def is_daily(self) -> bool:
        """Whether it is read by local days."""
        return raw_table(self.name).day_column is not None

    @property
    def tables(self) -> tuple[str, ...]:
        """The raw tables that it fills."""
        return (self.name, *self.parts)


FEEDS = (
    Feed("apps", read_apps),
    Feed("members", WholeList(lambda dify: dify.members.list())),
    Feed(
        "app_api_keys",
        AppList(lambda dify, app: dify.api_keys.of_app(app.app_id)),
        needs=("apps",),
    ),
    Feed("dataset_api_keys", WholeList(lambda dify: dify.api_keys.of_datasets())),
    Feed(
        "datasets",
        WholeList(lambda dify: dify.datasets.walk(), doubt=hidden_datasets),
        needs=("members",),
    ),
    Feed("documents", read_documents, needs=("datasets",)),
    Feed("document_segments", read_document_segments, needs=("documents",)),
    Feed(
        "annotations",
        AppList(
            lambda dify, app: dify.conversations.annotations_walk(app.app_id),
            modes=(*CHAT_MODES, *COMPLETION_MODES),
        ),
        needs=("apps",),
    ),
    Feed(
        "agent_versions",
        AppList(
            lambda dify, app: dify.agents.versions(app.app_id, app.agent_id or ""),
            is_of_agents=True,
        ),
        needs=("apps",),
    ),
    Feed(
        "workflow_versions",
        AppList(
            lambda dify, app: dify.workflows.published_walk(app.app_id),
            modes=(*WORKFLOW_MODES, *CHATFLOW_MODES),
            due=due_apps,
        ),
        needs=("apps",),
    ),
    Feed(
        "app_triggers",
        AppList(
            lambda dify, app: dify.workflows.triggers(app.app_id),
            modes=WORKFLOW_MODES,
            since=(1, 10, 0),
        ),
        needs=("apps",),
    ),
    Feed(
        "archived_runs",
        AppList(
            lambda dify, app: dify.workflows.archived_runs_walk(app.app_id),
            modes=WORKFLOW_MODES,
            since=(1, 12, 0),
            gone_since=(1, 16, 0),
        ),
        needs=("apps",),
    ),
    Feed("daily_statistics", read_daily_statistics, needs=("apps",)),
    Feed(
        "conversations",
        partial(read_conversations, first=read_conversations_first),
        needs=("apps",),
    ),
    Feed(
        "messages",
        partial(read_messages, first=read_messages_first),
        needs=("conversations",),
        parts=PARTS,
        after=("annotations",),
    ),
    Feed(
        "workflow_runs",
        partial(read_workflow_runs, first=read_runs_first),
        needs=("apps", "messages"),
    ),
    Feed(
        "node_executions",
        partial(read_node_executions, first=read_nodes_first),
        needs=("workflow_runs",),
    ),
)
