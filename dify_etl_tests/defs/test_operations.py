"""Operations as Dagster jobs: dry unless told otherwise, and no secret in any event."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dagster as dg
import duckdb
import pytest

from dify_etl.assembly.connection import effective_settings
from dify_etl.defs.code_location import code_location
from dify_etl.defs.operation_jobs import op_of
from dify_etl_tests.cli.command_line import ServedDify
from dify_etl_tests.defs.night import QUIET
from dify_etl_tests.defs.ticks import ticked
from dify_etl_tests.sync.small_worlds import app_of, failing_document
from dify_simulated import World
from dify_simulated.world.rows import App


def run(name: str, /, **config: object) -> dg.ExecuteInProcessResult:
    """Run a job as the launchpad does."""
    job = code_location(effective_settings()).resolve_job_def(name)
    with dg.DagsterInstance.ephemeral() as instance:
        return job.execute_in_process(
            instance=instance,
            run_config={"ops": {op_of(name): {"config": config}}} | QUIET,
            raise_on_error=False,
        )


def told(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """The metadata of the run's output or of its failure."""
    for event in result.all_node_events:
        if event.is_successful_output:
            return {key: one.value for key, one in event.step_output_data.metadata.items()}
        if event.is_step_failure and event.step_failure_data.user_failure_data:
            found = event.step_failure_data.user_failure_data
            return {key: one.value for key, one in found.metadata.items()} | {
                "failure": found.description
            }
    raise AssertionError("the run neither succeeded nor failed")


@pytest.fixture
def app(own_settings: ServedDify) -> App:
    """The chat app of a Dify that the settings reach."""
    return app_of(own_settings.world, "chat")


def test_without_a_word_nothing_is_changed(app: App, tmp_path: Path) -> None:
    """The default is a dry run: the plan and its id, no write, no audit."""
    result = run("update_app", app=app.id, description="new words")
    shown = told(result)
    assert result.success
    assert "+ description: new words" in shown["plan"]
    assert len(shown["plan_id"]) == 12
    assert app.description != "new words"
    assert not (tmp_path / "home" / "audit.jsonl").exists()


def test_plan_id_of_the_dry_run_applies_it(app: App, tmp_path: Path) -> None:
    """What was shown is done, and stands in the audit."""
    plan_id = told(run("update_app", app=app.id, description="new words"))["plan_id"]
    done = run("update_app", app=app.id, description="new words", dry_run=False, plan_id=plan_id)
    assert "**verified** apps.update" in told(done)["results"]
    assert app.description == "new words"
    lines = (tmp_path / "home" / "audit.jsonl").read_text().splitlines()
    assert [json.loads(line)["outcome"] for line in lines] == ["begun", "verified"]


@pytest.mark.parametrize("plan_id", ["", "0123456789ab"])
def test_missing_or_stale_id_changes_nothing(app: App, plan_id: str) -> None:
    """Without the id of the plan of now the run fails, and tells the id that would do it."""
    before = app.description
    result = run("update_app", app=app.id, description="x", dry_run=False, plan_id=plan_id)
    fresh = told(run("update_app", app=app.id, description="x"))["plan_id"]
    assert not result.success
    assert fresh in str(told(result))
    assert app.description == before


def test_cap_holds(own_settings: ServedDify) -> None:
    """A dry run of more objects than allowed fails already."""
    people = two_members(own_settings.world)
    shown = told(run("remove_members", members=people, most=1))
    assert "2 objects, the cap of one run is 1" in shown["failure"]
    assert people[0] in shown["plan"]


def test_plan_that_somebody_else_carried_out_is_stale(app: App) -> None:
    """Nothing is left to do, and the run does not pretend to have done it."""
    plan_id = told(run("update_app", app=app.id, description="words"))["plan_id"]
    app.description = "words"
    again = run("update_app", app=app.id, description="words", dry_run=False, plan_id=plan_id)
    assert not again.success
    assert "nothing is left to do" in told(again)["failure"]


def test_made_app_is_told_with_its_id(own_settings: ServedDify) -> None:
    """Whoever goes on with it needs the id."""
    config = {"name": "Made here", "mode": "chat", "icon": "🦊"}
    plan_id = told(run("create_app", **config))["plan_id"]
    done = told(run("create_app", **config, dry_run=False, plan_id=plan_id))
    made = next(app for app in own_settings.world.apps.values() if app.name == "Made here")
    assert made.icon == "🦊"
    assert made.id in done["results"]


def two_members(world: World) -> list[str]:
    """E-mails of two people who were invited beside the owner."""
    emails = ["one@example.com", "two@example.com"]
    for email in emails:
        account = world.add_account(name=email, email=email, at=world.now())
        world.join(account.id, world.workspace_id, role="normal", at=world.now())
    return emails


def test_activation_links_stand_in_no_event(own_settings: ServedDify, tmp_path: Path) -> None:
    """Events, metadata, audit and ops.audit hold no token; the private file does."""
    links = tmp_path / "links.tsv"
    config = {"emails": ["ann@example.com"], "links_file": str(links)}
    plan_id = told(run("invite_members", **config))["plan_id"]
    done = run("invite_members", **config, dry_run=False, plan_id=plan_id)
    assert done.success
    (link,) = [line.split("\t")[1] for line in links.read_text().splitlines()]
    token = parse_qs(urlsplit(link).query)["token"][0]
    events = "".join(str(event) + str(told(done)) for event in done.all_events)
    home = tmp_path / "home"
    assert token not in events
    holding = [
        path for path in home.rglob("*") if path.is_file() and token in path.read_text("latin-1")
    ]
    assert holding == []


