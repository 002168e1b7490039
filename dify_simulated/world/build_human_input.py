"""What newer servers have: forms that wait for a person, triggers, archived runs (from 1.13)."""

from __future__ import annotations

from datetime import timedelta

from dify_simulated.versions import ServerVersion
from dify_simulated.world.build_chronicle import Chronicle
from dify_simulated.world.rows import App

_TRIGGER_KINDS = ("webhook", "schedule", "plugin")


def tell_human_input(chronicle: Chronicle) -> None:
    """Add these to the first chatflow and the first published workflow; older servers get none."""
    if not ServerVersion(chronicle.plan.version).has_human_input:
        return
    apps = chronicle.world.apps.values()
    for chatflow in [app for app in apps if app.mode == "advanced-chat"][:1]:
        _ask_in_conversations(chronicle, chatflow)
    for workflow in [app for app in apps if app.mode == "workflow" and app.workflow_id][:1]:
        _ask_in_runs(chronicle, workflow)
        _trigger(chronicle, workflow)
        _archive(chronicle, workflow)


def _ask_in_conversations(chronicle: Chronicle, app: App) -> None:
    """Two that wait, one of either mode; one that expired, and two that were answered."""
    _ask_in_conversation(chronicle, app, hours=3)
    _ask_in_conversation(chronicle, app, hours=4, blocking=True)
    _ask_in_conversation(chronicle, app, hours=50)
    for hours, blocking in ((26, False), (28, True)):
        run_id = _ask_in_conversation(chronicle, app, hours=hours, blocking=blocking)
        _answer(chronicle, run_id, blocking=blocking)


def _ask_in_conversation(
    chronicle: Chronicle, app: App, *, hours: float, blocking: bool = False
) -> str:
    world, at = chronicle.world, chronicle.now - timedelta(hours=hours)
    user = chronicle.end_user_of(app, at)
    talk = world.add_conversation(app.id, at=at, name="pay 900", end_user_id=user.id)
    run_id = world.add_message(talk.id, at=at, query="pay 900", answer=None).workflow_run_id or ""
    world.add_node(run_id, at=at, node_id="start", node_type="start", status="succeeded")
    world.ask_person(run_id, at=at, blocking=blocking)
    return run_id


def _ask_in_runs(chronicle: Chronicle, app: App) -> None:
    """One that waits, and one that was answered."""
    world = chronicle.world
    for hours in (2, 30):
        at = chronicle.now - timedelta(hours=hours)
        user = chronicle.end_user_of(app, at)
        run = world.start_run(app.id, at=at, end_user_id=user.id)
        world.ask_person(run.id, at=at)
        if hours > 2:
            _answer(chronicle, run.id, blocking=False)


def _answer(chronicle: Chronicle, run_id: str, *, blocking: bool) -> None:
    world = chronicle.world
    form = world.human_input_forms[world.forms_of_run[run_id][0]]
    world.submit_form(form.id, at=form.created_at + timedelta(minutes=20))
    stops = ServerVersion(chronicle.plan.version).stops_resumed_runs
    world.resume_run(
        run_id,
        at=form.created_at + timedelta(minutes=21),
        is_stopped=blocking and stops,
        prompt_tokens=500,
        answer_tokens=95,
    )


def _trigger(chronicle: Chronicle, app: App) -> None:
    """A trigger of each kind, and a run that each started."""
    world = chronicle.world
    states = ("enabled", "disabled", "unauthorized")
    for days, (kind, status) in enumerate(zip(_TRIGGER_KINDS, states, strict=True), start=1):
        at = chronicle.now - timedelta(days=days, hours=1)
        world.add_trigger(app.id, at=chronicle.began, kind=kind, status=status)
        run = world.start_run(app.id, at=at, triggered_from=kind)
        world.finish_run(run.id, at=at + timedelta(seconds=2))


def _archive(chronicle: Chronicle, app: App) -> None:
    """Two archived runs that a list shows, and one that lost its log line."""
    world = chronicle.world
    for number in range(3):
        at = chronicle.now - timedelta(days=20 + number)
        run = world.start_run(app.id, at=at)
        world.finish_run(run.id, at=at + timedelta(seconds=4), total_tokens=77)
        if number == 2:
            world.unlog_run(run.id)
        world.archive_run(run.id, at=chronicle.now - timedelta(days=1))
