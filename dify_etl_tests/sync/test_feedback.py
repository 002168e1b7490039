"""Ratings that are given, changed, withdrawn or swapped all arrive."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from dify_etl.feeds.message_slices import LISTED_ONLY
from dify_etl_tests.sync.answers_changed import ChangedAnswers
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import first_message, quiet_world, talk
from dify_etl_tests.sync.workplace import NOW, TALK, Workplace
from dify_simulated.world.rows import Conversation


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


def test_only_what_the_export_shows_otherwise_is_read_again(
    rated: tuple[Workplace, Conversation],
) -> None:
    """Among settled conversations the one with the swapped rating is read, once, and no other."""
    place, row = rated
    other = talk(place.world, at=NOW - timedelta(days=3))
    place.world.give_feedback(first_message(place.world, other), "like", at=NOW)
    place.pass_time(days=2)
    place.read(TALK)
    first, second = place.world.messages_of_conversation[row.id]
    place.world.withdraw_feedback(first)
    place.world.give_feedback(second, "like", at=NOW)
    place.pass_time(days=7)

    with place.requests() as asked:
        place.read(TALK)

    assert [dict(one.query)["conversation_id"] for one in asked if "chat-messages" in one.path] == [
        row.id
    ]
    assert differences(place, ("message_feedbacks",)) == []


def test_rating_that_became_malformed_is_not_taken_for_gone(workplace: Open) -> None:
    """An export with a row that cannot be read is no proof that a held rating was withdrawn."""
    place = workplace(quiet_world("completion"))
    row = talk(place.world, at=NOW - timedelta(days=3), messages=1, mode="completion")
    place.world.give_feedback(first_message(place.world, row), "dislike", at=NOW)
    place.read(TALK)

    def undated(path: str, answer: Any) -> Any:
        if not path.endswith("feedbacks/export"):
            return answer
        rows = [{**row, "feedback_date": []} for row in answer["feedback_data"]]
        return {**answer, "feedback_data": rows}

    place.transport = ChangedAnswers(httpx.WSGITransport(app=place.server), undated)
    place.pass_time(days=7)
    place.read(TALK)

    assert ratings(place) == [("user", "dislike", False)]
    assert place.value("SELECT count(*) FROM ops.quarantine") == 1


@pytest.mark.parametrize("query", [42, True, 4.5, ["a"], {"type": "document"}])
def test_question_that_is_no_text_costs_the_question(query: Any, workplace: Open) -> None:
    """A completion app whose variable `query` is a number, a checkbox or a file exports it as such:
    the rating has its row, id and time, all days are proven, and a withdrawn rating is seen.
    """
    place = workplace(quiet_world("completion"))
    rows = [
        talk(place.world, at=NOW - timedelta(days=day), messages=1, mode="completion")
        for day in (2, 3)
    ]
    for row in rows:
        place.world.give_feedback(first_message(place.world, row), "like", at=NOW)
    place.transport = ChangedAnswers(
        httpx.WSGITransport(app=place.server),
        lambda path, answer: exported(path, answer, user_query=query),
    )
    place.read(TALK)
    assert ratings(place) == [("user", "like", False)] * 2
    told = "SELECT count(feedback_id), count(created_at) FROM raw.message_feedbacks"
    assert place.rows(told) == [(2, 2)]
    assert place.rows(DOUBTED) == []
    assert place.rows("SELECT DISTINCT odd_fields FROM ops.quarantine") == [("user_query",)]
    place.world.withdraw_feedback(first_message(place.world, rows[0]))
    place.pass_time(days=7)
    place.read(TALK)
    assert sorted(ratings(place)) == [("user", "like", False), ("user", "like", True)]


def test_odd_export_concerns_the_day_of_its_question_until_it_is_well(workplace: Open) -> None:
    """A rating of which no record can be made costs one day its proof, and a night heals it."""
    place = workplace(quiet_world("completion"))
    asked = NOW - timedelta(days=3)
    row = talk(place.world, at=asked, messages=1, mode="completion")
    place.world.give_feedback(first_message(place.world, row), "dislike", at=NOW)
    inner = httpx.WSGITransport(app=place.server)
    place.transport = ChangedAnswers(
        inner, lambda path, answer: exported(path, answer, feedback_rating_raw=7)
    )
    place.read(TALK)
    (of_day, of_app) = place.rows(DOUBTED)
    assert of_day == ("messages", asked.date(), "1 in quarantine")
    assert of_app == ("message_feedbacks", None, "1 exported ratings are in quarantine")
    place.transport = inner
    place.pass_time(days=1)
    place.read(TALK)
    assert place.rows(DOUBTED) == []
    assert ratings(place) == [("user", "dislike", False)]


# But for what logs that nobody opened do not tell.
DOUBTED = f"""SELECT feed, slice_date, coalesce(in_quarantine, reason) FROM ops.slices
    WHERE state <> 'proven' AND reason <> '{LISTED_ONLY}' ORDER BY slice_date"""


def exported(path: str, answer: Any, **values: Any) -> Any:
    """The answer; of an export, with these values in every row."""
    if not path.endswith("feedbacks/export"):
        return answer
    return {**answer, "feedback_data": [{**row, **values} for row in answer["feedback_data"]]}


def test_export_of_no_rating_that_messages_show_is_unproven(chat: Workplace) -> None:
    """The row brings a rating's id and time, and fits none: said, and asked again at night."""
    row = talk(chat.world, at=NOW - timedelta(days=3))
    chat.world.give_feedback(first_message(chat.world, row), "like", at=NOW - timedelta(days=2))

    def nameless(path: str, answer: Any) -> Any:
        if not path.endswith("feedbacks/export"):
            return answer
        return {
            **answer,
            "feedback_data": [{**one, "feedback_source": ""} for one in answer["feedback_data"]],
        }

    chat.transport = ChangedAnswers(httpx.WSGITransport(app=chat.server), nameless)
    chat.read(TALK)
    told = "SELECT state, reason FROM ops.slices WHERE feed = 'message_feedbacks'"
    ids = "SELECT count(feedback_id) FROM raw.message_feedbacks"
    ((state, reason),) = chat.rows(told)
    assert (state, chat.value(ids)) == ("unproven", 0)
    assert first_message(chat.world, row) in reason
    chat.transport = None
    chat.pass_time(days=1)
    chat.read(TALK)
    assert chat.rows(told) == [("proven", None)]
    assert chat.value(ids) == 1