def test_refused_step_fails_the_run(own_settings: ServedDify) -> None:
    """The run is red, and its metadata tell which step and why."""
    world = own_settings.world
    world.set_role("editor")
    try:
        app = app_of(world, "chat")
        config = {"app": app.id, "is_api_on": not app.enable_api}
        plan_id = told(run("update_app", **config))["plan_id"]
        result = run("update_app", **config, dry_run=False, plan_id=plan_id)
    finally:
        world.set_role("owner")
    assert not result.success
    assert "**failed** apps.switch_api" in told(result)["results"]


def report() -> tuple[dict[str, Any], bool]:
    """Metadata of the asset indexing_report, and whether its check passed."""
    definitions = code_location(effective_settings())
    job = dg.define_asset_job("report", selection=["indexing_report"])
    merged = dg.Definitions.merge(definitions, dg.Definitions(jobs=[job]))
    with dg.DagsterInstance.ephemeral() as instance:
        result = merged.resolve_job_def("report").execute_in_process(
            instance=instance, run_config=QUIET
        )
    (event,) = result.get_asset_materialization_events()
    metadata = event.step_materialization_data.materialization.metadata
    (check,) = result.get_asset_check_evaluations()
    return {key: one.value for key, one in metadata.items()}, check.passed


def test_report_and_its_check_name_what_is_not_indexed(own_settings: ServedDify) -> None:
    """A failed document turns the check red; the metadata tell its error and name."""
    world = own_settings.world
    for row in list(world.documents.values()):
        world.set_indexing_status(row.id, "completed", at=world.now())
    assert report()[1]
    failing_document(world)
    metadata, passed = report()
    assert not passed
    assert metadata["not indexed"] == 1
    assert "| 1 | failed | disk full | the handbook/page.txt |" in metadata["troubles"]


def test_nightly_retry_is_off_until_somebody_wants_it(own_settings: ServedDify) -> None:
    """The schedule is stopped; turned on, it retries unattended within its cap."""
    schedule = code_location(effective_settings()).resolve_schedule_def("retry_indexing_schedule")
    assert schedule.default_status == dg.DefaultScheduleStatus.STOPPED
    config = ticked("retry_indexing").run_config["ops"][op_of("retry_indexing")]["config"]
    document = own_settings.world.documents[failing_document(own_settings.world)]
    result = run("retry_indexing", **config, follow_seconds=0.1, datasets=["the handbook"])
    assert result.success
    assert document.indexing_status == "waiting"


def test_apps_are_exported_into_the_folder_of_the_home(
    own_settings: ServedDify, tmp_path: Path
) -> None:
    """One file per app but for the one that nobody has drawn; a second run writes none."""
    first, second = (told(run("export_apps")) for _ in "12")
    assert (first["written"], second["written"]) == (len(own_settings.world.apps) - 1, 0)
    assert len(first["without a draft"]) == 1
    folder = tmp_path / "home" / "exports"
    assert first["folder"] == str(folder)
    assert len(list(folder.iterdir())) == first["written"]
    assert folder.stat().st_mode & 0o077 == 0


def test_setting_moves_the_exports_and_no_run_does(
    own_settings: ServedDify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that may launch runs in a bare Dagster names no folder of this machine."""
    monkeypatch.setenv("DIFY_ETL_EXPORTS", str(tmp_path / "git"))
    with pytest.raises(dg.DagsterInvalidConfigError, match='unexpected config entry "folder"'):
        run("export_apps", folder=str(tmp_path / "elsewhere"))
    run("export_apps")
    assert list((tmp_path / "git").iterdir())
    assert not (tmp_path / "elsewhere").exists()


def test_import_over_an_app_takes_and_refuses_what_the_command_does(
    own_settings: ServedDify, tmp_path: Path
) -> None:
    """The app keeps its name unless another is given; a twin beside it is a mistake."""
    workflow = app_of(own_settings.world, "workflow")
    path = tmp_path / "app.yml"
    path.write_text(
        "app: {name: of the file, mode: workflow}\nkind: app\nversion: 0.1.5\n"
        "workflow: {graph: {nodes: [], edges: []}}\n"
    )
    config: dict[str, Any] = {"file": str(path), "over": workflow.id}
    assert "not both" in told(run("import_app", **config, twin=True))["failure"]
    kept = workflow.name
    for name, wanted in (("", kept), ("another", "another")):
        plan_id = told(run("import_app", **config, name=name))["plan_id"]
        done = run("import_app", **config, name=name, dry_run=False, plan_id=plan_id)
        assert "**verified** apps.import_over" in told(done)["results"]
        assert workflow.name == wanted


def test_audit_is_published_to_analysts(app: App, tmp_path: Path) -> None:
    """The next sync brings the audit into the copy, with the run of Dagster that did it."""
    config: dict[str, Any] = {"app": app.id, "description": "new words"}
    plan_id = told(run("update_app", **config))["plan_id"]
    done = run("update_app", **config, dry_run=False, plan_id=plan_id)
    job = code_location(effective_settings()).resolve_job_def("nightly_sync")
    with dg.DagsterInstance.ephemeral() as instance:
        job.execute_in_process(
            instance=instance,
            run_config=QUIET,
            asset_selection=[dg.AssetKey("published_copy")],
        )
    with duckdb.connect(str(tmp_path / "home" / "dify.duckdb"), read_only=True) as connection:
        rows = connection.execute(
            "SELECT outcome, run_id FROM ops.audit ORDER BY recorded_at"
        ).fetchall()
    assert rows == [("begun", done.run_id), ("verified", done.run_id)]
