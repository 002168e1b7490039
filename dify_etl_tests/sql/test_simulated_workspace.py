"""Dify's figures beside ours over whole simulated workspaces: what is comparable must agree."""

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from dify_etl.assembly.ops_copies import fill_ops_tables
from dify_etl.home import LIVE
from dify_etl.time_zones import zone_of
from dify_etl.warehouse.database import open_database
from dify_etl_tests.sql.hand_written import MODELS
from dify_etl_tests.sql.reconciled_world import FEEDS, RECONCILED, reconcile_home
from dify_etl_tests.sync.small_worlds import brief_world
from dify_etl_tests.sync.workplace import NOW, Workplace
from dify_etl_tests.warehouse.good_models import build_models
from dify_simulated import World, WorldPlan, build_world
from dify_simulated.versions import ServerVersion
from dify_simulated.world.rows import Message

UTC = zone_of("UTC")
Read = Callable[[str, str], Workplace]


def busy_world(zone: str) -> World:
    """Ten apps of all modes and a week of traffic."""
    return build_world(
        WorldPlan(seed=3, apps=10, days=7, conversations_per_day=12, timezone=zone, now=NOW)
    )


def hidden_runs(world: World) -> list[str]:
    """Published runs of workflow apps that no log line shows."""
    return [
        run.id
        for run in world.workflow_runs.values()
        if world.apps[run.app_id].mode == "workflow"
        and run.triggered_from == "app-run"
        and run.id not in world.log_of_run
    ]


def triggered_runs(world: World, version: str) -> list[str]:
    """Runs of webhooks and schedules, on a server that has neither."""
    if ServerVersion(version).since(1, 10):
        return []
    return [
        run.id
        for run in world.workflow_runs.values()
        if run.triggered_from not in ("app-run", "debugging")
    ]


def read_and_model(world: World, home: Path, version: str, zone: str) -> Workplace:
    """One run over all feeds and the days of the world, and all models."""
    place = Workplace(world, home, version)
    place.with_rules(zone=zone_of(zone), start_date=NOW.date() - timedelta(days=8)).read()
    with open_database(home / LIVE) as database:
        fill_ops_tables(database, home)
        build_models(database, MODELS)
    return place


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """Reads a workspace whose runs are all logged, once per version and zone."""
    places: dict[tuple[str, str], Workplace] = {}

    def read_once(version: str, zone: str) -> Workplace:
        if (version, zone) not in places:
            world = busy_world(zone)
            for run_id in [*hidden_runs(world), *triggered_runs(world, version)]:
                world.take_run(run_id)
            home = tmp_path_factory.mktemp("home")
            places[version, zone] = read_and_model(world, home, version, zone)
        return places[version, zone]

    return read_once


every_workspace = pytest.mark.parametrize(
    ("version", "zone"), [("1.12.1", "America/New_York"), ("1.7.2", "Asia/Shanghai")]
)


@every_workspace
def test_comparable_figures_agree(read: Read, version: str, zone: str) -> None:
    """No figure differs: what is not equal is explained, or of a day that is not over."""
    place = read(version, zone)
    differing = place.rows(
        f"SELECT app_mode, statistic_date, metric, dify_figure, our_figure, verdict, reason "
        f"FROM {RECONCILED} WHERE verdict NOT IN ('equal', 'explained') "
        f"AND NOT (verdict = 'late' AND statistic_date >= DATE '{NOW.date()}' - 2)"
    )
    assert differing == []


@pytest.mark.parametrize(
    ("version", "exact"),
    [
        (
            "1.12.1",
            {
                ("advanced-chat", "average_session_interactions"),
                ("advanced-chat", "daily_conversations"),
                ("advanced-chat", "daily_messages"),
                ("advanced-chat", "token_count"),
                ("advanced-chat", "tokens_per_second"),
                ("advanced-chat", "total_price"),
                ("advanced-chat", "user_satisfaction_rate"),
                ("advanced-chat", "workflow_daily_runs"),
                ("workflow", "workflow_average_app_interactions"),
                ("workflow", "workflow_daily_runs"),
                ("workflow", "workflow_daily_terminals"),
                ("workflow", "workflow_token_count"),
                ("chat", "daily_end_users"),
                ("completion", "daily_end_users"),
            },
        ),
        (
            "1.7.2",
            {
                ("advanced-chat", "daily_conversations"),
                ("chat", "daily_messages"),
                ("chat", "token_count"),
                ("chat", "user_satisfaction_rate"),
                ("agent-chat", "average_session_interactions"),
                ("agent-chat", "tokens_per_second"),
                ("completion", "daily_messages"),
            },
        ),
    ],
)
def test_agreement_is_not_empty(read: Read, version: str, exact: set[tuple[str, str]]) -> None:
    """These metrics were compared exactly, on several days, and were equal."""
    zone = {"1.12.1": "America/New_York", "1.7.2": "Asia/Shanghai"}[version]
    equal = read(version, zone).rows(
        f"SELECT app_mode, metric FROM {RECONCILED} WHERE verdict = 'equal' "
        "GROUP BY ALL HAVING count(DISTINCT statistic_date) >= 3"
    )
    assert exact <= set(equal)


