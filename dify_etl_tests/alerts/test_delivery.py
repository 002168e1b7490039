"""Messages reach real servers, once each, with no secret and no text that anything obeys."""

import logging
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dify_etl.alerts import ledger
from dify_etl.alerts.evaluating import AlertsBusy, alerts_lock, waiting_messages
from dify_etl.alerts.incidents import plain_words
from dify_etl.alerts.ledger import Night, open_ledger
from dify_etl.alerts.messages import Message
from dify_etl.alerts.source import Source
from dify_etl.alerts.targets import open_targets
from dify_etl.assembly.alerting import Alerts, alerts_of
from dify_etl.home import Home
from dify_etl.settings import SettingWrong, load_settings
from dify_etl.sync.lock import home_lock
from dify_etl.warehouse.database import open_database
from dify_etl_tests.alerts.conftest import KEY, WatchedHome
from dify_etl_tests.alerts.receivers import SECRET, Received, mail_server, webhook

WAITING = "Objects wait in quarantine"
ENDED = "Nothing waits in quarantine any more"


def quarantine(home: WatchedHome, number: int = 1, feed: str = "messages") -> None:
    home.add("ops.quarantine", quarantine_id=f"{feed} {number}", feed=feed)


def dry_run(home: WatchedHome) -> list[Message]:
    return waiting_messages(
        home.path, home.targets, home.moment(), home.source, tell=home.said.append, wait_seconds=1
    )


def mend(home: WatchedHome) -> None:
    home.execute("UPDATE ops.quarantine SET resolved_at = now()")


def test_mail_and_webhook_get_the_same_once(home: WatchedHome, received: Received) -> None:
    """Through a real mail server and a real HTTP server."""
    with mail_server() as mail:
        home.tell(received, mail)
        quarantine(home)
        done = home.evaluate()
        home.evaluate()
        assert (done.sent, done.undelivered) == (2, 0)
        (hooked,), (mailed,) = received.take(), mail.take()
        assert mailed[0] == hooked[0] == f"dify-etl, no server yet: {WAITING}"
        assert "- messages: 1 object waits" in hooked[1]
        assert "messages: 1 object waits" in mailed[1]
        mend(home)
        home.evaluate()
        assert (received.titles(), mail.titles()) == ([ENDED], [ENDED])


def test_what_was_not_delivered_is_tried_again_and_nobody_hears_twice(
    home: WatchedHome, received: Received
) -> None:
    """One target is down: the other hears once, this one when it is up again."""
    with webhook() as other:
        home.tell(received, other)
        received.status = 503
        quarantine(home)
        done = home.evaluate()
        assert (done.sent, done.undelivered) == (1, 1)
        assert home.said == [
            "an alert was not delivered to target 1 (json): the service answered 503; "
            "tried again later"
        ]
        received.status = 200
        home.evaluate()
        assert (received.titles(), other.titles()) == ([WAITING], [WAITING])


def test_what_ended_meanwhile_is_told_as_over(home: WatchedHome, received: Received) -> None:
    """Who could not be reached hears that it was; who was not told of then hears nothing."""
    received.status = 500
    quarantine(home)
    home.evaluate()
    mend(home)
    home.evaluate()
    received.status = 200
    with webhook() as new:
        home.tell(received, new)
        home.evaluate()
        assert (received.titles(), new.titles()) == ([ENDED], [])


def test_server_that_is_gone_is_no_failure(home: WatchedHome) -> None:
    """No connection: the evaluation ends, and says so without the address."""
    with webhook() as gone:
        home.tell(gone)
    quarantine(home)
    assert home.evaluate().undelivered == 1
    assert home.said == [
        "an alert was not delivered to target 1 (json): no connection; tried again later"
    ]


def test_reminder_comes_once_a_week(home: WatchedHome, received: Received) -> None:
    """As long as it is so."""
    quarantine(home)
    home.evaluate()
    received.take()
    found = []
    for _ in range(6):
        home.now += timedelta(days=3)
        with open_ledger(home.path) as held:
            held.end_night(Night(f"{home.now}", home.now, home.now, "published", ""))
        home.evaluate()
        found += received.titles()
    assert found == [f"{WAITING}, still"] * 2


