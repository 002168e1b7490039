"""Feeds that are read beside each other: none waits for another's answers, and one at a time has
the database.
"""

import threading
import time
from collections import Counter
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from dify_etl.background import awaited
from dify_etl.dify.members import Member
from dify_etl.dify.record import Rejected
from dify_etl.feeds import reading
from dify_etl.feeds.agent_messages import read_any_conversation
from dify_etl.feeds.apps import read_apps
from dify_etl.feeds.chat_messages import due_conversations, load_conversations, read_conversation
from dify_etl.feeds.messages import TASKS_PER_EXPORT, _Reading
from dify_etl.feeds.reading import read_feeds
from dify_etl.feeds.table import FEEDS, Feed
from dify_etl.feeds.whole_lists import read_documents
from dify_etl.sync.errors import WindowWrong
from dify_etl.sync.feed_loader import FeedLoader
from dify_etl.sync.fetching import attempt
from dify_etl.sync.opening import check_apps, open_home, open_sync
from dify_etl.sync.report import FeedReport, Slice
from dify_etl.sync.run import NoWatcher, Sync, SyncPlan
from dify_etl.sync.turns import Stopped, Turns, others_go_on
from dify_etl.warehouse.errors import WarehouseUnwritable
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import app_of, brief_world, quiet_world, talk
from dify_etl_tests.sync.test_odd_messages import with_dead_file
from dify_etl_tests.sync.workplace import NOW, TALK, Workplace
from dify_simulated.server.faults import Faults

PATIENCE = 10.0  # seconds that no good run takes


def read_together(place: Workplace, *names: str) -> dict[str, FeedReport]:
    """One run of these feeds, beside each other; what they report."""
    reports: list[FeedReport] = []
    with place.opened() as sync:
        read_feeds(sync, [feed for feed in FEEDS if feed.name in names], reports.append)
    return {report.feed: report for report in reports}


def test_messages_are_asked_while_lists_come(workplace: Open) -> None:
    """The list of one app waits until messages of another one were asked for."""
    place = workplace(quiet_world("chat", "agent-chat"))
    slow = app_of(place.world, "agent-chat")
    for mode in ("chat", "agent-chat"):
        talk(place.world, at=NOW, mode=mode)
    asked = threading.Event()
    found: list[bool] = []

    def before(number: int, method: str, path: str) -> None:
        if path.endswith("/chat-messages"):
            asked.set()
        elif path.endswith(f"/apps/{slow.id}/chat-conversations"):
            found.append(asked.wait(PATIENCE))

    place.server.faults = Faults(before_request=before)
    reports = read_together(place, *TALK)
    assert found
    assert all(found)
    assert {name: report.state for name, report in reports.items()} == dict.fromkeys(TALK, "proven")
    assert place.value("SELECT count(*) FROM raw.messages") == 4


class Counting(NoWatcher):
    """A watcher that counts, by feed, the steps that were expected and those that were done."""

    def __init__(self) -> None:
        self.expected, self.done = Counter[str](), Counter[str]()

    def begins(self, task: str, steps: int) -> None:
        """So many more."""
        self.expected[task] += steps

    def advances(self, task: str) -> None:
        """One is done."""
        self.done[task] += 1


def test_no_more_steps_are_done_than_expected(workplace: Open) -> None:
    """Also where exports of apps are fetched among conversations whose lists still come."""
    watch = Counting()
    place = replace(workplace(quiet_world("chat", "agent-chat")), watch=watch)
    slow = app_of(place.world, "agent-chat")
    for _ in range(TASKS_PER_EXPORT + 2):
        talk(place.world, at=NOW, mode="chat")
    enough, asked = threading.Event(), list[str]()

    def before(number: int, method: str, path: str) -> None:
        if path.endswith("/chat-messages"):
            asked.append(path)
            if len(asked) >= TASKS_PER_EXPORT:
                enough.set()
        elif path.endswith(f"/apps/{slow.id}/chat-conversations"):
            assert enough.wait(PATIENCE)

    place.server.faults = Faults(before_request=before)
    read_together(place, *TALK)
    assert watch.done["messages"] > TASKS_PER_EXPORT
    assert watch.done == watch.expected


def test_each_conversation_is_asked_once(workplace: Open) -> None:
    """Beside its list or after it: as many requests as one feed after another."""
    place = workplace(quiet_world("chat", "agent-chat", "advanced-chat"))
    for mode in ("chat", "agent-chat", "advanced-chat"):
        for _ in range(3):
            talk(place.world, at=NOW, mode=mode)  # of this minute: it may change yet
    reports = read_together(place, *TALK)
    assert len([one for one in place.server.requests if "chat-messages" in one.path]) == 9
    assert reports["messages"].changes.new == 18