@every_workspace
def test_figures_of_one_day_are_one_row(read: Read, version: str, zone: str) -> None:
    """The grains hold: no join doubles a row of any mart."""
    place = read(version, zone)
    grains = {
        "app_daily_usage": "app_id, usage_date",
        "app_daily_cost": "app_id, usage_date, currency",
        "costs": "app_id, usage_date, provider, model, model_source, person_id, person_kind, "
        "currency, price_source, is_in_dify_figure, difference_reason, is_estimate",
        "workflow_reliability": "app_id, run_date",
        "people": "person_id",
        "person_daily_activity": "person_id, activity_date",
        "errors": "app_id, error_kind, node_type, error_group",
        "latency": "app_id, provider, model, message_date",
        "node_performance": "app_id, workflow_version, node_id, execution_date",
        "agent_tools": "app_id, tool_name, call_date",
        "document_health": "dataset_id",
        "freshness": "feed, app_id",
        "workspace_daily_usage": "usage_date",
        "retention": "scope, app_id, cohort_week_date, activity_week_date",
        "conversation_quality": "conversation_id",
        "feedback_log": "message_id, from_source, position",
        "workflow_performance": "app_id, workflow_version, run_date",
        "retrieval_quality": "dataset_id, document_id, segment_id",
        "unanswered_questions": "app_id, question_group",
        "api_key_posture": "api_key_id",
        "app_history": "app_id, change_kind, change_id",
        "conversation_days": "app_id, message_date, conversation_id, end_user_id, is_absent, "
        "counted_as",
        "recomputed_statistics": "app_id, statistic_date, metric",
        "statistics_reconciliation": "app_id, statistic_date, metric",
    }
    assert set(grains) == {model.name for model in MODELS if model.schema == "marts"}
    for mart, key in grains.items():
        total = place.value(f"SELECT count(*) FROM marts.{mart}")
        assert (
            place.value(f"SELECT count(*) FROM (SELECT DISTINCT {key} FROM marts.{mart})") == total
        )
        assert total > 0


@every_workspace
def test_costs_add_up_to_dify_s_figure(read: Read, version: str, zone: str) -> None:
    """To the last digit, on every settled day of every app that has one."""
    days = read(version, zone).rows(
        """SELECT f.app_id, f.statistic_date, f.total_price,
            sum(c.total_price) FILTER (is_in_dify_figure) AS ours
        FROM staging.stg_largest_figures f LEFT JOIN marts.costs c
            ON f.app_id = c.app_id AND f.statistic_date = c.usage_date
        WHERE f.is_settled GROUP BY ALL"""
    )
    assert len(days) > 20
    assert [day for day in days if day[2] != (day[3] or 0)] == []


@every_workspace
def test_usage_holds_every_message_and_run(read: Read, version: str, zone: str) -> None:
    """Nothing falls through the joins: the sums of the mart are the rows of the days read."""
    place = read(version, zone)
    used = place.rows("SELECT sum(messages), sum(workflow_runs) FROM marts.app_daily_usage")
    days = "SELECT app_id, slice_date FROM ops.slices WHERE feed ="
    held = place.rows(
        f"""SELECT
            (SELECT count(*) FROM staging.stg_messages
             WHERE (app_id, created_date) IN ({days} 'messages')),
            (SELECT count(*) FROM staging.stg_workflow_runs
             WHERE triggered_from IS DISTINCT FROM 'debugging'
               AND (app_id, created_date) IN ({days} 'workflow_runs'))"""
    )
    assert used == held


