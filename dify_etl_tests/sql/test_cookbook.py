"""docs/cookbook.md: its first queries on a few rows of two chats, and what all of them are."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from dify_etl_tests.data_dictionary import INTRODUCTION
from dify_etl_tests.sql.cookbook import COOKBOOK, OF_TWO_CHATS, QUERIES, Query, asked_of_both
from dify_etl_tests.sql.hand_written import DAY, MODELS, NOON, HandWritten
from dify_etl_tests.sql.test_costs import model_call
from dify_etl_tests.warehouse.good_models import build_models

# In Berlin the last one is half past midnight of April 1.
SUNDAY = datetime(2026, 3, 1, 8, tzinfo=UTC)
MONDAY = datetime(2026, 3, 2, 8, tzinfo=UTC)
APRIL = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)
ANSWERS: dict[str, list[tuple[object, ...]]] = {
    "What did each person cost?": [
        ("ann", "end_user", "USD", Decimal(3), 2),
        ("bob", "end_user", "RMB", Decimal(1), 1),
        (None, "nobody", "USD", Decimal("0.5"), 1),
    ],
    "What did each model cost?": [
        ("langgenius/openai/openai", "gpt", "USD", Decimal(5), Decimal(90)),
        ("langgenius/openai/openai", "yi", "USD", Decimal(2), Decimal(30)),
        ("langgenius/openai/openai", "yi", "RMB", Decimal(1), Decimal(30)),
    ],
    "How many people came each week": [
        (date(2026, 2, 23), 2),
        (date(2026, 3, 2), 1),
        (date(2026, 3, 30), 1),
    ],
    "who comes back": [
        (date(2026, 2, 23), 0, 2),
        (date(2026, 2, 23), 1, 1),
        (date(2026, 2, 23), 5, 1),
    ],
    "At which hour": [(0, 1), (9, 4)],
    "Who asks most": [("ann", "end_user", 3, 2, 3), ("bob", "end_user", 1, 1, 1)],
    "How does usage grow": [("2026-03", 4, None), ("2026-04", 1, -3)],
}


@pytest.fixture(scope="module")
def asked(module_warehouse: HandWritten) -> HandWritten:
    """Two apps in which ann is one person and two end users, bob is one, and one is nobody."""
    warehouse = module_warehouse
    warehouse.app("chat", "first", model="gpt")
    warehouse.app("chat", "second", model="yi")
    callers = {"ann 1": "ann", "ann 2": "ann", "bob": "bob", "nobody": "DEFAULT-USER"}
    talks = [
        ("first", "ann 1", SUNDAY, 1, "USD"),
        ("first", "nobody", SUNDAY, Decimal("0.5"), "USD"),
        ("second", "bob", SUNDAY, 1, "RMB"),
        ("second", "ann 2", MONDAY, 2, "USD"),
        ("first", "ann 1", APRIL, Decimal("3.5"), "USD"),
    ]
    for number, (app, caller, at, price, currency) in enumerate(talks):
        talk = {"app_id": app, "from_end_user_id": caller}
        warehouse.add(
            "raw.conversations",
            conversation_id=f"talk {number}",
            from_end_user_session_id=callers[caller],
            from_source="api",
            created_at=at,
            **talk,
        )
        warehouse.message(
            f"talk {number}",
            created_at=at,
            total_price=price,
            total_tokens=30,
            currency=currency,
            **talk,
        )
    for app in ("first", "second"):
        for day in (date(2026, 3, 1), date(2026, 3, 2), date(2026, 4, 1)):
            warehouse.read_day(day, app_id=app)
    build_models(warehouse.database, MODELS)
    return warehouse


@pytest.mark.parametrize(
    ("query", "answer"),
    list(zip(OF_TWO_CHATS, ANSWERS.values(), strict=True)),
    ids=list(ANSWERS),
)
def test_query_gives_the_answer(
    asked: HandWritten, query: Query, answer: list[tuple[object, ...]]
) -> None:
    """Every query up to the growth by month, in the document's order."""
    assert asked.database.rows(query.sql) == answer