def test_messages_that_came_before_their_conversation_vanished_are_absent(
    workplace: Open,
) -> None:
    """They were asked before the list showed that it is gone, and are loaded after that."""
    place = workplace(quiet_world("chat"))
    talk(place.world, at=NOW)
    place.read(["apps", "conversations"])
    turns = Turns()
    with place.opened() as sync, turns.held("messages"), FeedLoader(sync, "messages") as loader:
        _, due = due_conversations(sync)
        reads = [attempt(one, partial(read_conversation, sync, one)) for one in due]
        sync.database.execute("UPDATE raw.conversations SET absent_since = changed_at")
        with loader.commit():
            load_conversations(loader, reads)
    assert place.rows("SELECT count(*), count(absent_since) FROM raw.messages") == [(2, 2)]
    assert place.value("SELECT state FROM ops.conversation_reads") == "absent"


def test_one_feed_at_a_time_goes_on() -> None:
    """Another goes on while one waits for Dify, and not amid what must be done in one piece."""
    turns, steps, is_waiting = Turns(), list[str](), threading.Event()

    def other() -> None:
        is_waiting.set()
        with turns.held("other"):
            steps.append("other")

    thread = threading.Thread(target=other)
    with turns.held("one"):
        thread.start()
        assert is_waiting.wait(PATIENCE)
        with turns.kept(), others_go_on():
            steps.append("kept")
        steps.append("before")
        with others_go_on():
            thread.join(PATIENCE)
        steps.append("after")
    assert steps == ["kept", "before", "other", "after"]


class Failing(NoWatcher):
    """A watcher that fails when conversations end, as a full disk does."""

    def ends(self, report: FeedReport) -> None:
        """Fail while messages are read."""
        if report.feed == "conversations":
            raise WarehouseUnwritable("the disk is full", where="home", hint="Free disk space.")


def test_what_concerns_all_feeds_ends_those_under_way(workplace: Open) -> None:
    """Their threads end with the request that they are at, before the error is raised."""
    place = workplace(quiet_world("chat"))
    place.watch = Failing()
    talk(place.world, at=NOW)
    with pytest.raises(WarehouseUnwritable, match="disk is full"):
        read_together(place, *TALK)
    assert [one.name for one in threading.enumerate() if one.name in TALK] == []
    assert place.value("SELECT count(*) FROM ops.runs WHERE feed = 'messages'") == 0


def test_apps_are_listed_between_two_questions_for_the_workspace(workplace: Open) -> None:
    """Ahead of their feed, once; its report counts these requests as its own."""
    place = workplace(quiet_world("chat"))
    how: dict[str, Any] = {"plan": SyncPlan(), "run_id": "run", "watch": place.watch}
    with (
        place.client() as dify,
        open_sync(dify, place.home, rules=place.rules, lists_apps=True, **how) as sync,
    ):
        report = read_apps(sync)
    paths = [one.path.removeprefix("/console/api") for one in place.server.requests]
    of_apps = [number for number, path in enumerate(paths) if path.startswith("/apps")]
    of_workspace = [number for number, path in enumerate(paths) if path == "/workspaces/current"]
    lists = [number for number in of_apps if paths[number] == "/apps"]
    assert of_workspace[0] < lists[0]
    assert of_workspace[1] > lists[-1]
    assert report.requests == len(of_apps) + 1
    assert report.state == "proven"


def test_what_is_gone_is_marked_in_one_piece(workplace: Open) -> None:
    """Another feed that takes every turn that it gets does not come between the rows that are shown
    and the mark of those that are not.
    """
    place = workplace(brief_world("1.16.1"), "1.16.1")
    place.read(["apps", "datasets", "documents"])
    gone = next(iter(place.world.documents))
    gone = next(iter(place.world.documents))
    place.world.delete_document(gone)
    turns, is_over = Turns(), threading.Event()
    with place.opened() as sync:

        def take_turns() -> None:
            with turns.held("other"):
                while not is_over.is_set():
                    sync.database.execute("CREATE OR REPLACE TEMP TABLE _present (other_id INT)")
                    with others_go_on():
                        is_over.wait(0.001)

        thread = threading.Thread(target=take_turns)
        with turns.held("documents"):
            thread.start()
            report = read_documents(sync)
        is_over.set()
        thread.join()
    assert report.state == "proven"
    held = place.rows("SELECT document_id FROM raw.documents WHERE absent_since IS NOT NULL")
    assert held == [(gone,)]