@every_workspace
def test_outcomes_add_up(read: Read, version: str, zone: str) -> None:
    """Each run has one outcome, and no rate lies outside of 0 to 1."""
    wrong = read(version, zone).rows(
        """SELECT * FROM marts.workflow_reliability
        WHERE runs <> succeeded_runs + partly_succeeded_runs + failed_runs + stopped_runs
                + unfinished_runs
           OR success_rate NOT BETWEEN 0 AND 1
           OR zombie_runs > unfinished_runs
           OR p50_elapsed_seconds > p95_elapsed_seconds"""
    )
    assert wrong == []


def test_run_that_no_log_shows_is_counted(tmp_path: Path) -> None:
    """A workflow used as a tool runs without a log row: the run list shows it, figures agree."""
    world = brief_world()
    app_id = next(app.id for app in world.apps.values() if app.mode == "workflow")
    begun_at = NOW - timedelta(days=3)
    run = world.start_run(app_id, at=begun_at)
    world.finish_run(run.id, at=begun_at + timedelta(seconds=3), status="succeeded")
    world.unlog_run(run.id)
    place = Workplace(world, tmp_path / "home")
    place.with_rules(start_date=NOW.date() - timedelta(days=8)).read(FEEDS)
    reconcile_home(place.home)
    assert place.rows(
        f"SELECT triggered_from FROM raw.workflow_runs WHERE workflow_run_id = '{run.id}'"
    ) == [("app-run",)]
    assert place.rows(f"SELECT * FROM {RECONCILED} WHERE verdict = 'differs'") == []


@every_workspace
def test_marts_count_what_the_world_has(read: Read, version: str, zone: str) -> None:
    """Documents by state, calls of tools and failed questions, as the world itself has them."""
    place = read(version, zone)
    world = place.world
    documents = Counter(row.dataset_id for row in world.documents.values())
    failed, working, paused = (
        Counter(row.dataset_id for row in world.documents.values() if is_so(row))
        for is_so in (
            lambda row: row.indexing_status == "error",
            lambda row: row.indexing_status not in ("error", "completed") and not row.is_paused,
            lambda row: row.is_paused,
        )
    )
    assert paused
    told = """SELECT dataset_id, documents, failed_documents, working_documents, paused_documents
        FROM marts.document_health ORDER BY ALL"""
    assert place.rows(told) == sorted(
        (one, documents[one], failed[one], working[one], paused[one]) for one in world.datasets
    )
    calls = Counter(
        tool
        for message in world.messages.values()
        for thought in message.agent_thoughts
        for tool in thought.tool.split(";")
        if tool and thought.message_id in held_messages(place)
    )
    told = "SELECT tool_name, sum(calls)::BIGINT FROM marts.agent_tools GROUP BY ALL ORDER BY ALL"
    assert place.rows(told) == sorted(calls.items())
    errors = Counter(
        world.conversations[row.conversation_id].app_id
        for row in world.messages.values()
        if row.error and row.id in held_messages(place)
    )
    told = """SELECT app_id, sum(errors)::BIGINT FROM marts.errors WHERE error_kind = 'message'
        GROUP BY ALL ORDER BY ALL"""
    assert place.rows(told) == sorted(errors.items())


def held_messages(place: Workplace) -> set[str]:
    """The messages that were read: unopened logs of completion apps name none."""
    return {row[0] for row in place.rows("SELECT message_id FROM raw.messages")}


def passages_of(message: Message) -> list[dict[str, Any]]:
    """What the answer cites."""
    metadata: dict[str, Any] = message.message_metadata
    return metadata.get("retriever_resources") or []


def counted(place: Workplace, query: str) -> Counter[tuple[object, ...]]:
    """The rows of a query as a counter: all columns but the last name what the last counts."""
    return Counter({row[:-1]: int(row[-1]) for row in place.rows(query) if row[-1]})