def test_more_in_quarantine_is_told(home: WatchedHome, received: Received) -> None:
    """Growth is told each time it grows, from where it stood the last time; less is not."""
    found = []
    for sql in (
        "INSERT INTO ops.quarantine (quarantine_id, feed) VALUES ('a', 'apps'), ('b', 'apps')",
        "INSERT INTO ops.quarantine (quarantine_id, feed) VALUES ('c', 'apps')",
        "DELETE FROM ops.quarantine WHERE quarantine_id <> 'a'",
        "INSERT INTO ops.quarantine (quarantine_id, feed) VALUES ('d', 'apps')",
    ):
        home.execute(sql)
        home.evaluate()
        found.append(received.titles())
    assert found == [[WAITING], [f"{WAITING}: more"], [], [f"{WAITING}: more"]]


def test_many_of_one_kind_are_one_message(home: WatchedHome, received: Received) -> None:
    """Forty apps that fail for one reason are one line; their recovery is one message too."""
    for number in range(40):
        home.add("raw.apps", app_id=f"app {number}", name=f"App {number:02}", mode="chat")
        slices = {"feed": "messages", "app_id": f"app {number}", "state": "failed"}
        home.add("ops.slices", **slices, reason="no answer", read_at=home.now)
    home.evaluate()
    ((title, body),) = received.take()
    assert title.endswith(": Not read whole (40)")
    assert body.splitlines()[1] == (
        "- messages of App 00, messages of App 01, messages of App 10 and 37 more: "
        "failed since 2026-03-12: no answer"
    )
    home.execute("UPDATE ops.slices SET state = 'proven'")
    home.evaluate()
    assert received.titles() == ["Read whole again (40)"]


def test_count_of_a_line_is_that_of_each(home: WatchedHome, received: Received) -> None:
    """Six documents of each dataset wait, and not six of both."""
    for name in ("Manuals", "Prices"):
        stuck = {"dataset_name": name, "stuck_documents": 6, "failed_documents": 2}
        home.add("marts.document_health", dataset_id=name, **stuck)
    home.evaluate()
    ((_, body),) = received.take()
    line = "- Manuals, Prices (each): 6 documents are being indexed for more than a day, 2 failed"
    assert body.splitlines()[1] == line


def test_lines_are_bounded(home: WatchedHome, received: Received) -> None:
    """Of twenty different lines eight are shown, and the rest is counted."""
    for number in range(20):
        for count in range(number + 1):
            quarantine(home, count, feed=f"feed {number}")
    home.evaluate()
    ((title, body),) = received.take()
    assert title.endswith("(20)")
    assert body.count("\n- ") == 9
    assert "- and 12 more in ops.incidents" in body


EVIL = "\x1b[2J<!channel> [pay](http://evil.example) @everyone me@example.com \u202e*now*"


def test_names_are_words_and_nothing_else(home: WatchedHome, received: Received) -> None:
    """No escape code, markup, call of people, link or address of a person is sent."""
    home.add("raw.apps", app_id="app", name=EVIL * 3, mode="chat")
    failed = {"feed": "messages", "app_id": "app", "state": "failed", "reason": EVIL}
    home.add("ops.slices", **failed, read_at=home.now)
    home.evaluate()
    ((_, body),) = received.take()
    line = body.splitlines()[1]
    assert "pay (http //evil.example) everyone (e-mail) now" in line
    assert not set(line) & set("\x1b<>[]@*\u202e")
    assert len(line) < 300


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("客服助手 Chat", "客服助手 Chat"),
        ("call +49 30 901820 or sk-abcdefghijklmnop1234", "call (phone) or (key)"),
        ("a" * 200, "a" * 159 + "…"),
        ("\n\t", ""),
    ],
)
def test_plain_words(text: str, shown: str) -> None:
    """What is harmless stays as it is."""
    assert plain_words(text) == shown


