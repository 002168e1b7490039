"""What real servers answered about drafts, exports and updates, played to the operations."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from dify_etl.dify.app_writes import AppChanges
from dify_etl.dify.errors import Refused
from dify_etl.operations.apps import DesiredApp, update_operation
from dify_etl.operations.errors import InputWrong
from dify_etl.operations.exchange import export_apps, import_operation
from dify_etl.operations.publishing import publish_operation
from dify_etl_tests.dify.recordings import Exchange, exchange, playing
from dify_etl_tests.operations.recorded_apps import RECORDED_VERSIONS, RecordedApp
from dify_etl_tests.operations.workbench import applied

NEWEST = ("1.16.1", "main-2026-08")


def apps(version: str, name: str) -> Exchange:
    return exchange(version, "apps", name)


def answer_like(recorded: Exchange, body: Any) -> httpx.Response:
    headers = [one for one in recorded.headers if one[0] != "content-length"]
    return httpx.Response(200, headers=headers, json=body)


def life_of_a_workflow(version: str) -> RecordedApp:
    """Drafted or imported, never published; published with the first POST."""
    published: list[bool] = []
    is_new = version in NEWEST
    draft = apps(version, "import-dsl-workflow-draft-get" if is_new else "workflow-draft-get")
    never = apps(version, "published-get-never-published")
    if is_new:
        versions = apps(version, "import-dsl-workflow-versions-after")
        first = answer_like(versions, versions.body["items"][1])
    else:
        first = apps(version, "published-get-workflow").response()

    def answers(request: httpx.Request) -> httpx.Response | None:
        path = request.url.path
        if path.endswith("/workflows/draft"):
            return draft.response()
        if path.endswith("/workflows"):
            return answer_like(never, {"items": [], "page": 1, "limit": 100, "has_more": False})
        if path.endswith("/workflows/publish") and request.method == "POST":
            published.append(True)
            return apps(version, "workflow-publish").response()
        if path.endswith("/workflows/publish"):
            return first if published else never.response()
        return None

    return RecordedApp(version, "workflow", answers)


@pytest.mark.parametrize("version", RECORDED_VERSIONS)
def test_first_publication_is_planned_and_done(tmp_path: Path, version: str) -> None:
    """The list of versions is empty before it: the draft is found where it is."""
    played = life_of_a_workflow(version)
    with played.operator(tmp_path) as operator:
        operation = publish_operation(operator, [played.row["id"]])
        (result,) = applied(operator, operation)
    (step,) = operation.plan.steps
    assert step.before == {"version": None, "graph_hash": None}
    assert "the first publication of this app" in step.note
    assert result.outcome == "verified", result.message
    assert [(method, body) for method, _, body in played.sent] == [("POST", {})]


@pytest.mark.parametrize("version", RECORDED_VERSIONS)
@pytest.mark.parametrize("mode", ["workflow", "chatflow"])
def test_app_without_a_draft_is_no_plan(tmp_path: Path, version: str, mode: str) -> None:
    """400 before 1.9 and 404 since: both mean that nobody has saved one."""
    before = apps(version, f"{mode}-draft-get-before")
    never = apps(version, "published-get-never-published")
    ends = {"draft": before, "publish": never}

    def answers(request: httpx.Request) -> httpx.Response | None:
        found = ends.get(request.url.path.rsplit("/")[-1])
        return None if found is None else found.response()

    played = RecordedApp(version, "workflow" if mode == "workflow" else "advanced-chat", answers)
    with played.operator(tmp_path) as operator:
        assert operator.dify.workflows.draft(played.row["id"]) is None
        assert operator.dify.workflows.published(played.row["id"]) is None
        with pytest.raises(InputWrong, match="nobody has saved"):
            publish_operation(operator, [played.row["id"]])
    assert played.sent == []


@pytest.mark.parametrize("version", RECORDED_VERSIONS)
def test_export_without_a_draft_says_so(tmp_path: Path, version: str) -> None:
    """The server would answer 400 or 500: it is not asked, and the reason is the true one."""
    before = apps(version, "workflow-draft-get-before")

    def answers(request: httpx.Request) -> httpx.Response | None:
        return before.response() if request.url.path.endswith("/draft") else None

    played = RecordedApp(version, "workflow", answers)
    with played.operator(tmp_path) as operator:
        app = next(a for a in operator.dify.apps.list() if a.app_id == played.row["id"])
        named = export_apps(operator.dify, [app], tmp_path / "one", is_all=False)
        among = export_apps(operator.dify, [app], tmp_path / "all", is_all=True)
    ((name, reason),) = named.failed
    assert (name, "nobody has saved a draft" in reason) == (app.name, True)
    assert (among.failed, among.empty) == ((), (app.name,))


DAEMON = ("Failed to request plugin daemon", "container of the server's plugin daemon")
REFUSED_EXPORTS = [
    *((version, "plugin-daemon-down", "export-dsl", DAEMON) for version in RECORDED_VERSIONS),
    *((version, "apps", "export-dsl-as-normal-member", ("403", "editor")) for version in NEWEST),
    *((version, "apps", "export-dsl-without-draft", ("500", "log of the")) for version in NEWEST),
]


@pytest.mark.parametrize(("version", "area", "name", "told"), REFUSED_EXPORTS)
def test_refused_export_tells_the_reason_and_what_helps(
    tmp_path: Path, version: str, area: str, name: str, told: tuple[str, str]
) -> None:
    """What Dify says, and the next step for that and no other cause."""
    refused = exchange(version, area, name)

    def answers(request: httpx.Request) -> httpx.Response | None:
        return refused.response() if request.url.path.endswith("/export") else None

    played = RecordedApp(version, "chat", answers)
    with played.operator(tmp_path) as operator:
        app = next(a for a in operator.dify.apps.list() if a.app_id == played.row["id"])
        ((_, reason),) = export_apps(operator.dify, [app], tmp_path, is_all=False).failed
    assert all(part in reason for part in told)
    assert ("plugin daemon" in reason) is (told == DAEMON)


@pytest.mark.parametrize("version", NEWEST)
def test_agent_is_imported_as_the_plan_says(tmp_path: Path, version: str) -> None:
    """Its DSL makes an app of mode agent, which nobody has published."""
    done = exchange(version, "agents", "import-dsl")
    dsl = exchange(version, "agents", "export-dsl").body["data"]
    detail = exchange(version, "agents", "app-update")

    def answers(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/imports"):
            return done.response()
        made = request.url.path.endswith(done.body["app_id"])
        return answer_like(detail, {**detail.body, "name": "Imported agent"}) if made else None

    played = RecordedApp(version, "agent", answers)
    with played.operator(tmp_path) as operator:
        operation = import_operation(
            operator, dsl, where="a file", name="Imported agent", allows_duplicate=False
        )
        (result,) = applied(operator, operation)
    (step,) = operation.plan.steps
    assert (step.after or {})["mode"] == "agent"
    assert "publish the agent in Dify" in step.note
    assert (result.outcome, result.target_id) == ("verified", done.body["app_id"])


FAILED_IMPORTS = [
    ("import-dsl-over-chat", "can be overwritten", "as a new app"),
    ("import-dsl-over-unknown", "App not found", "another workspace"),
    ("import-dsl-no-app", "Missing app data", "section `app`"),
    ("import-dsl-confirm-again", "expired", "ten minutes"),
    ("import-dsl-empty", "yaml_content is required", "not empty"),
    ("import-dsl-bad-yaml", "does not take the DSL", "Dify's own pages"),
]


@pytest.mark.parametrize("version", NEWEST)
@pytest.mark.parametrize(("name", "told", "advice"), FAILED_IMPORTS)
def test_failed_import_tells_the_reason_unless_it_may_quote_the_dsl(
    version: str, name: str, told: str, advice: str
) -> None:
    """Dify's own words where they are known, and one next step instead of all possible ones."""
    with playing(apps(version, name)) as dify, pytest.raises(Refused) as refused:
        dify.apps.import_dsl("a: [b")
    assert told in refused.value.what
    assert advice in refused.value.hint
    assert "a: [b" not in str(refused.value)


