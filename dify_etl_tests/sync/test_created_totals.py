"""Dify's totals say whether what came by updated_at is all that was created, and where not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from dify_etl.dify.conversations import Conversation
from dify_etl.feeds.conversation_lists import Listed
from dify_etl.feeds.created_totals import ONE_PAGE, Seen
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import quiet_world, talk
from dify_etl_tests.sync.workplace import NOW, TALK, Workplace
from dify_simulated import Faults, SimulatedDify

DAYS = 40
STATES = "SELECT DISTINCT state FROM ops.slices WHERE feed = 'conversations'"


@pytest.fixture
def place(workplace: Open) -> Workplace:
    """A chat app with a talk from before the start date: nights read by both times."""
    found = workplace(quiet_world("chat")).with_rules(start_date=NOW.date() - timedelta(days=DAYS))
    old = talk(found.world, at=NOW - timedelta(days=45))
    found.world.add_message(old.id, at=NOW - timedelta(days=3), query="again")
    return found


def talks_of_every_day(place: Workplace, a_day: int) -> list[str]:
    """So many talks on each day before yesterday, the oldest day first."""
    begun = [
        NOW - timedelta(days=day, minutes=7 * number)
        for day in range(DAYS - 2, 1, -1)
        for number in range(a_day)
    ]
    return [talk(place.world, at=at, messages=1).id for at in begun]


def lists_by_creation(place: Workplace) -> list[dict[str, Any]]:
    """The requests of one run for pages by created_at; not that for talks before all days."""
    with place.requests() as requests:
        place.read(TALK)
    lists = [dict(one.query) for one in requests if one.path.endswith("chat-conversations")]
    return [one for one in lists if one["sort_by"] == "created_at" and "start" in one]


def test_what_is_whole_is_not_walked_again(place: Workplace) -> None:
    """One question for the total proves all days of a first load."""
    talks_of_every_day(place, 6)
    asked = lists_by_creation(place)
    assert [one["limit"] for one in asked] == ["1"]
    assert differences(place, ("conversations", "messages")) == []
    assert place.rows(STATES) == [("proven",)]


def test_only_where_totals_differ_it_is_walked(place: Workplace) -> None:
    """A row whose touch lies before all days comes by its creation, in a page round it."""
    ids = talks_of_every_day(place, 6)
    odd = place.world.conversations[ids[len(ids) // 3]]
    place.world.move_updated_at(odd, NOW - timedelta(days=50))
    walked = [one for one in lists_by_creation(place) if one["limit"] != "1"]
    assert len(walked) == 1
    assert differences(place, ("conversations", "messages")) == []
    assert place.rows(STATES) == [("proven",)]


def test_talk_that_is_deleted_after_it_was_listed_is_absent(place: Workplace) -> None:
    """It came by its touch, and the walk to which the total leads does not show it."""
    ids = talks_of_every_day(place, 6)
    place.read(TALK)
    fresh = talk(place.world, at=NOW - timedelta(days=3, minutes=1), messages=1).id
    place.world.set_now(NOW + timedelta(days=1))
    gone = {fresh, ids[-1]}

    def before(number: int, method: str, path: str) -> None:
        if path.endswith("chat-conversations"):
            counted.append(path)
            if len(counted) == 3:  # the list by updated_at and its tail have been asked
                for one in gone:
                    place.world.delete_conversation(one)

    counted: list[str] = []
    place.server = SimulatedDify(place.world, faults=Faults(before_request=before))
    place.read(TALK)
    absent = "SELECT conversation_id FROM raw.conversations WHERE absent_since IS NOT NULL"
    assert {one for (one,) in place.rows(absent)} == gone
    assert place.rows(STATES) == [("proven",)]


def test_minute_with_more_rows_than_a_page_is_walked_alone(place: Workplace) -> None:
    """Rows of one second beyond a page, one of them missing by its touch: only theirs is walked."""
    talks_of_every_day(place, 6)
    second = NOW - timedelta(days=9)
    many = [talk(place.world, at=second, messages=1) for _ in range(2 * ONE_PAGE + 30)]
    place.world.move_updated_at(many[0], NOW - timedelta(days=50))
    walked = [one for one in lists_by_creation(place) if one["limit"] != "1"]
    around = [second + timedelta(minutes=number) for number in (-1, 0)]
    assert {one["start"] for one in walked} <= {f"{at:%Y-%m-%d %H:%M}" for at in around}
    assert len(walked) < 20
    assert differences(place, ("conversations", "messages")) == []
    assert place.rows(STATES) == [("proven",)]


def listed(*created: datetime) -> Listed:
    """A walk that brought conversations of these times."""
    rows = Listed.of(Conversation)
    ids = [f"talk {number}" for number, _ in enumerate(created)]
    rows._frames = [pl.DataFrame({"conversation_id": ids, "created_at": list(created)})]
    rows.ids = set(ids)
    return rows


def test_second_of_which_dify_counts_a_part_is_not_counted() -> None:
    """`end` is second 59 of its minute: whether a row of that second is counted, nobody knows."""
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    seen = Seen()
    seen.add(listed(noon - timedelta(seconds=1), noon, noon + timedelta(seconds=58)))
    assert seen.number(noon, noon) == 2
    assert seen.number(noon - timedelta(minutes=1), noon - timedelta(minutes=1)) is None


def test_walk_takes_out_what_it_does_not_show_but_of_its_last_minute() -> None:
    """That minute is the first one of the next stretch."""
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    seen = Seen()
    seen.add(listed(noon, noon + timedelta(minutes=9), noon + timedelta(minutes=10)))
    seen.replace(noon, noon + timedelta(minutes=10), listed(noon))
    assert seen.rows["conversation_id"].sort().to_list() == ["talk 0", "talk 2"]
