"""A workspace made from a folder: once, again with nothing to do, and after whatever stopped it."""

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from dify_etl.home import Home
from dify_etl.operations.errors import InputWrong
from dify_etl.operations.exchange import export_apps
from dify_etl.operations.keys.policy import Policy
from dify_etl.operations.readable_yaml import yaml_text
from dify_etl_tests.dify.pretend_workspace import app_of
from dify_etl_tests.operations.deploying.folders import (
    AGENT,
    CHAT,
    CHAT_NAME,
    CHATFLOW,
    CHATFLOW_NAME,
    NAME,
    POLICY,
    WORKFLOW,
    app_called,
    apps_called,
    change,
    deployed,
    enter_secrets,
    every_file,
    folder_of,
    keys_in,
    planned,
    state_of_world,
)
from dify_etl_tests.operations.workbench import Workbench, lose_answers
from dify_simulated import Faults
from dify_simulated.server.faults import Fault


@pytest.mark.parametrize("version", ["1.0.0", "1.7.2", "1.12.1", "main-2026-08"])
def test_workspace_is_made_and_the_second_time_nothing_is_to_do(
    tmp_path: Path, version: str
) -> None:
    """Every version of the DSL, on every release; all verified, workflows are published once."""
    bench = Workbench(tmp_path, version)
    names = every_file(has_agents=bench.server.version.has_agents)
    folder = folder_of(tmp_path, *names)
    results = deployed(bench, folder, "from git")
    assert {result.outcome for result in results} == {"verified"}, results
    after = state_of_world(bench)
    again = planned(bench, folder, "from git")
    assert again.plan.lines()[:-1] == []
    assert len(again.notes) == len(names)
    assert state_of_world(bench) == after
    assert bench.world.published_of(*apps_called(bench, NAME)) is not None
    prompt = app_called(bench, CHAT_NAME).app_model_config
    assert prompt is not None
    assert prompt.pre_prompt == "\ufeffYou plan journeys.\n\n- {{city}}\n"


def test_exported_folder_deploys_as_nothing_to_do(bench: Workbench, tmp_path: Path) -> None:
    """What was exported from a workspace is that workspace."""
    deployed(bench, folder_of(tmp_path, WORKFLOW, CHAT))
    with bench.client() as dify:
        done = export_apps(dify, list(dify.apps.list()), tmp_path / "out", is_all=True)
    assert len(done.written) > 2
    steps = planned(bench, tmp_path / "out").plan.steps
    # Apps of the world that were drawn and never published are published.
    assert {step.operation for step in steps} <= {"apps.publish"}


CHANGES = {
    WORKFLOW: ("Ask the partner", "Ask them", ["apps.import_over", "apps.publish"]),
    CHATFLOW: ("夜班客服", "夜班", ["apps.import_over", "apps.publish"]),
    CHAT: ("You plan journeys.", "You plan trips.", ["apps.replace_model_config"]),
}


@pytest.mark.parametrize("name", CHANGES)
def test_changed_file_replaces_its_app_alone(bench: Workbench, tmp_path: Path, name: str) -> None:
    """The plan shows the line; the app keeps its id; then nothing is to do."""
    old, new, operations = CHANGES[name]
    folder = folder_of(tmp_path, *CHANGES)
    deployed(bench, folder)
    before = set(bench.world.apps)
    change(folder / name, old, new)
    lines = "\n".join(planned(bench, folder).plan.lines())
    assert new in lines
    results = deployed(bench, folder)
    assert [result.step.operation for result in results] == operations
    assert {result.outcome for result in results} == {"verified"}, results
    assert set(bench.world.apps) == before
    assert not planned(bench, folder).plan.steps


def test_app_that_was_changed_in_dify_becomes_as_the_file_says(
    bench: Workbench, tmp_path: Path
) -> None:
    """Description and icon by their own call of chat apps, whether answers show the icon too."""
    folder = folder_of(tmp_path, CHAT, CHATFLOW)
    deployed(bench, folder)
    for name in (CHAT_NAME, CHATFLOW_NAME):
        app = app_called(bench, name)
        app.description, app.icon_background = "changed by hand", "#123456"
    app_called(bench, CHATFLOW_NAME).use_icon_as_answer_icon = True
    results = deployed(bench, folder)
    assert {result.outcome for result in results} == {"verified"}, results
    assert app_called(bench, CHAT_NAME).icon_background == "#FFEAD5"
    assert app_called(bench, CHATFLOW_NAME).description == "夜班客服 😀"
    assert not app_called(bench, CHATFLOW_NAME).use_icon_as_answer_icon
    assert not planned(bench, folder).plan.steps


