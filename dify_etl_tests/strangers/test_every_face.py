"""Texts of strangers are shown and never obeyed: by any command, in any event of any job.

The walk is over the command tree and the definitions: what is new and not walked is red.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.main import get_group
from typer.testing import CliRunner

from dify_etl.assembly.connection import effective_settings
from dify_etl.cli.consoles import err, out
from dify_etl.cli.main import app
from dify_etl.defs.code_location import code_location
from dify_etl.defs.key_assets import ROTATE_KEYS
from dify_etl.defs.key_rollback import ROLL_BACK
from dify_etl.defs.location import ALONE
from dify_etl.defs.schedules import NIGHTLY_SYNC, RANGE_END, RANGE_START
from dify_etl.operations.keys.ledger import RotationLedger
from dify_etl.operations.table import OPERATIONS
from dify_etl.settings import setting_names
from dify_etl_tests.cli.small_servers import small_world, some_days_ago, today
from dify_etl_tests.defs.every_job import (
    JOBS,
    ONLY_READING,
    run_config,
    scheduled,
    something_for_every_job,
    with_foreign_entry,
)
from dify_etl_tests.defs.night import QUIET
from dify_etl_tests.operations.command_words import words_of
from dify_etl_tests.strangers.planting import EVIL, PlantedDify, as_it_is
from dify_etl_tests.sync.small_worlds import app_of
from dify_simulated import SimulatedDify, World, serve
from dify_simulated.world.rows import ApiKey

OBEYED = re.compile("\x1b\\[2J|\x1b\\]|[\x07\x9b\u202e]")
# An image, a link or HTML that no backslash makes plain.
LIVE_MARKUP = re.compile(r"(?<!\\)!\[p|(?<!\\)\[l|(?<!\\)<img|(?<!\\)http(?=://)")
FENCE = re.compile(r"(`{3,})\w*\n(.*)\n\1", re.DOTALL)
SHOWN = "evil.example"


LOOK = "look_at_indexing"


@dataclass
class Stage:
    """A planted Dify with something to do for every job and command, and the operator's folder."""

    world: World
    planted: PlantedDify
    folder: Path
    old_key: ApiKey
    definitions: dg.Definitions
    events: dict[str, list[Any]] = field(default_factory=dict)  # by job

    def id_of(self, mode: str) -> str:
        """The id of the app of a mode."""
        return app_of(self.world, mode).id


def stranger(path: str) -> int | None:
    """What the stranger's server refuses, with a message of its own."""
    return 400 if path.endswith(("/completion-conversations", "/annotations")) else None


def odd(path: str, answer: Any) -> Any:
    """A dataset that is no record, under an id of the stranger's: it waits in quarantine."""
    if path.endswith("/datasets") and isinstance(answer, dict) and answer.get("data"):
        return {**answer, "data": [*answer["data"], {"id": EVIL, "created_at": "odd"}]}
    return answer


def definitions() -> dg.Definitions:
    """The code location, and a job for the one asset that no job of it runs."""
    look = dg.define_asset_job(LOOK, selection=dg.AssetSelection.assets(ALONE.indexing_report))
    return dg.Definitions.merge(code_location(effective_settings()), dg.Definitions(jobs=[look]))


@pytest.fixture(scope="module")
def wide() -> Iterator[None]:
    """Consoles that fold no name, whatever runs the tests."""
    widths = [(console, console.width) for console in (out, err)]
    for console, _ in widths:
        console.width = 400
    yield
    for console, width in widths:
        console.width = width


