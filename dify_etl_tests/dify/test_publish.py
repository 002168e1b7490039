"""Publishing a workflow tells which version came of it."""

from datetime import timedelta

import pytest

from dify_etl.dify.errors import AppGone, NotAllowed, Refused, WriteUnanswered
from dify_etl_tests.dify.pretend_workspace import (
    EVERY_VERSION,
    NORMAL,
    NOW,
    app_of,
    client_of,
)
from dify_simulated import Faults, SimulatedDify, World
from dify_simulated.server.faults import Fault


@pytest.mark.parametrize("version", EVERY_VERSION)
@pytest.mark.parametrize("mode", ["workflow", "advanced-chat"])
def test_the_published_version_is_told(world: World, version: str, mode: str) -> None:
    """Dify answers with a time; the version behind it is read back."""
    dify, app = client_of(SimulatedDify(world, version)), app_of(world, mode)

    written = dify.workflows.publish(app.id, "v3", "comment")

    done = written.value
    assert (written.status, done.published_at, done.workflow_id) == (200, NOW, app.workflow_id)
    row = world.workflows[app.workflow_id or ""]
    marks = ("", "") if version == "1.0.0" else ("v3", "comment")
    assert (done.version, row.marked_name, row.marked_comment) == (row.version, *marks)


def test_each_call_publishes_again(world: World) -> None:
    """Also when nothing changed: never repeat it blindly."""
    dify, app = client_of(SimulatedDify(world)), app_of(world, "workflow")
    before = len(list(dify.workflows.versions(app.id)))

    ids = set()
    for second in range(2):
        world.set_now(NOW + timedelta(seconds=second))
        ids.add(dify.workflows.publish(app.id).value.workflow_id)

    assert len(ids) == 2
    assert len(list(dify.workflows.versions(app.id))) == before + 2


def test_a_version_of_somebody_else_is_not_ours(world: World) -> None:
    """Published again before we read back: the version stays unknown."""
    server, app = SimulatedDify(world), app_of(world, "workflow")
    dify = client_of(server)

    def publish_too(number: int, method: str, path: str, status: int) -> None:
        if method == "POST" and path.endswith("/publish"):
            world.publish(app.id, at=NOW + timedelta(seconds=2))

    server.faults = Faults(after_request=publish_too)

    done = dify.workflows.publish(app.id).value

    assert (done.published_at, done.workflow_id, done.version) == (NOW, None, None)


def test_reading_back_that_fails_does_not_hide_the_publication(world: World) -> None:
    """It is published all the same."""
    server, app = SimulatedDify(world), app_of(world, "workflow")
    dify = client_of(server)
    before = app.workflow_id

    def break_reads(number: int, method: str, path: str) -> Fault | None:
        is_read = method == "GET" and path.endswith("/publish")
        return Fault.RESET if is_read else None

    server.faults = Faults(before_request=break_reads)

    done = dify.workflows.publish(app.id).value

    assert (done.published_at, done.workflow_id) == (NOW, None)
    assert app.workflow_id != before


def test_a_publication_whose_answer_is_lost(world: World) -> None:
    """Sent once; the list of versions shows what became of it."""
    server, app = SimulatedDify(world), app_of(world, "workflow")
    dify = client_of(server)
    before = len(list(dify.workflows.versions(app.id)))
    server.faults = Faults(
        after_request=lambda number, method, path, status: Fault.LOST if method == "POST" else None
    )

    with pytest.raises(WriteUnanswered):
        dify.workflows.publish(app.id)

    assert len(list(dify.workflows.versions(app.id))) == before + 1


@pytest.mark.parametrize("version", ["1.7.2", "1.12.1"])
def test_what_cannot_be_published(world: World, version: str) -> None:
    """No draft, a name that is too long, another mode."""
    dify = client_of(SimulatedDify(world, version))
    draftless = world.add_app(
        name="empty",
        mode="workflow",
        at=NOW,
        created_by=world.account_id,
        tenant_id=world.workspace_id,
    )

    with pytest.raises(Refused):
        dify.workflows.publish(draftless.id)
    with pytest.raises(Refused):
        dify.workflows.publish(app_of(world, "workflow").id, "n" * 21)
    with pytest.raises(AppGone):
        dify.workflows.publish(app_of(world, "chat").id)


def test_publishing_takes_an_editor(world: World) -> None:
    """A normal member may not."""
    with pytest.raises(NotAllowed):
        client_of(SimulatedDify(world), NORMAL).workflows.publish(app_of(world, "workflow").id)