def test_renamed_app_is_known_by_the_id_in_the_name_of_its_file(
    bench: Workbench, tmp_path: Path
) -> None:
    """As exports call their files; without it another name is another app."""
    folder = folder_of(tmp_path, CHATFLOW)
    deployed(bench, folder)
    (app_id,) = apps_called(bench, CHATFLOW_NAME)
    path = (folder / CHATFLOW).rename(folder / f"night-desk-{app_id}.yml")
    change(path, CHATFLOW_NAME, "Late desk")
    results = deployed(bench, folder)
    assert {result.outcome for result in results} == {"verified"}, results
    assert apps_called(bench, "Late desk") == [app_id]
    path.rename(folder / CHATFLOW)
    change(folder / CHATFLOW, "Late desk", "Early desk")
    assert planned(bench, folder).plan.steps[0].before is None


def test_what_dify_makes_of_a_file_is_no_difference_once_it_is_published(
    bench: Workbench, tmp_path: Path
) -> None:
    """Dify drops ids of datasets that it does not know: deployed again, they would differ for ever.
    The version says of which file it is; a draft that somebody saves takes that back.
    """
    folder = folder_of(tmp_path, WORKFLOW)
    deployed(bench, folder)
    app_id = app_called(bench, NAME).id
    rows = [one for one in bench.world.workflows.values() if one.app_id == app_id]
    made = yaml.safe_load((folder / WORKFLOW).read_text())["workflow"]["graph"] | {"made": True}
    for row in rows:
        row.graph = made
    assert not planned(bench, folder).plan.steps
    bench.world.save_draft(app_id, made, at=bench.world.now())
    assert [step.operation for step in planned(bench, folder).plan.steps] == [
        "apps.import_over",
        "apps.publish",
    ]


