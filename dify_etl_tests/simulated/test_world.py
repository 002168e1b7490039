"""The world is repeatable, holds what it promises, and changes only when told to."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from dify_etl_tests.simulated.conftest import NOW
from dify_etl_tests.simulated.signing_in import signed_in
from dify_simulated import SimulatedDify, World, WorldPlan, build_world
from dify_simulated.world.rows import App


def test_the_same_plan_gives_the_same_world(world: World) -> None:
    """Two worlds of one plan agree in every row."""
    twin = build_world(WorldPlan(seed=5, apps=5, days=4, conversations_per_day=8, now=NOW))

    assert twin.snapshot() == world.snapshot()


def test_another_seed_gives_another_world(world: World) -> None:
    """No app keeps its id."""
    other = build_world(WorldPlan(seed=6, apps=5, days=4, conversations_per_day=8, now=NOW))

    assert not world.apps.keys() & other.apps.keys()


def test_a_naive_now_is_refused() -> None:
    """An instant without a zone would mean something else on each machine."""
    with pytest.raises(ValueError, match="aware"):
        WorldPlan(now=NOW.replace(tzinfo=None))


def test_reading_leaves_no_trace(world: World, reader: httpx.Client) -> None:
    """Lists, messages and statistics change nothing but the reader's own login times."""
    before = world.snapshot()

    for app in world.apps.values():
        for path in ("", "/chat-conversations", "/statistics/daily-messages", "/api-keys"):
            reader.get(f"/apps/{app.id}{path}")
    for message in list(world.messages.values())[:20]:
        reader.get(f"/apps/{message.app_id}/messages/{message.id}")

    assert world.snapshot() == before


@pytest.mark.parametrize(("version", "moves"), [("1.7.2", False), ("1.12.1", True)])
def test_a_detail_marks_as_read(world: World, chat: App, version: str, moves: bool) -> None:
    """The detail of a conversation sets read_at; 1.10 to 1.12 move updated_at as well."""
    row = world.add_conversation(chat.id, at=NOW - timedelta(days=3))
    before = world.snapshot()

    signed_in(SimulatedDify(world, version)).get(f"/apps/{chat.id}/chat-conversations/{row.id}")

    assert row.read_at == NOW
    assert (row.updated_at == NOW) is moves
    assert world.snapshot() != before


def test_finishing_an_answer_moves_no_timestamp(world: World, chat: App) -> None:
    """A half-written message completes without a list noticing."""
    conversation = world.add_conversation(chat.id, at=NOW)
    message = world.add_message(conversation.id, at=NOW, answer=None)
    assert (message.answer, message.status, message.message_metadata) == ("", "normal", {})
    before = conversation.updated_at, message.created_at

    world.finish_message(message.id, answer="done")

    assert (message.answer, message.answer_tokens > 0) == ("done", True)
    assert (conversation.updated_at, message.created_at) == before


def test_feedback_comes_and_goes(world: World, chat: App) -> None:
    """A rating can be given, changed and withdrawn; only one row per source exists."""
    conversation = world.add_conversation(chat.id, at=NOW)
    message = world.add_message(conversation.id, at=NOW)
    world.give_feedback(message.id, "like", at=NOW)
    changed = world.give_feedback(message.id, "dislike", at=NOW, content="no")
    held = [row for row in world.feedbacks.values() if row.message_id == message.id]

    world.withdraw_feedback(message.id)

    assert held == [changed]
    assert changed.id not in world.feedbacks


def test_deleting_takes_everything_along(world: World, reader: httpx.Client) -> None:
    """After delete_app nothing of the app is left, and it is 404."""
    app = next(app for app in world.apps.values() if app.mode == "advanced-chat")

    world.delete_app(app.id)

    assert not [row for row in world.conversations.values() if row.app_id == app.id]
    assert not [row for row in world.messages.values() if row.app_id == app.id]
    assert not [row for row in world.feedbacks.values() if row.app_id == app.id]
    assert not [row for row in world.node_executions.values() if row.app_id == app.id]
    assert reader.get(f"/apps/{app.id}").status_code == 404


def test_a_deleted_conversation_stays_on_1_0(world: World, chat: App) -> None:
    """There it is a flag: the list still shows the row, later releases do not."""
    row = world.add_conversation(chat.id, at=NOW)
    world.delete_conversation(row.id, soft=True)

    totals = [
        signed_in(SimulatedDify(world, version))
        .get(f"/apps/{chat.id}/chat-conversations")
        .json()["total"]
        for version in ("1.0.0", "1.7.2")
    ]

    assert totals == [1, 0]


def test_signed_links_change_on_every_read(reader: httpx.Client) -> None:
    """Image icons come with another signature each time."""
    urls = [
        {row["icon_url"] for row in reader.get("/apps").json()["data"] if row["icon_url"]}
        for _ in "12"
    ]

    assert urls[0]
    assert urls[0].isdisjoint(urls[1])


@pytest.fixture(scope="module")
def built() -> World:
    """A world of the default size."""
    return build_world(WorldPlan(now=NOW))


