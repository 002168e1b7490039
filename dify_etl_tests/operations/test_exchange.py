"""Apps as files: fit for git, and good for making the app again."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
import yaml

from dify_etl.dify.app_records import App as ListedApp
from dify_etl.dify.client import DifyClient
from dify_etl.operations.applying import Result
from dify_etl.operations.dsl import stable_dsl
from dify_etl.operations.errors import InputWrong
from dify_etl.operations.exchange import (
    Export,
    ImportApp,
    export_apps,
    file_name,
    import_operation,
    overwrite_operation,
    read_dsl,
)
from dify_etl.operations.publishing import publish_operation
from dify_etl_tests.dify.pretend_workspace import EVERY_VERSION, app_of
from dify_etl_tests.operations.workbench import Workbench, applied, lose_answers, undrawn_app
from dify_simulated.world.rows import App

MODES = ("chat", "agent-chat", "workflow", "advanced-chat", "completion")


def exported(bench: Workbench, folder: Path) -> Export:
    with bench.client() as dify:
        return export_apps(dify, list(dify.apps.list()), folder, is_all=True)


def imported(bench: Workbench, path: Path, **options: str | None) -> Result:
    with bench.operator() as operator:
        operation = import_operation(
            operator,
            read_dsl(path),
            where=str(path),
            name=options.get("name"),
            allows_duplicate=True,
        )
        (result,) = applied(operator, operation)
        return result


class Exporting:
    """A Dify that exports a DSL for whatever id, with the id as the name."""

    class apps:
        @staticmethod
        def export_dsl(app_id: str) -> str:
            return f"kind: app\napp:\n  name: '{app_id}'\n  mode: chat\n"


def export_all(apps: Sequence[ListedApp], folder: Path) -> Export:
    """Export these apps of that Dify."""
    return export_apps(cast(DifyClient, Exporting()), apps, folder, is_all=True)


def listed_app(app_id: str) -> ListedApp:
    """An app called one, of a mode without drafts."""
    return ListedApp.model_construct(app_id=app_id, name="one", mode="chat")


LAUGHS = "a0: &a0 ha\n" + "".join(
    f"a{one}: &a{one} [{', '.join([f'*a{one - 1}'] * 9)}]\n" for one in range(1, 12)
)
HOSTILE = {
    "a billion laughs": LAUGHS,
    "a long text a thousand times": f"t: &t {'x' * 100_000}\nl: [{', '.join(['*t'] * 1000)}]\n",
    "a part within itself": "loop: &loop {again: *loop}\n",
    "depth 5,000": "deep: " + "[" * 5000 + "]" * 5000 + "\n",
    "depth 5,000 in lines": "".join(f"{' ' * one}d:\n" for one in range(5000)),
    "a 13th month": "day: 2026-13-45\n",
    "a date before time": "day: 0001-01-01T00:00:00+99:99\n",
    "an integer of 5,000 digits": f"number: {'9' * 5000}\n",
    "an integer of 4,000 digits": f"number: {'9' * 4000}\n",
    "a list as a name": "? [1, 2]\n: x\n",
    "names of two kinds": "{1: x, a: y}\n",
    "bytes": "photo: !!binary aGVsbG8=\n",
    "an object of Python": "!!python/object/apply:os.system [true]\n",
    "half a character": 'text: "\\ud800"\n',
}


class HostileDify:
    """Exports the given DSL for each app."""

    def __init__(self, texts: Sequence[str]) -> None:
        held = dict(zip(map(id_of, range(len(texts))), texts, strict=True))

        class apps:
            export_dsl = staticmethod(held.__getitem__)

        self.apps = apps


def id_of(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_dsl_costs_its_own_app_at_most(tmp_path: Path, name: str) -> None:
    """Whoever may save a draft cannot end, stop or slow the export of the other apps; and the same
    text is refused, not obeyed, when it is imported.
    """
    good = "kind: app\napp: {name: good, mode: chat}\n"
    bad = "kind: app\napp: {name: bad, mode: chat}\n" + HOSTILE[name]
    dify = cast(DifyClient, HostileDify([good, bad, good]))
    done = export_apps(dify, [listed_app(id_of(one)) for one in range(3)], tmp_path, is_all=True)
    assert len(done.written) == 2
    assert [app for app, _ in done.failed] == ["one"]
    with pytest.raises(InputWrong):
        stable_dsl(bad, where="DSL of bad")


def test_aliases_that_dify_writes_are_read(tmp_path: Path) -> None:
    """Two nodes with the same list: Dify's own export has an alias for the second."""
    text = "kind: app\napp: {name: x, mode: chat}\na: &id001 [1, 2]\nb: *id001\n"
    assert "b:\n- 1\n- 2\n" in stable_dsl(text, where="a test").text


