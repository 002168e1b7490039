"""Who was active when, and who people are, from rows written by hand."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from dify_etl_tests.sql.hand_written import DAY, NOON, HandWritten
from dify_etl_tests.sql.test_costs import model_call

DAYS = "marts.person_daily_activity"
PEOPLE = "marts.people"
PRICED = {"total_price": "0.5", "currency": "USD", "total_tokens": 30}


@pytest.fixture
def used(warehouse: HandWritten) -> HandWritten:
    """Two apps; ada asks in both, on two days, bob starts a run of the second once."""
    warehouse.app("advanced-chat")
    warehouse.app("workflow", "flow")
    for day in (DAY, DAY + timedelta(days=1)):
        warehouse.read_day(day)
    for name in ("ada", "bob", "DEFAULT-USER"):
        warehouse.add(
            "raw.conversations",
            conversation_id=f"of {name}",
            app_id="app",
            from_end_user_id=f"id of {name}",
            from_end_user_session_id=name,
            created_at=NOON,
        )
    asked = {"from_end_user_id": "id of ada"}
    warehouse.message("of ada", **asked, **PRICED)
    warehouse.message("of ada", **asked, status="error")
    warehouse.message("of ada", **asked, created_at=NOON + timedelta(days=1))
    warehouse.message("of nobody", from_end_user_id="id of DEFAULT-USER")
    run = {"app_id": "flow", "created_by_end_user_session_id": "ada"}
    warehouse.run(created_by_end_user_id="ada in flow", **run)
    warehouse.run(created_by_end_user_id="ada in flow", triggered_from="debugging", **run)
    bob = {"created_by_end_user_id": "bob in flow", "created_by_end_user_session_id": "bob"}
    warehouse.run(app_id="flow", status="failed", **bob)
    return warehouse


def test_a_day_of_a_person_is_one_row(used: HandWritten) -> None:
    """Across apps; callers without a name are nobody, debugging of workflows is no activity."""
    rows = {(row["person_id"], row["activity_date"]): row for row in used.rows_of(DAYS)}
    assert set(rows) == {("ada", DAY), ("ada", DAY + timedelta(days=1)), ("bob", DAY)}
    ada = rows["ada", DAY]
    assert [ada[name] for name in ("apps", "conversations", "messages", "workflow_runs")] == [
        *(2, 1),
        *(2, 1),
    ]
    assert (ada["failed"], ada["total_price"], ada["currency"]) == (1, Decimal("0.5"), "USD")
    bob = rows["bob", DAY]
    assert (bob["messages"], bob["workflow_runs"], bob["failed"]) == (0, 1, 1)


def test_people_are_summed_over_their_days(used: HandWritten) -> None:
    """First and last day, active days, price, ratings; withdrawn ratings count no more."""
    used.like("message 1", from_end_user_id="id of ada")
    used.like("message 2", from_end_user_id="id of ada", rating="dislike")
    used.like("message 3", from_end_user_id="id of ada", absent_since=NOON)
    rows = {row["person_id"]: row for row in used.rows_of(PEOPLE)}
    assert set(rows) == {"ada", "bob"}
    ada = rows["ada"]
    assert (ada["first_seen_date"], ada["last_seen_date"]) == (DAY, DAY + timedelta(days=1))
    assert (ada["active_days"], ada["active_days_of_last_28"]) == (2, 2)
    assert (ada["messages"], ada["workflow_runs"], ada["failed"]) == (3, 1, 1)
    assert (ada["total_price"], ada["likes"], ada["dislikes"]) == (Decimal("0.5"), 1, 1)


def test_28_days_end_with_the_newest_day_of_anybody(used: HandWritten) -> None:
    """Who was not there for four weeks was active none of the last 28 days."""
    later = NOON + timedelta(days=28)
    used.message("of bob", from_end_user_id="id of bob", created_at=later)
    rows = {row["person_id"]: row for row in used.rows_of(PEOPLE)}
    assert rows["ada"]["active_days_of_last_28"] == 1
    assert rows["bob"]["active_days_of_last_28"] == 1
    assert rows["bob"]["last_seen_date"] == date(2026, 3, 30)


def test_two_currencies_are_no_sum(used: HandWritten) -> None:
    """The price of a person who paid in two is null, never their sum."""
    told = {"total_price": "3", "currency": "RMB", "from_end_user_id": "id of ada"}
    used.message("of ada", **told)
    row = next(row for row in used.rows_of(PEOPLE) if row["person_id"] == "ada")
    assert (row["total_price"], row["currency"]) == (None, None)


def test_tokens_beyond_sense_break_no_build(used: HandWritten) -> None:
    """A server may tell any number that a column takes: the person's sum is exact."""
    asked = {"from_end_user_id": "id of bob", "total_tokens": 2**63 - 1, "total_price": "1"}
    for _ in range(2):
        used.message("of bob", message_tokens=2**63 - 1, answer_tokens=0, **asked, currency="USD")
    row = next(row for row in used.rows_of(PEOPLE) if row["person_id"] == "bob")
    assert row["total_tokens"] >= 2**64 - 2


def test_tokens_of_days_without_activity_are_the_persons(warehouse: HandWritten) -> None:
    """A node that ran after midnight costs tokens and money on a day without a question or run."""
    warehouse.app("workflow")
    started = NOON + timedelta(hours=10, minutes=59)  # 23:59 in Berlin
    for days in range(2):
        warehouse.read_day(DAY + timedelta(days=days))
    run = warehouse.run(created_at=started, created_by_end_user_session_id="ada")
    after = {"created_at": started + timedelta(minutes=6), "created_by_end_user_id": "user"}
    warehouse.node(run, **after, **model_call())
    row = warehouse.one_row_of(PEOPLE)
    assert (row["total_tokens"], row["total_price"]) == (1100, Decimal("0.0035"))