def test_all_modes_and_oddities_are_there(built: World) -> None:
    """What must be met while reading is in the default world."""
    per_conversation = [len(built.messages_of_conversation.get(i, ())) for i in built.conversations]
    apps = built.apps.values()

    assert {app.mode for app in apps} == {
        "chat",
        "agent-chat",
        "completion",
        "advanced-chat",
        "workflow",
    }
    assert min(per_conversation) == 0
    assert max(per_conversation) > 100
    assert [app for app in apps if app.mode == "workflow" and app.workflow_id is None]
    assert [row for row in built.messages.values() if row.status == "error"]
    assert [row for row in built.messages.values() if row.answer == "" and row.error is None]
    assert [row for row in built.conversations.values() if row.invoke_from == "debugger"]


def test_runs_of_all_kinds_are_there(built: World) -> None:
    """Every outcome, running and stuck ones, triggers, and a log line without its run."""
    runs = built.workflow_runs.values()
    stuck = [run for run in runs if run.status == "running" and NOW - run.created_at > timedelta(7)]

    assert {run.status for run in runs} == {
        "succeeded",
        "failed",
        "stopped",
        "partial-succeeded",
        "running",
        "paused",
        "scheduled",
    }
    assert {run.triggered_from for run in runs} >= {"debugging", "app-run", "schedule", "webhook"}
    assert stuck
    assert [
        log
        for log in built.workflow_app_logs.values()
        if log.workflow_run_id not in built.workflow_runs
    ]


def test_children_of_messages_are_there(built: World) -> None:
    """Thoughts, files, citations, feedback with and without text, annotations with hits."""
    messages = built.messages.values()

    assert [row for row in messages if row.agent_thoughts]
    assert [row for row in messages if row.message_files]
    assert [row for row in messages if row.message_metadata.get("retriever_resources")]
    assert {row.from_source for row in built.feedbacks.values()} == {"user", "admin"}
    assert {bool(row.content) for row in built.feedbacks.values()} == {True, False}
    assert built.annotation_hits


def test_even_a_quiet_world_has_one_of_each() -> None:
    """Children of messages and kinds of nodes do not depend on how much happens."""
    quiet = build_world(WorldPlan(apps=5, days=1, conversations_per_day=1, now=NOW))
    nodes = quiet.node_executions.values()

    assert [row for row in quiet.messages.values() if row.message_files]
    assert [row for row in quiet.messages.values() if row.agent_thoughts]
    assert {row.from_source for row in quiet.feedbacks.values()} == {"user", "admin"}
    assert quiet.annotation_hits
    assert {"iteration", "loop", "tool", "llm"} <= {row.node_type for row in nodes}
    assert [row for row in nodes if row.outputs_truncated]


def test_people_of_all_kinds_are_there(built: World) -> None:
    """Every role and every status of a member, and a second workspace to switch to."""
    assert {row.role for row in built.members.values()} == {
        "owner",
        "admin",
        "editor",
        "normal",
        "dataset_operator",
    }
    assert {row.status for row in built.accounts.values()} == {
        "active",
        "pending",
        "banned",
        "uninitialized",
        "closed",
    }
    assert len(built.workspaces) == 2


def test_datasets_of_all_kinds_are_there(built: World) -> None:
    """Every permission, an external one, an empty one, and documents in every state."""
    datasets = built.datasets.values()

    assert {row.permission for row in datasets} == {
        "all_team_members",
        "only_me",
        "partial_members",
    }
    assert {row.provider for row in datasets} == {"vendor", "external"}
    assert {row.indexing_status for row in built.documents.values()} == {
        "waiting",
        "parsing",
        "cleaning",
        "splitting",
        "indexing",
        "completed",
        "error",
    }
    assert [row for row in built.documents.values() if row.is_paused]


def test_only_a_large_world_has_a_huge_answer(built: World) -> None:
    """A megabyte of text would make every small test slow."""
    large = build_world(WorldPlan(apps=1, days=2, conversations_per_day=1000, now=NOW))

    longest = [
        max(len(row.answer.encode()) for row in world.messages.values()) for world in (built, large)
    ]

    assert longest[0] < 1000
    assert longest[1] > 1_000_000


def test_no_secret_shows_in_a_repr(built: World) -> None:
    """Passwords, keys and site codes are left out."""
    key = next(iter(built.api_keys.values()))
    app = next(iter(built.apps.values()))

    assert "Simulated2026" not in repr(built.account)
    assert key.token not in repr(key)
    assert app.site.code not in repr(app)
    assert built.admin_api_key not in repr(built)


def test_nodes_take_times_of_their_own(built: World) -> None:
    """By type and run, and none ends after its run."""
    seconds: dict[str, set[float]] = {}
    for run in built.workflow_runs.values():
        for node_id in built.nodes_of_run[run.id]:
            node = built.node_executions[node_id]
            seconds.setdefault(node.node_type, set()).add(node.elapsed_time)
            if run.finished_at is not None and node.finished_at is not None:
                assert node.finished_at <= run.finished_at
    assert min(seconds["llm"]) > max(seconds["start"])
    assert len(seconds["llm"]) > 10
