"""Statistics are computed from the rows, by the odd rules of the real ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from dify_etl_tests.simulated.conftest import NOW
from dify_etl_tests.simulated.signing_in import signed_in
from dify_simulated import SimulatedDify, World
from dify_simulated.world.rows import App

EVENING = datetime(2026, 11, 18, 20, 0, tzinfo=UTC)


def data(reader: httpx.Client, app: App, name: str) -> list[dict[str, Any]]:
    """The rows of a statistic; `name` below the app."""
    answer = reader.get(f"/apps/{app.id}/{name}")
    answer.raise_for_status()
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


def debug_message(world: World, app: App) -> None:
    """A message of a person who debugs."""
    row = world.add_conversation(
        app.id, at=EVENING, account_id=world.account_id, invoke_from="debugger"
    )
    world.add_message(row.id, at=EVENING)


@pytest.mark.parametrize(("version", "counted"), [("1.7.2", 1), ("1.9.1", 0), ("1.12.1", 0)])
def test_debug_messages_drop_out_from_1_9(
    world: World, chat: App, version: str, counted: int
) -> None:
    """So the same day has other figures after an upgrade."""
    debug_message(world, chat)
    reader = signed_in(SimulatedDify(world, version))

    assert len(data(reader, chat, "statistics/daily-messages")) == counted
    assert data(reader, chat, "statistics/daily-conversations") == []


def test_days_are_those_of_the_account(world: World, reader: httpx.Client, chat: App) -> None:
    """The same message is on another date for an account further east."""
    conversation = world.add_conversation(chat.id, at=EVENING)
    world.add_message(conversation.id, at=EVENING)
    dates = []
    for zone in ("UTC", "Asia/Shanghai"):
        world.account.timezone = zone
        dates += [row["date"] for row in data(reader, chat, "statistics/daily-messages")]

    assert dates == ["2026-11-18", "2026-11-19"]


def test_satisfaction_is_per_mille_and_joins_twice(
    world: World, reader: httpx.Client, chat: App
) -> None:
    """One message liked by user and admin, one not rated: 2 likes of 3 joined rows."""
    conversation = world.add_conversation(chat.id, at=EVENING)
    liked = world.add_message(conversation.id, at=EVENING)
    world.add_message(conversation.id, at=EVENING)
    world.give_feedback(liked.id, "like", at=EVENING)
    world.give_feedback(liked.id, "like", at=EVENING, account_id=world.account_id)

    rows = data(reader, chat, "statistics/user-satisfaction-rate")

    assert rows == [{"date": "2026-11-18", "rate": 666.67}]


def test_costs_of_nothing_print_as_0e_7(world: World, reader: httpx.Client, chat: App) -> None:
    """The price is the text of a Decimal with seven digits."""
    conversation = world.add_conversation(chat.id, at=EVENING)
    world.add_message(conversation.id, at=EVENING, answer=None)

    rows = data(reader, chat, "statistics/token-costs")

    assert rows == [
        {"date": "2026-11-18", "token_count": 0, "total_price": "0E-7", "currency": "USD"}
    ]


def test_session_interactions_belong_to_the_day_of_creation(
    world: World, reader: httpx.Client, chat: App
) -> None:
    """A message days later raises the value of the old day."""
    conversation = world.add_conversation(chat.id, at=EVENING)
    world.add_message(conversation.id, at=EVENING)
    world.add_message(conversation.id, at=EVENING + timedelta(days=1))

    rows = data(reader, chat, "statistics/average-session-interactions")

    assert rows == [{"date": "2026-11-18", "interactions": 2.0}]


def test_workflow_statistics_count_app_runs_only(world: World, reader: httpx.Client) -> None:
    """Runs by schedule and debug runs are left out; the token count is text."""
    app = world.add_app(
        name="quiet workflow",
        mode="workflow",
        at=NOW,
        created_by=world.account_id,
        tenant_id=world.workspace_id,
    )
    for trigger in ("app-run", "schedule", "debugging"):
        run = world.start_run(app.id, at=EVENING, triggered_from=trigger)
        world.finish_run(run.id, at=EVENING + timedelta(seconds=2), total_tokens=70)

    assert data(reader, app, "workflow/statistics/daily-conversations") == [
        {"date": "2026-11-18", "runs": 1}
    ]
    assert data(reader, app, "workflow/statistics/token-costs") == [
        {"date": "2026-11-18", "token_count": "70"}
    ]


def test_interactions_per_creator_come_in_no_order(world: World, reader: httpx.Client) -> None:
    """Every statistic is sorted by date but this one."""
    app = next(app for app in world.apps.values() if app.mode == "workflow")
    for day in range(5):
        world.start_run(app.id, at=EVENING - timedelta(days=day))

    dates = [
        row["date"] for row in data(reader, app, "workflow/statistics/average-app-interactions")
    ]

    assert dates != sorted(dates)


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("chat", "statistics/average-response-time"),
        ("completion", "statistics/average-session-interactions"),
        ("advanced-chat", "workflow/statistics/average-app-interactions"),
    ],
)
def test_three_statistics_refuse_other_modes(
    world: World, reader: httpx.Client, mode: str, name: str
) -> None:
    """A wrong mode is 404 app_not_found there; the others answer with nothing."""
    app = next(app for app in world.apps.values() if app.mode == mode)

    answer = reader.get(f"/apps/{app.id}/{name}")

    assert (answer.status_code, answer.json()["code"]) == (404, "app_not_found")
