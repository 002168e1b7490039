"""A row that Dify cannot show costs a list by page number that row, and nothing is called gone."""

from datetime import timedelta

import pytest

from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import app_of, quiet_world, run, talk
from dify_etl_tests.sync.workplace import NOW, Workplace


def documents_of(place: Workplace, count: int) -> list[str]:
    """The ids of a dataset's documents, which an hour ago were loaded up."""
    world, at = place.world, NOW - timedelta(hours=1)
    dataset = world.add_dataset(
        name="handbook",
        at=at,
        created_by=world.account_id,
        tenant_id=world.workspace_id,
        permission="all_team_members",
    )
    return [
        world.add_document(dataset.id, at=at + timedelta(seconds=number)).id
        for number in range(count)
    ]


def the_slice(place: Workplace, feed: str) -> tuple[str, str]:
    """State and reason of the only slice of a feed."""
    ((state, reason),) = place.rows(f"SELECT state, reason FROM ops.slices WHERE feed = '{feed}'")
    return state, reason


@pytest.mark.parametrize("version", ["1.16.1", "main-2026-08"])
@pytest.mark.parametrize("oddity", ["source-info", "metadata"])
def test_odd_document_costs_itself(workplace: Open, version: str, oddity: str) -> None:
    """The other documents are loaded; the slice is red, with place, count and Dify's words."""
    place = workplace(quiet_world("chat"), version)
    documents = documents_of(place, 130)
    place.world.documents[documents[40]].oddity = oddity

    place.read(("members", "datasets", "documents"))

    held = {row[0] for row in place.rows("SELECT document_id FROM raw.documents")}
    assert held & set(documents) == set(documents) - {documents[40]}
    state, reason = the_slice(place, "documents")
    assert state == "incomplete"
    assert "1 of 130 rows stay out, at position 90: Dify answers 400: invalid_param" in reason
    assert "DocumentWithSegmentsResponse: data_source_detail_dict" in reason
    assert "delete it in the console" in reason


def test_document_that_became_odd_is_not_called_gone(workplace: Open) -> None:
    """What was loaded before stays as it is; once it is mended, all is equal and proven."""
    place = workplace(quiet_world("chat"), "1.16.1")
    documents = documents_of(place, 12)
    feeds = ("members", "datasets", "documents")
    place.read(feeds)
    place.world.documents[documents[3]].oddity = "metadata"
    place.read(feeds)
    assert place.value("SELECT count(*) FROM raw.documents WHERE absent_since IS NOT NULL") == 0
    assert the_slice(place, "documents")[0] == "incomplete"

    place.world.documents[documents[3]].oddity = ""
    place.read(feeds)

    assert differences(place, ("documents",)) == []
    assert the_slice(place, "documents")[0] == "proven"


@pytest.mark.parametrize("status", [400, 500])
def test_odd_conversation_leaves_its_day_alone_in_doubt(workplace: Open, status: int) -> None:
    """The list is cut by time round the odd row: the other days are proven, its own is red."""
    place = workplace(quiet_world("chat"))
    talks = [talk(place.world, at=NOW - timedelta(days=days, hours=2)) for days in range(5)]
    place.server.odd_rows[talks[2].id] = status

    place.read(("apps", "conversations"))

    held = {row[0] for row in place.rows("SELECT conversation_id FROM raw.conversations")}
    assert held == {row.id for row in talks} - {talks[2].id}
    doubts = place.rows(
        "SELECT slice_date, reason FROM ops.slices "
        "WHERE feed = 'conversations' AND state <> 'proven'"
    )
    assert [day for day, _ in doubts] == [talks[2].created_at.date()]
    assert "1 of " in doubts[0][1]


@pytest.mark.parametrize("status", [400, 500])
def test_odd_app_costs_itself(workplace: Open, status: int) -> None:
    """The other apps are loaded, and the feed is red."""
    place = workplace(quiet_world("chat", "completion", "workflow"))
    odd = app_of(place.world, "completion")
    place.server.odd_rows[odd.id] = status

    place.read(("apps",))

    held = {row[0] for row in place.rows("SELECT app_id FROM raw.apps")}
    assert held == {app.id for app in place.world.apps.values()} - {odd.id}
    assert the_slice(place, "apps")[0] == "incomplete"