@pytest.fixture(scope="module")
def stage(wide: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("strangers")
    world = small_world()
    planted = PlantedDify(SimulatedDify(world, "1.12.1"))
    with pytest.MonkeyPatch.context() as patch, serve(planted) as running:
        for name in setting_names():
            patch.delenv(name, raising=False)
        variables = {
            "DIFY_BASE_URL": running.base_url,
            "DIFY_EMAIL": world.account.email,
            "DIFY_PASSWORD": str(world.account.password),
            "DIFY_ETL_START_DATE": some_days_ago(3),
            "DIFY_ETL_SEGMENTS": "true",
            "DIFY_ETL_WAREHOUSE": str(folder / "shared.duckdb"),
        }
        patch.chdir(folder)
        patch.setenv("DIFY_ETL_HOME", str(folder / "home"))
        for name, text in variables.items():
            patch.setenv(name, text)
        key = something_for_every_job(world, folder)
        policy = folder / "rotation.toml"
        policy.write_text(policy.read_text().replace("the chat app", app_of(world, "chat").id))
        planted.spoiled = stranger
        stage = Stage(world, planted, folder, key, definitions())
        planted.change = odd
        stage.events[NIGHTLY_SYNC] = run_job(stage, NIGHTLY_SYNC)
        planted.change = as_it_is
        stage.events[ROTATE_KEYS] = run_job(stage, ROTATE_KEYS)
        yield stage


# What each command is asked; the operator's own words name no stranger's place.
Words = Callable[[Stage], list[list[str]]]
COMMANDS: dict[str, Words] = {
    "init": lambda stage: [["--yes"]],
    "sync": lambda stage: [["--feed", "conversations", "--debug"]],
    "accept": lambda stage: [["annotations", "--reason", "known"], []],
    "doctor": lambda stage: [[]],
    "privacy": lambda stage: [[]],
    "source": lambda stage: [[], ["--accept", "another"]],
    "forget": lambda stage: [[]],
    "status": lambda stage: [[], ["--json"]],
    "tables": lambda stage: [[], ["raw.apps"]],
    "query": lambda stage: [["select name from raw.apps"], ["select error('x\x1b[2J')"]],
    "report": lambda stage: [[]],
    "docs": lambda stage: [[], ["is_whole"], [EVIL]],
    "export": lambda stage: [["raw.apps", "--to", "apps.csv"]],
    "quarantine list": lambda stage: [[]],
    "quarantine retry": lambda stage: [[]],
    "apps list": lambda stage: [[]],
    "apps show": lambda stage: [[stage.id_of("chat")], ["nobody"]],
    "apps publish": lambda stage: [[stage.id_of("workflow")], [stage.id_of("chat")]],
    "apps export": lambda stage: [["--all", "--to", "exported"]],
    "apps import": lambda stage: [["app.yml", "--over", stage.id_of("workflow")]],
    "apps delete": lambda stage: [[stage.id_of("chat")], [stage.id_of("chat"), "--debug"]],
    "members list": lambda stage: [[]],
    "members invite": lambda stage: [["new@example.com"]],
    "indexing list": lambda stage: [["--look-again", "0"]],
    "notify": lambda stage: [["--dry-run"]],
    "warehouse publish": lambda stage: [[]],
    "warehouse check": lambda stage: [[]],
    "warehouse compact": lambda stage: [["--keep-days", "0"]],
    "warehouse upgrade": lambda stage: [[]],
    "warehouse remove": lambda stage: [[stage.world.workspace_id], [EVIL]],
    "keys list": lambda stage: [[]],
    "keys plan": lambda stage: [[]],
    "keys rotate": lambda stage: [["--compromised", stage.old_key.id]],
    "keys status": lambda stage: [["--all"]],
    "keys rollback": lambda stage: [[rotation_of(stage)]],
    "audit list": lambda stage: [[]],
    "keys adopt": lambda stage: [[with_foreign_entry(stage.world, stage.folder)]],
}
COMMANDS |= {
    spec.command: lambda stage, spec=spec: [  # type: ignore[misc]
        words_of(spec, JOBS[spec.job](stage.world, stage.folder))[2:]
    ]
    for spec in OPERATIONS
    if spec.command not in COMMANDS
}
# These start servers, and say nothing of what stands in Dify; their jobs are walked below.
SERVERS = {"dev", "serve", "simulate", "demo"}
# These tell ids, numbers and what the operator gave, or cut what is long; all others show what
# strangers wrote.
NO_NAMES = {
    "privacy",
    "source",
    "forget",
    "tables",
    "report",
    "export",
    "quarantine retry",
    "warehouse publish",
    "warehouse check",
    "warehouse compact",
    "warehouse remove",
    "warehouse upgrade",
    "apps create",
    "apps export",
    "members invite",
    "members set-role",
    "members remove",
}


def leaves(group: object, before: str = "") -> Iterator[str]:
    """The commands of the tree that do something."""
    below = getattr(group, "commands", {})
    for name, one in below.items():
        yield from leaves(one, f"{before} {name}".strip())
    if not below:
        yield before


def has_json(command: str) -> bool:
    """Whether a command has the option `--json`."""
    found: Any = get_group(app)
    for name in command.split():
        found = found.commands[name]
    return any("--json" in one.opts for one in found.params)


def run_job(stage: Stage, job: str) -> list[Any]:
    """All that Dagster keeps of a run as the launchpad starts it: events and log lines, as JSON."""
    days = {RANGE_START: some_days_ago(3), RANGE_END: today().isoformat()}
    with dg.DagsterInstance.ephemeral() as instance:
        result = stage.definitions.resolve_job_def(job).execute_in_process(
            instance=instance,
            run_config=config_of(stage, job) | QUIET,
            tags=days if job == NIGHTLY_SYNC else None,
            raise_on_error=False,
        )
        return [json.loads(dg.serialize_value(one)) for one in instance.all_logs(result.run_id)]


def config_of(stage: Stage, job: str) -> dict[str, Any]:
    """What a job is asked; only the schedule of the rotation applies anything."""
    if job == NIGHTLY_SYNC:
        return {"resources": {"dify_home": {"config": {"catch_up": True}}}}
    if job == "export_apps":
        return run_config(job, {})
    if job == LOOK:
        return {"ops": {"indexing_report": {"config": {"second_look_seconds": 0.0}}}}
    if job == ROTATE_KEYS:
        return run_config(job, scheduled())
    if job == ROLL_BACK:
        return run_config(job, {"rollback": rotation_of(stage)})
    return run_config(job, JOBS[job](stage.world, stage.folder))


def rotation_of(stage: Stage) -> str:
    """The id of the rotation that the job has begun."""
    (one,) = RotationLedger(stage.folder / "home").rotations()
    return one.rotation_id


def texts(held: Any) -> Iterator[str]:
    """All texts in a JSON value."""
    if isinstance(held, str):
        yield held
    for one in held.values() if isinstance(held, dict) else held if isinstance(held, list) else ():
        yield from texts(one)


def markdown(held: Any) -> Iterator[str]:
    """What the UI renders of it: Markdown outside blocks of code."""
    if isinstance(held, dict) and isinstance(held.get("md_str"), str):
        yield FENCE.sub("", held["md_str"])
    for one in held.values() if isinstance(held, dict) else held if isinstance(held, list) else ():
        yield from markdown(one)


def told_keys(events: list[Any], kind: str) -> set[tuple[str, ...]]:
    """Assets (path), or checks (path and name), of which these events tell."""
    found: set[tuple[str, ...]] = set()
    for event in events:
        held = (event.get("dagster_event") or {}).get("event_specific_data") or {}
        if kind == "checks" and "check_name" in held:
            found.add((*held["asset_key"]["path"], held["check_name"]))
        for name in ("materialization", "asset_observation"):
            if kind == "assets" and held.get(name):
                found.add(tuple(held[name]["asset_key"]["path"]))
    return found


def test_no_event_of_any_job_is_obeyed(stage: Stage) -> None:
    """Every asset, check and job is run; a terminal obeys no text of an event or log line, and no
    Markdown of a stranger is live.
    """
    jobs = {job.name for job in stage.definitions.resolve_all_job_defs()}
    named = {name for name in jobs if not name.startswith("__")}
    assert named == JOBS.keys() | ONLY_READING | {LOOK}
    for job in sorted(named - stage.events.keys()):
        stage.events[job] = run_job(stage, job)
    every = [event for found in stage.events.values() for event in found]
    graph = stage.definitions.resolve_asset_graph()
    assets = {tuple(key.path) for key in graph.get_all_asset_keys()}
    checks = {(*one.asset_key.path, one.name) for one in graph.asset_check_keys}
    assert assets - told_keys(every, "assets") == set()
    assert checks - told_keys(every, "checks") == set()
    for job, found in stage.events.items():
        assert any(SHOWN in text for text in texts(found)), job
        assert [text for text in texts(found) if OBEYED.search(text)] == [], job
        assert [text for text in markdown(found) if LIVE_MARKUP.search(text)] == [], job


def test_no_command_is_obeyed_by_a_terminal(stage: Stage) -> None:
    """Every command is run; what it prints of strangers holds no code, with tracebacks too. With
    `--json`, where there is one, stdout is one JSON document of plain ASCII.
    """
    assert set(leaves(get_group(app))) == COMMANDS.keys() | SERVERS
    silent = set()
    for command, words in COMMANDS.items():
        done = [CliRunner().invoke(app, [*command.split(), *some]) for some in words(stage)]
        assert [one.output for one in done if OBEYED.search(one.output)] == []
        assert [one.output for one in done if "This is a bug" in one.output] == []
        lines = [line for one in done for line in one.output.splitlines()]
        if not any(SHOWN in line for line in lines if ", workspace '" not in line):
            silent.add(command)
    assert silent == NO_NAMES
    answered = set()
    for command in COMMANDS.keys() - {spec.command for spec in OPERATIONS if spec.changes_dify}:
        if not has_json(command):
            continue
        answer = CliRunner().invoke(app, [*command.split(), *COMMANDS[command](stage)[0], "--json"])
        assert answer.stdout.isascii(), command
        if answer.stdout:
            json.loads(answer.stdout)
            answered.add(command)
    assert answered >= {"sync", "accept", "audit list", "keys list", "keys plan", "keys status"}
    assert answered >= {"forget", "indexing list", "notify", "privacy", "status", "tables"}
