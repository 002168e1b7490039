"""Apps are made and changed as the plan says, and nothing else of them changes."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from dify_etl.dify.app_writes import AppChanges, AppDraft
from dify_etl.operations.applying import Operation, Operator, Result
from dify_etl.operations.apps import (
    CreateApp,
    DesiredApp,
    UpdateApp,
    create_operation,
    found_app,
    update_operation,
)
from dify_etl.operations.errors import InputWrong, PlanStale, TargetUnknown
from dify_etl.operations.model_configs import read_config
from dify_etl.operations.plan import Cap
from dify_etl.operations.request import Request
from dify_etl_tests.dify.pretend_workspace import EDITOR, EVERY_VERSION, app_of
from dify_etl_tests.operations.workbench import Workbench, applied, drop_requests, lose_answers
from dify_simulated import Faults
from dify_simulated.world.rows import App

NOTHING = AppChanges()


def fields_of(app: App) -> dict[str, Any]:
    """Everything of an app that an operation could change by accident."""
    return {
        "name": app.name,
        "description": app.description,
        "icon": (app.icon_type, app.icon, app.icon_background),
        "icon_in_answers": app.use_icon_as_answer_icon,
        "most": app.max_active_requests,
        "switches": (app.enable_site, app.enable_api),
        "config": app.app_model_config,
    }


def update(bench: Workbench, app: App, desired: DesiredApp) -> tuple[Operation, tuple[Result, ...]]:
    with bench.operator() as operator:
        operation = update_operation(operator, app.id, desired)
        return operation, applied(operator, operation)


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_new_app_is_as_the_plan_says(tmp_path: Path, version: str) -> None:
    """One app more, with the fields of the plan."""
    bench = Workbench(tmp_path, version)
    draft = AppDraft("Night desk", "chat", "answers at night", icon="🌙")
    with bench.operator() as operator:
        operation = create_operation(operator, draft)
        (result,) = applied(operator, operation)
    app = bench.world.apps[str(result.target_id)]
    assert result.outcome == "verified"
    assert (app.name, app.mode, app.description, app.icon) == (
        "Night desk",
        "chat",
        "answers at night",
        "🌙",
    )


def test_planning_changes_nothing(bench: Workbench) -> None:
    """A plan only reads: no request but GETs and the login."""
    with bench.operator() as operator:
        create_operation(operator, AppDraft("Night desk", "chat"))
        update_operation(
            operator, app_of(bench.world, "chat").id, DesiredApp(AppChanges("New", None))
        )
    written = {
        request.path
        for request in bench.server.requests
        if request.method != "GET" and "login" not in request.path
    }
    assert written <= {"/console/api/workspaces/current"}  # a POST that reads
    assert len(bench.world.apps) == 5


def test_lost_answer_of_a_creation_makes_no_second_app(bench: Workbench) -> None:
    """The app was made, its id is found by the difference of the lists."""
    lose_answers(bench, "POST", "/apps")
    with bench.operator() as operator:
        (result,) = applied(operator, create_operation(operator, AppDraft("Night desk", "chat")))
    (app,) = [app for app in bench.world.apps.values() if app.name == "Night desk"]
    assert (result.outcome, result.target_id) == ("verified", app.id)


def test_creation_that_never_arrived_is_planned_again(bench: Workbench) -> None:
    """Unknown at first; the next plan makes the app, once."""
    draft = AppDraft("Night desk", "chat")
    drop_requests(bench, "POST", "/console/api/apps")
    with bench.operator() as operator:
        (first,) = applied(operator, create_operation(operator, draft))
    bench.server.faults = Workbench(bench.home).server.faults
    with bench.operator() as operator:
        (second,) = applied(operator, create_operation(operator, draft))
    assert (first.outcome, second.outcome) == ("unknown", "verified")
    assert [app.name for app in bench.world.apps.values()].count("Night desk") == 1


def test_app_of_the_same_name_is_refused_unless_wanted(bench: Workbench) -> None:
    """A second run of the same creation is refused; a twin has to be asked for."""
    name = app_of(bench.world, "chat").name
    with bench.operator() as operator:
        with pytest.raises(InputWrong, match="already"):
            create_operation(operator, AppDraft(name, "chat"))
        operation = create_operation(operator, AppDraft(name, "chat"), allows_duplicate=True)
        (result,) = applied(operator, operation)
        with pytest.raises(TargetUnknown, match="several"):
            found_app(operator.dify, name)
    assert result.outcome == "verified"


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_only_what_was_given_changes(tmp_path: Path, version: str) -> None:
    """Dify empties what a PUT leaves out; the description changes and all else stays."""
    bench = Workbench(tmp_path, version)
    app = app_of(bench.world, "workflow")
    app.icon_type, app.icon, app.icon_background = "emoji", "🤖", "#FFEAD5"
    app.use_icon_as_answer_icon = True
    app.max_active_requests = 5
    before = fields_of(app)
    operation, (result,) = update(bench, app, DesiredApp(AppChanges(None, "new words")))
    assert result.outcome == "verified", result.message
    assert fields_of(app) == before | {"description": "new words"}
    assert operation.plan.lines()[1:-1] == [
        f"  - description: {before['description'] or chr(34) * 2}",
        "  + description: new words",
    ]


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_limit_that_becomes_zero_is_in_the_plan(tmp_path: Path, version: str) -> None:
    """Since 1.11 every PUT makes 0 of no limit: shown where it happens, and nowhere else."""
    bench = Workbench(tmp_path, version)
    app = app_of(bench.world, "chat")
    app.max_active_requests = None
    operation, (result,) = update(bench, app, DesiredApp(AppChanges(None, "new words")))
    is_shown = "  + max_active_requests: 0" in operation.plan.lines()
    assert result.outcome == "verified", result.message
    assert is_shown is (app.max_active_requests == 0)


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_name_and_icon_have_calls_that_touch_nothing_else(tmp_path: Path, version: str) -> None:
    """Where the kind of icon stays, no PUT is needed: all other fields are as they were."""
    bench = Workbench(tmp_path, version)
    app = app_of(bench.world, "chat")
    app.icon_type, app.icon, app.icon_background = "emoji", "🤖", "#FFEAD5"
    app.max_active_requests = None
    before = fields_of(app)
    operation, results = update(bench, app, DesiredApp(AppChanges("Another", None, "emoji", "🌙")))
    assert [step.operation for step in operation.plan.steps] == ["apps.rename", "apps.change_icon"]
    assert {result.outcome for result in results} == {"verified"}
    assert fields_of(app) == before | {"name": "Another", "icon": ("emoji", "🌙", "#FFEAD5")}


def test_change_of_another_field_makes_the_plan_of_a_put_stale(bench: Workbench) -> None:
    """A PUT writes all fields, so the plan is about all of them."""
    app = app_of(bench.world, "chat")
    with bench.operator() as operator:
        agreed = plan_id_of(operator, app)
        app.icon = "🌙"
        now = update_operation(operator, app.id, DesiredApp(AppChanges(None, "words")))
        with pytest.raises(PlanStale):
            operator.apply(now, agreed, cap=Cap(1))


def test_field_that_a_put_loses_is_told(bench: Workbench) -> None:
    """What the plan does not name must be there afterwards."""
    app = app_of(bench.world, "chat")
    app.icon = "🤖"

    def lose(number: int, method: str, path: str, status: int) -> None:
        if method == "PUT":
            app.icon = ""

    bench.server.faults = Faults(after_request=lose)
    _, (result,) = update(bench, app, DesiredApp(AppChanges(None, "new words")))
    assert result.outcome == "failed"


@pytest.mark.parametrize("version", EVERY_VERSION)
def test_request_limit_is_changed_and_read_back(tmp_path: Path, version: str) -> None:
    """Also on 1.0, whose detail does not tell it."""
    bench = Workbench(tmp_path, version)
    app = app_of(bench.world, "chat")
    app.max_active_requests = 7
    operation, (result,) = update(
        bench, app, DesiredApp(AppChanges(None, None, max_active_requests=3))
    )
    assert (operation.plan.steps[0].before or {})["max_active_requests"] == 7
    assert (result.outcome, app.max_active_requests) == ("verified", 3)


def test_name_alone_is_renamed_with_its_own_call(bench: Workbench) -> None:
    """Dify's call for names touches nothing else, so it is used where it is enough."""
    app = app_of(bench.world, "chat")
    before = fields_of(app)
    operation, _ = update(bench, app, DesiredApp(AppChanges("Another", None)))
    assert [step.operation for step in operation.plan.steps] == ["apps.rename"]
    assert fields_of(app) == before | {"name": "Another"}


