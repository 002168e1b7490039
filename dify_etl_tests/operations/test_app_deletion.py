"""Deleting an app: only with its DSL in a file and its data in the warehouse."""

import json
import shutil
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from dify_etl.assembly.sync_proof import LiveSyncProof
from dify_etl.dify.errors import Refused
from dify_etl.home import Home
from dify_etl.operations.app_deletion import Escrow, delete_operation
from dify_etl.operations.errors import EscrowRefused, NotConfirmed, TooMuch
from dify_etl.operations.exchange import import_operation, read_dsl
from dify_etl.operations.plan import Cap
from dify_etl.operations.sync_proof import Proof
from dify_etl_tests.dify.pretend_workspace import NOW, app_of
from dify_etl_tests.operations.workbench import Workbench, applied, undrawn_app
from dify_etl_tests.sync.workplace import RULES, ZONE, Workplace
from dify_simulated.world.rows import App, JsonObject

FEEDS = ("apps", "conversations", "messages", "workflow_runs", "node_executions")


@pytest.fixture
def place(bench: Workbench, tmp_path: Path) -> Workplace:
    """The same world and server, and the home that it is read into."""
    began = min(app.created_at for app in bench.world.apps.values()).date()
    place = Workplace(bench.world, tmp_path / "home", rules=replace(RULES, start_date=began))
    place.server = bench.server
    return place


