"""The workflow runs of a plan, with the nodes of each."""

from __future__ import annotations

from datetime import datetime, timedelta

from dify_simulated.world.build_chronicle import Chronicle
from dify_simulated.world.build_nodes import add_nodes
from dify_simulated.world.rows import App, WorkflowRun
from dify_simulated.world.texts import ERRORS, QUESTIONS

_OUTCOMES = ("succeeded", "failed", "partial-succeeded", "stopped")
_OUTCOME_SHARES = (72, 84, 94, 100)  # cumulated, in percent
_TRIGGERS = ("schedule", "webhook")


def tell_runs(chronicle: Chronicle) -> None:
    """Fill the workflow apps, and give the chatflow runs their nodes."""
    world = chronicle.world
    for run in list(world.workflow_runs.values()):
        add_nodes(chronicle, run)
    published = [app for app in world.apps.values() if app.mode == "workflow" and app.workflow_id]
    if published:
        weights = chronicle.uneven(published)
        for at in chronicle.moments(chronicle.plan.conversations_per_day):
            _run(chronicle, chronicle.one_of(published, weights), at)
        _oddities(chronicle, published[0])
    for app in [app for app in world.apps.values() if app.mode == "workflow"]:
        _debug(chronicle, app)


def _run(chronicle: Chronicle, app: App, at: datetime) -> WorkflowRun:
    """Mostly through the API or the web app, some by a person, some by a trigger."""
    drawn = chronicle.chance.random()
    text = chronicle.pick(QUESTIONS)
    by_user = drawn < 0.75
    run = chronicle.world.start_run(
        app.id,
        at=at,
        triggered_from=chronicle.pick(_TRIGGERS) if drawn > 0.9 else "app-run",
        end_user_id=chronicle.end_user_of(app, at).id if by_user else None,
        account_id=None if by_user else chronicle.world.account_id,
        inputs={"text": text, "sys.files": [], "sys.app_id": app.id},
    )
    return _end(chronicle, run)


def _end(chronicle: Chronicle, run: WorkflowRun) -> WorkflowRun:
    status = chronicle.chance.choices(_OUTCOMES, cum_weights=_OUTCOME_SHARES)[0]
    error = chronicle.pick(ERRORS) if status == "failed" else None
    if status == "stopped":
        error = "Stopped by user."
    seconds = 0.3 + chronicle.chance.expovariate(1 / 12)
    tokens = int(chronicle.chance.random() * 4000)
    chronicle.world.finish_run(
        run.id,
        at=run.created_at + timedelta(seconds=seconds),
        status=status,
        outputs={"text": "输出 ✅"},
        error=error,
        total_tokens=tokens,
    )
    add_nodes(chronicle, run)
    return run


def _debug(chronicle: Chronicle, app: App) -> None:
    for number in range(6):
        run = chronicle.world.start_run(
            app.id,
            at=chronicle.now - timedelta(days=2, minutes=7 * number, microseconds=1),
            triggered_from="debugging",
            account_id=chronicle.world.account_id,
        )
        _end(chronicle, run)


def _oddities(chronicle: Chronicle, app: App) -> None:
    """Runs that are going on, stuck, paused or gone; ties; a trigger that left no log line."""
    world, now = chronicle.world, chronicle.now
    user = chronicle.end_user_of(app, now).id
    going = world.start_run(app.id, at=now - timedelta(seconds=42), end_user_id=user)
    world.start_run(app.id, at=now - timedelta(days=9), end_user_id=user)  # never ends
    paused = world.start_run(app.id, at=now - timedelta(days=2), end_user_id=user)
    world.pause_run(paused.id)
    scheduled = world.start_run(app.id, at=now - timedelta(minutes=2), triggered_from="schedule")
    world.set_run_status(scheduled.id, "scheduled")
    for run in (going, paused):
        add_nodes(chronicle, run, going_on=True)
    rich = world.start_run(app.id, at=now - timedelta(days=1, hours=6), end_user_id=user)
    world.finish_run(rich.id, at=rich.created_at + timedelta(seconds=8), total_tokens=4000)
    add_nodes(chronicle, rich, all_kinds=True)
    gone = _run(chronicle, app, now - timedelta(days=5))
    world.delete_run(gone.id)
    for _ in range(8):
        _run(chronicle, app, now - timedelta(days=3, hours=5))
    unlogged = _run(chronicle, app, now - timedelta(days=2, hours=9))
    world.unlog_run(unlogged.id)