def test_switches_and_config_are_steps_of_their_own(bench: Workbench) -> None:
    """Site, API and model configuration each have their call, verified each."""
    app = app_of(bench.world, "chat")
    desired = DesiredApp(
        NOTHING, is_site_on=False, is_api_on=False, model_config={"pre_prompt": "Be kind."}
    )
    operation, results = update(bench, app, desired)
    assert [step.operation for step in operation.plan.steps] == [
        "apps.switch_site",
        "apps.switch_api",
        "apps.change_model_config",
    ]
    assert {result.outcome for result in results} == {"verified"}
    assert (app.enable_site, app.enable_api) == (False, False)
    assert app.app_model_config is not None
    assert app.app_model_config.pre_prompt == "Be kind."


def test_secret_of_a_tool_is_sent_and_not_shown(bench: Workbench) -> None:
    """It reaches Dify; plan, results and audit do not know it."""
    app = app_of(bench.world, "agent-chat")
    tool: JsonValue = {
        "provider_type": "builtin",
        "provider_id": "search",
        "tool_name": "search",
        "tool_parameters": {"api_key": "canary-1"},
    }
    desired = DesiredApp(NOTHING, model_config={"agent_mode": {"tools": [tool]}})
    operation, results = update(bench, app, desired)
    told = repr((operation.plan, results)) + "\n".join(operation.plan.lines())
    assert "canary" not in told + (bench.home / "audit.jsonl").read_text()
    assert "+ hidden values: as given" in told
    assert [result.outcome for result in results] == ["verified"]
    assert "canary-1" in repr(app.app_model_config)