@pytest.fixture(scope="session")
def read_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a bench whose world was read before anything of it was changed."""
    bench = Workbench(tmp_path_factory.mktemp("read"))
    began = min(app.created_at for app in bench.world.apps.values()).date()
    place = Workplace(bench.world, bench.home / "home", rules=replace(RULES, start_date=began))
    place.server = bench.server
    place.read(FEEDS)
    return place.home


@pytest.fixture
def read_place(place: Workplace, read_home: Path) -> Workplace:
    """The place of `place`, read: every bench has the same world."""
    shutil.copytree(read_home, place.home)
    return place


def escrow(bench: Workbench, place: Workplace, **changes: object) -> Escrow:
    sync_proof = LiveSyncProof(place.home, ZONE, bench.world.now())
    return replace(Escrow(Home(place.home).escrow, sync_proof), **changes)  # type: ignore[arg-type]


def deleted(bench: Workbench, app: App, kept: Escrow) -> list[str]:
    with bench.operator() as operator:
        results = applied(operator, delete_operation(operator, [app.id], kept))
    return [result.outcome for result in results]


@pytest.mark.parametrize("mode", ["chat", "workflow", "advanced-chat", "agent-chat"])
def test_read_app_is_deleted_with_its_escrow(
    bench: Workbench, read_place: Workplace, mode: str
) -> None:
    """DSL kept, data proven, a manifest, then deleted, all in the audit; the DSL makes it again."""
    app = app_of(bench.world, mode)
    kept = escrow(bench, read_place)
    assert deleted(bench, app, kept) == ["verified"] * 4
    assert app.id not in bench.world.apps
    entries = [entry for entry in bench.audit() if entry.outcome == "verified"]
    assert [entry.operation for entry in entries] == [
        "apps.escrow_dsl",
        "apps.escrow_data",
        "apps.escrow_manifest",
        "apps.delete",
    ]
    path, manifest = sorted(kept.folder.iterdir(), key=lambda path: len(path.name))
    told = json.loads(manifest.read_text(encoding="utf-8"))
    assert (told["app"]["id"], told["restore"]) == (app.id, [f"dify-etl apps import {path}"])
    assert f"dify-etl apps import {path}" in entries[-1].message
    assert path.stat().st_mode & 0o777 == 0o600
    with bench.operator() as operator:
        again = import_operation(operator, read_dsl(path), where="escrow", allows_duplicate=False)
        (made,) = applied(operator, again)
    assert bench.world.apps[str(made.target_id)].name == app.name


def test_published_version_is_kept_beside_the_draft(bench: Workbench, place: Workplace) -> None:
    """Dify exports drafts alone; what ran is another file, which makes an app again."""
    app = app_of(bench.world, "workflow")
    published = bench.world.publish(app.id, at=bench.world.now())
    bench.world.save_draft(app.id, {"nodes": [], "edges": []}, at=bench.world.now())
    place.read(FEEDS)
    kept = escrow(bench, place)
    assert deleted(bench, app, kept) == ["verified"] * 5
    draft, version = sorted(kept.folder.glob("*.yml"), key=lambda path: len(path.name))
    assert all(
        f"dify-etl apps import {path}" in bench.audit()[-1].message for path in (draft, version)
    )
    with bench.operator() as operator:
        again = import_operation(operator, read_dsl(version), where="x", allows_duplicate=False)
        (result,) = applied(operator, again)
    made = bench.world.draft_of(str(result.target_id))
    assert made is not None
    assert made.graph == published.graph
    assert "nodes: []" in draft.read_text()


VARIABLE: JsonObject = {"id": "1", "name": "memory", "value_type": "string", "value": "kept"}


@pytest.mark.parametrize("version", ["1.7.2", "1.16.1"])
def test_published_variables_are_kept_beside_the_draft(tmp_path: Path, version: str) -> None:
    """Graph and features alike, other conversation variables: both are in a file, whether Dify
    exports versions or drafts alone.
    """
    bench = Workbench(tmp_path, version)
    app = app_of(bench.world, "advanced-chat")
    published = bench.world.publish(app.id, at=bench.world.now())
    published.conversation_variables = (VARIABLE,)
    kept = Escrow(tmp_path / "escrow", ReadWhole(bench.world.now()))
    assert deleted(bench, app, kept) == ["verified"] * 5
    draft, version_file = sorted(kept.folder.glob("*.yml"), key=lambda path: len(path.name))
    assert "memory" not in draft.read_text()
    with bench.operator() as operator:
        again = import_operation(
            operator, read_dsl(version_file), where="x", allows_duplicate=False
        )
        (result,) = applied(operator, again)
    made = bench.world.draft_of(str(result.target_id))
    assert made is not None
    assert made.conversation_variables == (VARIABLE,)
    assert made.graph == published.graph


def test_published_values_are_kept_as_dify_exports_them(bench: Workbench, tmp_path: Path) -> None:
    """An environment variable that was changed after the publication: its value is read by no other
    way than the export of the version.
    """
    app = app_of(bench.world, "workflow")
    draft = bench.world.draft_of(app.id)
    assert draft is not None
    draft.environment_variables = ({**VARIABLE, "value": "published"},)
    bench.world.publish(app.id, at=bench.world.now())
    draft.environment_variables = ({**VARIABLE, "value": "drafted"},)
    kept = Escrow(tmp_path / "escrow", ReadWhole(bench.world.now()))
    assert deleted(bench, app, kept) == ["verified"] * 5
    texts = [path.read_text() for path in kept.folder.glob("*.yml")]
    assert sorted("value: published" in text for text in texts) == [False, True]


@dataclass
class ReadWhole:
    """A proof of every day of every app."""

    at: datetime

    def proof_of(self, app_id: str, *, since: datetime, mode: str) -> Proof:
        """Read to this moment."""
        return Proof((), (), self.at + timedelta(seconds=1))


def test_app_that_was_never_read_is_kept(bench: Workbench, place: Workplace) -> None:
    """Without a sync nothing is planned; the error tells the sync to run."""
    app = app_of(bench.world, "chat")
    with bench.operator() as operator, pytest.raises(EscrowRefused) as refused:
        delete_operation(operator, [app.id], escrow(bench, place))
    assert f"dify-etl sync --full --app {app.id}" in refused.value.hint
    assert app.id in bench.world.apps


@pytest.mark.parametrize(
    ("mode", "read", "lacking"),
    [
        ("chat", ("apps", "conversations"), "messages never read"),
        ("workflow", ("apps", "workflow_runs"), "node_executions never read"),
        ("advanced-chat", ("apps", "conversations", "messages"), "workflow_runs never read"),
    ],
)
def test_feed_that_was_never_asked_keeps_the_app(
    bench: Workbench, place: Workplace, mode: str, read: tuple[str, ...], lacking: str
) -> None:
    """Nothing wrong was found in it only because nobody looked."""
    place.read(read)
    app = app_of(bench.world, mode)
    kept = escrow(bench, place, accepts_unproven=True)
    with bench.operator() as operator, pytest.raises(EscrowRefused, match=lacking):
        delete_operation(operator, [app.id], kept)


def test_history_that_was_not_read_keeps_the_app(bench: Workbench, place: Workplace) -> None:
    """A sync of the last days alone does not make the older ones safe."""
    app = app_of(bench.world, "chat")
    today = bench.world.now().date()
    place.read_days(today, today, FEEDS)
    with bench.operator() as operator, pytest.raises(EscrowRefused, match="not read on") as told:
        delete_operation(operator, [app.id], escrow(bench, place))
    assert "Days before DIFY_ETL_START_DATE are never read" in told.value.hint


def test_use_after_the_sync_keeps_the_app(bench: Workbench, read_place: Workplace) -> None:
    """Somebody talked to it since: that talk is not in the warehouse."""
    app = app_of(bench.world, "chat")
    bench.wait(60)
    talk = bench.world.add_conversation(app.id, at=bench.world.now())
    bench.world.add_message(talk.id, at=bench.world.now(), query="one more question")
    with bench.operator() as operator, pytest.raises(EscrowRefused, match="was used at"):
        delete_operation(operator, [app.id], escrow(bench, read_place))


def test_old_sync_keeps_the_app(bench: Workbench, read_place: Workplace) -> None:
    """The sync has to be as fresh as was asked for."""
    bench.wait(2 * 3600)
    app = app_of(bench.world, "chat")
    with bench.operator() as operator, pytest.raises(EscrowRefused, match=r"2\.0 hours old"):
        delete_operation(operator, [app.id], escrow(bench, read_place))
    kept = escrow(bench, read_place, synced_within=timedelta(hours=3))
    assert deleted(bench, app, kept) == ["verified"] * 4


def test_unproven_data_need_a_yes(bench: Workbench, read_place: Workplace) -> None:
    """Completion logs without details cannot be proven: refused, or accepted and told."""
    app = app_of(bench.world, "completion")
    with bench.operator() as operator, pytest.raises(EscrowRefused, match="unproven"):
        delete_operation(operator, [app.id], escrow(bench, read_place))
    assert deleted(bench, app, escrow(bench, read_place, accepts_unproven=True)) == ["verified"] * 4


def test_several_apps_and_no_name_are_refused(bench: Workbench, read_place: Workplace) -> None:
    """One app per run unless more are allowed, and none without its name typed back."""
    apps = [app_of(bench.world, mode) for mode in ("chat", "workflow")]
    with bench.operator() as operator:
        both = delete_operation(operator, [app.id for app in apps], escrow(bench, read_place))
        with pytest.raises(TooMuch, match="2 objects, the cap of one run is 1"):
            operator.apply(both, both.plan.plan_id, cap=Cap(1), is_sure=True)
        with pytest.raises(NotConfirmed):
            operator.apply(both, both.plan.plan_id, cap=Cap(2), typed=[apps[0].name])
    assert all(app.id in bench.world.apps for app in apps)
    assert bench.audit() == ()


@dataclass
class BooksThatLoseTheProof:
    """Books that hold the proof while the plan is made, and no more when it is applied."""

    asked: int = 0

    def proof_of(self, app_id: str, *, since: datetime, mode: str) -> Proof:
        """Good the first time it is asked, then lacking."""
        self.asked += 1
        lacking = () if self.asked == 1 else ("conversations failed on 1 days: no answer",)
        return Proof(lacking, (), NOW)


def test_proof_that_is_lost_in_between_stops_the_deletion(
    bench: Workbench, place: Workplace
) -> None:
    """The proof is looked at once more just before; without it the app stays."""
    app = app_of(bench.world, "chat")
    kept = replace(escrow(bench, place), sync_proof=BooksThatLoseTheProof())
    assert deleted(bench, app, kept) == ["verified", "failed", "skipped", "skipped"]
    assert app.id in bench.world.apps


def test_escrow_that_cannot_be_written_is_no_plan(
    bench: Workbench, read_place: Workplace, tmp_path: Path
) -> None:
    """The folder is looked at before anything is promised."""
    app = app_of(bench.world, "chat")
    (tmp_path / "in the way").write_text("a file")
    kept = replace(escrow(bench, read_place), folder=tmp_path / "in the way")
    with bench.operator() as operator, pytest.raises(EscrowRefused, match="cannot be written"):
        delete_operation(operator, [app.id], kept)


def test_escrow_that_cannot_be_written_any_more_stops_the_deletion(
    bench: Workbench, read_place: Workplace, tmp_path: Path
) -> None:
    """Without the DSL on the disk the app stays."""
    app = app_of(bench.world, "chat")
    kept = replace(escrow(bench, read_place), folder=tmp_path / "in the way")
    with bench.operator() as operator:
        operation = delete_operation(operator, [app.id], kept)
        (tmp_path / "in the way").write_text("a file")
        results = applied(operator, operation)
    assert [one.outcome for one in results] == ["failed", "skipped", "skipped", "skipped"]
    assert app.id in bench.world.apps


@pytest.mark.parametrize("version", ["1.0.0", "1.7.2", "1.12.1", "1.16.1"])
@pytest.mark.parametrize("mode", ["workflow", "advanced-chat"])
def test_app_without_a_draft_is_deleted_and_the_escrow_says_so(
    tmp_path: Path, version: str, mode: str
) -> None:
    """There is no DSL to keep: plan and manifest tell it, and the rest is as with others."""
    bench = Workbench(tmp_path, version)
    app = undrawn_app(bench, mode)
    kept = Escrow(tmp_path / "escrow", BooksThatHoldAll())
    with bench.operator() as operator:
        operation = delete_operation(operator, [app.id], kept)
        results = applied(operator, operation)
    assert [one.outcome for one in results] == ["verified"] * 3
    assert app.id not in bench.world.apps
    assert "nobody has saved a draft" in "\n".join(operation.plan.lines())
    (manifest,) = kept.folder.iterdir()
    told = json.loads(manifest.read_text(encoding="utf-8"))
    assert (told["files"], told["restore"]) == ({}, [])
    assert "a DSL: nobody has saved a draft" in told["lacks"][0]


def test_dsl_that_cannot_be_had_is_no_plan(bench: Workbench) -> None:
    """A plan that promises the DSL has seen it: with the plugin daemon down there is none."""
    app = app_of(bench.world, "chat")
    bench.server.plugin_daemon_down = True
    kept = Escrow(bench.home / "escrow", BooksThatHoldAll())
    with bench.operator() as operator, pytest.raises(Refused, match="plugin daemon"):
        delete_operation(operator, [app.id], kept)
    assert app.id in bench.world.apps


def test_values_that_the_dsl_lacks_are_told(bench: Workbench) -> None:
    """Dify leaves secrets out of a DSL: their names stand in the plan."""
    app = app_of(bench.world, "workflow")
    draft = bench.world.draft_of(app.id)
    assert draft is not None
    secret: JsonObject = {
        "id": "1",
        "name": "DB_PASSWORD",
        "value_type": "secret",
        "value": "canary",
    }
    draft.environment_variables = (secret,)
    kept = Escrow(bench.home / "escrow", BooksThatHoldAll())
    with bench.operator() as operator:
        lines = delete_operation(operator, [app.id], kept).plan.lines()
    assert any("secret environment variables: DB_PASSWORD" in line for line in lines)
    assert "canary" not in "\n".join(lines)


class BooksThatHoldAll:
    """Books that hold the proof of everything."""

    def proof_of(self, app_id: str, *, since: datetime, mode: str) -> Proof:
        """Nothing lacks."""
        return Proof((), (), NOW)
