"""What can happen to workflow runs and their nodes while Dify is read."""

from datetime import timedelta

from dify_etl_tests.histories.history import Change, Verb, picked
from dify_etl_tests.histories.talk_changes import ask, ask_half, delete, finish
from dify_simulated import World
from dify_simulated.world.rows import WorkflowRun

ORIGINS = ("app-run", "app-run", "debugging", "schedule", "webhook")
ENDS = ("succeeded", "failed", "stopped", "partial-succeeded")
STILL_READ = timedelta(days=6)  # a run that goes on after a week is taken for dead


def start(world: World, change: Change) -> None:
    """A run starts and comes to some nodes; it goes on until another change ends it."""
    app = picked(world.apps.values(), change.pick)
    if app is not None:
        of_chatflow = app.mode == "advanced-chat"
        origin = ORIGINS[change.pick % (3 if of_chatflow else len(ORIGINS))]
        row = world.start_run(app.id, at=world.now(), triggered_from=origin)
        _walk(world, row, change.count)


def run(world: World, change: Change) -> None:
    """A whole run at once."""
    start(world, change)
    row = picked(reversed(world.workflow_runs.values()), 0)
    if row is not None and row.finished_at is None:
        world.finish_run(row.id, at=world.now(), status=ENDS[change.count % len(ENDS)])


def step(world: World, change: Change) -> None:
    """An open run comes to its next node."""
    row = _open(world, change)
    if row is not None:
        _walk(world, row, 1)


def end(world: World, change: Change) -> None:
    """An open run ends."""
    row = _open(world, change)
    if row is not None:
        world.finish_run(row.id, at=world.now(), status=ENDS[change.count % len(ENDS)])


def pause(world: World, change: Change) -> None:
    """An open run waits for a person."""
    row = _open(world, change)
    if row is not None:
        world.pause_run(row.id)


def delete_run(world: World, change: Change) -> None:
    """A retention job removes a run with its nodes."""
    rows = [row for row in world.workflow_runs.values() if row.finished_at is not None]
    row = picked(rows, change.pick)
    if row is not None:
        world.delete_run(row.id)


def burst_of_runs(world: World, change: Change) -> None:
    """A page full of runs, one less or one more, within three seconds.

    A hundred in one second could never be proven: Dify's cursor does not tell them apart.
    """
    app = picked(world.apps.values(), change.pick)
    just_now = world.now() - timedelta(seconds=3)
    if app is None or sum(row.created_at > just_now for row in world.workflow_runs.values()) > 40:
        return
    for number in range(97 + change.count):
        at = world.now() + timedelta(milliseconds=20 * number)
        row = world.start_run(app.id, at=at)
        world.finish_run(row.id, at=at)


def _walk(world: World, run: WorkflowRun, nodes: int) -> None:
    for _ in range(nodes):
        world.add_node(run.id, at=world.now())
    run.total_steps = len(world.nodes_of_run[run.id])


def _open(world: World, change: Change) -> WorkflowRun | None:
    """A run that is under way, and not so long that it counts as dead. Those of messages end
    with their messages.
    """
    since = world.now() - STILL_READ
    rows = [
        row
        for row in world.workflow_runs.values()
        if row.finished_at is None and row.created_at > since and row.id not in world.message_of_run
    ]
    return picked(rows, change.pick)


RUNS: dict[str, Verb] = {
    verb.__name__: verb
    for verb in (
        *(start, run, step, end, pause, delete_run, burst_of_runs),
        *(ask, ask_half, finish, delete),
    )
}