@pytest.mark.parametrize(
    ("mode", "config", "told"),
    [
        ("chat", {"pre_promt": "x"}, "would drop: pre_promt"),
        ("chat", {"pre_prompt": 5}, "pre_prompt"),
        ("chat", {"model": {"name": ""}}, "no model"),
        ("workflow", {"pre_prompt": "x"}, "a workflow app has none"),
    ],
)
def test_config_that_dify_would_not_take_is_no_plan(
    bench: Workbench, mode: str, config: dict[str, JsonValue], told: str
) -> None:
    """Unknown keys, wrong types, no model, an app without one: told before anything is agreed."""
    app = app_of(bench.world, mode)
    with bench.operator() as operator, pytest.raises(InputWrong, match=told):
        update_operation(operator, app.id, DesiredApp(NOTHING, model_config=config))


def test_second_run_has_nothing_to_do(bench: Workbench) -> None:
    """What is already as wanted makes an empty plan."""
    app = app_of(bench.world, "chat")
    desired = DesiredApp(
        AppChanges(None, "words"), is_site_on=False, model_config={"pre_prompt": "x"}
    )
    update(bench, app, desired)
    operation, results = update(bench, app, desired)
    assert (operation.plan.steps, results) == ((), ())


def test_change_by_somebody_else_makes_the_plan_stale(bench: Workbench) -> None:
    """The plan agreed to is refused, with what would be done now, and nothing is sent."""
    app = app_of(bench.world, "chat")
    with bench.operator() as operator:
        agreed = plan_id_of(operator, app)
        app.description = "somebody else was here"
        now = update_operation(operator, app.id, DesiredApp(AppChanges(None, "words")))
        with pytest.raises(PlanStale, match="somebody else was here"):
            operator.apply(now, agreed, cap=Cap(1))
    assert app.description == "somebody else was here"
    assert bench.audit() == ()


def plan_id_of(operator: Operator, app: App) -> str:
    return update_operation(operator, app.id, DesiredApp(AppChanges(None, "words"))).plan.plan_id


def test_editor_may_not_switch_the_api(bench: Workbench) -> None:
    """Dify's refusal is the result of the step and stands in the audit."""
    bench.email = EDITOR
    app = app_of(bench.world, "chat")
    _, (result,) = update(bench, app, DesiredApp(NOTHING, is_api_on=not app.enable_api))
    assert result.outcome == "failed"
    assert bench.outcomes() == ["begun", "failed"]
    assert bench.audit()[-1].http_status == 403


@pytest.mark.parametrize(
    ("request_of", "values"),
    [
        (CreateApp, {"name": "x", "mode": "channel"}),
        (CreateApp, {"name": " ", "mode": "chat"}),
        (UpdateApp, {"app": "x", "name": ""}),
        (UpdateApp, {"app": "x", "name": "x" * 256}),
        (UpdateApp, {"app": "x", "description": "x" * 401}),
    ],
)
def test_what_dify_would_refuse_is_refused_before(
    request_of: type[Request], values: dict[str, str]
) -> None:
    """Modes, empty names and long descriptions never reach the server."""
    with pytest.raises(InputWrong):
        request_of.asked(values)


def test_request_becomes_what_is_written() -> None:
    """What is not given is Dify's default in a new app, and left alone in one that is there."""
    new = CreateApp(name="Night desk", mode="chat", icon="🌙")
    assert new.draft == AppDraft("Night desk", "chat", icon="🌙")
    assert UpdateApp(app="x").desired == DesiredApp(NOTHING)
    changed = UpdateApp(app="x", icon="🌙", is_icon_as_answer_icon=True, is_api_on=False)
    changes = AppChanges(icon_type="emoji", icon="🌙", use_icon_as_answer_icon=True)
    assert changed.desired == DesiredApp(changes, is_api_on=False)


@pytest.mark.parametrize("text", ["", "[]", "{}", "{'a': 1}"])
def test_config_file_must_hold_an_object(tmp_path: Path, text: str) -> None:
    """A file that is no JSON object with keys is refused with its path."""
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(InputWrong) as refused:
        read_config(path)
    assert refused.value.where == str(path)
    path.write_text(json.dumps({"pre_prompt": "x"}))
    assert read_config(path) == {"pre_prompt": "x"}