def test_long_name_in_wide_letters_makes_a_file(tmp_path: Path) -> None:
    """255 bytes are the most that a name may have; the export of all does not end on it."""
    app = ListedApp.model_construct(app_id=id_of(1), name="𠀀" * 100, mode="chat")
    (path,) = export_all([app], tmp_path).written
    assert path.exists()


def test_second_export_changes_no_file(bench: Workbench, tmp_path: Path) -> None:
    """One file per app; exported again without a change, every byte and time stays."""
    folder = tmp_path / "apps"
    first = exported(bench, folder)
    stamps = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in first.written}
    second = exported(bench, folder)
    assert len(first.written) == len(bench.world.apps)
    assert (second.written, set(second.unchanged)) == ((), set(first.written))
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()} == stamps


def test_changed_app_changes_its_file_alone(bench: Workbench, tmp_path: Path) -> None:
    """A commit of the folder shows which app changed."""
    exported(bench, tmp_path)
    app_of(bench.world, "chat").description = "other words"
    again = exported(bench, tmp_path)
    assert [path.read_text().count("other words") for path in again.written] == [1]


def test_renamed_app_takes_its_file_along(bench: Workbench, tmp_path: Path) -> None:
    """The file is known by the app's id; no old file stays behind."""
    before = exported(bench, tmp_path)
    app_of(bench.world, "chat").name = "Night desk / 夜班"
    after = exported(bench, tmp_path)
    (path,) = after.written
    assert path.name.startswith("night-desk-夜班-")
    assert len(list(tmp_path.iterdir())) == len(before.written)


def test_file_of_a_deleted_app_is_named_and_kept(bench: Workbench, tmp_path: Path) -> None:
    """Nothing of the user's is deleted by an export."""
    exported(bench, tmp_path)
    app = app_of(bench.world, "completion")
    with bench.client() as dify:
        dify.apps.delete(app.id)
    (stray,) = exported(bench, tmp_path).orphans
    assert stray.stem.endswith(app.id)
    assert stray.exists()


@pytest.mark.parametrize("version", EVERY_VERSION)
@pytest.mark.parametrize("mode", MODES)
def test_exported_app_can_be_made_again(tmp_path: Path, version: str, mode: str) -> None:
    """The file makes an app of the same name, mode and words, whose export is the same."""
    bench = Workbench(tmp_path, version)
    original = app_of(bench.world, mode)
    folder = tmp_path / "apps"
    path = next(p for p in exported(bench, folder).written if original.id[:8] in p.name)
    result = imported(bench, path)
    assert result.outcome == "verified", result.message
    copy = bench.world.apps[str(result.target_id)]
    assert (copy.name, copy.mode) == (original.name, original.mode)
    text = text_of(bench, copy, tmp_path / "copies")
    assert text == path.read_text(encoding="utf-8")


def text_of(bench: Workbench, app: App, folder: Path) -> str:
    with bench.client() as dify:
        chosen = [one for one in dify.apps.list() if one.app_id == app.id]
        (path,) = export_apps(dify, chosen, folder, is_all=False).written
    return path.read_text(encoding="utf-8")


def test_lost_answer_of_an_import_makes_no_second_app(bench: Workbench, tmp_path: Path) -> None:
    """The new app is found by name, mode and the difference of the lists."""
    path = exported(bench, tmp_path / "apps").written[0]
    apps = len(bench.world.apps)
    lose_answers(bench, "POST", "/apps/imports")
    result = imported(bench, path, name="a copy")
    assert result.outcome == "verified", result.message
    assert bench.world.apps[str(result.target_id)].name == "a copy"
    assert len(bench.world.apps) == apps + 1