@pytest.fixture
def flows(warehouse: HandWritten) -> HandWritten:
    """A workflow whose versions cost, used by two people of one name; two documents are not done,
    one of them since somebody paused it, as real lists tell it.
    """
    warehouse.app("workflow")
    for days in range(2):
        warehouse.read_day(DAY + timedelta(days=days))
    asked = {
        "first": ("v1", NOON, model_call()),
        "second": ("v1", NOON, model_call("yi", currency="RMB")),
        "third": ("v1", NOON + timedelta(days=1), model_call()),
        "fourth": ("v2", NOON, model_call()),
    }
    for run_id, (version, at, call) in asked.items():
        who = {"created_by_end_user_id": None, "created_by_account_id": f"account of {run_id}"}
        named = {"created_by_account_name": "Li Wei"}
        warehouse.run(
            workflow_run_id=run_id, workflow_version=version, created_at=at, **who, **named
        )
        warehouse.node(run_id, created_at=at, **who, **call)
    warehouse.run(workflow_version="v2", workflow_run_id="without a model")
    warehouse.add("raw.datasets", dataset_id="d", name="D")
    for name, status in (("paused", "paused"), ("stuck", "indexing")):
        warehouse.add(
            "raw.documents",
            **{"document_id": name, "dataset_id": "d", "name": name, "created_at": NOON},
            indexing_status="indexing",
            display_status=status,
        )
    build_models(warehouse.database, MODELS)
    return warehouse


def test_what_few_workspaces_have_is_asked_right(flows: HandWritten) -> None:
    """Namesakes are two people, runs bring people as well, a version of several currencies has no
    price, a run that tells none is not one that was free, and what is paused is not stuck.
    """

    def answer(heading: str) -> list[tuple[object, ...]]:
        (first, *_) = [query for query in QUERIES if query.heading.startswith(heading)]
        return flows.database.rows(first.sql)

    price = Decimal("0.0035")
    assert [row[:4] for row in answer("What did each person cost?") if row[2] == "USD"] == [
        ("Li Wei", "account", "USD", price)
    ] * 3
    assert answer("How many people came each week") == [(DAY, 5)]
    assert answer("What does a run of each workflow version cost?") == [
        ("app", "v2", "USD", float(price)),
    ]
    assert [row[1] for row in answer("Which documents are stuck")] == ["stuck"]


def test_no_query_is_a_program() -> None:
    """One select each, without a part of its own that is longer than ten lines."""
    assert len(QUERIES) >= 30
    for query in QUERIES:
        assert query.sql.count("select") <= 3
        assert not query.sql.lower().startswith("with")


def test_two_workspaces_of_a_shared_warehouse_are_two(asked: HandWritten, tmp_path: Path) -> None:
    """People are the same in both: nothing is multiplied, and nobody is counted once for both."""
    answers = asked_of_both(asked.database, tmp_path, OF_TWO_CHATS)
    assert len(answers) >= 4
    for answer, right in answers:
        assert answer == right
    page = (COOKBOOK.parent / "shared-warehouse.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```duckdb\n(SELECT [^`]*marts.people[^`]*)```", page)
    with duckdb.connect(str(tmp_path / "all.duckdb"), read_only=True) as shared:
        rows = shared.execute(example.replace("lake.", "").replace(";", " ORDER BY ALL"))
        per_workspace = [("ann", "USD", Decimal("6.5")), ("bob", "RMB", Decimal(1))]
        assert rows.fetchall() == [(name, *row) for name in ("one", "two") for row in per_workspace]


def test_picture_of_joins_multiplies_no_rows_where_it_shows_one(asked: HandWritten) -> None:
    """`||` stands at tables in which the key is one row's; ann, who is two end users, is one."""
    lines = re.findall(r"^ +(\w+) \|\|--o\{ (\w+) : (\w+)$", INTRODUCTION, re.MULTILINE)
    assert len(lines) > 10
    for table, _, key in lines:
        name = f"{'staging' if table.startswith('stg_') else 'marts'}.{table}"
        twice = asked.database.rows(f"SELECT {key} FROM {name} GROUP BY 1 HAVING count(*) > 1")
        assert (name, twice) == (name, [])