@every_workspace
def test_talks_and_ratings_are_the_world_s(read: Read, version: str, zone: str) -> None:
    """Turns, silence and errors of each conversation, and each rating with its question."""
    place = read(version, zone)
    world, held = place.world, held_messages(place)
    messages = [row for row in world.messages.values() if row.id in held]
    opened = """SELECT conversation_id, %s FROM marts.conversation_quality WHERE conversation_id IN
        (SELECT conversation_id FROM raw.messages WHERE message_id IS NOT NULL)"""
    assert counted(place, opened % "turns") == Counter((row.conversation_id,) for row in messages)
    silent = [row for row in messages if not row.answer.strip() and row.status != "paused"]
    assert counted(place, opened % "unanswered_messages") == Counter(
        (row.conversation_id,) for row in silent
    )
    failed = [row for row in messages if row.error]
    assert counted(place, opened % "error_messages") == Counter(
        (row.conversation_id,) for row in failed
    )
    assert silent
    assert failed
    told = "SELECT message_id, from_source, rating, question FROM marts.feedback_log"
    is_exported = ServerVersion(version).since(1, 10, 1)  # ratings of unopened logs, too
    assert sorted(place.rows(told)) == sorted(
        (row.message_id, row.from_source, row.rating, world.messages[row.message_id].query)
        for row in world.feedbacks.values()
        if row.message_id in held or is_exported
    )


@every_workspace
def test_people_come_back_as_in_the_world(read: Read, version: str, zone: str) -> None:
    """Who was there in which week, by the names of end users, which are the same across apps."""
    place = read(version, zone)
    world, local, held = place.world, zone_of(zone), held_messages(place)
    held |= {row[0] for row in place.rows("SELECT workflow_run_id FROM raw.workflow_runs")}
    unopened = "SELECT conversation_id FROM raw.messages WHERE message_id IS NULL"
    held |= {
        message_id
        for (conversation_id,) in place.rows(unopened)
        for message_id in world.messages_of_conversation[conversation_id]
    }
    acts = [
        (row.from_end_user_id, row.from_account_id, row.created_at)
        for row in world.messages.values()
        if row.id in held
    ] + [
        (row.created_by, None, row.created_at)
        if row.created_by_role == "end_user"
        else (None, row.created_by, row.created_at)
        for row in world.workflow_runs.values()
        if row.id in held
        and world.apps[row.app_id].mode == "workflow"
        and row.triggered_from != "debugging"
    ]
    weeks: dict[str, set[date]] = {}
    for end_user_id, account_id, at in acts:
        user = world.end_users.get(end_user_id or "")  # who is gone has an id, and no name
        name = user.session_id if user else end_user_id or account_id
        if name and name != "DEFAULT-USER":
            day = at.astimezone(local).date()
            weeks.setdefault(name, set()).add(day - timedelta(days=day.weekday()))
    told = """SELECT cohort_week_date, activity_week_date, returned_people FROM marts.retention
        WHERE scope = 'workspace'"""
    assert counted(place, told) == Counter(
        (min(seen), week) for seen in weeks.values() for week in seen
    )


@every_workspace
def test_versions_and_citations_are_the_world_s(read: Read, version: str, zone: str) -> None:
    """Runs by version, publications, cited and never cited documents, keys."""
    place = read(version, zone)
    world, held = place.world, held_messages(place)
    read_runs = {row[0] for row in place.rows("SELECT workflow_run_id FROM raw.workflow_runs")}
    runs = [
        row
        for row in world.workflow_runs.values()
        if row.id in read_runs and row.triggered_from != "debugging"
    ]
    told = """SELECT app_id, workflow_version, sum(runs) FROM marts.workflow_performance
        GROUP BY ALL"""
    assert counted(place, told) == Counter((row.app_id, row.version) for row in runs)
    cited = Counter(
        (passage["document_id"],)
        for row in world.messages.values()
        if row.id in held
        for passage in passages_of(row)
    )
    assert cited
    told = "SELECT document_id, sum(citations) FROM marts.retrieval_quality GROUP BY ALL"
    assert counted(place, told) == cited
    lonely = "SELECT document_id FROM marts.retrieval_quality WHERE NOT is_cited"
    assert {row[0] for row in place.rows(lonely)} == {
        row.id for row in world.documents.values() if (row.id,) not in cited
    }
    told = "SELECT app_id, count(*) FROM marts.app_history WHERE change_kind = 'publication'"
    published = [row for row in world.workflows.values() if row.version != "draft"]
    assert counted(place, f"{told} GROUP BY ALL") == Counter((row.app_id,) for row in published)
    told = "SELECT app_id, count(*) FROM marts.api_key_posture GROUP BY ALL"
    assert counted(place, told) == Counter((row.app_id,) for row in world.api_keys.values())