@pytest.mark.parametrize("name", [None, "the third name"])
def test_overwritten_app_keeps_its_name_unless_another_is_given(
    bench: Workbench, tmp_path: Path, name: str | None
) -> None:
    """Dify takes the name of the DSL, which made two apps of one name; the plan is what is done."""
    app = app_of(bench.world, "workflow")
    old_name, folder = app.name, tmp_path / "apps"
    path = next(p for p in exported(bench, folder).written if app.id[:8] in p.name)
    text = read_dsl(path).replace(f"name: {app.name}", "name: that of the file")
    app.description = "words of Dify"
    with bench.operator() as operator:
        operation = overwrite_operation(operator, text, where=str(path), app=app.id, name=name)
        lines = operation.plan.lines()
        (result,) = applied(operator, operation)
    assert result.outcome == "verified", result.message
    assert app.name == (name or old_name)
    told = "\n".join(lines)
    assert "-  description: words of Dify" in told
    assert "that of the file" not in told
    assert ("the third name" in told) is (name is not None)


@pytest.mark.parametrize("version", ["1.0.0", "1.12.1", "1.16.1"])
def test_app_without_a_draft_is_overwritten(tmp_path: Path, version: str) -> None:
    """There is no DSL to compare with; afterwards there is a draft, and nothing is published."""
    bench = Workbench(tmp_path, version)
    whole = app_of(bench.world, "workflow")
    path = next(p for p in exported(bench, tmp_path / "a").written if whole.id[:8] in p.name)
    app = undrawn_app(bench, "workflow")
    with bench.operator() as operator:
        operation = overwrite_operation(operator, read_dsl(path), where=str(path), app=app.id)
        (result,) = applied(operator, operation)
    assert result.outcome == "verified", result.message
    assert f"dify-etl apps publish {app.id}" in result.message
    assert (app.name, app.workflow_id) == ("empty", None)
    assert bench.world.draft_of(app.id) is not None
    assert any("(no draft)" in line for line in operation.plan.lines())


def test_import_says_that_nothing_is_published(bench: Workbench, tmp_path: Path) -> None:
    """The plan says it, and the result how to do it; the published app is another step."""
    app = app_of(bench.world, "workflow")
    path = next(p for p in exported(bench, tmp_path / "a").written if app.id[:8] in p.name)
    result = imported(bench, path, name="a copy")
    assert f"dify-etl apps publish {result.target_id}" in result.message
    bench.wait(60)
    with bench.operator() as operator:
        (done,) = applied(operator, publish_operation(operator, [str(result.target_id)]))
    assert done.outcome == "verified", done.message


def test_overwriting_and_a_twin_are_not_asked_for_together(tmp_path: Path) -> None:
    """One of the two is a mistake."""
    with pytest.raises(InputWrong, match="not both"):
        ImportApp.asked({"file": tmp_path / "app.yml", "over": "x", "twin": True})


@pytest.mark.parametrize(("over", "operation"), [("", "apps.import"), ("id", "apps.import_over")])
def test_request_makes_an_app_or_overwrites_one(
    bench: Workbench, tmp_path: Path, over: str, operation: str
) -> None:
    """An empty text in Dagster's launchpad overwrites nothing."""
    app = app_of(bench.world, "workflow")
    path = next(p for p in exported(bench, tmp_path / "a").written if app.id[:8] in p.name)
    asked = ImportApp(file=path, over=over and app.id, name=None if over else "a copy")
    with bench.operator() as operator:
        planned = asked.plan(bench.context(operator))
    assert planned.plan.operation == operation


@pytest.mark.parametrize("version", ["1.0.0", "1.7.2", "1.12.1", "1.16.1"])
def test_app_without_a_draft_has_nothing_to_export(tmp_path: Path, version: str) -> None:
    """Among all apps it is told and no failure, and its old file is no stray."""
    bench = Workbench(tmp_path, version)
    app = undrawn_app(bench, "workflow")
    folder = tmp_path / "apps"
    folder.mkdir()
    (folder / f"empty-{app.id[:8]}.yml").write_text("as it was")
    done = exported(bench, folder)
    assert (done.empty, done.failed, done.orphans) == (("empty",), (), ())


def test_other_mode_is_not_overwritten(bench: Workbench, tmp_path: Path) -> None:
    """A chat app's file makes no workflow."""
    app = app_of(bench.world, "chat")
    path = next(p for p in exported(bench, tmp_path).written if app.id[:8] in p.name)
    target = app_of(bench.world, "workflow").id
    with bench.operator() as operator, pytest.raises(InputWrong, match="of mode"):
        overwrite_operation(operator, read_dsl(path), where=str(path), app=target)


