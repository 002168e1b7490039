"""Who comes back in which week, from rows written by hand. DAY is a Monday."""

from datetime import date, timedelta

import pytest

from dify_etl_tests.sql.hand_written import DAY, NOON, HandWritten

MART = "marts.retention"
WEEK = timedelta(days=7)


@pytest.fixture
def used(warehouse: HandWritten) -> HandWritten:
    """Ada and bob come in the first week, ada again in the third, by another app; carl then."""
    for app_id in ("app", "second"):
        warehouse.app("chat", app_id)
    for number in range(17):
        warehouse.read_day(DAY + timedelta(days=number))
    for app_id, name, day in (
        ("app", "ada", DAY),
        ("app", "bob", DAY + timedelta(days=6)),
        ("second", "ada", DAY + 2 * WEEK),
        ("second", "carl", DAY + 2 * WEEK),
        ("second", "DEFAULT-USER", DAY),
    ):
        actor = f"{name} in {app_id}"
        warehouse.add(
            "raw.conversations",
            conversation_id=f"{actor} {day}",
            app_id=app_id,
            from_end_user_id=actor,
            from_end_user_session_id=name,
        )
        at = NOON + (day - DAY)
        warehouse.message(app_id=app_id, from_end_user_id=actor, created_at=at)
    return warehouse


def returned(warehouse: HandWritten, where: str) -> dict[tuple[date, int], tuple[int, int, float]]:
    """By cohort and weeks since: how many of how many, and the rate."""
    return {
        (row["cohort_week_date"], row["weeks_since"]): (
            row["returned_people"],
            row["cohort_people"],
            row["retention_rate"],
        )
        for row in warehouse.rows_of(MART, where)
    }


def test_the_workspace_sees_persons_across_apps(used: HandWritten) -> None:
    """Ada comes back by the second app; weeks in which nobody came have a row with 0."""
    assert returned(used, "scope = 'workspace'") == {
        (DAY, 0): (2, 2, 1.0),
        (DAY, 1): (0, 2, 0.0),
        (DAY, 2): (1, 2, 0.5),
        (DAY + 2 * WEEK, 0): (1, 1, 1.0),
    }


def test_an_app_sees_its_own_people(used: HandWritten) -> None:
    """In the second app ada is new in the third week; nobody without a name is anybody."""
    assert returned(used, "app_id = 'second'") == {(DAY + 2 * WEEK, 0): (2, 2, 1.0)}
    assert returned(used, "app_id = 'app'") == {
        (DAY, 0): (2, 2, 1.0),
        (DAY, 1): (0, 2, 0.0),
        (DAY, 2): (0, 2, 0.0),
    }


def test_the_week_that_runs_is_not_complete(used: HandWritten) -> None:
    """Two weeks were read to their end, the third is read to its Wednesday."""
    rows = used.rows_of(MART, f"scope = 'workspace' AND cohort_week_date = DATE '{DAY}'")
    assert [row["is_complete"] for row in rows] == [True, True, False]


def test_weeks_are_those_of_the_account_s_zone(warehouse: HandWritten) -> None:
    """What comes on Sunday evening by UTC is Monday in Berlin, and of the next week."""
    warehouse.app("chat")
    warehouse.read_day(DAY)
    warehouse.message(created_at=NOON - timedelta(hours=11, minutes=30))
    (row,) = warehouse.rows_of(MART, "scope = 'workspace'")
    assert row["cohort_week_date"] == DAY


@pytest.mark.parametrize("state", ["failed", "incomplete", None])
def test_a_day_that_was_not_read_leaves_its_week_open(used: HandWritten, state: str | None) -> None:
    """Of its app, and of the workspace; another app's week is complete."""
    for number in range(7):
        day = DAY + timedelta(days=number)
        if number != 3:
            used.read_day(day, app_id="second")
        elif state is not None:
            used.read_day(day, app_id="second", state=state)
    in_first_week = f"activity_week_date = DATE '{DAY}'"
    rows = used.rows_of(MART, in_first_week)
    assert {row["app_id"]: row["is_complete"] for row in rows} == {"app": True, None: False}
