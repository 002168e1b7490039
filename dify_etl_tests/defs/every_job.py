"""What each job of the code location would be asked to do, and a launch of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from dify_etl.assembly.connection import effective_settings
from dify_etl.defs.code_location import code_location
from dify_etl.defs.key_adoption import ADOPT
from dify_etl.defs.key_assets import KEY_OPERATIONS, ROTATE_KEYS
from dify_etl.defs.key_rollback import ROLL_BACK
from dify_etl.defs.operation_jobs import op_of
from dify_etl.defs.schedules import NIGHTLY_SYNC
from dify_etl.operations.keys.ledger import RotationLedger
from dify_etl_tests.cli.small_policies import bots_key
from dify_etl_tests.defs.night import QUIET
from dify_etl_tests.defs.ticks import ticked
from dify_etl_tests.sync.small_worlds import app_of, failing_document
from dify_simulated import World
from dify_simulated.world.rows import ApiKey, JsonObject

ONLY_READING = {NIGHTLY_SYNC, "export_apps"}
MEMBER = "one@example.com"
DSL = "app: {name: made, mode: workflow}\nkind: app\nversion: 0.1.5\n"


def something_for_every_job(world: World, folder: Path) -> ApiKey:
    """A key that is due, a member, a failed document, a draft and a DSL file; answers the key."""
    old_key = bots_key(world, folder, days=100)
    account = world.add_account(name="One", email=MEMBER, at=world.now())
    world.join(account.id, world.workspace_id, role="normal", at=world.now())
    failing_document(world)
    graph: JsonObject = {"nodes": [], "edges": []}
    world.save_draft(app_of(world, "workflow").id, graph, at=world.now())
    (folder / "app.yml").write_text(f"{DSL}workflow: {{graph: {{nodes: [], edges: []}}}}\n")
    (folder / "dsl").mkdir(exist_ok=True)
    (folder / "dsl" / f"made-{app_of(world, 'workflow').id}.yml").write_text(DSL)
    return old_key


# The wall is met after the plan was made.
JOBS: dict[str, Callable[[World, Path], dict[str, Any]]] = {
    "create_app": lambda world, folder: {"name": "made", "mode": "chat"},
    "update_app": lambda world, folder: {"app": app_of(world, "chat").id, "is_api_on": False},
    "publish_apps": lambda world, folder: {"apps": [app_of(world, "workflow").id]},
    "import_app": lambda world, folder: {"file": str(folder / "app.yml")},
    "deploy_apps": lambda world, folder: {"folder": str(folder / "dsl")},
    "delete_apps": lambda world, folder: {
        "apps": [app_of(world, "chat").id],
        "names": [app_of(world, "chat").name],
        "accept_unproven": True,
    },
    "invite_members": lambda world, folder: {"emails": ["me@evil.example"], "role": "admin"},
    "set_member_role": lambda world, folder: {"members": [MEMBER], "role": "admin"},
    "remove_members": lambda world, folder: {"members": [MEMBER], "names": [MEMBER]},
    "retry_indexing": lambda world, folder: {"second_look_seconds": 0.0},
    ROTATE_KEYS: lambda world, folder: {},
    ROLL_BACK: lambda world, folder: {"rollback": begun(folder)},
    ADOPT: lambda world, folder: {"adopt": with_foreign_entry(world, folder)},
}


def with_foreign_entry(world: World, folder: Path) -> str:
    """The target of the policy, whose entry holds what is no key of it now."""
    (folder / "bot.env").write_text("DIFY_KEY=somebody's\n")
    return app_of(world, "chat").id


def begun(folder: Path) -> str:
    """The id of a rotation that a person began."""
    assert launch(ROTATE_KEYS, scheduled()).success
    (rotation,) = RotationLedger(folder / "home").rotations()
    return rotation.rotation_id


def scheduled() -> dict[str, Any]:
    """The config that a tick of the rotation's schedule gives to its run."""
    config: dict[str, Any] = ticked(ROTATE_KEYS).run_config["resources"][KEY_OPERATIONS]["config"]
    return config


def run_config(job: str, config: dict[str, Any]) -> dict[str, Any]:
    """Where the config of a job stands at the launchpad."""
    if job in (ROTATE_KEYS, ROLL_BACK, ADOPT):
        return {"resources": {KEY_OPERATIONS: {"config": config}}} | QUIET
    return {"ops": {op_of(job): {"config": config}}} | QUIET


def launch(
    job: str,
    config: dict[str, Any],
    *,
    only: dg.AssetKey | None = None,
    tags: dict[str, str] | None = None,
) -> dg.ExecuteInProcessResult:
    """Run a job with this config, as a request to Dagster's API may."""
    with dg.DagsterInstance.ephemeral() as instance:
        return (
            code_location(effective_settings())
            .resolve_job_def(job)
            .execute_in_process(
                instance=instance,
                run_config=run_config(job, config),
                tags=tags,
                asset_selection=[only] if only else None,
                raise_on_error=False,
            )
        )