REFUSED = {
    "two apps of the name": (CHAT_NAME, "chat", 2, r"has 2 apps called 'Travel desk'"),
    "an app of another mode": (CHAT_NAME, "workflow", 1, "of mode workflow, the file of mode chat"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_app_that_cannot_be_told_refuses_the_plan(
    bench: Workbench, tmp_path: Path, case: str
) -> None:
    """With the file, before anything is sent."""
    name, mode, times, says = REFUSED[case]
    for _ in range(times):
        bench.world.add_app(
            name=name,
            mode=mode,
            at=bench.world.now(),
            created_by=bench.world.account_id,
            tenant_id=bench.tenant,
        )
    folder = folder_of(tmp_path, WORKFLOW, CHAT)
    with pytest.raises(InputWrong, match=says) as refused:
        deployed(bench, folder)
    assert CHAT in refused.value.where
    assert apps_called(bench, NAME) == []
    assert bench.audit() == ()


def test_agent_that_differs_refuses_the_plan(tmp_path: Path) -> None:
    """Dify replaces no agent by a DSL; one that is as the file says is left alone."""
    bench = Workbench(tmp_path, "1.16.1")
    folder = folder_of(tmp_path, AGENT)
    (result,) = deployed(bench, folder)
    assert result.message == "publish the agent in Dify"
    assert not planned(bench, folder).plan.steps
    change(folder / AGENT, "Looks things up", "Finds things")
    with pytest.raises(InputWrong, match="is not as the file says"):
        planned(bench, folder)


def test_it_stops_at_the_first_app_that_cannot_be(bench: Workbench, tmp_path: Path) -> None:
    """What Dify refuses is told, what comes after it is not tried; deployed again, it goes on."""
    folder = folder_of(tmp_path, CHAT, CHATFLOW, WORKFLOW)
    asked = itertools.count()
    (join,) = [one for one in bench.world.account.joins if one.tenant_id == bench.tenant]

    def before(number: int, method: str, path: str) -> Fault | None:
        if method == "POST" and path.endswith("/apps/imports") and next(asked) == 1:
            join.role = "normal"
        return None

    bench.server.faults = Faults(before_request=before)
    results = deployed(bench, folder)
    outcomes = [(result.step.target.name, result.outcome) for result in results]
    assert outcomes == [
        (CHAT_NAME, "verified"),
        (CHATFLOW_NAME, "failed"),
        (CHATFLOW_NAME, "skipped"),
        (NAME, "skipped"),
        (NAME, "skipped"),
    ]
    assert "apps.import: app 'Night desk' was not done" in results[-1].message
    bench.server.faults, join.role = Faults(), "owner"
    assert {result.outcome for result in deployed(bench, folder)} == {"verified"}
    assert all(len(apps_called(bench, name)) == 1 for name in (CHAT_NAME, CHATFLOW_NAME, NAME))


def test_lost_answer_makes_nothing_twice(bench: Workbench, tmp_path: Path) -> None:
    """The app is found again, and the steps behind it know its id."""
    folder = folder_of(tmp_path, WORKFLOW)
    lose_answers(bench, "POST", "/apps/imports")
    results = deployed(bench, folder, "from git")
    assert {result.outcome for result in results} == {"verified"}, results
    assert len(apps_called(bench, NAME)) == 1


def test_new_app_has_no_first_key_of_the_datasets(bench: Workbench, tmp_path: Path) -> None:
    """A consumer of the datasets waits for no app, whatever its entry holds: nothing is promised
    to it, and nothing after the first app is skipped.
    """
    target = {"consumer": "library", "datasets": True, "sink": "file", "entry": "LIBRARY"}
    bench.policy = Policy.model_validate(
        {**POLICY.model_dump(exclude={"targets"}), "targets": [target, *POLICY.targets]}
    )
    folder = folder_of(tmp_path, CHAT, WORKFLOW)
    results = deployed(bench, folder)
    assert {result.outcome for result in results} == {"verified"}, results
    first = [result.step.target.name for result in results if result.step.operation == "keys.first"]
    assert sorted(first) == [f"{NAME} / shop", f"{CHAT_NAME} / desk"]
    assert [*keys_in(bench)] == ["DESK_KEY", "SHOP_KEY"]
    assert not planned(bench, folder).plan.steps


def test_first_keys_go_into_the_sink_and_nowhere_else(bench: Workbench, tmp_path: Path) -> None:
    """One per consumer that the policy names, tried by a real call; no plan, result or audit has
    it; the second time nothing is to do.
    """
    bench.policy = POLICY
    folder = folder_of(tmp_path, CHAT, CHATFLOW, WORKFLOW)
    operation = planned(bench, folder)
    results = deployed(bench, folder)
    assert {result.outcome for result in results} == {"verified"}, results
    tokens = {key.token for key in bench.world.api_keys.values()}
    held = keys_in(bench)
    assert held.keys() == {"SHOP_KEY", "DESK_KEY"}
    assert set(held.values()) <= tokens
    told = repr([operation.plan, results]) + Home(bench.home).audit.read_text()
    assert not [token for token in held.values() if token in told]
    assert not planned(bench, folder).plan.steps


def test_policy_may_name_apps_by_the_tag_that_they_get(bench: Workbench, tmp_path: Path) -> None:
    """Their entries hold the app's id, which nobody knows before."""
    target = {"consumer": "x", "tag": "from git", "sink": "file", "entry": "K_{app_id}"}
    sinks = {"file": {"type": "file", "path": "keys.json"}}
    bench.policy = Policy.model_validate({"sinks": sinks, "targets": [target]})
    folder = folder_of(tmp_path, CHAT)
    lines = planned(bench, folder, "from git").plan.lines()
    assert any("K_{app_id}" in line for line in lines)


def test_sink_that_fails_ends_it_with_what_was_done(bench: Workbench, tmp_path: Path) -> None:
    """A name that is none in its file is met when the app's id is known: the app stays, the step
    says why, and so does everything that was not tried.
    """
    target = {"consumer": "x", "tag": "from git", "sink": "file", "entry": "K_{app_id}"}
    sinks = {"file": {"type": "file", "path": "keys.env"}}
    bench.policy = Policy.model_validate({"sinks": sinks, "targets": [target]})
    results = deployed(bench, folder_of(tmp_path, CHAT, WORKFLOW), "from git")
    outcomes = [result.outcome for result in results]
    assert outcomes == ["verified"] * 3 + ["skipped"] * 5
    assert "this is no name of a variable" in results[3].message


def test_foreign_value_in_the_entry_is_left_alone(bench: Workbench, tmp_path: Path) -> None:
    """It is no empty entry: `keys adopt` is how a person lets it go."""
    bench.policy = POLICY
    (bench.home / "keys.env").write_text("DESK_KEY=somebody's\n")
    deployed(bench, folder_of(tmp_path, CHAT))
    assert keys_in(bench) == {"DESK_KEY": "somebody's"}


def test_secrets_that_dify_holds_survive_a_replacement(bench: Workbench, tmp_path: Path) -> None:
    """A file from git has `(secret)`, or an empty value: the app keeps what was entered in Dify,
    and nobody is told it.
    """
    folder = folder_of(tmp_path, WORKFLOW)
    (made, *_) = deployed(bench, folder)
    places = "workflow.environment_variables[0], workflow.graph.nodes[0].data.headers"
    assert made.step.note == (
        f"secrets are missing in 2 places ({places}): write them into the app afterwards"
    )
    draft = bench.world.draft_of(app_called(bench, NAME).id)
    assert draft is not None
    enter_secrets(bench)
    bench.wait(60)
    assert {step.operation for step in planned(bench, folder).plan.steps} == {"apps.publish"}
    change(folder / WORKFLOW, "Ask the partner", "Ask them")
    operation = planned(bench, folder)
    results = deployed(bench, folder)
    assert {result.outcome for result in results} == {"verified"}, results
    told = yaml_text(draft.graph)
    assert "X-Api-Key: canary-header-1234" in told
    assert "Ask them" in told
    assert [one["value"] for one in draft.environment_variables] == ["canary-in-dify", "eu"]
    shown = "\n".join(operation.plan.lines()) + repr(results) + Home(bench.home).audit.read_text()
    assert "canary" not in shown
    assert not planned(bench, folder).plan.steps


def agent_tools(*tools: tuple[str, str]) -> dict[str, Any]:
    """A node of an agent with these tools and their keys, as Dify saves it since 1.7."""
    listed = [
        {
            "tool_name": name,
            "provider_name": f"acme/{name}/{name}",
            "settings": {"api_key": {"value": {"type": "constant", "value": key}}},
            "parameters": {"token": {"auto": 0, "value": {"type": "mixed", "value": f"{key}-2"}}},
        }
        for name, key in tools
    ]
    parameters = {"tools": {"type": "constant", "value": listed}}
    data = {"type": "agent", "title": "Agent", "agent_parameters": parameters}
    return {"id": "777", "type": "custom", "data": data}


def test_tool_never_gets_the_secret_of_another_tool(bench: Workbench, tmp_path: Path) -> None:
    """An agent's tools, exported without their keys, one taken out in git: what Dify runs then has
    the keys that it had, and an export that nobody touched is no change.
    """
    folder = folder_of(tmp_path, WORKFLOW)
    deployed(bench, folder)
    app_id = app_called(bench, NAME).id
    draft = bench.world.draft_of(app_id)
    assert draft is not None
    graph: Any = yaml.safe_load(yaml_text(draft.graph))
    graph["nodes"].append(agent_tools(("alpha", "canary-alpha"), ("beta", "canary-beta")))
    bench.world.save_draft(app_id, graph, at=bench.world.now())
    bench.wait(60)
    with bench.client() as dify:
        apps = [app for app in dify.apps.list() if app.app_id == app_id]
        (path,) = export_apps(dify, apps, tmp_path / "git", is_all=False).written
    assert "canary" not in path.read_text()
    assert {step.operation for step in planned(bench, path.parent).plan.steps} == {"apps.publish"}
    document = yaml.safe_load(path.read_text())
    document["workflow"]["graph"]["nodes"][-1]["data"]["agent_parameters"]["tools"]["value"].pop(0)
    path.write_text(yaml_text(document))
    results = deployed(bench, path.parent)
    assert {result.outcome for result in results} == {"verified"}, results
    graph = draft.graph
    assert graph["nodes"][-1]["data"] == agent_tools(("beta", "canary-beta"))["data"]
    assert not planned(bench, path.parent).plan.steps


def test_secret_that_would_be_lost_refuses_the_plan(bench: Workbench, tmp_path: Path) -> None:
    """Where its line is another now, nobody can tell where it belongs."""
    folder = folder_of(tmp_path, WORKFLOW)
    deployed(bench, folder)
    draft = bench.world.draft_of(app_called(bench, NAME).id)
    assert draft is not None
    enter_secrets(bench)
    change(folder / WORKFLOW, "X-Api-Key: (secret)", "X-Partner-Key: (secret)")
    with pytest.raises(InputWrong, match=r"would be lost at .*headers"):
        planned(bench, folder)


def test_secret_in_a_file_is_deployed_and_not_shown(bench: Workbench, tmp_path: Path) -> None:
    """CI may put secrets into the file before: a new one is a change, told as a hidden value."""
    folder = folder_of(tmp_path, WORKFLOW)
    deployed(bench, folder)
    change(folder / WORKFLOW, "X-Api-Key: (secret)", "X-Api-Key: canary-1-1234")
    deployed(bench, folder)
    change(folder / WORKFLOW, "canary-1-1234", "canary-2-1234")
    lines = "\n".join(planned(bench, folder).plan.lines())
    assert "+ hidden values: as in the file" in lines
    assert "canary" not in lines
    results = deployed(bench, folder)
    assert {result.outcome for result in results} == {"verified"}, results
    assert not planned(bench, folder).plan.steps


def test_plan_is_the_same_for_two_clients(bench: Workbench, tmp_path: Path) -> None:
    """What was shown in one process is applied in another."""
    bench.policy = POLICY
    folder = folder_of(tmp_path, *every_file(has_agents=False))
    assert planned(bench, folder, "a").plan.plan_id == planned(bench, folder, "a").plan.plan_id


def test_apps_that_no_file_names_stay(bench: Workbench, tmp_path: Path) -> None:
    """A deployment takes nothing away."""
    before = {app.id for app in bench.world.apps.values()}
    app = app_of(bench.world, "chat")
    deployed(bench, folder_of(tmp_path, CHAT), "from git")
    assert before < set(bench.world.apps)
    assert app.tag_ids == ()
