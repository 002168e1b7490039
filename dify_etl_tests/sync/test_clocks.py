"""Clocks far from each other: days are proven when over by both, and bad ones healed."""

from datetime import timedelta

import duckdb
import pytest

from dify_etl.sync.run import NoWatcher
from dify_etl.warehouse.publish import LIVE
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


@pytest.mark.parametrize("days", [0, 12, 33])
def test_home_in_which_days_to_come_were_proven_is_healed(place: Workplace, days: int) -> None:
    """As a version that believed Dify's clock left it: at once, 12 and 33 days later one good night
    reads what was written meanwhile, and nothing in the books is of a day to come.
    """
    place.world.set_now(NOW + MONTH)
    place.read(TALK)  # both clocks ahead: as if Dify's alone were believed
    with duckdb.connect(place.home / LIVE) as connection:
        connection.execute("UPDATE ops.runs SET started_at = $1, ended_at = $1", [NOW])
    place.world.set_now(NOW)
    for _ in range(days):
        talk(place.world, at=place.pass_time(days=1) - timedelta(hours=3))
    talk(place.world, at=place.world.now() - timedelta(minutes=30))
    place.read(TALK)
    assert differences(place, ("conversations", "messages")) == []
    assert place.value(LAST_DAY) == place.world.now().date()
    wrong = "SELECT count(*) FROM ops.slices WHERE is_settled AND read_at < slice_date + 2"
    assert place.value(wrong) == 0


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