def test_reports_of_feeds_that_end_well_are_kept(
    workplace: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A feed that comes to its end while another one has ended the night is told all the same."""
    place = workplace(quiet_world("chat"))
    reports: list[FeedReport] = []
    is_over = threading.Event()

    def read(sync: Sync, feed: Feed) -> FeedReport:
        if feed.name == "members":
            raise WarehouseUnwritable("the disk is full", where="home", hint="Free disk space.")
        with FeedLoader(sync, feed.name) as loader:
            with others_go_on(is_checked=False):
                assert is_over.wait(PATIENCE)
            return loader.report()

    stop = Turns.stop

    def stop_all(turns: Turns) -> None:
        stop(turns)
        is_over.set()

    monkeypatch.setattr(reading, "read_feed", read)
    monkeypatch.setattr(Turns, "stop", stop_all)
    feeds = [feed for feed in FEEDS if feed.name in ("apps", "members")]
    with place.opened() as sync, pytest.raises(WarehouseUnwritable):
        read_feeds(sync, feeds, reports.append)
    assert [report.feed for report in reports] == ["apps"]


def test_what_was_not_committed_is_not_counted(workplace: Open) -> None:
    """Rows of a transaction that failed are not there, and no report calls them new."""
    place = workplace(quiet_world("chat"))
    with place.opened() as sync, FeedLoader(sync, "members") as loader:
        members = list(sync.dify.members.list())
        with loader.commit():
            loader.load("members", Member, members[:1])
        with suppress(ZeroDivisionError), loader.commit():
            loader.load("members", Member, members)
            loader.close_slices([Slice(None, None, "proven")])
            _ = 1 / 0
        report = loader.report()
    assert report.states == {}
    assert report.changes.new == place.value("SELECT count(*) FROM raw.members") == 1


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    """Once all are to end, whoever waits in vain ends with them."""
    turns = Turns()
    turns.stop()
    with pytest.raises(Stopped):
        awaited(Future[int](), turns.check)


def test_whoever_closes_the_database_has_the_last_turn() -> None:
    """It waits for the feed that goes on, and none goes on after it."""
    turns, steps, is_held = Turns(), list[str](), threading.Event()

    def feed(name: str) -> None:
        with turns.held(name):
            is_held.set()
            steps.append(name)
            time.sleep(0.05)
            steps.append(f"{name} gave its turn away")

    threading.Thread(target=feed, args=("one",), daemon=True).start()
    assert is_held.wait(PATIENCE)
    late = threading.Thread(target=feed, args=("another",), daemon=True)
    late.start()
    turns.close()
    late.join(0.1)
    assert steps == ["one", "one gave its turn away"]


def test_a_conversation_that_is_read_twice_is_gone_round_once(workplace: Open) -> None:
    """As its last read left it: not at all, when that one was whole."""
    place = workplace(quiet_world("chat"), "1.16.1")
    with_dead_file(place.world)
    place.read(["apps", "conversations"])
    with place.opened() as sync, FeedLoader(sync, "messages") as loader:
        dues = list(due_conversations(sync)[1])
        reading = _Reading(loader)
        found = []
        for _ in range(3):
            reading._conversations += [
                attempt(one, partial(read_any_conversation, sync, one)) for one in dues
            ]
            reading._commit()
            found.append(len(reading._odd))
            if len(found) == 2:
                place.world.dead_hosts.clear()
    assert found == [1, 1, 0]


def test_the_report_tells_what_the_ledger_does(workplace: Open) -> None:
    """Also of a slice whose app was set aside after the slice was closed."""
    place = workplace(quiet_world("chat"))
    place.read(["apps"])
    app = app_of(place.world, "chat").id
    odd = Rejected(endpoint="x", position=0, record_id=app, error_path="name", message="odd")
    with place.opened() as sync, FeedLoader(sync, "app_api_keys") as loader:
        with loader.commit():
            loader.close_slices([Slice(app, None, "proven")])
        with FeedLoader(sync, "apps") as apps, apps.commit():
            apps.quarantine(app, [odd])
        report = loader.report()
    held = place.rows("SELECT state FROM ops.slices WHERE feed = 'app_api_keys'")
    assert [(state,) for state in report.states] == held == [("unproven",)]


def test_apps_are_listed_once_for_a_filter(workplace: Open) -> None:
    """The lists that are asked ahead tell whether Dify has the apps that somebody named."""
    place = workplace(quiet_world("chat"))
    name = app_of(place.world, "chat").name
    how: dict[str, Any] = {"rules": place.rules, "run_id": "run", "watch": place.watch}
    with place.client() as dify, open_home(dify, place.home, **how) as opened:
        opened.check_source(lists_apps=True)
        check_apps(opened, [name])
        lists = place.server.requests_of("/apps")
        with pytest.raises(WindowWrong):
            check_apps(opened, ["nobody's"])
        assert place.server.requests_of("/apps") == lists
