"""Read one feed; an error that nobody foresaw costs this feed, and not the night."""

from dify_etl.errors import ActionableError
from dify_etl.feeds.table import Feed
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.report import FeedReport
from dify_etl.sync.run import Sync
from dify_etl.sync.unforeseen import noted


def read_feed(sync: Sync, feed: Feed) -> FeedReport:
    """Read a feed. When it ends with a bug, what it had committed stays, its slice of the whole
    feed is failed with where the trace stands, and the report says that it was given up.

    Raises what concerns all feeds: a lost session, a full disk, another source.
    """
    with sync.dify.usage.measure(feed.name) as usage:
        try:
            return feed.read(sync)
        except ActionableError:
            raise
        except Exception as error:
            with FeedLoader(sync, feed.name) as loader:
                return loader.give_up(noted(error), usage)