@pytest.mark.parametrize("version", ["1.7.2", "1.12.1"])
def test_agent_is_not_imported_where_there_are_none(tmp_path: Path, version: str) -> None:
    """The older servers know no such mode: that is no plan."""
    dsl = exchange("1.16.1", "agents", "export-dsl").body["data"]
    played = RecordedApp(version, "chat", lambda request: None)
    with played.operator(tmp_path) as operator, pytest.raises(InputWrong, match="has no agents"):
        import_operation(operator, dsl, where="a file", name="x", allows_duplicate=False)


@pytest.mark.parametrize("version", NEWEST)
def test_limit_that_a_put_cannot_leave_empty_is_in_the_plan(tmp_path: Path, version: str) -> None:
    """An agent without a limit gets 0 with every PUT, and the plan shows it."""
    after = exchange(version, "agents", "app-update")
    unlimited = {**after.body, "description": "before", "max_active_requests": None}
    played: RecordedApp

    def answers(request: httpx.Request) -> httpx.Response | None:
        if "/apps/" not in request.url.path:
            return None
        return after.response() if played.sent else answer_like(after, unlimited)

    played = RecordedApp(version, "agent", answers)
    with played.operator(tmp_path) as operator:
        desired = DesiredApp(AppChanges(description=after.body["description"]))
        operation = update_operation(operator, played.row["id"], desired)
        (result,) = applied(operator, operation)
    lines = operation.plan.lines()
    assert "  - max_active_requests: null" in lines
    assert "  + max_active_requests: 0" in lines
    assert "both mean no limit" in operation.plan.steps[0].note
    assert result.outcome == "verified", result.message
    ((method, _, body),) = played.sent
    assert (method, body["max_active_requests"]) == ("PUT", None)
    assert body | {"max_active_requests": 0} == {name: after.body[name] for name in body}


@pytest.mark.parametrize("version", NEWEST)
def test_icon_of_an_app_has_a_call_of_its_own(tmp_path: Path, version: str) -> None:
    """It leaves the limit of requests alone, and keeps the colour that is not given."""
    before = exchange(version, "agents", "app-update")
    after = answer_like(before, {**before.body, "icon": "🧪"})
    played: RecordedApp

    def answers(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/icon"):
            return apps(version, "icon").response()
        if "/apps/" not in request.url.path:
            return None
        return after if played.sent else before.response()

    played = RecordedApp(version, "agent", answers)
    with played.operator(tmp_path) as operator:
        desired = DesiredApp(AppChanges(icon="🧪"))
        (result,) = applied(operator, update_operation(operator, played.row["id"], desired))
    assert result.outcome == "verified", result.message
    ((method, path, body),) = played.sent
    assert (method, path.rsplit("/")[-1]) == ("POST", "icon")
    assert body == {"icon_type": "emoji", "icon": "🧪", "icon_background": "#eee"}
