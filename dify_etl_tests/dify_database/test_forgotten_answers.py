"""Forms that a forgotten person answered in runs of others: only the database tells who did."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from dify_etl.assembly import rewriting
from dify_etl.assembly.forgetting import forget, plan_forgetting
from dify_etl.assembly.home_files import people_salt
from dify_etl.home import LIVE
from dify_etl.raw.privacy import Privacy
from dify_etl.sync.run import SyncPlan
from dify_etl.warehouse.database import open_database
from dify_etl.warehouse.publish import CopyPlace
from dify_etl_tests.dify_database.conftest import Open as OpenTables
from dify_etl_tests.sync.small_worlds import app_of, quiet_world
from dify_etl_tests.sync.workplace import Workplace

VERSION, REMARK, CALLER = "1.16.1", "canary-of-the-approver", "caller-77"
FEEDS = ("members", "apps", "conversations", "messages", "workflow_runs", "node_executions")
# Where an answer stands; what the run made of it is its caller's.
ANSWERS = (
    "SELECT submitted_data::VARCHAR || rendered_content FROM raw.human_inputs",
    "SELECT outputs::VARCHAR FROM raw.node_executions WHERE node_type = 'human-input'",
    "SELECT extra_contents::VARCHAR FROM raw.messages",
)


def answered_form(place: Workplace) -> None:
    """A caller's run asks a person, and the account that reads answers."""
    world = place.world
    app, at = app_of(world, "advanced-chat"), world.now() - timedelta(hours=3)
    caller = world.add_end_user(app.id, session_id=CALLER, at=at)
    talk = world.add_conversation(app.id, at=at, end_user_id=caller.id)
    run_id = world.add_message(talk.id, at=at, query="pay 900?", answer=None).workflow_run_id or ""
    world.ask_person(run_id, at=at, blocking=False, expires_in=timedelta(days=80))
    world.submit_form(world.forms_of_run[run_id][0], at=world.now(), remark=REMARK)
    world.resume_run(run_id, at=world.now())


def told_in(place: Workplace) -> list[bool]:
    """Whether the answer stands in the form, in its node, in its message."""
    return [any(REMARK in text for (text,) in rows) for rows in place.answers(ANSWERS)]


def forgotten(place: Workplace, name: str) -> Privacy:
    """Forget whom the name means; answers the rules by which the home is read from then on."""
    privacy = Privacy(salt=people_salt(place.home))
    copy = CopyPlace(place.home)
    plan = plan_forgetting(place.home, privacy, name, place=copy, dagster=())
    assert plan.rows["human_inputs"] == 1
    forget(
        *(place.home, privacy, name),
        agreed_id=plan.plan_id,
        place=copy,
        dagster=(),
        tell=lambda line: None,
    )
    return privacy


def test_answers_of_a_forgotten_person_stay_out(
    workplace: Callable[..., Workplace],
    dify_tables: OpenTables,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They are gone from form, node and message, whether they were answered before or are read
    first afterwards; the question of the caller stays.
    """
    monkeypatch.setattr(rewriting, "sql_files", lambda own: [])
    place = workplace(quiet_world("advanced-chat"), VERSION)
    answered_form(place)
    place = dify_tables(place).through()
    place.read(FEEDS)
    assert told_in(place) == [True, True, True]
    place.with_rules(privacy=forgotten(place, place.world.account.email))
    assert told_in(place) == [False, False, False]
    place.read(FEEDS, SyncPlan(is_full=True))
    assert told_in(place) == [False, False, False]
    with open_database(place.home / LIVE) as database:  # as if the home had not read it yet
        for table in ("human_inputs", "node_executions", "messages"):
            database.execute(f"DELETE FROM raw.{table}")
            database.execute(f"DELETE FROM ops.forgotten_rows WHERE table_name = '{table}'")
    place.read(FEEDS, SyncPlan(is_full=True))
    assert place.value("SELECT count(*) FROM raw.human_inputs") == 1
    assert told_in(place) == [False, False, False]
    assert place.rows("SELECT query FROM raw.messages") == [("pay 900?",)]
