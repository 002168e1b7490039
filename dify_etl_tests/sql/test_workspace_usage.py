"""The workspace in one row a day, from rows written by hand."""

from datetime import timedelta
from decimal import Decimal

from dify_etl_tests.sql.hand_written import DAY, NOON, HandWritten

MART = "marts.workspace_daily_usage"


def person(warehouse: HandWritten, name: str, app_id: str) -> dict[str, str]:
    """An end user of that name in an app, and what a message or run of his says of him."""
    warehouse.add(
        "raw.conversations",
        conversation_id=f"{name} in {app_id}",
        app_id=app_id,
        from_end_user_id=f"id of {name} in {app_id}",
        from_end_user_session_id=name,
        created_at=NOON,
        created_date=DAY,
    )
    return {"app_id": app_id, "from_end_user_id": f"id of {name} in {app_id}"}


def test_people_of_several_apps_are_counted_once(warehouse: HandWritten) -> None:
    """Messages and conversations add up over apps, people do not; money is kept by currency."""
    for app_id in ("app", "second"):
        warehouse.app("chat", app_id)
        for day in (DAY, DAY + timedelta(days=1)):
            warehouse.read_day(day, app_id=app_id)
    for app_id, currency in (("app", "USD"), ("second", "RMB")):
        ada = person(warehouse, "ada", app_id)
        price = {"total_price": "0.5", "currency": currency, "total_tokens": 30}
        warehouse.message(f"ada in {app_id}", **ada, **price)
    bob = person(warehouse, "bob", "app")
    warehouse.message("bob in app", **bob, status="error", created_at=NOON + timedelta(days=1))
    ada = {"app_id": "app", "from_end_user_id": "id of ada in app"}
    warehouse.message("ada in app", **ada, created_at=NOON + timedelta(days=1))
    first, second = warehouse.rows_of(MART)
    assert (first["usage_date"], first["apps"], first["messages"]) == (DAY, 2, 2)
    assert (first["people"], first["new_people"], first["conversations_started"]) == (1, 1, 3)
    assert (first["total_price"], first["currency"]) == (None, None)
    assert first["prices"] == '{"RMB":"0.5000000000","USD":"0.5000000000"}'
    assert (second["people"], second["new_people"], second["error_messages"]) == (2, 1, 1)
    assert (second["apps"], second["prices"]) == (1, None)


def test_one_currency_is_the_day_s(warehouse: HandWritten) -> None:
    """Where all was charged in one, its sum stands beside it; what is free costs 0, not null."""
    warehouse.app("chat")
    warehouse.read_day()
    warehouse.message(total_price="0.25", currency="USD", total_tokens=30)
    warehouse.message(total_price="0", currency="USD", total_tokens=30)
    row = warehouse.one_row_of(MART)
    assert (row["total_price"], row["currency"]) == (Decimal("0.25"), "USD")


def test_free_and_unproven_days(warehouse: HandWritten) -> None:
    """A price of 0 for tokens is a price; one read that is not whole makes the day unproven."""
    warehouse.app("chat")
    warehouse.read_day(feeds=["conversations", "messages"])
    warehouse.read_day(feeds=["workflow_runs"], state="unproven")
    warehouse.message(total_price="0", total_tokens=30)
    row = warehouse.one_row_of(MART)
    assert (row["total_price"], row["currency"], row["is_proven"]) == (Decimal(0), None, False)


def test_failed_runs_are_counted(warehouse: HandWritten) -> None:
    """Runs of all apps, and those among them that failed; debugging is left out."""
    warehouse.app("workflow")
    warehouse.read_day()
    warehouse.run()
    warehouse.run(status="failed")
    warehouse.run(triggered_from="debugging", status="failed")
    row = warehouse.one_row_of(MART)
    assert (row["workflow_runs"], row["failed_runs"], row["apps"]) == (2, 1, 1)


def test_days_that_were_not_read_have_no_people(warehouse: HandWritten) -> None:
    """A message that is known by chance counts nowhere: neither as a message nor as a person."""
    for app_id in ("app", "second"):
        warehouse.app("chat", app_id)
    warehouse.read_day(app_id="app")
    warehouse.message("talk")
    warehouse.message("by chance", **person(warehouse, "ada", "second"))
    row = warehouse.one_row_of(MART)
    assert (row["messages"], row["people"], row["new_people"]) == (1, 1, 1)
