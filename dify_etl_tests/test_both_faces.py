"""An operation has the same options, help and refusals on the command line and in Dagster."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from typer.main import get_group
from typer.testing import CliRunner

from dify_etl.cli.consoles import err
from dify_etl.cli.main import app
from dify_etl.defs.indexing_assets import indexing_report
from dify_etl.defs.location import Location
from dify_etl.defs.operation_jobs import operation_jobs
from dify_etl.operations.request import Argument, OperationSpec, bounds_of, mark, option_of
from dify_etl.operations.table import OPERATIONS
from dify_etl.settings import setting_names
from dify_etl_tests.operations.command_words import words_of

COMMANDS = {
    f"{noun} {name}": command
    for noun, group in get_group(app).commands.items()
    for name, command in getattr(group, "commands", {}).items()
}
JOBS: dict[str, Any] = {job.name: job.nodes[0].definition for job in operation_jobs(Location())} | {
    "indexing_report": indexing_report(Location()).op
}
OF_EVERY_COMMAND = {"debug", "simulated", "workspace"}
# All that one face has alone. Why stands at the field, in its mark `Only`.
ALONE = {
    ("apps export", "everything"): "command",
    ("apps export", "to"): "command",
    ("apps delete", "yes"): "command",
    ("members remove", "yes"): "command",
    ("indexing retry", "schedule_token"): "job",
}
ALONE |= {(spec.command, "dry_run"): "job" for spec in OPERATIONS if spec.changes_dify}
ALONE |= {(spec.command, "as_json"): "command" for spec in OPERATIONS}
every_operation = pytest.mark.parametrize("spec", OPERATIONS, ids=lambda spec: spec.command)


@dataclass(frozen=True)
class Shown:
    """An option as one face shows it."""

    is_required: bool
    default: Any
    sentence: str


def on_command_line(spec: OperationSpec) -> dict[str, Shown]:
    """By the names of fields. No list and an empty one are the same."""
    params = {one.name: one for one in COMMANDS[spec.command].params}
    return {
        name: Shown(one.required, one.default, one.help.removesuffix("; repeat for more.") + ".")
        for name, one in params.items()
        if name not in OF_EVERY_COMMAND
    }


def in_dagster(spec: OperationSpec) -> dict[str, Shown]:
    """By the names of fields."""
    fields = JOBS[spec.job].config_schema.config_type.fields
    return {
        name: Shown(
            one.is_required, one.default_value if one.default_provided else None, one.description
        )
        for name, one in fields.items()
    }


def plain(shown: Shown) -> Shown:
    """An option as both faces mean it."""
    return Shown(shown.is_required, shown.default or None, shown.sentence.rstrip("."))


@every_operation
def test_both_faces_have_the_same_options(spec: OperationSpec) -> None:
    """Names, defaults and sentences; what one face has alone is on the list above."""
    command, job = on_command_line(spec), in_dagster(spec)
    alone = {name: "command" if name in command else "job" for name in command.keys() ^ job.keys()}
    assert alone == {name: face for (of, name), face in ALONE.items() if of == spec.command}
    both = command.keys() & job.keys()
    assert both
    assert {name: plain(command[name]) for name in both} == {
        name: plain(job[name]) for name in both
    }
    if spec.changes_dify:
        assert plain(command["most"]).default == plain(job["most"]).default == spec.most


@every_operation
def test_both_faces_say_the_same(spec: OperationSpec) -> None:
    """The command, the job and its op have the sentence of the request."""
    assert COMMANDS[spec.command].help == spec.description
    if spec.job != "indexing_report":  # an asset, which is more than what it is asked for
        assert JOBS[spec.job].description == spec.description


def test_nothing_is_offered_beside_the_table() -> None:
    """Every job of an operation, and every command of its groups that does more than show."""
    assert JOBS.keys() == {spec.job for spec in OPERATIONS}
    nouns = {spec.command.split()[0] for spec in OPERATIONS}
    offered = {command for command in COMMANDS if command.split()[0] in nouns}
    only_showing = {"apps list", "apps show", "members list"}
    assert offered == only_showing | {spec.command for spec in OPERATIONS}


def test_bounds_are_told() -> None:
    """Whoever reads the help knows them before they are broken."""
    (spec,) = [one for one in OPERATIONS if one.command == "indexing retry"]
    told = {name: one.sentence for name, one in in_dagster(spec).items()}
    assert told["tries"].endswith("given up; at least 1.")
    assert told["follow_seconds"].endswith("followed; more than 0.")


@dataclass(frozen=True)
class Refused:
    """Values that an operation refuses, and words of the refusal."""

    command: str
    values: dict[str, Any] = field(default_factory=dict)
    says: str = ""


# The least that each operation has to be given.
NEEDED: dict[str, dict[str, Any]] = {
    "apps create": {"name": "x", "mode": "chat"},
    "apps update": {"app": "x"},
    "apps publish": {"apps": ["x"]},
    "apps import": {"file": "app.yml"},
    "apps deploy": {"folder": "dsl"},
    "apps delete": {"apps": ["x"]},
    "members invite": {"emails": ["ann@example.com"]},
    "members set-role": {"members": ["x"], "role": "editor"},
    "members remove": {"members": ["x"]},
}
REFUSALS = [
    Refused("apps create", {"mode": "channel"}, "'channel' is no mode of an app"),
    Refused("apps create", {"name": " "}, "an app needs a name"),
    Refused("apps update", {"name": ""}, "an app needs a name"),
    Refused("apps update", {"model_config_file": "none.json"}, "the file cannot be read"),
    Refused("apps update", {"model_config_file": "app.yml"}, "the file is no JSON"),
    Refused("apps import", {"over": "x", "twin": True}, "not both"),
    Refused("apps import", {"file": "none.yml"}, "the file cannot be read"),
    Refused("apps deploy", {"folder": "none"}, "the folder cannot be read"),
    Refused("apps deploy", {"folder": "."}, "its version 0.1 is no text"),
    Refused("apps deploy", {"tags": [" "]}, "a tag's name has 1 to 50 characters"),
    Refused("members invite", {"emails": ["nobody"]}, "'nobody' is no e-mail address"),
    Refused("members invite", {"emails": []}, "nobody is named"),
    Refused("members invite", {"csv": "none.csv"}, "the file cannot be read"),
    Refused("members invite", {"role": "owner"}, "'owner' is no role"),
    Refused("members set-role", {"role": "owner"}, "'owner' is no role"),
]


# A value beyond a bound, and what is said of it.
BEYOND: dict[str, tuple[Callable[[Any], Any], str]] = {
    "ge": (lambda least: least - 1, "equal to {}"),
    "gt": (lambda least: least, "greater than {}"),
    "max_length": (lambda most: "x" * (most + 1), "at most {} characters"),
}


def beyond_bounds() -> Iterator[Refused]:
    """For each bound of each option a value beyond it."""
    for spec in OPERATIONS:
        for name, one in spec.fields("command").items():
            for kind, bound in bounds_of(one):
                value, says = BEYOND[kind]
                yield Refused(spec.command, {name: value(bound)}, says.format(bound))


def run_in_dagster(spec: OperationSpec, values: dict[str, Any]) -> None:
    """The body of the job, or of the asset, with this config; nothing of Dify is there."""
    context = dg.build_op_context(op_config=values, resources={"dify_operations": None})
    with context:
        list(JOBS[spec.job](context))


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A folder with a DSL file, a console that folds nothing, and no Dify at all."""
    for name in setting_names():
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    Path("app.yml").write_text("app: {name: x, mode: workflow}\n")
    Path("broken.yml").write_text("app: {name: y, mode: workflow}\nversion: 0.1\n")
    Path("dsl").mkdir()
    Path("dsl", "app.yml").write_text("app: {name: x, mode: workflow}\n")
    width, err.width = err.width, 400
    yield
    err.width = width


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize(
    "refused",
    [*REFUSALS, *beyond_bounds()],
    ids=lambda one: f"{one.command}: {', '.join(one.values)} {one.says}",
)
def test_both_faces_refuse_with_the_same_words(refused: Refused) -> None:
    """What, where and what to do, before any Dify is asked; exit code 2 of the command."""
    (spec,) = [one for one in OPERATIONS if one.command == refused.command]
    values = NEEDED.get(spec.command, {}) | refused.values
    command = CliRunner().invoke(app, words_of(spec, values))
    with pytest.raises(dg.Failure) as failure:
        run_in_dagster(spec, values)
    told = {key: str(one.value) for key, one in failure.value.metadata.items()}
    assert refused.says in told["what"]
    assert command.exit_code == 2, command.output
    lines = [told["error"] + ": " + told["what"], told["where"], told["what to do"]]
    said = [line.strip() for line in command.stderr.splitlines()]
    assert said == [lines[0], f"where: {lines[1]}", f"what to do: {lines[2]}"]


@every_operation
def test_refusal_names_the_option_of_both_faces(spec: OperationSpec) -> None:
    """Whoever reads it finds the option that he gave."""
    for name, one in spec.fields("command").items():
        argument = mark(one, Argument)
        words = {
            opt for param in COMMANDS[spec.command].params for opt in getattr(param, "opts", [])
        }
        assert argument or option_of(name, one).flags.split("/")[0] in words