def test_odd_log_row_leaves_its_day_alone_in_doubt(workplace: Open) -> None:
    """Log rows of workflow runs are gone round like any list by page number."""
    place = workplace(quiet_world("workflow"))
    runs = [run(place.world, at=NOW - timedelta(days=days, hours=2)) for days in range(4)]
    place.server.odd_rows[place.world.log_of_run[runs[1]]] = 400

    place.read(("apps", "messages", "workflow_runs"))

    held = {row[0] for row in place.rows("SELECT workflow_run_id FROM raw.workflow_runs")}
    assert held == set(runs)  # the list of runs shows the one whose log row is odd
    doubts = place.rows(
        "SELECT count(*) FROM ops.slices WHERE feed = 'workflow_runs' AND state = 'incomplete'"
    )
    assert doubts == [(1,)]


def test_runs_newer_than_an_odd_one_are_loaded(workplace: Open) -> None:
    """The list of runs by cursor brings what is newer; the days are red, none is called gone."""
    place = workplace(quiet_world("advanced-chat"))
    runs = [
        run(place.world, at=NOW - timedelta(hours=hours), mode="advanced-chat")
        for hours in range(2, 8)
    ]
    place.server.odd_rows[runs[3]] = 400

    report = place.read(("apps", "workflow_runs"))["workflow_runs"]

    held = {row[0] for row in place.rows("SELECT workflow_run_id FROM raw.workflow_runs")}
    assert held == set(runs[:3])
    assert report.state == "incomplete"


def test_missing_plugin_daemon_is_no_odd_row(workplace: Open) -> None:
    """A list that fails as a whole is asked once more, beyond its end, and then left."""
    place = workplace(quiet_world("chat"))
    place.server.plugin_daemon_down = True

    place.read(("members", "datasets"))

    assert len(place.server.requests_of("/datasets")) == 2
    state, reason = the_slice(place, "datasets")
    assert state == "failed"
    assert "plugin daemon" in reason


def test_known_run_leads_behind_an_odd_one(workplace: Open) -> None:
    """What came before an odd run is listed beside a run that is held; only its day is in doubt."""
    place = workplace(quiet_world("workflow"), "1.12.1")
    world = place.world
    runs = [run(world, at=NOW - timedelta(days=days, hours=2)) for days in range(6)]
    place.read(("apps", "workflow_runs"))
    late = run(world, at=NOW - timedelta(days=4, hours=1))
    for run_id in (runs[1], late):
        world.take_log(world.log_of_run[run_id])  # as a workflow used as a tool: no log shows it
    place.server.odd_rows[runs[1]] = 400

    place.read(("apps", "workflow_runs"))

    held = {row[0] for row in place.rows("SELECT workflow_run_id FROM raw.workflow_runs")}
    assert held == {*runs, late}
    assert place.value("SELECT count(*) FROM raw.workflow_runs WHERE absent_since IS NULL") == 7
    doubts = place.rows(
        "SELECT slice_date FROM ops.slices WHERE feed = 'workflow_runs' AND state = 'incomplete'"
    )
    odd_day = (NOW - timedelta(days=1, hours=2)).date()
    assert {day for (day,) in doubts} <= {odd_day, odd_day + timedelta(days=1)}
    assert (odd_day,) in doubts


@pytest.mark.parametrize("mode", ["completion", "chat"])
def test_going_round_leaves_retries_for_bad_nights(workplace: Open, mode: str) -> None:
    """An old server answers 500 for each page with the odd row: the whole page and the row alone
    are asked as often as any request, the pages between once.
    """
    place = workplace(quiet_world(mode), "1.7.2")
    place.attempts = 5
    begun = NOW - timedelta(hours=5)
    talks = [talk(place.world, at=begun + timedelta(minutes=n), mode=mode) for n in range(40)]
    place.server.odd_rows[talks[20].id] = 500

    place.read(("apps", "conversations"))

    route = f"/apps/{{app_id}}/{mode}-conversations"
    failed = [one for one in place.server.requests_of(route) if one.status == 500]
    sizes = [int(dict(one.query)["limit"]) for one in failed]
    assert sizes.count(100) % 5 == 0
    assert sizes.count(1) % 5 == 0
    assert sorted(set(sizes)) == [1, 5, 25, 50, 100]
    assert [sizes.count(size) for size in (50, 25, 5)] == [1, 1, 1]
