"""docs/cookbook.md: its other queries, on a workspace of three apps in which much happens."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from dify_etl_tests.sql.cookbook import OF_A_BUSY_WORKSPACE, Query, asked_of_both
from dify_etl_tests.sql.hand_written import FEEDS_OF_DAYS, MODELS, HandWritten
from dify_etl_tests.warehouse.good_models import build_models

DAY, NOON = date(2026, 3, 2), datetime(2026, 3, 2, 11, tzinfo=UTC)
ANSWERS = [
    (
        "How many tokens",
        [
            (date(2026, 2, 23), "flow", 0, 0, 9),
            (DAY, "bot", 50, 100, 150),
            (DAY, "flow", 0, 0, 9),
        ],
    ),
    (
        "What does an app cost by month?",
        [
            ("2026-02", "flow", "USD", Decimal("0.5")),
            ("2026-03", "bot", "USD", Decimal(1)),
            ("2026-03", "flow", "USD", Decimal("0.5")),
        ],
    ),
    ("What does a run", [("flow", "v1", "USD", 0.25), ("flow", "v2", "USD", 0.5)]),
    ("Which answers are disliked", [("bot", "Where is it?", "Here.", "No", "ann", "gpt")]),
    ("How satisfied", [("gpt", 1, 1)]),
    ("Which conversations ended", [("bot", "lost", "bob", 1, NOON)]),
    ("How long are conversations?", [(1, 1, 0.0), (4, 1, 180.0)]),
    (
        "What is asked without",
        [("bot", "where is it", 2, 2, 1, 2), ("bot", "thanks", 1, 1, 0, 1)],
    ),
    (
        "What fails",
        [("bot", "message", "timeout after <n> s", 1, 1, DAY), ("flow", "node", "no", 1, 0, DAY)],
    ),
    ("How fast are answers?", [("bot", 5, 2.0, pytest.approx(8.4))]),
    ("On which days", [(DAY, "bot", "gpt", 5, 2.0, pytest.approx(8.4))]),
    (
        "Which node makes",
        [("flow", "Model", "llm", 3, 6.0, 2.0), ("flow", "Code", "code", 1, 1.0, 1.0)],
    ),
    ("Which node fails", [("flow", "Model", 1, 3)]),
    ("How often does each version", [("flow", "first", 3, 0), ("flow", "v2", 2, 1)]),
    ("Which runs never ended?", [("flow", "stuck", "running", NOON - timedelta(days=9))]),
    ("What started the runs?", [("flow", "app-run", 4), ("flow", "trigger-webhook", 1)]),
    ("What do an agent", [("bot", "search", 2, 1, 3.0)]),
    (
        "Which documents and segments",
        [("help", "guide", 1, 2, 0.85, 1, 0), ("help", "guide", 2, 1, 0.5, 1, 0)],
    ),
    ("Which documents does no", [("help", "broken"), ("help", "lonely"), ("help", "slow")]),
    (
        "Which documents are stuck",
        [
            ("help", "slow", "indexing", NOON - timedelta(days=3), None),
            ("help", "broken", "error", NOON, "no model"),
        ],
    ),
    ("Which API keys", [("bot", "app-1...wxyz", 100, True, None)]),
    (
        "What changed after",
        [("flow", date(2026, 3, 1), "publication", "Eva", 0.0, 0.5, 2.0, 2.0)],
    ),
    ("Which apps does nobody", [("idle", None), ("bot", DAY), ("flow", DAY)]),
    ("What waits", [("flow", "form", NOON)]),
    ("Do our figures", [("bot", DAY, "daily_messages", 7.0, 5.0)]),
    ("Is everything there?", [("messages", "bot", None, 1, NOON, "HTTP 403")]),
]


# What Dify counts of the app on that day: too many messages, all else as it is.
FIGURES = {
    "daily_messages": 7.0,
    "daily_conversations": 2.0,
    "daily_end_users": 2.0,
    "token_count": 150.0,
    "total_price": 1.0,
    "average_session_interactions": 2.5,
    "user_satisfaction_rate": 200.0,
    "tokens_per_second": 5.8824,
}


@pytest.fixture(scope="module")
def busy(module_warehouse: HandWritten) -> HandWritten:
    """An app `bot` with questions, sources and tools, a workflow `flow`, and `idle`."""
    warehouse = module_warehouse
    warehouse.app("agent-chat", "bot", model="gpt")
    warehouse.app("workflow", "flow")
    warehouse.app("chat", "idle")
    for number in (-7, -1, 0):
        for app in ("bot", "flow"):
            day = DAY + timedelta(days=number)
            warehouse.read_day(day, feeds=FEEDS_OF_DAYS[1:], app_id=app)
    warehouse.read_day(feeds=FEEDS_OF_DAYS[:1], app_id="bot")
    _questions(warehouse)
    _knowledge(warehouse)
    _runs(warehouse)
    warehouse.add("ops.slices", feed="app_api_keys", app_id="bot", read_at=NOON, state="proven")
    warehouse.add(
        "raw.app_api_keys",
        api_key_id="key",
        app_id="bot",
        masked_token="app-1...wxyz",
        created_at=NOON - timedelta(days=100),
    )
    warehouse.add(
        "ops.slices",
        feed="messages",
        app_id="bot",
        slice_date=date(2026, 2, 1),
        state="failed",
        reason="HTTP 403",
        bad_since=NOON,
        read_at=NOON,
    )
    for metric, figure in FIGURES.items():
        warehouse.dify_says(metric, figure, app_id="bot")
    build_models(warehouse.database, MODELS)
    return warehouse


def _questions(warehouse: HandWritten) -> None:
    """Four questions of ann in a talk that ends well, one of bob that fails."""
    for talk, name in (("found", "ann"), ("lost", "bob")):
        warehouse.add(
            "raw.conversations",
            conversation_id=talk,
            name=talk,
            app_id="bot",
            from_end_user_id=name,
            from_end_user_session_id=name,
            from_source="api",
            created_at=NOON,
        )
    asked: dict[str, Any] = {
        "app_id": "bot",
        "total_tokens": 30,
        "currency": "USD",
        "total_price": "0.2",
    }
    for minute, (question, seconds) in enumerate(
        (("Where is it?", 2.0), ("And now?", 1.0), ("What is new?", 2.0), ("Thanks", 2.0))
    ):
        at = NOON + timedelta(minutes=minute)
        own: dict[str, Any] = {
            "from_end_user_id": "ann",
            "created_at": at,
            "latency_seconds": seconds,
        }
        warehouse.message("found", query=question, answer="Here.", **(asked | own))
    failed: dict[str, Any] = {
        "status": "error",
        "error": "timeout after 60 s",
        "latency_seconds": 10.0,
    }
    lost: dict[str, Any] = {"query": "where is it", "answer": "", "from_end_user_id": "bob"}
    warehouse.message("lost", **(asked | failed | lost))
    given: dict[str, Any] = {"app_id": "bot", "conversation_id": "found", "from_end_user_id": "ann"}
    warehouse.like("message 1", rating="dislike", content="No", **given)
    warehouse.like("message 2", **given)
    for number, status in enumerate(("success", "error")):
        warehouse.add(
            "raw.agent_tool_calls",
            agent_thought_id=f"thought {number}",
            call_position=1,
            message_id="message 2",
            conversation_id="found",
            app_id="bot",
            tool_name="search",
            status=status,
            seconds=1.5,
            message_created_at=NOON,
        )


def _knowledge(warehouse: HandWritten) -> None:
    """Two answers cite the guide, one of them twice; two documents are not ready."""
    warehouse.add("raw.datasets", dataset_id="help", name="help")
    for name, status, age, error in (
        ("guide", "completed", 9, None),
        ("lonely", "completed", 9, None),
        ("slow", "indexing", 3, None),
        ("broken", "error", 0, "no model"),
    ):
        warehouse.add(
            "raw.documents",
            document_id=name,
            name=name,
            dataset_id="help",
            indexing_status=status,
            error=error,
            is_enabled=True,
            is_archived=False,
            created_at=NOON - timedelta(days=age),
            loaded_at=NOON - timedelta(days=age),
        )
    for message, position, score in ((2, 1, 0.9), (2, 2, 0.5), (3, 1, 0.8)):
        warehouse.add(
            "raw.message_citations",
            message_id=f"message {message}",
            citation_number=position,
            app_id="bot",
            dataset_id="help",
            document_id="guide",
            segment_id=f"segment {position}",
            segment_position=position,
            score=score,
            message_created_at=NOON,
        )


def _runs(warehouse: HandWritten) -> None:
    """A run of the first version, two of the second after its publication, one without an end."""
    flow: dict[str, Any] = {"app_id": "flow", "created_by_end_user_id": None}
    before, published = NOON - timedelta(days=7), NOON - timedelta(days=1)
    first = warehouse.run(
        **flow, workflow_version="v1", created_at=before, finished_at=before + timedelta(seconds=2)
    )
    priced: dict[str, Any] = {
        "app_id": "flow",
        "total_price": "0.5",
        "currency": "USD",
        "total_tokens": 9,
    }
    warehouse.node(first, **priced, created_at=before, elapsed_seconds=2.0)
    stuck: dict[str, Any] = {
        "loaded_at": NOON - timedelta(days=9),
        "workflow_run_id": "stuck",
        "status": "running",
        "total_tokens": 0,
    }
    warehouse.run(**flow, **stuck, workflow_version="v1", created_at=NOON - timedelta(days=9))
    free = {"created_at": before - timedelta(days=1), "finished_at": before, "total_tokens": 0}
    gratis = warehouse.run(**flow, **free, workflow_version="v1")
    costless = {"app_id": "flow", "total_price": "0", "currency": "USD", "total_tokens": 9}
    warehouse.node(gratis, **costless, created_at=before - timedelta(days=1), elapsed_seconds=2.0)
    second = warehouse.run(**flow, workflow_version="v2", finished_at=NOON)
    warehouse.node(second, **priced, elapsed_seconds=2.0, status="failed", error="no")
    code: dict[str, Any] = {
        "node_id": "code",
        "node_type": "code",
        "title": "Code",
        "elapsed_seconds": 1.0,
    }
    warehouse.node(second, app_id="flow", **code)
    warehouse.run(
        **flow,
        workflow_version="v2",
        status="failed",
        finished_at=NOON,
        trigger_type="trigger-webhook",
    )
    for number, (version, name) in enumerate((("v1", "first"), ("v2", ""))):
        warehouse.add(
            "raw.workflow_versions",
            workflow_id=version,
            app_id="flow",
            version=version,
            marked_name=name,
            created_by_name="Eva",
            created_at=published if number else None,
        )
    asked = {"app_id": "flow", "state": "waiting", "asked_at": NOON}
    warehouse.add("raw.human_inputs", human_input_id="form", **asked)
    warehouse.add("raw.human_inputs", human_input_id="gone", absent_since=NOON, **asked)


@pytest.mark.parametrize(
    ("query", "told"),
    list(zip(OF_A_BUSY_WORKSPACE, ANSWERS, strict=True)),
    ids=[question for question, _ in ANSWERS],
)
def test_query_gives_the_answer(
    busy: HandWritten, query: Query, told: tuple[str, list[tuple[object, ...]]]
) -> None:
    """Of a reason in words, the last column, only that there is one."""
    question, answer = told
    assert query.heading.startswith(question)
    rows = busy.database.rows(query.sql)
    assert [row[: len(answer[0])] for row in rows] == answer


def test_two_workspaces_of_a_shared_warehouse_are_two(busy: HandWritten, tmp_path: Path) -> None:
    """People are the same in both: nothing is multiplied, and nobody is counted once for both."""
    answers = asked_of_both(busy.database, tmp_path, OF_A_BUSY_WORKSPACE)
    assert len(answers) >= 20
    for answer, right in answers:
        assert answer == right