def test_what_was_just_read_is_not_read_again_for_its_ratings(chat: Workplace) -> None:
    """It is as fresh as the export: when they differ all the same, the next run looks again."""
    row = talk(chat.world, at=NOW - timedelta(days=3))
    chat.world.give_feedback(first_message(chat.world, row), "like", at=NOW)
    hidden = ChangedAnswers(
        httpx.WSGITransport(app=chat.server),
        lambda path, answer: (
            {**answer, "feedback_data": []} if path.endswith("feedbacks/export") else answer
        ),
    )
    chat.transport = hidden
    asked = []
    for _ in range(3):
        with chat.requests() as found:
            chat.read(TALK)
        asked.append(sum("chat-messages" in one.path for one in found))
        chat.pass_time(days=1)
    assert asked == [1, 1, 0]
    assert ratings(chat) == [("user", "like", False)]


def test_exports_are_asked_among_the_conversations(workplace: Open) -> None:
    """A server works long on an export: they are spread, and do not hold everything up at once."""
    place = workplace(quiet_world("chat", "agent-chat")).with_rules(workers=1)
    for hours in range(15):
        talk(place.world, at=NOW - timedelta(days=2, hours=hours))
    with place.requests() as asked:
        place.read(TALK)
    paths = [one.path for one in asked if one.path.endswith(("chat-messages", "/export"))]
    places = [index for index, path in enumerate(paths) if path.endswith("/export")]
    assert (len(paths), places) == (17, [0, 11])
