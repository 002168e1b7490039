"""What of a feed is read from Dify's database, before the rest is asked of the API.

Nothing is loaded for it where no such database is named.
"""

from dify_etl.dify.app_modes import (
    CHAT_MODES,
    CHATFLOW_MODES,
    COMPLETION_MODES,
    WORKFLOW_MODES,
)
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.known_apps import apps_in_database


def read_conversations_first(loader: FeedLoader) -> None:
    """Conversations of the apps that are read from the database."""
    if apps := apps_in_database(loader.sync, *CHAT_MODES, *COMPLETION_MODES):
        from dify_etl.feeds.database_conversations import read_conversations_in_database

        read_conversations_in_database(loader, apps)


def read_messages_first(loader: FeedLoader) -> None:
    """Their messages with all parts."""
    if apps := apps_in_database(loader.sync, *CHAT_MODES, *COMPLETION_MODES):
        from dify_etl.feeds.database_conversations import read_messages_in_database

        read_messages_in_database(loader, apps)


def read_runs_first(loader: FeedLoader) -> None:
    """Runs of the apps that are read from the database."""
    if apps := apps_in_database(loader.sync, *WORKFLOW_MODES, *CHATFLOW_MODES):
        from dify_etl.feeds.database_runs import read_runs_in_database

        read_runs_in_database(loader, apps)


def read_nodes_first(loader: FeedLoader) -> None:
    """Their nodes."""
    if apps := apps_in_database(loader.sync, *WORKFLOW_MODES, *CHATFLOW_MODES):
        from dify_etl.feeds.database_runs import read_nodes_in_database

        read_nodes_in_database(loader, apps)
