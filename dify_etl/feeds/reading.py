"""Read one feed, or several beside each other; an error that nobody foresaw costs its feed, and not
the night.
"""

from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from threading import Thread

from dify_etl.errors import ActionableError
from dify_etl.feeds.table import Feed
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.report import FeedReport
from dify_etl.sync.run import Sync
from dify_etl.sync.turns import Turns
from dify_etl.sync.unforeseen import noted

# Each has threads of its own, which wait for the same few requests.
FEEDS_AT_ONCE = 4


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


def read_feeds(sync: Sync, feeds: Sequence[Feed], done: Callable[[FeedReport], None]) -> None:
    """Read feeds, those beside each other that need nothing of one another; `done` gets each
    report as it comes. The database is theirs until all have ended.

    Raises what concerns all feeds, once none is under way any more; what was committed stays. From
    Dify's own database feeds are read one after another: they share its connections.
    """
    if sync.rules.dify_database is not None or len(feeds) == 1:
        for feed in feeds:
            done(read_feed(sync, feed))
        return
    _Together(sync, list(feeds), done).read()


@dataclass(frozen=True)
class _Ended:
    feed: Feed
    report: FeedReport | None = None
    error: BaseException | None = None


@dataclass
class _Together:
    """Feeds that are left, and those under way; each is a thread that takes its turn at the
    database.
    """

    sync: Sync
    left: list[Feed]
    done: Callable[[FeedReport], None]
    turns: Turns = field(default_factory=Turns)
    _told: set[str] = field(default_factory=set)  # those that others may begin after
    _threads: dict[str, Thread] = field(default_factory=dict)
    # What ended, or None where one told that others may begin.
    _came: "SimpleQueue[_Ended | None]" = field(default_factory=SimpleQueue)

    def read(self) -> None:
        """Read them all."""
        self.turns.on_news = self._on_news
        self.left = sorted(self.left, key=self._dependents, reverse=True)
        try:
            while self.left or self._threads:
                self._begin()
                self._take(self._came.get())
        except KeyboardInterrupt:
            self.sync.database.connection.interrupt()
            raise
        finally:
            self._end()

    def _dependents(self, feed: Feed) -> int:
        """How many of the feeds wait for it, in the end: the most wanted begins first."""
        others = [one for one in self.left if feed.name in (*one.needs, *one.after)]
        return len(others) + sum(map(self._dependents, others))

    def _begin(self) -> None:
        names = {one.name for one in self.left} | self._threads.keys()
        for feed in [*self.left]:
            if len(self._threads) >= FEEDS_AT_ONCE:
                return
            if names & {*feed.after} or (names & {*feed.needs}) - self._told:
                continue
            self.left.remove(feed)
            self.turns.begin(feed.name)
            run = partial(copy_context().run, self._run, feed)
            thread = Thread(target=run, name=feed.name, daemon=True)
            thread.start()
            self._threads[feed.name] = thread

    def _run(self, feed: Feed) -> None:
        """On its thread."""
        try:
            with self.turns.held(feed.name):
                ended = _Ended(feed, read_feed(self.sync, feed))
        except BaseException as error:
            ended = _Ended(feed, error=error)
        self._came.put(ended)

    def _on_news(self, feed: str) -> None:
        if feed not in self._told:
            self._told.add(feed)
            self._came.put(None)

    def _take(self, ended: _Ended | None) -> None:
        if ended is None:
            return
        self._threads.pop(ended.feed.name).join()
        self.turns.end(ended.feed.name)
        if ended.error is not None:
            raise ended.error
        if ended.report is not None:
            self.done(ended.report)

    def _end(self) -> None:
        """Wait for those under way, which end with the request that they are at; who does not want
        to waits for the one that has the database alone.
        """
        if not self._threads:
            return
        self.turns.stop()
        try:
            for thread in self._threads.values():
                thread.join()
        except KeyboardInterrupt:
            self.sync.database.connection.interrupt()
            self.turns.close()
            raise
        while not self._came.empty():
            ended = self._came.get()
            if ended is not None and ended.report is not None:
                self.done(ended.report)
