"""Feeds that are read beside each other: each on a thread of its own, one of them at a time with
the database.

A feed gives its turn away while it waits for Dify, and never amid a transaction. So whatever it
does between two waits is as if it were alone, and only what another feed may have loaded meanwhile
is to be thought of.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Condition, get_ident


class Stopped(BaseException):
    """The feed ends with the others: one of them met what concerns all."""


class Turns:
    """Whose turn it is: first come, first served. What feeds have loaded so far is told here."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._queue: deque[object] = deque()
        self._holder: int | None = None
        self._kept = 0  # blocks in which the holder gives its turn to nobody
        self._is_stopped = False
        self._under_way: set[str] = set()
        self._news: Counter[str] = Counter()
        self._apps: dict[str, set[str]] = {}
        self._wakers: set[Callable[[], None]] = set()
        self._listening: list[object] = []  # tickets of those that wait for news
        self.on_news: Callable[[str], None] = lambda feed: None

    @contextmanager
    def held(self, feed: str) -> Iterator[None]:
        """A feed is read inside, by turns with others."""
        token = _TURNS.set(self)
        self._take()
        try:
            yield
        finally:
            self._give()
            _TURNS.reset(token)

    @contextmanager
    def given_away(self, *, is_checked: bool = True) -> Iterator[None]:
        """Others go on inside, unless it is not this thread's turn, or it is kept. Stopped after it
        once all are to end, where that is checked.
        """
        if self._holder != get_ident() or self._kept:
            yield
            return
        self._give()
        try:
            yield
        finally:
            self._take()
        if is_checked:
            self.check()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Nobody else goes on inside."""
        self._kept += 1
        try:
            yield
        finally:
            self._kept -= 1

    def begin(self, feed: str) -> None:
        """The feed is under way from now on."""
        with self._changed:
            self._under_way.add(feed)

    def end(self, feed: str) -> None:
        """The feed was read, well or not."""
        with self._changed:
            self._under_way.discard(feed)
        self.tell(feed)

    def tell(self, feed: str, apps: set[str] | frozenset[str] = frozenset()) -> None:
        """Something of a feed was committed; `apps` are those of which all was listed."""
        with self._changed:
            self._news[feed] += 1
            self._apps.setdefault(feed, set()).update(apps)
            wakers = [*self._wakers]
            self._queue_listening()
        for wake in wakers:
            wake()
        self.on_news(feed)

    def news_of(self, feed: str) -> int:
        """How often something of the feed was committed."""
        return self._news[feed]

    def apps_of(self, feed: str) -> frozenset[str]:
        """The apps that were told of a feed."""
        with self._changed:
            return frozenset(self._apps.get(feed, ()))

    def is_under_way(self, feed: str) -> bool:
        """Whether it is being read beside the one that asks."""
        return feed in self._under_way

    def wait_for_news(self, feed: str, after: int) -> None:
        """Let others go on until there is news of this feed, or of another, or one has ended. Call
        it outside of transactions, whose turn it is.

        Who waits is next then: the one that tells of news goes on behind it.
        """
        ticket = object()
        with self._changed:
            self.check()
            if self._news[feed] > after or feed not in self._under_way:
                return
            self._listening.append(ticket)
            self._holder = None
            self._changed.notify_all()
            self._wait_for(ticket)
        self.check()

    def wait_for_end(self, feed: str) -> None:
        """Let others go on until the feed has ended."""
        while self.is_under_way(feed):
            self.wait_for_news(feed, self.news_of(feed))

    def stop(self) -> None:
        """Whatever is under way ends with the request that it is at."""
        with self._changed:
            self._is_stopped = True
            wakers = [*self._wakers]
            self._queue_listening()
        for wake in wakers:
            wake()

    def close(self) -> None:
        """Wait for whoever has the turn, and give it to nobody any more."""
        ticket = object()
        with self._changed:
            self._queue.appendleft(ticket)
            self._wait_for(ticket)

    def check(self) -> None:
        """Raise Stopped once all are to end."""
        if self._is_stopped:
            raise Stopped

    @contextmanager
    def waking(self, wake: Callable[[], None]) -> Iterator[None]:
        """Call `wake`, on any thread, whenever there is news for whoever waits for requests."""
        with self._changed:
            self._wakers.add(wake)
        try:
            yield
        finally:
            with self._changed:
                self._wakers.discard(wake)

    def _take(self) -> None:
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            self._wait_for(ticket)

    def _wait_for(self, ticket: object) -> None:
        self._changed.wait_for(
            lambda: self._holder is None and bool(self._queue) and self._queue[0] is ticket
        )
        self._queue.popleft()
        self._holder = get_ident()

    def _queue_listening(self) -> None:
        self._queue.extend(self._listening)
        self._listening.clear()
        self._changed.notify_all()

    def _give(self) -> None:
        with self._changed:
            self._holder = None
            self._changed.notify_all()


_TURNS: ContextVar[Turns | None] = ContextVar("turns of the feeds", default=None)


def turns() -> Turns | None:
    """Those of the feeds that are read beside this one; None when it is read alone."""
    return _TURNS.get()


@contextmanager
def others_go_on(*, is_checked: bool = True) -> Iterator[None]:
    """Other feeds go on inside: for what waits for Dify, outside of transactions. What closes is
    not `is_checked`: it may be closed by another error, amid which nobody would see a second one.
    """
    if (found := turns()) is None:
        yield
        return
    with found.given_away(is_checked=is_checked):
        yield


@contextmanager
def turn_kept() -> Iterator[None]:
    """No other feed goes on inside: for transactions."""
    if (found := turns()) is None:
        yield
        return
    with found.kept():
        yield
