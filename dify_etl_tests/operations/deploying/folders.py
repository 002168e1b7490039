"""Folders of DSL files, and what a deployment of one leaves behind."""

import shutil
from pathlib import Path

import yaml

from dify_etl.operations.applying import Operation, Result
from dify_etl.operations.deploying.deployment import DeployApps
from dify_etl.operations.keys.policy import Policy
from dify_etl.operations.readable_yaml import yaml_text
from dify_etl_tests.operations.workbench import Workbench, applied
from dify_simulated.world.rows import App

# Made by hand with the structure of real exports, each of another version of the DSL.
EVERY_VERSION_OF_THE_DSL = Path(__file__).parent / "dsl"
WORKFLOW = "workflow-0.1.5.yml"
CHAT = "chat-0.1.1.yaml"
CHATFLOW = "chatflow-0.6.0.yml"
AGENT = "agent-0.7.0.yml"


NAME, CHAT_NAME, CHATFLOW_NAME = "Partner call", "Travel desk", "Night desk"
POLICY = Policy.model_validate(
    {
        "sinks": {"file": {"type": "file", "path": "keys.env"}},
        "targets": [
            {"consumer": "shop", "app": NAME, "sink": "file", "entry": "SHOP_KEY"},
            {"consumer": "desk", "app": CHAT_NAME, "sink": "file", "entry": "DESK_KEY"},
        ],
    }
)


def folder_of(home: Path, *names: str) -> Path:
    """A folder with these of the files."""
    folder = home / "dsl"
    folder.mkdir()
    for name in names:
        shutil.copy(EVERY_VERSION_OF_THE_DSL / name, folder)
    return folder


def every_file(*, has_agents: bool = True) -> list[str]:
    """The names of all files; those of agents where the server knows any."""
    names = sorted(path.name for path in EVERY_VERSION_OF_THE_DSL.iterdir())
    return [name for name in names if has_agents or name != AGENT]


def planned(bench: Workbench, folder: Path, *tags: str) -> Operation:
    """The plan for a folder."""
    with bench.operator() as operator:
        return DeployApps(folder=folder, tags=[*tags]).plan(bench.context(operator))


def deployed(bench: Workbench, folder: Path, *tags: str) -> tuple[Result, ...]:
    """Plan and do it; a minute passes, as between two runs."""
    with bench.operator() as operator:
        operation = DeployApps(folder=folder, tags=[*tags]).plan(bench.context(operator))
        results = applied(operator, operation)
    bench.wait(60)
    return results


def change(path: Path, old: str, new: str) -> None:
    """Another text in a file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def apps_called(bench: Workbench, name: str) -> list[str]:
    """The ids of the apps of a name."""
    return [app.id for app in bench.world.apps.values() if app.name == name]


def app_called(bench: Workbench, name: str) -> App:
    """The one app of a name."""
    (app_id,) = apps_called(bench, name)
    return bench.world.apps[app_id]


def keys_in(bench: Workbench) -> dict[str, str]:
    """What the sink of the bench holds."""
    path = bench.home / "keys.env"
    lines = path.read_text().splitlines() if path.exists() else []
    return dict(line.split("=", 1) for line in lines)


def enter_secrets(bench: Workbench) -> None:
    """A person writes them into the draft of the workflow, in Dify."""
    app_id = app_called(bench, NAME).id
    draft = bench.world.draft_of(app_id)
    assert draft is not None
    text = yaml_text(draft.graph).replace("X-Api-Key: (secret)", "X-Api-Key: canary-header-1234")
    first, *others = draft.environment_variables
    saved = bench.world.save_draft(app_id, yaml.safe_load(text), at=bench.world.now())
    saved.environment_variables = ({**first, "value": "canary-in-dify"}, *others)


def state_of_world(bench: Workbench) -> dict[str, object]:
    """What a deployment may change, by names instead of ids."""
    world = bench.world
    return {
        app.name: (
            app.mode,
            app.description,
            sorted(world.tags[tag].name for tag in app.tag_ids),
            [one.marked_comment for one in world.workflows.values() if one.app_id == app.id],
            (draft.graph, draft.features) if (draft := world.draft_of(app.id)) else None,
            app.app_model_config.pre_prompt if app.app_model_config else None,
            sum(key.app_id == app.id for key in world.api_keys.values()),
        )
        for app in world.apps.values()
    } | {"tags": sorted(tag.name for tag in world.tags.values())}
