"""A server whose rules of the account's zone are not ours."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from dify_etl.feeds.server_days import day_difference
from dify_etl_tests.sync.answers_changed import ChangedAnswers
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import quiet_world, talk
from dify_etl_tests.sync.workplace import NOW


def read_as(zone: str) -> Any:
    """A change of answers: the profile tells this zone."""
    return lambda path, answer: (
        answer | {"timezone": zone} if path.endswith("/account/profile") else answer
    )


@pytest.mark.parametrize(
    ("ours", "told"),
    [
        ("Asia/Shanghai", None),
        ("Asia/Tokyo", "60 minutes behind"),
        ("Asia/Jakarta", "60 minutes ahead of"),
    ],
)
def test_server_of_other_rules_is_told(workplace: Open, ours: str, told: str | None) -> None:
    """What Dify holds for Shanghai's time we hold for another: by how much it differs is said."""
    place = workplace(quiet_world("chat", timezone="Asia/Shanghai"))
    talk(place.world, at=NOW)
    place.transport = ChangedAnswers(httpx.WSGITransport(app=place.server), read_as(ours))
    with place.client() as dify:
        found = day_difference(dify)
    assert (told in (found or "")) if told else found is None


@pytest.mark.parametrize(
    ("begun", "told"),
    [
        (datetime(2026, 3, 11, 16, 20, tzinfo=UTC), "2026-03-11, by tzdata it is 2026-03-12"),
        (datetime(2026, 3, 12, 6, 0, tzinfo=UTC), None),
    ],
    ids=["near midnight", "at noon"],
)
def test_database_of_other_rules_is_told(
    workplace: Open, begun: datetime, told: str | None
) -> None:
    """The lists agree, but the database is an hour behind: its statistics have a talk of 00:20 in
    the day before. Where no talk was near midnight, nobody can tell.
    """
    place = workplace(quiet_world("chat", timezone="Asia/Shanghai"))
    talk(place.world, at=begun)
    talk(place.world, at=NOW)
    behind = {"date": f"{(begun + timedelta(hours=7)):%F}"}

    def change(path: str, answer: Any) -> Any:
        if not path.endswith("/statistics/daily-conversations"):
            return answer
        return {"data": [row | behind for row in answer["data"]]}

    place.transport = ChangedAnswers(httpx.WSGITransport(app=place.server), change)
    with place.client() as dify:
        found = day_difference(dify)
    assert (told in (found or "")) if told else found is None


def test_server_without_conversations_tells_nothing(workplace: Open) -> None:
    """Nothing to ask about is no disagreement."""
    with workplace(quiet_world("chat", "workflow")).client() as dify:
        assert day_difference(dify) is None
