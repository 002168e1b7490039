"""Clocks far from each other: days are proven when over by both, and bad ones healed."""

from datetime import timedelta

import duckdb
import pytest

from dify_etl.home import LIVE
from dify_etl.sync.run import NoWatcher
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.small_worlds import talk
from dify_etl_tests.sync.workplace import NOW, TALK, Workplace

MONTH = timedelta(days=30)
LAST_DAY = "SELECT max(slice_date) FROM ops.slices"
SETTLED = "SELECT max(slice_date) FROM ops.slices WHERE is_settled"


class Listener(NoWatcher):
    """Keeps what is told."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def tells(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def place(chat: Workplace) -> Workplace:
    """A talk of yesterday; the world's clock is the server's `Date`."""
    talk(chat.world, at=NOW - timedelta(days=1))
    return chat


@pytest.mark.parametrize("ahead", [MONTH, -MONTH], ids=["Dify's", "ours"])
def test_no_day_is_proven_that_is_not_over_by_both(place: Workplace, ahead: timedelta) -> None:
    """Whichever clock is a month ahead: there is no slice after today by the other one, and none is
    settled that ended within 24 hours. All that is there is loaded.
    """
    if ahead > timedelta(0):
        place.world.set_now(NOW + ahead)
    place.ours_ahead = -ahead
    place.read(TALK)
    assert place.value(LAST_DAY) == NOW.date()
    assert place.value(SETTLED) == NOW.date() - timedelta(days=2)
    assert differences(place, ("conversations", "messages")) == []


def test_rows_written_after_such_a_night_are_read(place: Workplace) -> None:
    """Dify's clock runs a month ahead for one night; what comes later is loaded on later nights."""
    place.world.set_now(NOW + MONTH)
    place.ours_ahead = -MONTH
    place.read(TALK)
    place.world.set_now(NOW)
    place.ours_ahead = timedelta(0)
    for _ in range(12):
        talk(place.world, at=place.pass_time(days=1) - timedelta(hours=3))
    place.read(TALK)
    assert differences(place, ("conversations", "messages")) == []
    assert place.rows("SELECT DISTINCT state FROM ops.slices") == [("proven",)]


def test_what_the_later_clock_alone_has_seen_is_loaded(place: Workplace) -> None:
    """Our clock stands a month behind: rows of the days between are there, and not proven."""
    place.world.set_now(NOW + MONTH)
    talk(place.world, at=NOW + timedelta(days=20))
    place.ours_ahead = -MONTH
    place.read(TALK)
    assert differences(place, ("conversations", "messages")) == []
    assert place.value(LAST_DAY) == NOW.date()


@pytest.mark.parametrize("days", [0, 12, 33])
def test_home_in_which_days_to_come_were_proven_is_healed(place: Workplace, days: int) -> None:
    """As a version that believed Dify's clock left it: at once, 12 and 33 days later one good night
    reads what was written meanwhile, and nothing in the ledger is of a day to come.
    """
    believe_dify(place)
    for _ in range(days):
        talk(place.world, at=place.pass_time(days=1) - timedelta(hours=3))
    talk(place.world, at=place.world.now() - timedelta(minutes=30))
    place.read(TALK)
    assert differences(place, ("conversations", "messages")) == []
    assert place.value(LAST_DAY) == place.world.now().date()
    wrong = "SELECT count(*) FROM ops.slices WHERE is_settled AND read_at < slice_date + 2"
    assert place.value(wrong) == 0


@pytest.mark.parametrize("days", [0, 12, 33])
def test_talk_that_was_read_in_such_a_night_is_read_again(place: Workplace, days: int) -> None:
    """Its messages were judged too old to change: the next night reads them, the one after not."""
    believe_dify(place)
    assert place.value("SELECT bool_and(is_settled) FROM ops.conversation_reads")
    night = place.pass_time(days=days)
    place.read(TALK)
    place.pass_time(hours=1)
    place.read(TALK)
    assert place.value("SELECT max(read_at) FROM ops.conversation_reads") == night


def test_what_is_read_once_a_week_waits_for_no_time_to_come(place: Workplace) -> None:
    """The export of ratings of such a night is a week old after a week, not after a month."""
    believe_dify(place)
    exported = "SELECT max(read_at) FROM ops.slices WHERE feed = 'message_feedbacks'"
    assert place.value(exported) == NOW + MONTH
    place.read(("apps",))
    assert place.value(exported) == NOW
    week = place.pass_time(days=8)
    place.read(TALK)
    assert place.value(exported) == week


@pytest.mark.parametrize("has_run", [True, False])
def test_night_whose_run_was_killed_is_healed_too(place: Workplace, *, has_run: bool) -> None:
    """Where no run is in the ledger, what was read later than now is due."""
    believe_dify(place)
    if not has_run:
        with duckdb.connect(place.home / LIVE) as connection:
            connection.execute("DELETE FROM ops.runs")
    place.read(("apps",))
    late = "is_settled AND slice_date >= DATE '2026-03-11'"
    assert place.value(f"SELECT count(*) FROM ops.slices WHERE {late}") == 0


def believe_dify(place: Workplace) -> None:
    """Leave the home as a version that believed Dify's clock, which was a month ahead."""
    place.world.set_now(NOW + MONTH)
    place.read(TALK)  # both clocks ahead
    with duckdb.connect(place.home / LIVE) as connection:
        connection.execute("UPDATE ops.runs SET started_at = $1, ended_at = $1", [NOW])
    place.world.set_now(NOW)


def test_sync_says_how_far_the_clocks_are_apart(place: Workplace) -> None:
    """Five minutes are no matter; more are said, with the side."""
    told: list[list[str]] = []
    for minutes in (4, 6):
        place.ours_ahead = timedelta(minutes=-minutes)
        lines: list[str] = []
        place.watch = Listener(lines)
        place.read(TALK)
        told.append([line for line in lines if "clock" in line])
    assert told[0] == []
    assert len(told[1]) == 1
    assert "Dify's clock (Date header) is 0:06:00 ahead of this machine's" in told[1][0]
