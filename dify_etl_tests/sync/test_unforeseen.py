"""A bug costs the app or the feed that met it; the others go on, and the ledger keep its trace."""

from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from dify_etl.dify.errors import SessionLost
from dify_etl.feeds.reading import read_feed
from dify_etl.feeds.table import FEEDS, Feed
from dify_etl.sync.report import FeedReport
from dify_etl.sync.run import Sync
from dify_etl_tests.defs.night import night_of
from dify_etl_tests.sync.small_worlds import brief_world, lively_world, quiet_world
from dify_etl_tests.sync.workplace import TALK, Workplace

SECRET = "what a stranger wrote"


class Exploding(httpx.BaseTransport):
    """A transport with a bug: it breaks for paths that hold a word."""

    def __init__(self, inner: httpx.BaseTransport, word: str) -> None:
        self.inner = inner
        self.word = word

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self.word in request.url.path:
            raise RuntimeError(SECRET)
        return self.inner.handle_request(request)


def exploding(place: Workplace, word: str) -> Workplace:
    place.transport = Exploding(httpx.WSGITransport(app=place.server), word)
    return place


def test_bug_in_one_app_costs_its_slices(tmp_path: Path) -> None:
    """Its days failed, the other apps are proven, and the trace stands in ops."""
    place = Workplace(lively_world(), tmp_path)
    app = next(app for app in place.world.apps.values() if app.mode == "chat")
    exploding(place, f"{app.id}/chat-conversations").read(TALK)

    states = place.rows(
        f"""SELECT DISTINCT state, app_id = '{app.id}', reason LIKE '%(RuntimeError)%'
        FROM ops.slices WHERE feed = 'conversations' ORDER BY ALL"""
    )
    assert states == [("failed", True, True), ("proven", False, None)]
    ((feed, kind, trace),) = place.rows("SELECT feed, kind, trace FROM ops.unforeseen_errors")
    assert (feed, kind) == ("conversations", "RuntimeError")
    assert "dify_etl/dify/http/session.py" in trace
    assert SECRET not in repr(place.rows("FROM ops.slices")) + trace


def test_bug_is_over_with_the_next_good_night(tmp_path: Path) -> None:
    """What failed for a bug is read like anything else that failed."""
    place = exploding(Workplace(brief_world(), tmp_path), "chat-conversations")
    place.read(TALK)
    place.transport = None
    place.pass_time(days=1)
    place.read(TALK)

    assert place.value("SELECT count(*) FROM ops.slices WHERE state = 'failed'") == 0


def broken(name: str) -> Feed:
    """A feed that loads, and then meets a bug of the loading itself."""
    feed = next(one for one in FEEDS if one.name == name)

    def read(sync: Sync) -> FeedReport:
        feed.read(sync)
        raise ZeroDivisionError(SECRET)

    return replace(feed, reads=read)


@pytest.fixture
def place(tmp_path: Path) -> Workplace:
    place = Workplace(brief_world(), tmp_path)
    place.read(("apps",))
    return place


@pytest.mark.parametrize("name", ["members", "conversations"])
def test_feed_that_meets_a_bug_is_failed_as_a_whole(place: Workplace, name: str) -> None:
    """It does not raise: rows and slices that were committed stay, the feed itself is failed."""
    with place.opened() as sync:
        report = read_feed(sync, broken(name))

    assert (report.is_given_up, report.state, report.feed) == (True, "failed", name)
    assert report.requests > 0
    assert place.value(f"SELECT count(*) FROM raw.{name}") > 0
    whole = f"SELECT state, tries FROM ops.slices WHERE feed = '{name}' AND slice_date IS NULL"
    assert place.rows(f"{whole} AND app_id IS NULL") == [("failed", 1)]
    assert place.value("SELECT kind FROM ops.unforeseen_errors") == "ZeroDivisionError"

    place.read((name,))
    assert place.rows(f"{whole} AND state = 'failed'") == []


def test_lost_session_is_no_bug(place: Workplace) -> None:
    """What every further request would meet is raised."""

    def read(sync: Sync) -> FeedReport:
        raise SessionLost("lost", where="POST /login", hint="log in")

    with place.opened() as sync, pytest.raises(SessionLost):
        read_feed(sync, replace(FEEDS[0], reads=read))


def test_ctrl_c_amid_a_query_is_no_bug(place: Workplace) -> None:
    """What DuckDB makes of it ends the run at once; no feed is given up, nothing is booked."""

    def interrupted(sync: Sync) -> FeedReport:
        raise RuntimeError("Query interrupted")

    apps = next(one for one in FEEDS if one.name == "apps")
    with place.opened() as sync, pytest.raises(KeyboardInterrupt):
        read_feed(sync, replace(apps, reads=interrupted))
    assert place.rows("FROM ops.unforeseen_errors") == []


def test_night_with_a_bug_builds_and_publishes(tmp_path: Path) -> None:
    """Only the verdict fails; what is good is modelled and published."""
    place = exploding(Workplace(quiet_world(), tmp_path / "home"), "chat-conversations")

    ran = night_of(place)

    assert ran.failed_steps() == ["sync_verdict"]
    assert (place.home / "dify.duckdb").exists()
