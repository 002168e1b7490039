"""A small workspace with every kind of row that Dify's figures count otherwise than its lists."""

from datetime import timedelta
from pathlib import Path

from dify_etl.home import LIVE
from dify_etl.warehouse.database import Database, open_database
from dify_etl_tests.sql.hand_written import models_behind
from dify_etl_tests.sync.small_worlds import app_of, brief_world
from dify_etl_tests.sync.workplace import NOW, Workplace
from dify_etl_tests.warehouse.good_models import build_models
from dify_simulated import World
from dify_simulated.versions import ServerVersion

RECONCILED = "marts.statistics_reconciliation"
FEEDS = (
    *("apps", "members", "daily_statistics", "conversations", "messages", "workflow_runs"),
    "node_executions",
)
BUILT_FOR_IT = models_behind(RECONCILED)


def uneven_world(version: str) -> World:
    """Debugging in every mode, old talks without `invoke_from`, logs that nobody opened."""
    world = brief_world(version)
    if not ServerVersion(version).since(1, 10):
        _take_triggered_runs(world)
    for mode in ("chat", "agent-chat", "advanced-chat"):
        _debug_and_explore(world, mode)
    for mode in ("chat", "agent-chat", "completion"):
        _forget_callers(world, mode)
    return world


def _take_triggered_runs(world: World) -> None:
    """Servers before 1.10 have no webhooks and schedules."""
    for run in list(world.workflow_runs.values()):
        if run.triggered_from not in ("app-run", "debugging"):
            world.take_run(run.id)


def _debug_and_explore(world: World, mode: str) -> None:
    """Talks of one, two and three messages of an account, of tokens of their own."""
    day = (NOW - timedelta(days=2)).replace(hour=9)
    for minutes, caller in enumerate(("debugger", "explore", "debugger")):
        at = day + timedelta(minutes=minutes)
        talk = world.add_conversation(
            app_of(world, mode).id, at=at, account_id=world.account_id, invoke_from=caller
        )
        for seconds in range(minutes + 1):
            message = world.add_message(talk.id, at=at + timedelta(seconds=seconds))
            message.message_tokens += 17 * minutes + 3 * seconds
            if message.workflow_run_id is not None:
                tokens = message.message_tokens + message.answer_tokens
                world.workflow_runs[message.workflow_run_id].total_tokens = tokens


def _forget_callers(world: World, mode: str) -> None:
    """Every sixth talk of end users is so old that Dify does not know who called."""
    app_id = app_of(world, mode).id
    talks = [row for row in world.conversations.values() if row.app_id == app_id]
    for row in [row for row in talks if row.from_source == "api"][::6]:
        row.invoke_from = None
        for message_id in world.messages_of_conversation[row.id]:
            world.messages[message_id].invoke_from = None


def read_world(version: str, home: Path) -> Workplace:
    """The workspace read by one night, when all its days were over."""
    place = Workplace(uneven_world(version), home, version)
    place.pass_time(days=3)
    place.with_rules(start_date=NOW.date() - timedelta(days=6), lookback_days=12)
    place.read(FEEDS)
    return place


def reconcile(database: Database) -> None:
    """Build the reconciliation, and what it reads."""
    build_models(database, BUILT_FOR_IT)


def reconcile_home(home: Path) -> None:
    """The same in the live file of a home."""
    with open_database(home / LIVE) as database:
        reconcile(database)