def test_chat_app_is_not_overwritten(bench: Workbench, tmp_path: Path) -> None:
    """Dify refuses that whatever the file holds, so it is no plan."""
    app = app_of(bench.world, "chat")
    path = next(p for p in exported(bench, tmp_path).written if app.id[:8] in p.name)
    with bench.operator() as operator, pytest.raises(InputWrong, match="workflows and chatflows"):
        overwrite_operation(operator, read_dsl(path), where=str(path), app=app.id)


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    """A path that is none is told before Dify is asked."""
    with pytest.raises(InputWrong) as refused:
        read_dsl(tmp_path / "nothing.yml")
    assert "nothing.yml" in refused.value.where


def test_secrets_of_a_file_are_not_shown(bench: Workbench, tmp_path: Path) -> None:
    """A DSL that somebody exported with its secrets: they reach Dify, and nobody else."""
    app = app_of(bench.world, "workflow")
    folder = tmp_path / "apps"
    path = next(p for p in exported(bench, folder).written if app.id[:8] in p.name)
    secret = {"name": "KEY", "value_type": "secret", "value": "canary-1", "id": "1"}
    document = yaml.safe_load(read_dsl(path))
    document["workflow"]["environment_variables"] = [secret]
    document["workflow"]["graph"]["nodes"][0]["data"]["api_key"] = "canary-2"
    text = yaml.safe_dump(document, allow_unicode=True)
    with bench.operator() as operator:
        new = import_operation(operator, text, where="a file", name="x", allows_duplicate=False)
        over = overwrite_operation(operator, text, where="a file", app=app.id)
        results = [*applied(operator, new), *applied(operator, over)]
    told = repr([new.plan, over.plan, results]) + "\n".join(new.plan.lines() + over.plan.lines())
    assert [result.outcome for result in results] == ["verified", "verified"]
    assert "canary" not in told + (tmp_path / "audit.jsonl").read_text()
    assert "KEY" in told


def test_file_of_0_1_takes_the_whole_id(bench: Workbench, tmp_path: Path) -> None:
    """Names ended with the first 8 characters of the id: such a file becomes the app's."""
    app = app_of(bench.world, "chat")
    old = tmp_path / f"the-chat-app-{app.id[:8]}.yml"
    old.write_text("as exported before")
    exported(bench, tmp_path)
    assert not old.exists()
    assert len(list(tmp_path.glob(f"*{app.id}.yml"))) == 1


def test_ids_with_the_same_beginning_have_files_of_their_own(tmp_path: Path) -> None:
    """27 apps whose ids begin alike have 27 files, the same after a second export."""
    apps = [listed_app(f"8a1cf00d-0000-4000-8000-{number:012}") for number in range(27)]
    first = export_all(apps, tmp_path)
    files = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert (len(first.written), len(files), len(set(files.values()))) == (27, 27, 27)
    again = export_all(apps, tmp_path)
    assert (again.written, again.orphans) == ((), ())
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files


@pytest.mark.parametrize("app_id", ["*", "../../zz", "8a1cf00d", "8A1CF00D-x"])
def test_id_that_is_none_touches_no_file(tmp_path: Path, app_id: str) -> None:
    """An app with such an id is named as failed; files of others stay as they are."""
    folder = tmp_path / "apps"
    good = listed_app("8a1cf00d-0000-4000-8000-000000000001")
    export_all([good], folder)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.yml")}
    done = export_all([listed_app(app_id), good], folder)
    assert [reason for _, reason in done.failed] == [
        f"its id {app_id!r} is no UUID, so it names no file"
    ]
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_link_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    """Where a link stands in place of a file, the link is replaced and its target stays."""
    folder, victim = tmp_path / "apps", tmp_path / "victim"
    victim.write_text("precious")
    folder.mkdir()
    app = listed_app("8a1cf00d-0000-4000-8000-000000000001")
    (folder / file_name(app)).symlink_to(victim)
    (folder / "other-8a1cf00d.yml").symlink_to(victim)
    export_all([app], folder)
    assert victim.read_text() == "precious"
    assert not (folder / file_name(app)).is_symlink()
    assert (folder / "other-8a1cf00d.yml").is_symlink()


def test_a_file_has_a_name_that_its_disk_takes() -> None:
    """In a locale that is not UTF-8 a letter that it lacks is left out; the id tells the app."""
    code = (
        "from types import SimpleNamespace; from dify_etl.operations.exchange import file_name;"
        "print(file_name(SimpleNamespace(name='\\u5ba2\\u670d Bot \\U0001f99c', app_id='1')))"
    )
    ascii_alone = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **ascii_alone},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "bot-1.yml\n"
