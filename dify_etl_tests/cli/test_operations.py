"""`dify-etl apps`, `members`, `indexing`, `audit`: shown first, done only with the plan's id."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dify_etl_tests.cli.command_line import Answer, ServedDify, Shell
from dify_etl_tests.cli.small_servers import served, small_world, some_days_ago
from dify_etl_tests.cli.terminals import CTRL_C, at_a_terminal
from dify_etl_tests.sync.small_worlds import app_of, failing_document
from dify_simulated.world.rows import App


@pytest.fixture(scope="module")
def changed_dify() -> Iterator[ServedDify]:
    """A small Dify of these tests' own: they change it."""
    with served(small_world()) as server:
        yield server


@pytest.fixture
def own(changed_dify: ServedDify, tmp_path: Path) -> Shell:
    """An empty folder whose settings reach it."""
    return Shell(tmp_path, changed_dify.variables(some_days_ago(3)))


def plan_id(answer: Answer) -> str:
    """The id that a shown plan tells."""
    (found,) = set(re.findall(r"--apply ([0-9a-f]{12})", answer.out))
    return str(found)


def audit(shell: Shell) -> list[dict[str, str]]:
    """The audit file's entries."""
    path = shell.home / "audit.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def everything_of(app: App) -> dict[str, object]:
    """All fields of an app but the time of its last change."""
    return {key: value for key, value in asdict(app).items() if not key.startswith("updated_")}


def test_what_is_shown_is_what_is_done(own: Shell, changed_dify: ServedDify) -> None:
    """The plan changes nothing; applied, exactly its + lines become true and nothing else moves."""
    apps = changed_dify.world.apps
    app = app_of(changed_dify.world, "workflow")
    words = ["apps", "update", app.name, "--description", "told by a plan", "--no-site"]
    before = {key: everything_of(one) for key, one in apps.items()}
    shown = own.run(*words)
    assert shown.code == 0, shown.text
    assert {key: everything_of(one) for key, one in apps.items()} == before
    done = own.run(*words, "--apply", plan_id(shown))
    assert done.code == 0, done.text
    names = {
        "description": "description",
        "is_site_enabled": "enable_site",
        "max_active_requests": "max_active_requests",
    }
    wanted = dict(re.findall(r"^  \+ (\w+): (.*)$", shown.out, re.MULTILINE))
    after = {key: everything_of(one) for key, one in apps.items()}
    moved = {name: value for name, value in after[app.id].items() if before[app.id][name] != value}
    texts = {"description": "told by a plan", "is_site_enabled": "false"}
    assert wanted == {**texts, "max_active_requests": "0"}  # which Dify makes of no limit
    assert moved == {
        "description": "told by a plan",
        "enable_site": False,
        "max_active_requests": 0,
    }
    assert set(moved) == {names[name] for name in wanted}
    assert {key: one for key, one in after.items() if key != app.id} == {
        key: one for key, one in before.items() if key != app.id
    }


def test_stale_plan_is_refused_with_the_plan_of_now(own: Shell, changed_dify: ServedDify) -> None:
    """Somebody changed the app since: exit code 1, nothing is done, the new plan is shown."""
    app = app_of(changed_dify.world, "chat")
    words = ["apps", "update", app.id, "--description", "by a plan"]
    shown = own.run(*words)
    app.description = "somebody else"
    refused = own.run(*words, "--apply", plan_id(shown))
    assert refused.code == 1
    assert "PlanStale" in refused.err
    assert "- description: somebody else" in refused.err
    assert app.description == "somebody else"
    assert audit(own) == []


def test_audit_lists_what_was_done(own: Shell, changed_dify: ServedDify) -> None:
    """Who, what, to what, and what came of it."""
    assert "Nothing was done yet" in own.run("audit", "list").out
    words = ["apps", "create", "Night desk", "--mode", "chat"]
    shown = own.run(*words)
    assert own.run(*words, "--apply", plan_id(shown)).code == 0
    listed = own.run("audit", "list", "--plan", plan_id(shown), COLUMNS="240")
    assert "apps.create" in listed.text
    assert "verified" in listed.text
    assert own.variables["DIFY_EMAIL"] in listed.text
    again = own.run(*words)
    assert again.code == 2
    assert "there is an app called" in again.text


def test_app_is_deleted_only_read_and_with_its_name(own: Shell, changed_dify: ServedDify) -> None:
    """Refused without a sync, then without the name; Ctrl-C at the question for it changes
    nothing; then gone, with a command to restore it."""
    world = changed_dify.world
    app = world.add_app(
        name="to be deleted",
        mode="chat",
        at=world.now() - timedelta(days=1),
        created_by=world.account_id,
        tenant_id=world.workspace_id,
    )
    words = ["apps", "delete", app.name]
    unread = own.run(*words)
    assert unread.code == 1
    assert f"dify-etl sync --full --app {app.id}" in unread.text
    assert own.run("sync", "--full", "--app", app.id).code == 0
    shown = own.run(*words)
    assert "cannot be undone" in shown.out
    unnamed = own.run(*words, "--apply", plan_id(shown))
    assert unnamed.code == 1
    assert "NotConfirmed" in unnamed.err
    assert app.id in world.apps
    dialogue = [("to delete it", CTRL_C)]
    stopped = at_a_terminal(own, *words, "--apply", plan_id(shown), dialogue=dialogue)
    assert stopped.code == 130, stopped.out
    assert "Stopped. Nothing was changed." in stopped.out
    assert app.id in world.apps
    done = own.run(*words, "--apply", plan_id(shown), "--name", app.name)
    assert done.code == 0, done.text
    assert app.id not in world.apps
    (command,) = re.findall(r"dify-etl (apps import \S+)", done.out)
    restored = own.run(*command.split())
    assert "+ name: to be deleted" in restored.out


