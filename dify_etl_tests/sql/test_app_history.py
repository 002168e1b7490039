"""What was changed of apps and how they did before and after, from rows written by hand."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from dify_etl_tests.sql.hand_written import DAY, NOON, HandWritten

MART = "marts.app_history"


def version(warehouse: HandWritten, number: int, day: date, **values: Any) -> None:
    """A row of the history of the app, at noon of a day."""
    warehouse.add(
        "ops.app_versions",
        app_id="app",
        app_version=number,
        valid_from_at=NOON + (day - DAY),
        valid_from_date=day,
        **values,
    )


def published(warehouse: HandWritten, **values: Any) -> None:
    """A version of the workflow that was published at noon."""
    plain = {"workflow_id": "w", "app_id": "app", "version": "v2", "created_at": NOON}
    warehouse.add(
        "raw.workflow_versions",
        **plain,
        created_date=DAY,
        created_by_id="editor",
        created_by_name="Eva",
        **values,
    )


@pytest.fixture
def week(warehouse: HandWritten) -> HandWritten:
    """Days of a workflow: a run on each of the 3 days before, two on each of the 2 after."""
    warehouse.app("workflow")
    for number in range(-20, 3):
        warehouse.read_day(DAY + timedelta(days=number))
    for number in (-20, -3, -2, -1, 0, 1, 1, 2, 2):
        at = NOON + timedelta(days=number)
        ended = {"finished_at": at, "elapsed_seconds": 4.0 if number < 0 else 1.0}
        run = warehouse.run(
            created_at=at, **ended, status="failed" if number == -1 else "succeeded"
        )
        warehouse.node(run, created_at=at, total_price="0.5", currency="USD", total_tokens=10)
    return warehouse


def test_a_publication_has_its_weeks(week: HandWritten) -> None:
    """Seven days before and after, the day itself in neither; unread days are missing."""
    published(week, marked_name="faster", marked_comment="less to think")
    row = week.one_row_of(MART)
    assert (row["change_kind"], row["change_id"], row["version"]) == ("publication", "w", "v2")
    assert (row["version_name"], row["version_comment"]) == ("faster", "less to think")
    assert (row["changed_by_account_id"], row["changed_by_name"]) == ("editor", "Eva")
    assert (row["changed_at"], row["changed_date"], row["changed"]) == (NOON, DAY, None)
    before = [row[f"{name}_before"] for name in ("days", "runs", "failed", "average_seconds")]
    assert before == [7, 3, 1, 4.0]
    assert (row["price_before"], row["currency_before"]) == (Decimal("1.5"), "USD")
    after = [row[f"{name}_after"] for name in ("days", "runs", "failed", "average_seconds")]
    assert after == [2, 4, 0, 1.0]
    assert (row["price_after"], row["tokens_after"], row["likes_after"]) == (Decimal(2), 40, 0)


def test_a_publication_stands_once(week: HandWritten) -> None:
    """The history of the app notes it too; only what is not listed is taken from there."""
    published(week)
    version(week, 1, DAY - timedelta(days=10), workflow_id="before")
    version(week, 2, DAY, workflow_id="w", changed='["workflow_id"]')
    version(week, 3, DAY + timedelta(days=1), workflow_id="hidden", changed='["workflow_id"]')
    rows = [(row["change_kind"], row["change_id"], row["changed"]) for row in week.rows_of(MART)]
    assert rows == [("publication", "3", None), ("publication", "w", None)]


def test_configurations_tell_what_is_otherwise(warehouse: HandWritten) -> None:
    """The first row of the history is no change; who made the newest is told by the app."""
    warehouse.add(
        "raw.apps", app_id="app", name="app", mode="chat", updated_at=NOON, updated_by="editor"
    )
    warehouse.add("raw.members", account_id="editor", name="Eva")
    version(warehouse, 1, DAY - timedelta(days=10))
    version(warehouse, 2, DAY - timedelta(days=5), changed='["name","workflow_id"]')
    version(warehouse, 3, DAY, changed='["app_model_config"]')
    rows = {row["change_id"]: row for row in warehouse.rows_of(MART)}
    assert set(rows) == {"2", "3"}
    assert {row["change_kind"] for row in rows.values()} == {"configuration"}
    assert (rows["3"]["changed"], rows["3"]["changed_by_name"]) == ('["app_model_config"]', "Eva")
    assert (rows["2"]["changed"], rows["2"]["changed_by_name"]) == ('["name","workflow_id"]', None)
    assert (rows["2"]["days_before"], rows["2"]["messages_before"]) == (0, None)


def test_versions_of_agents(warehouse: HandWritten) -> None:
    """Their local day is that of the account's zone."""
    warehouse.app("agent")
    warehouse.add(
        "raw.agent_versions",
        agent_version_id="a",
        app_id="app",
        version=3,
        version_note="calmer",
        created_by="editor",
        created_at=NOON,
    )
    warehouse.add(
        "ops.local_days",
        local_date=DAY,
        starts_at=NOON - timedelta(hours=12),
        ends_at=NOON + timedelta(hours=12),
    )
    row = warehouse.one_row_of(MART)
    assert (row["change_kind"], row["version"], row["version_comment"]) == (
        "publication",
        "3",
        "calmer",
    )
    assert (row["changed_date"], row["changed_by_name"]) == (DAY, None)


def test_currencies_are_not_added(warehouse: HandWritten) -> None:
    """A week in two currencies has no price."""
    warehouse.app("chat")
    for number, currency in ((1, "USD"), (2, "RMB")):
        at = NOON + timedelta(days=number)
        warehouse.read_day(DAY + timedelta(days=number))
        warehouse.message(created_at=at, total_price="0.5", currency=currency, total_tokens=9)
    published(warehouse)
    row = warehouse.one_row_of(MART)
    assert (row["messages_after"], row["price_after"], row["currency_after"]) == (2, None, None)


def test_figures_beyond_sense_break_no_build(warehouse: HandWritten) -> None:
    """The exact sum of the largest numbers that a column takes."""
    warehouse.app("chat")
    published(warehouse)
    for number in (1, 2):
        warehouse.read_day(DAY + timedelta(days=number))
        at = NOON + timedelta(days=number)
        huge: dict[str, Any] = {
            "message_tokens": 2**63 - 1,
            "answer_tokens": 2**63 - 1,
            "latency_seconds": 9e307,
        }
        warehouse.message(created_at=at, **huge)
    assert warehouse.one_row_of(MART)["tokens_after"] == 4 * (2**63 - 1)
