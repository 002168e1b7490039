"""Feed messages: conversations and completion logs that are due, with the parts of each message.

The weekly feedback exports are asked beside them. What these show to be rated otherwise than it is
held, and was not due anyway, is read after them.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import Any, Generic, TypeVar

from dify_etl.feeds.agent_messages import read_any_conversation
from dify_etl.feeds.chat_messages import (
    DUE_AGAIN,
    NOT_YET_DUE,
    ConversationRead,
    Due,
    due_conversations,
    load_conversations,
)
from dify_etl.feeds.completion_messages import DueLog, OpenedLog, due_logs, load_logs, read_log
from dify_etl.feeds.feedback import (
    RATED_OTHERWISE,
    Export,
    due_exports,
    note_rated_otherwise,
    read_export,
    take_over,
)
from dify_etl.feeds.human_inputs import settle_states
from dify_etl.feeds.message_slices import close_message_slices
from dify_etl.feeds.odd_messages import BehindOdd, OddConversation, with_known
from dify_etl.sync.feed_loader import FeedLoader, First, nothing_first
from dify_etl.sync.fetching import Fetched, FetchLimits, fetch
from dify_etl.sync.known_apps import KnownApp
from dify_etl.sync.report import FeedReport
from dify_etl.sync.rights import Refusals
from dify_etl.sync.run import Sync
from dify_etl.sync.turns import Turns, turns
from dify_etl.warehouse.tables import quoted

T = TypeVar("T")
R = TypeVar("R")

FEED, LISTS = "messages", "conversations"
# Messages that are committed together: enough for speed, few enough to lose little. From a quick
# server more come in a while; up to MOST_MESSAGES they wait for the next commit. The first commits
# are smaller: when the last answer has come, at most half of all is left to be loaded.
LEAST_MESSAGES, COMMIT_MESSAGES, MOST_MESSAGES = 500, 2_000, 5_000
COMMIT_SECONDS = 5.0
# Conversations that are fetched while others are being committed: most hold a few messages.
LOOKAHEAD = 400
TASKS_PER_EXPORT = 10


def read_messages(sync: Sync, first: First = nothing_first) -> FeedReport:
    """Read what is due; children replace those held of the same messages."""
    with FeedLoader(sync, FEED) as loader:
        first(loader)
        reading = _Reading(loader)
        exports, is_begun = deque(due_exports(loader)), False
        if (lists := turns()) is not None and lists.is_under_way(LISTS):
            is_begun = reading.read_while_listed(lists, exports)
        reading.read(exports, DUE_AGAIN if is_begun else "true", is_more=is_begun)
        if note_rated_otherwise(loader, reading.exports):
            reading.read(among=RATED_OTHERWISE)
        reading.go_round_odd()
        take_over(loader, reading.exports)
        with loader.commit():
            settle_states(loader)
        close_message_slices(loader)
        return loader.report()


@dataclass(frozen=True)
class _Job(Generic[T, R]):
    """A task that knows what reads it and where its outcome is kept: exports, logs and talks are
    fetched together.
    """

    task: T
    read: Callable[[T], R]
    outcomes: list[Fetched[T, R]]

    def run(self) -> R:
        """Read it."""
        return self.read(self.task)


def _jobs(
    tasks: Iterable[T], read: Callable[[T], R], outcomes: list[Fetched[T, R]]
) -> Iterator[_Job[T, R]]:
    """Tasks of one kind as jobs."""
    return (_Job(task, read, outcomes) for task in tasks)


@dataclass
class _Reading:
    """What was read: exports, kept to the end, and what waits for the next commit."""

    loader: FeedLoader
    exports: list[Fetched[KnownApp, Export]] = field(default_factory=list)
    _conversations: list[Fetched[Due, ConversationRead]] = field(default_factory=list)
    # By id those whose last read ended at an odd message: one may be due twice in a night.
    _odd: dict[str, OddConversation] = field(default_factory=dict)
    _logs: list[Fetched[DueLog, OpenedLog]] = field(default_factory=list)
    _committed: int = 0  # by size
    _refusals: Refusals = field(default_factory=Refusals)

    def read(
        self, apps: Iterable[KnownApp] = (), among: str = "true", *, is_more: bool = False
    ) -> None:
        """Read the exports of these apps, and what is due; the others as in due_conversations."""
        sync, apps = self.loader.sync, tuple(apps)
        log_count, logs = due_logs(sync, "true" if is_more else among)
        talk_count, conversations = due_conversations(sync, among, is_more=is_more)
        self.loader.expect(len(apps) + log_count + talk_count)
        logs_read = Refusals().asking(partial(read_log, sync))
        tasks = chain(_jobs(logs, logs_read, self._logs), self._conversation_jobs(conversations))
        self._fetch(_mixed(tasks, self._export_jobs(apps)))

    def read_while_listed(self, lists: Turns, apps: deque[KnownApp]) -> bool:
        """Read what is due of conversations whose lists came, while others come; among them the
        exports of some of these apps, which are taken out. Whether any were looked for.
        """
        listed = _WhileListed(self.loader, lists)
        while lists.is_under_way(LISTS):
            news = lists.news_of(LISTS)
            self._fetch(_Mixed(self._conversation_jobs(listed), apps, self._sooner_exports))
            lists.wait_for_news(LISTS, after=news)
        return listed.is_begun

    def _conversation_jobs(self, conversations: Iterator[Due]) -> Iterator[_Job[Any, Any]]:
        read = self._refusals.asking(partial(read_any_conversation, self.loader.sync))
        return map(lambda due: _Job(due, read, self._conversations), conversations)

    def _export_jobs(self, apps: Iterable[KnownApp]) -> Iterator[_Job[Any, Any]]:
        return _jobs(apps, partial(read_export, self.loader.sync), self.exports)

    def _sooner_exports(self, apps: Sequence[KnownApp]) -> Iterator[_Job[Any, Any]]:
        """Those of apps whose exports nobody expected yet."""
        self.loader.expect(len(apps))
        return self._export_jobs(apps)

    def _fetch(self, tasks: Iterator[_Job[Any, Any]]) -> None:
        """Fetch and commit, some at a time."""
        size, committed_at = 0, time.monotonic()
        for fetched in fetch(
            tasks,
            _Job.run,
            FetchLimits(self.loader.sync.rules.workers, LOOKAHEAD, COMMIT_MESSAGES),
            size=lambda read: read.size,
        ):
            fetched.task.outcomes.append(Fetched(fetched.task.task, fetched.result, fetched.error))
            size += fetched.result.size if fetched.result else 1
            self.loader.step()
            waited = time.monotonic() - committed_at
            most = COMMIT_MESSAGES if waited >= COMMIT_SECONDS else MOST_MESSAGES
            if size >= min(most, max(LEAST_MESSAGES, self._committed)):
                self._commit()
                self._committed += size
                size, committed_at = 0, time.monotonic()
        self._commit()

    def go_round_odd(self) -> None:
        """Read what is older than messages that Dify cannot show, from ids known otherwise."""
        conversations = with_known(self.loader, [*self._odd.values()], self.exports)
        self._odd.clear()
        self.loader.expect(len(conversations))
        sync, outcomes = self.loader.sync, list[Fetched[OddConversation, ConversationRead]]()
        for fetched in fetch(conversations, BehindOdd(sync).read, FetchLimits(sync.rules.workers)):
            outcomes.append(fetched)
            self.loader.step()
        self._conversations += [Fetched(one.task.due, one.result, one.error) for one in outcomes]
        self._commit()

    def _commit(self) -> None:
        """Messages, their parts and the ledger rows of their conversations, in one transaction."""
        if not self._conversations and not self._logs:
            return
        with self.loader.commit():
            load_conversations(self.loader, self._conversations)
            load_logs(self.loader, self._logs)
        for one in self._conversations:
            self._odd.pop(one.task.conversation_id, None)
            if (odd := OddConversation.of(one, self.loader.sync.now)) is not None:
                self._odd[one.task.conversation_id] = odd
        self._conversations.clear()
        self._logs.clear()


class _WhileListed(Iterator[Due]):
    """The conversations that are due, as far as their lists were loaded; goes on after its end when
    more were.

    Of an app whose lists are not through only those count that are new: others may change yet.
    """

    def __init__(self, loader: FeedLoader, lists: Turns) -> None:
        self._loader = loader
        self._lists = lists
        self._news = -1
        self._found: Iterator[Due] = iter(())

    def __next__(self) -> Due:
        while (due := next(self._found, None)) is None:
            news = self._lists.news_of(LISTS)
            if news == self._news or not self._lists.is_under_way(LISTS):
                raise StopIteration
            is_first, self._news = self._news < 0, news
            count, self._found = due_conversations(
                self._loader.sync, self._among(is_first=is_first), is_more=not is_first
            )
            self._loader.expect(count)
        return due

    @property
    def is_begun(self) -> bool:
        """Whether any were looked for."""
        return self._news >= 0

    def _among(self, *, is_first: bool) -> str:
        listed = ", ".join(quoted(app) for app in self._lists.apps_of(LISTS)) or "''"
        began = quoted(self._loader.sync.started_at.isoformat())
        is_new = (
            f"r.conversation_id IS NULL AND a.agent_id IS NULL "
            f"AND c.loaded_at >= TIMESTAMPTZ {began}"
        )
        found = f"(c.app_id IN ({listed}) OR ({is_new}))"
        return found if is_first else f"{found} AND {NOT_YET_DUE}"


class _Mixed(Iterator[_Job[Any, Any]]):
    """An export among every few conversations; goes on after its end when these do."""

    def __init__(
        self,
        conversations: Iterator[_Job[Any, Any]],
        apps: deque[KnownApp],
        export_jobs: Callable[[Sequence[KnownApp]], Iterator[_Job[Any, Any]]],
    ) -> None:
        self._conversations = conversations
        self._apps = apps
        self._export_jobs = export_jobs
        self._given = 0

    def __next__(self) -> _Job[Any, Any]:
        if self._apps and self._given % TASKS_PER_EXPORT == TASKS_PER_EXPORT - 1:
            self._given += 1
            return next(self._export_jobs([self._apps.popleft()]))
        job = next(self._conversations)
        self._given += 1
        return job


def _mixed(
    tasks: Iterator[_Job[Any, Any]], exports: Iterator[_Job[Any, Any]]
) -> Iterator[_Job[Any, Any]]:
    """An export among every few tasks: a server works long on one, and eight would hold all up."""
    while some := list(islice(tasks, TASKS_PER_EXPORT)):
        yield from islice(exports, 1)
        yield from some
    yield from exports
