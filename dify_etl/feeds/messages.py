"""Feed messages: conversations and completion logs that are due, with the parts of each message.

The weekly feedback exports are asked beside them. What these show to be rated otherwise than it is
held, and was not due anyway, is read after them.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import Any, Generic, TypeVar

from dify_etl.feeds.agent_messages import read_any_conversation
from dify_etl.feeds.apps import KnownApp
from dify_etl.feeds.chat_messages import (
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
from dify_etl.sync.report import FeedReport
from dify_etl.sync.rights import Refusals
from dify_etl.sync.run import Sync

T = TypeVar("T")
R = TypeVar("R")

FEED = "messages"
# Messages that are committed together: enough for speed, few enough to lose little. From a quick
# server more come in a while; up to MOST_MESSAGES they wait for the next commit.
COMMIT_MESSAGES, MOST_MESSAGES = 2_000, 5_000
COMMIT_SECONDS = 5.0
# Conversations that are fetched while others are being committed: most hold a few messages.
LOOKAHEAD = 400
TASKS_PER_EXPORT = 10


def read_messages(sync: Sync, first: First = nothing_first) -> FeedReport:
    """Read what is due; children replace those held of the same messages."""
    with FeedLoader(sync, FEED) as loader:
        first(loader)
        reading = _Reading(loader)
        reading.read(due_exports(loader))
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
    _odd: list[OddConversation] = field(default_factory=list)
    _logs: list[Fetched[DueLog, OpenedLog]] = field(default_factory=list)

    def read(self, apps: Sequence[KnownApp] = (), *, among: str = "true") -> None:
        """Read the exports of these apps, and what is due; `among` as in due_conversations."""
        sync = self.loader.sync
        log_count, logs = due_logs(sync, among)
        talk_count, conversations = due_conversations(sync, among)
        self.loader.expect(len(apps) + log_count + talk_count)
        refusals = Refusals()
        exports = _jobs(apps, partial(read_export, sync), self.exports)
        tasks = _mixed(
            chain(
                _jobs(logs, refusals.asking(partial(read_log, sync)), self._logs),
                _jobs(
                    conversations,
                    refusals.asking(partial(read_any_conversation, sync)),
                    self._conversations,
                ),
            ),
            exports,
        )
        size, committed_at = 0, time.monotonic()
        for fetched in fetch(
            tasks,
            _Job.run,
            FetchLimits(sync.rules.workers, LOOKAHEAD, COMMIT_MESSAGES),
            size=lambda read: read.size,
        ):
            fetched.task.outcomes.append(Fetched(fetched.task.task, fetched.result, fetched.error))
            size += fetched.result.size if fetched.result else 1
            self.loader.step()
            waited = time.monotonic() - committed_at
            if size >= (COMMIT_MESSAGES if waited >= COMMIT_SECONDS else MOST_MESSAGES):
                self._commit()
                size, committed_at = 0, time.monotonic()
        self._commit()

    def go_round_odd(self) -> None:
        """Read what is older than messages that Dify cannot show, from ids known otherwise."""
        conversations = with_known(self.loader, self._odd, self.exports)
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
        with self.loader.commit():
            load_conversations(self.loader, self._conversations)
            load_logs(self.loader, self._logs)
        odd = (OddConversation.of(one, self.loader.sync.now) for one in self._conversations)
        self._odd += [one for one in odd if one is not None]
        self._conversations.clear()
        self._logs.clear()


def _mixed(
    tasks: Iterator[_Job[Any, Any]], exports: Iterator[_Job[Any, Any]]
) -> Iterator[_Job[Any, Any]]:
    """An export among every few tasks: a server works long on one, and eight would hold all up."""
    while some := list(islice(tasks, TASKS_PER_EXPORT)):
        yield from islice(exports, 1)
        yield from some
    yield from exports