def test_no_secret_is_shown_or_kept(
    home: WatchedHome, received: Received, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in what is said, logged at the lowest level, kept in the ledger, or in a repr."""
    caplog.set_level(logging.DEBUG)
    for status in (500, 200):
        received.status = status
        quarantine(home, status)
        home.evaluate()
    received.take()
    told = f"{home.said} {home.targets} {caplog.text}"
    assert SECRET not in told
    assert str(received.url.split(":")[-1]) not in told
    assert SECRET.encode() not in Home(home.path).alerts.read_bytes()
    assert Home(home.path).alerts.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("url", [f"nothing://{SECRET}", f"slack://{SECRET}", "https://"])
def test_url_that_apprise_does_not_know_is_refused(url: str) -> None:
    """By its place and scheme."""
    with pytest.raises(SettingWrong) as caught:
        open_targets(["json://localhost", url], key=KEY)
    assert f"target 2 ({url.partition(':')[0]})" in caught.value.what
    assert SECRET not in str(caught.value)


def test_a_run_that_lasts_is_left_alone(home: WatchedHome, received: Received) -> None:
    """The data are not looked at, nothing of them ends; nights are."""
    quarantine(home)
    home.evaluate()
    received.take()
    mend(home)
    home.write()
    with home_lock(home.path, wait_seconds=1), open_ledger(home.path) as held:
        held.begin_night("cut", home.now - timedelta(days=1))
        done = home.evaluate()
    assert "quarantine" in done.not_looked
    assert received.take() == []
    home.evaluate()
    assert received.titles() == ["The nightly sync failed", ENDED]


def test_full_disk_is_heard_of(
    home: WatchedHome, received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger takes nothing any more: what is wrong is sent all the same."""
    monkeypatch.setattr(ledger, "BUSY_SECONDS", 0.01)
    quarantine(home)
    with closing(sqlite3.connect(Home(home.path).alerts)) as held:
        held.execute("BEGIN IMMEDIATE")  # nobody else may write
        home.evaluate()
    assert received.titles() == [WAITING]
    assert home.said == ["the ledger of alerts cannot be written: alerts may come twice"]


def test_ledger_that_takes_no_more_starves_no_target(
    home: WatchedHome, received: Received, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills up after the first message: the second target is told all the same."""

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    quarantine(home)
    with webhook() as second:
        home.tell(received, second)
        monkeypatch.setattr(ledger.AlertLedger, "sent", full)
        home.evaluate()
        assert second.titles() == received.titles() == [WAITING]
    assert home.said == ["the ledger of alerts cannot be written: alerts may come twice"]


def test_dry_run_writes_nothing(home: WatchedHome) -> None:
    """An acceptance whose slice has changed is ended by a sync, not by a look."""
    home.add("ops.accepted_slices", feed="members", state="failed", why="known")
    home.write()
    dry_run(home)
    with open_database(Home(home.path).live) as database:
        assert database.rows("SELECT ended_at FROM ops.accepted_slices") == [(None,)]


def test_dry_run_keeps_nothing(home: WatchedHome, received: Received) -> None:
    """It shows what an evaluation then sends."""
    quarantine(home)
    home.write()
    (shown,) = dry_run(home)
    assert received.take() == []
    home.evaluate()
    assert [title for title, _ in received.take()] == [shown.title]


def test_one_evaluates_at_a_time(home: WatchedHome) -> None:
    """Two processes would both send."""
    lock = alerts_lock(home.path, wait_seconds=0)
    with lock, pytest.raises(AlertsBusy), alerts_lock(home.path, wait_seconds=0):
        pass


def test_night_that_was_killed_did_happen(home: WatchedHome, received: Received) -> None:
    """It was cut off, which is one thing; that none began would be another."""
    begun = home.now.replace(hour=1, minute=30)
    with open_ledger(home.path) as ledger:
        ledger.end_night(Night("first", begun - timedelta(days=1), begun, "published", ""))
        ledger.begin_night("second", begun + timedelta(days=1))
    home.now += timedelta(days=1, hours=6)
    assert [one.kind for one in home.evaluate().incidents] == ["night_failed"]


def test_feed_that_is_left_out_is_waited_for_by_nobody(home: WatchedHome) -> None:
    """Its runs of before stay in the ledger, its slices do not."""
    old = home.now - timedelta(days=9)
    counted = {f"slices_{one}": 0 for one in ("unproven", "incomplete", "failed")}
    counted |= {"slices_proven": 1}
    home.add("ops.runs", run_id="r", feed="document_segments", ended_at=old, **counted)
    assert [one.kind for one in home.evaluate().incidents] == []


def test_nobody_is_told_of_the_simulated_dify(tmp_path: Path) -> None:
    """Unless by a command that is there for it."""
    urls: dict[str, Any] = {"DIFY_ETL_NOTIFY": "json://127.0.0.1:9/x", "DIFY_ETL_HOME": tmp_path}
    settings = load_settings(DIFY_ETL_SIMULATED=True, **urls)
    (tmp_path / "demo").mkdir()
    assert alerts_of(settings) is None
    assert alerts_of(settings, may_be_simulated=True) is not None
    assert alerts_of(load_settings(**urls)) is not None


TWO_WORKSPACES = [
    ({"workspace": "sales"}, {"workspace": "support"}, ("sales at", "support at")),
    ({"home": "a"}, {"home": "b"}, ("home a at", "home b at")),  # never synced, no file of names
]


@pytest.mark.parametrize(("one", "other", "names"), TWO_WORKSPACES)
def test_alerts_of_two_workspaces_of_a_server_say_whose_they_are(
    home: WatchedHome, received: Received, one: Any, other: Any, names: tuple[str, str]
) -> None:
    """A night that failed, before anything was loaded: in heading and text, begun and over."""
    began = home.now.replace(hour=1, minute=30)
    begun, over = [], []
    for source in (one, other):
        home.source = Source(server="dify.example.com", **source)
        with open_ledger(home.path) as ledger:
            ledger.end_night(Night(str(source), began, began, "failed", "LoginRefused"))
        home.evaluate()
        begun += received.take()
        with open_ledger(home.path) as ledger:
            ledger.end_night(Night(f"good {source}", began + timedelta(1), None, "published", ""))
        home.evaluate()
        over += received.take()
        began += timedelta(2)
    for told, heading in ((begun, "The nightly sync failed"), (over, "A nightly sync went")):
        for (title, body), name in zip(told, names, strict=True):
            whose = f"{name} dify.example.com"
            assert title.startswith(f"dify-etl, {whose}: {heading}")
            assert body.startswith(f"In {whose}: ")


def test_alerts_of_a_home_that_syncs_have_the_same_name(
    home: WatchedHome, received: Received
) -> None:
    """While a sync holds the warehouse, nobody can ask it whose it is."""
    home.add("ops.source", workspace_name="<b>Sales</b>", server_origin="https://dify.example.com")
    quarantine(home)
    home.evaluate()
    (title, _) = received.take()[0]
    assert title == f"dify-etl, b Sales /b at dify.example.com: {WAITING}"
    with home_lock(home.path, wait_seconds=0):
        home.now += timedelta(days=8)  # a reminder
        home.evaluate()
    titles = [title for title, _ in received.take()]
    assert f"dify-etl, b Sales /b at dify.example.com: {WAITING}, still" in titles


def test_steps_name_the_workspace_for_their_commands(home: WatchedHome, received: Received) -> None:
    """Without it `dify-etl quarantine list` is refused where there are several."""
    home.source = Source(workspace="sales")
    quarantine(home)
    home.evaluate()
    (_, body) = received.take()[0]
    assert "What to do (add --workspace sales to commands): `dify-etl quarantine" in body


def test_settings_say_whose_alerts_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first sync there is nothing else to ask."""
    file = tmp_path / "workspaces.toml"
    file.write_text('[workspaces.sales]\nbase_url = "https://dify.example.com:8443"\n')
    monkeypatch.setenv("DIFY_ETL_WORKSPACES", str(file))
    named = load_settings(DIFY_ETL_WORKSPACE="sales")
    alone = load_settings(DIFY_BASE_URL="https://dify.example.com", DIFY_ETL_HOME=tmp_path / "b")
    said = [str(Alerts(one.home, one, ()).source()) for one in (named, alone)]
    assert said == ["sales at dify.example.com:8443", "home b at dify.example.com"]
