"""Published versions of workflows: read whole once, and again only when there is something new."""

from dify_etl.sync.run import SyncPlan
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import app_of, quiet_world
from dify_etl_tests.sync.workplace import Workplace

FEEDS = ("apps", "workflow_versions")
HELD = "SELECT version FROM raw.workflow_versions WHERE absent_since IS NULL ORDER BY version"
STATES = "SELECT state, rows FROM ops.slices WHERE feed = 'workflow_versions'"


def published(place: Workplace, *, marked_name: str = "") -> str:
    """Publish the draft of the workflow app now; answers the version's text."""
    world = place.world
    app_id = app_of(world, "workflow").id
    if world.draft_of(app_id) is None:
        world.save_draft(app_id, {"nodes": [], "edges": []}, at=world.now())
    return world.publish(app_id, at=world.now(), marked_name=marked_name).version


def asked(place: Workplace) -> int:
    """How often the list was asked so far."""
    return len(place.server.requests_of("/apps/{app_id}/workflows"))


def test_app_that_was_never_published_has_no_versions(workplace: Open) -> None:
    """An empty list is all there is; it is not asked for again while nothing is published."""
    place = workplace(quiet_world("workflow"))
    app = app_of(place.world, "workflow")
    drafts = [one for one in place.world.workflows.values() if one.version == "draft"]
    app.workflow_id = None
    place.world.workflows.clear()
    place.world.workflows.update({one.id: one for one in drafts})
    place.read(FEEDS)
    place.read(FEEDS)
    assert place.rows(HELD) == []
    assert place.rows(STATES) == [("proven", 0)]
    assert asked(place) == 1


def test_list_is_asked_only_when_the_app_shows_something_new(workplace: Open) -> None:
    """A quiet night asks for no version; a publication brings the new one, the old ones stay."""
    place = workplace(quiet_world("workflow"))
    versions = {published(place)}
    place.read(FEEDS)
    first = place.rows(HELD)
    before = asked(place)
    place.pass_time(days=1)
    place.read(FEEDS)
    assert asked(place) == before
    versions.add(published(place, marked_name="two"))
    place.pass_time(hours=1)
    place.read(FEEDS)
    assert asked(place) == before + 1
    assert len(place.rows(HELD)) == len(first) + 1
    assert {(one,) for one in versions} <= set(place.rows(HELD))


def test_marks_of_the_current_version_are_read_again(workplace: Open) -> None:
    """A new name for what is published shows in the list of apps, and is loaded the next night."""
    place = workplace(quiet_world("workflow"))
    published(place)
    place.read(FEEDS)
    place.pass_time(hours=2)
    row = place.world.published_of(app_of(place.world, "workflow").id)
    assert row is not None
    row.marked_name, row.updated_at = "the one", place.world.now()
    place.read(FEEDS)
    named = "SELECT count(*) FROM raw.workflow_versions WHERE marked_name = 'the one'"
    assert place.value(named) == 1


def test_deleted_version_is_absent_after_a_deep_read(workplace: Open) -> None:
    """Deletions show nowhere else: after the nights of a deep read the list is asked once more."""
    place = workplace(quiet_world("workflow"))
    gone = published(place)
    place.pass_time(hours=1)
    kept = published(place)
    place.read(FEEDS)
    world = place.world
    world.workflows.pop(next(one.id for one in world.workflows.values() if one.version == gone))
    place.pass_time(days=27)
    place.read(FEEDS)
    assert (gone,) in place.rows(HELD)
    place.pass_time(days=2)
    place.read(FEEDS)
    assert (gone,) not in place.rows(HELD)
    assert (kept,) in place.rows(HELD)
    absent = "SELECT version FROM raw.workflow_versions WHERE absent_since IS NOT NULL"
    assert place.rows(absent) == [(gone,)]


def test_full_run_asks_every_list(workplace: Open) -> None:
    """Whoever reads all days again reads all versions again."""
    place = workplace(quiet_world("workflow"))
    place.read(FEEDS)
    before = asked(place)
    place.read(FEEDS, SyncPlan(is_full=True))
    assert asked(place) == before + 1


def test_versions_that_are_not_shown_are_unproven(workplace: Open) -> None:
    """A member who is no editor is not shown them: the slice says so, and the night goes on."""
    place = workplace(quiet_world("workflow"))
    place.world.set_role("normal")
    report = place.read(FEEDS)["workflow_versions"]
    assert report.state == "unproven"
    reason = place.value("SELECT reason FROM ops.slices WHERE feed = 'workflow_versions'")
    assert "versions of workflows" in reason