def test_activation_links_are_nowhere_but_in_the_file(own: Shell) -> None:
    """Neither on the terminal, with --debug too, nor in any file of the home."""
    words = ["members", "invite", "ann@example.com", "--links", "links.tsv", "--debug"]
    shown = own.run(*words)
    done = own.run(*words, "--apply", plan_id(shown))
    assert done.code == 0, done.text
    own.run("sync", "--feed", "apps")  # brings the audit into the warehouse and its copy
    (line,) = (own.folder / "links.tsv").read_text().splitlines()
    token = parse_qs(urlsplit(line.split("\t")[1]).query)["token"][0]
    listed = own.run("audit", "list")
    assert token not in shown.out + shown.err + done.out + done.err + listed.out
    files = [path for path in own.home.rglob("*") if path.is_file()]
    assert any(path.name == "audit.jsonl" for path in files)
    assert own.rows("SELECT count(*), count(DISTINCT run_id) FROM ops.audit") == [(2, 1)]
    assert [path for path in files if token.encode() in path.read_bytes()] == []


def test_wrong_addresses_never_reach_dify(own: Shell, changed_dify: ServedDify) -> None:
    """One bad e-mail of many: exit code 2, no request at all."""
    before = len(changed_dify.server.requests)
    refused = own.run("members", "invite", "ann@example.com", "not-an-email")
    assert refused.code == 2
    assert "'not-an-email' is no e-mail address" in refused.text
    assert len(changed_dify.server.requests) == before


def test_more_objects_than_allowed_are_refused(own: Shell) -> None:
    """The cap holds when the plan is shown already."""
    words = ["members", "invite", "a@example.com", "b@example.com", "--most", "1"]
    refused = own.run(*words)
    assert refused.code == 1
    assert "2 objects, the cap of one run is 1" in refused.text


def test_export_of_all_apps_is_stable(own: Shell, changed_dify: ServedDify) -> None:
    """A second export writes no file; an app that nobody has drawn yet is told."""
    first = own.run("apps", "export", "--all", "--to", "dsl")
    second = own.run("apps", "export", "--all", "--to", "dsl")
    files = list((own.folder / "dsl").iterdir())
    empty = app_of(changed_dify.world, "workflow").name
    assert (first.code, second.code) == (0, 0), first.text
    assert len(files) == len(changed_dify.world.apps) - 1
    assert f"0 written, {len(files)} as they were" in second.out
    assert f"{empty} has nothing to export yet: nobody has saved a draft" in second.out


def test_export_of_one_app_tells_why_it_failed(own: Shell, changed_dify: ServedDify) -> None:
    """Asked for by name, an app without a draft is a failure with its reason and a next step."""
    failed = own.run("apps", "export", app_of(changed_dify.world, "workflow").name)
    assert failed.code == 1
    assert "nobody has saved a draft" in failed.text
    assert "--over" in failed.text


def test_a_twin_has_no_place_when_an_app_is_overwritten(own: Shell) -> None:
    """One of the two is a mistake, and told."""
    (own.folder / "app.yml").write_text("app: {name: x, mode: workflow}")
    refused = own.run("apps", "import", "app.yml", "--over", "x", "--twin")
    assert refused.code == 2
    assert "not both" in refused.text


def test_failed_documents_are_listed_and_retried(own: Shell, changed_dify: ServedDify) -> None:
    """`list` answers 1 while something is not indexed; `retry` says what it can know."""
    failing_document(changed_dify.world)
    listed = own.run("indexing", "list", "--dataset", "the handbook")
    assert listed.code == 1
    assert "1 failed: disk full" in listed.text
    words = ["indexing", "retry", "--dataset", "the handbook", "--follow", "1"]
    done = own.run(*words, "--apply", plan_id(own.run(*words)))
    assert done.code == 0, done.text
    assert "still waiting" in done.text
    assert [entry["outcome"] for entry in audit(own)] == ["begun", "done"]


def test_lists_show_what_there_is(own: Shell, changed_dify: ServedDify) -> None:
    """Apps and members by name; one app with its switches and never a key."""
    app = app_of(changed_dify.world, "completion")
    with changed_dify.world.lock:
        key = changed_dify.world.add_api_key(
            tenant_id=changed_dify.world.workspace_id, app_id=app.id, at=changed_dify.world.now()
        )
    apps = own.run("apps", "list", COLUMNS="240")
    none = own.run("apps", "list", "--name", "no such app")
    one = own.run("apps", "show", app.id, COLUMNS="240")
    people = own.run("members", "list", COLUMNS="240")
    assert app.name in apps.text
    assert "0 apps" in none.text
    assert "API keys" in one.text
    assert key.token not in one.text
    assert own.variables["DIFY_EMAIL"] in people.text
