"""How far each feed of each app is read and proven, from rows of the ledger written by hand."""

from datetime import timedelta

from dify_etl_tests.sql.hand_written import DAY, NOON, RUN_ENDED, HandWritten

MART = "marts.freshness"


def test_proven_through_ends_before_the_first_hole(warehouse: HandWritten) -> None:
    """Three days, the second incomplete since some night: proven through the first."""
    warehouse.app("chat")
    feeds = ("messages",)
    warehouse.read_day(DAY, feeds=feeds)
    marks = {"state": "incomplete", "reason": "3 of 5 messages", "bad_since": NOON}
    warehouse.read_day(DAY + timedelta(days=1), feeds=feeds, **marks)
    warehouse.read_day(DAY + timedelta(days=2), feeds=feeds)
    warehouse.add("ops.quarantine", quarantine_id="q", feed="messages", app_id="app")
    warehouse.add(
        "ops.quarantine", quarantine_id="r", feed="messages", app_id="app", resolved_at=NOON
    )
    row = warehouse.one_row_of(MART)
    assert (row["read_through_date"], row["proven_through_date"]) == (
        DAY + timedelta(days=2),
        DAY,
    )
    assert (row["slices"], row["bad_slices"], row["unproven_slices"]) == (3, 1, 0)
    assert (row["bad_since_at"], row["reason"]) == (NOON, "3 of 5 messages")
    assert (row["waiting_rows"], row["read_at"], row["app_name"]) == (1, RUN_ENDED, "app")


def test_accepted_holes_stand_apart(warehouse: HandWritten) -> None:
    """They count as bad no more, as long as they are as they were accepted: until their last day,
    an end, or another reason. What is proven through which day is as before.
    """
    warehouse.app("chat")
    bad = {"state": "incomplete", "reason": "purged", "rows": 3, "expected": 5, "bad_since": NOON}
    later = NOON + timedelta(days=1)
    marks: tuple[dict[str, object], ...] = (
        {},
        {"until_date": RUN_ENDED.date()},
        {"until_date": RUN_ENDED.date() - timedelta(days=1)},
        {"ended_at": NOON},
        {"reason": "other"},
        {"rows": 4},
    )
    for days, change in enumerate(marks):
        day = DAY + timedelta(days=days)
        own = bad | ({"bad_since": later} if days > 1 else {})
        warehouse.read_day(day, feeds=("messages",), **own)
        taken = {"state": "incomplete", "reason": "purged", "rows": 3, "expected": 5}
        warehouse.add(
            "ops.accepted_slices",
            feed="messages",
            app_id="app",
            slice_date=day,
            **{**taken, **change},
        )
    warehouse.add("ops.slices", feed="members", state="failed", read_at=NOON, bad_since=NOON)
    warehouse.add("ops.accepted_slices", feed="members", state="failed")
    rows = {row["feed"]: row for row in warehouse.rows_of(MART)}
    found = rows["messages"]
    assert (found["bad_slices"], found["accepted_slices"], found["slices"]) == (4, 2, 6)
    assert (found["bad_since_at"], found["proven_through_date"]) == (later, None)
    found = rows["members"]
    assert (found["bad_slices"], found["accepted_slices"], found["bad_since_at"]) == (0, 1, None)


def test_proven_through_ends_before_a_day_that_was_never_read(warehouse: HandWritten) -> None:
    """As after two reads of chosen days."""
    warehouse.app("chat")
    for days in (0, 1, 4):
        warehouse.read_day(DAY + timedelta(days=days), feeds=("messages",))
    row = warehouse.one_row_of(MART)
    assert row["read_through_date"] == DAY + timedelta(days=4)
    assert row["proven_through_date"] == DAY + timedelta(days=1)
    assert row["reason"] is None


def test_lists_of_the_workspace_have_no_days(warehouse: HandWritten) -> None:
    """Members are read as a whole, of no app."""
    warehouse.add("ops.slices", feed="members", state="proven", read_at=NOON)
    row = warehouse.one_row_of(MART)
    assert (row["app_id"], row["read_through_date"], row["proven_through_date"]) == (None,) * 3
    assert (row["bad_slices"], row["reason"], row["waiting_rows"]) == (0, None, 0)
