"""Ratings that are given, changed, withdrawn or swapped all arrive."""

from datetime import timedelta

import pytest

from dify_etl.simulated.rows import Conversation
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import first_message, quiet_world, talk
from dify_etl_tests.sync.workplace import NOW, TALK, Workplace


@pytest.fixture
def rated(chat: Workplace) -> tuple[Workplace, Conversation]:
    """A settled conversation whose first answer its user likes, read once."""
    row = talk(chat.world, at=NOW - timedelta(days=3))
    chat.world.give_feedback(first_message(chat.world, row), "like", at=NOW - timedelta(days=2))
    chat.read(TALK)
    chat.pass_time(days=1)
    return chat, row


def ratings(place: Workplace) -> list[tuple[str, str, bool]]:
    """Source, rating and absence of every feedback held."""
    return place.rows(
        "SELECT from_source, rating, absent_since IS NOT NULL FROM raw.message_feedbacks "
        "ORDER BY ALL"
    )


def test_given_feedback_arrives(rated: tuple[Workplace, Conversation]) -> None:
    """A rating by an admin on an old answer is read the night after."""
    place, row = rated
    place.world.give_feedback(
        first_message(place.world, row), "dislike", at=NOW, account_id=place.world.account_id
    )
    place.read(TALK)
    assert ratings(place) == [("admin", "dislike", False), ("user", "like", False)]


def test_changed_feedback_arrives(rated: tuple[Workplace, Conversation]) -> None:
    """A like that became a dislike is one row with the new rating."""
    place, row = rated
    place.world.give_feedback(first_message(place.world, row), "dislike", at=NOW)
    place.read(TALK)
    assert ratings(place) == [("user", "dislike", False)]


def test_withdrawn_feedback_is_marked_absent(rated: tuple[Workplace, Conversation]) -> None:
    """A rating that was taken back stays as a row that says since when it is gone."""
    place, row = rated
    place.world.withdraw_feedback(first_message(place.world, row))
    place.read(TALK)
    assert ratings(place) == [("user", "like", True)]


def test_swap_with_equal_counts_arrives_by_the_weekly_export(
    rated: tuple[Workplace, Conversation],
) -> None:
    """Taken from one answer and given to another, counts stay: the export shows it in a week."""
    place, row = rated
    first, second = place.world.messages_of_conversation[row.id]
    place.world.withdraw_feedback(first)
    place.world.give_feedback(second, "like", at=NOW)
    place.read(TALK)
    assert ratings(place) == [("user", "like", False)]
    place.pass_time(days=7)
    place.read(TALK)
    assert differences(place, ("message_feedbacks",)) == []
    assert ratings(place) == [("user", "like", False), ("user", "like", True)]


def test_changed_comment_arrives_by_the_weekly_export(
    rated: tuple[Workplace, Conversation],
) -> None:
    """A comment that was added to a rating changes no count; the export shows it."""
    place, row = rated
    message_id = first_message(place.world, row)
    place.world.give_feedback(message_id, "like", at=NOW, content="very good")
    place.pass_time(days=7)
    place.read(TALK)
    assert differences(place, ("message_feedbacks",)) == []


def test_export_is_asked_once_a_week(rated: tuple[Workplace, Conversation]) -> None:
    """A night within the week does not ask the export again."""
    place, _ = rated
    with place.requests() as within:
        place.read(TALK)
    place.pass_time(days=7)
    with place.requests() as later:
        place.read(TALK)
    counts = [len([r for r in found if "export" in r.path]) for found in (within, later)]
    assert counts == [0, 1]


def test_feedback_on_closed_completion_logs_comes_from_the_export(workplace: Open) -> None:
    """A log that nobody opened tells no message; its rating still has a row."""
    place = workplace(quiet_world("completion"))
    row = talk(place.world, at=NOW - timedelta(days=3), messages=1, mode="completion")
    place.world.give_feedback(first_message(place.world, row), "dislike", at=NOW, content="no")
    place.read(TALK)
    assert differences(place, ("message_feedbacks", "messages")) == []
    place.world.withdraw_feedback(first_message(place.world, row))
    place.pass_time(days=7)
    place.read(TALK)
    assert ratings(place) == [("user", "dislike", True)]
