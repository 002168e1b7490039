"""Publishing: one new version per app, of the draft that the plan was about."""

from pathlib import Path

import pytest

from dify_etl.dify.app_writes import AppDraft
from dify_etl.operations.apps import create_operation
from dify_etl.operations.errors import InputWrong, PlanStale
from dify_etl.operations.plan import Cap
from dify_etl.operations.publishing import PublishApps, publish_operation
from dify_etl_tests.dify.pretend_workspace import EVERY_VERSION, app_of
from dify_etl_tests.operations.workbench import Workbench, applied, lose_answers
from dify_simulated.world.rows import App, JsonObject


def versions_of(bench: Workbench, app: App) -> int:
    """How many versions of the app there are, the draft left out."""
    with bench.client() as dify:
        return sum(one.version != "draft" for one in dify.workflows.versions(app.id))


@pytest.mark.parametrize("version", EVERY_VERSION)
@pytest.mark.parametrize("mode", ["workflow", "advanced-chat"])
def test_publishing_makes_one_version(tmp_path: Path, version: str, mode: str) -> None:
    """One more, which is the published one, with the name where the server keeps names."""
    bench = Workbench(tmp_path, version)
    app = app_of(bench.world, mode)
    before = versions_of(bench, app)
    bench.wait(60)
    with bench.operator() as operator:
        operation = publish_operation(operator, [app.name], name="release 1")
        (result,) = applied(operator, operation)
    assert result.outcome == "verified", result.message
    assert result.message.startswith("version ")
    assert versions_of(bench, app) == before + 1


@pytest.mark.parametrize("version", [*EVERY_VERSION, "1.16.1"])
@pytest.mark.parametrize("mode", ["workflow", "advanced-chat"])
def test_app_is_made_drafted_and_published_twice(tmp_path: Path, version: str, mode: str) -> None:
    """The list of versions is empty before the first publication; both are planned and done."""
    bench = Workbench(tmp_path, version)
    with bench.operator() as operator:
        (made,) = applied(operator, create_operation(operator, AppDraft("Night desk", mode)))
        app = bench.world.apps[str(made.target_id)]
        with pytest.raises(InputWrong, match="nobody has saved"):
            publish_operation(operator, [app.id])
        for number, note in enumerate(("the first publication of this app", "")):
            graph: JsonObject = {"nodes": [{"id": str(number)}], "edges": []}
            bench.world.save_draft(app.id, graph, at=bench.world.now())
            bench.wait(60)
            operation = publish_operation(operator, [app.id])
            (result,) = applied(operator, operation)
            assert (result.outcome, operation.plan.steps[0].note) == ("verified", note)
    assert versions_of(bench, app) == 2


def test_lost_answer_publishes_no_second_version(bench: Workbench) -> None:
    """Each call would make another version: what is published now decides."""
    app = app_of(bench.world, "workflow")
    before = versions_of(bench, app)
    bench.wait(60)
    lose_answers(bench, "POST", "publish")
    with bench.operator() as operator:
        (result,) = applied(operator, publish_operation(operator, [app.id]))
    assert result.outcome == "verified"
    assert versions_of(bench, app) == before + 1


def test_publication_by_somebody_else_makes_the_plan_stale(bench: Workbench) -> None:
    """What was agreed to was another step: nothing is published on top of it."""
    app = app_of(bench.world, "workflow")
    with bench.operator() as operator:
        agreed = publish_operation(operator, [app.id]).plan.plan_id
        bench.wait(60)
        operator.dify.workflows.publish(app.id)
        before = versions_of(bench, app)
        with pytest.raises(PlanStale):
            operator.apply(publish_operation(operator, [app.id]), agreed, cap=Cap(5))
    assert versions_of(bench, app) == before


def test_app_without_a_draft_is_refused(bench: Workbench) -> None:
    """Chat apps have no drafts; the others of the list are not published either."""
    apps = [app_of(bench.world, mode).id for mode in ("workflow", "chat")]
    with bench.operator() as operator, pytest.raises(InputWrong, match="no draft"):
        publish_operation(operator, apps)


def test_long_name_is_refused_before_dify_sees_it() -> None:
    """Dify takes 20 characters."""
    with pytest.raises(InputWrong, match="20 characters"):
        PublishApps.asked({"apps": ["x"], "version_name": "x" * 21})
