"""Daily marts begin with the first activity of an app, not with the first day that was read."""

from datetime import date, timedelta

import pytest

from dify_etl.warehouse.models import Model
from dify_etl_tests.sql.hand_written import DAY, MODELS, NOON, HandWritten

# Marts whose rows are of an app and a day; those of persons, errors and lists tell other days.
_OTHERS = {"errors", "freshness", "people", "person_daily_activity", "document_health"}
# Agents have tools, and the apps of this test none.
_OTHERS |= {"agent_tools"}
_OTHERS |= {"workspace_daily_usage", "retention", "conversation_quality", "feedback_log"}
_OTHERS |= {"retrieval_quality", "unanswered_questions", "api_key_posture", "app_history"}
MARTS = [model for model in MODELS if model.schema == "marts" and model.name not in _OTHERS]


def first_days(warehouse: HandWritten, mart: str) -> dict[str, date]:
    """The first day of each app in a mart, by the one column of its grain that is a day."""
    rows = warehouse.rows_of(mart)
    days = [name for name in rows[0] if name.endswith("_date")] if rows else []
    assert len(days) <= 1
    found: dict[str, date] = {}
    for row in rows:
        day = row[days[0]]
        found[row["app_id"]] = min(day, found.get(row["app_id"], day))
    return found


@pytest.mark.parametrize("model", MARTS, ids=lambda model: model.name)
def test_mart_begins_with_the_first_activity(model: Model, warehouse: HandWritten) -> None:
    """Years that were read and are empty give no row; the first question does, and the first run in
    another app.
    """
    warehouse.app("chat", model="gpt-4o")
    warehouse.app("workflow", "flow")
    years = [DAY - timedelta(days=days) for days in (1000, 999, 30, 1, 0)]
    for day in years:
        for app_id in ("app", "flow"):
            warehouse.read_day(day, app_id=app_id)
    warehouse.end_run()
    for metric in ("daily_messages", "token_count", "total_price"):
        warehouse.dify_says(metric, 1)
    warehouse.message(total_price="0.1", currency="USD", total_tokens=30)
    run = warehouse.run(app_id="flow", created_at=NOON)
    warehouse.node(run, app_id="flow", total_price="0.2", currency="USD", total_tokens=3)
    found = first_days(warehouse, model.qualified)
    assert found
    assert set(found.values()) == {DAY}
